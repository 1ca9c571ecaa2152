import KldCore
public import KldFiles
public import KldPlan
import SystemPackage

/// How far a machine is with its first boot, over all boots that it took.
public struct FirstBootStatus: Sendable, Hashable {
    public enum State: String, Sendable, Hashable {
        case notBegun = "not-begun"
        case unfinished, done
    }

    public struct Task: Sendable, Hashable {
        public enum State: String, Sendable, Hashable {
            case waiting
            /// It runs, or its boot was cut off.
            case begun
            case done, failed
            /// Not tried, for a task that it needs is not done.
            case skipped
        }

        public var id: String
        public var title: String
        public var weight: Int
        public var needs: [String]
        public var state: State

        public init(_ id: String, _ title: String, weight: Int, needs: [String], state: State) {
            self.id = id
            self.title = title
            self.weight = weight
            self.needs = needs
            self.state = state
        }
    }

    /// The tasks that there were, one a line: id, weight, what it needs (commas between, `-` for nothing), title.
    static let tasksFile = FirstBoot.folder.appending("tasks")

    public var state: State
    /// In order. Empty on a machine whose first boot kept no list.
    public var tasks: [Task]

    public init(_ state: State, _ tasks: [Task]) {
        self.state = state
        self.tasks = tasks
    }

    /// Reads what the first boot wrote down, and asks nothing of the machine itself.
    public static func read(_ files: any FileSystem) throws -> FirstBootStatus {
        func text(_ file: FilePath) throws -> String { try files.exists(file) ? files.readText(file) : "" }
        let states = PlanJournal.states(try text(FirstBoot.journalFile))
        var tasks = parse(try text(tasksFile))
        var missing: Set<String> = []
        for index in tasks.indices {
            let task = tasks[index]
            let known: Task.State =
                switch states[task.id] {
                case .done: .done
                case .failed: .failed
                case .started: .begun
                case nil: .waiting
                }
            let lacks = known != .done && task.needs.contains { missing.contains($0) }
            tasks[index].state = lacks ? .skipped : known
            if lacks || known == .failed { missing.insert(task.id) }
        }
        if try files.exists(FirstBoot.doneMarker) { return FirstBootStatus(.done, tasks) }
        return FirstBootStatus(tasks.isEmpty ? .notBegun : .unfinished, tasks)
    }

    /// Writes down the tasks of a boot, before it begins them; those that earlier boots did stay in the list.
    public static func write(_ plan: Plan, _ files: any FileSystem) throws {
        let former = try read(files).tasks.filter { task in task.state == .done && plan.steps.allSatisfy { $0.id != task.id } }
        let steps = plan.steps
        let now = steps.enumerated().map { index, step in
            Task(step.id, step.title, weight: step.weight, needs: step.needs ?? steps[..<index].map(\.id), state: .waiting)
        }
        let lines = (former + now).map { task in
            "\(task.id) \(task.weight) \(task.needs.isEmpty ? "-" : task.needs.joined(separator: ",")) \(task.title)\n"
        }
        try files.write(lines.joined(), to: tasksFile)
    }

    /// `firstboot.sign-modules 5 firstboot.signing-key Sign OpenZFS' modules of 6.12.48`
    private static func parse(_ text: String) -> [Task] {
        text.lines.compactMap { line in
            let words = line.split(separator: " ", maxSplits: 3)
            guard words.count == 4, let weight = Int(words[1]) else { return nil }
            let needs = words[2] == "-" ? [] : words[2].split(separator: ",").map(String.init)
            return Task(String(words[0]), String(words[3]), weight: weight, needs: needs, state: .waiting)
        }
    }
}
