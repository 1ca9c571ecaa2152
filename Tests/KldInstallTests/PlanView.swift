import Glibc
import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import SystemPackage

/// A plan laid out for questions: every action in the order in which it happens, with what the questions need computed once.
struct PlanView {
    /// An installation is one plan; an image is made by two.
    enum Part: Sendable { case whole, template, image }

    struct Item {
        /// Which step it belongs to.
        var step: Int
        var action: Action
        /// The commands in it: none, one, or those of a pipeline.
        var commands: [Command]
        /// The path it writes, makes, removes or links.
        var path: String?
    }

    let request: InstallRequest
    let part: Part
    let disks: DiskSelection
    let plan: Plan
    let steps: [Step]
    let items: [Item]
    let commands: [(item: Int, command: Command)]
    /// The same by the name of the tool.
    private let byTool: [String: [(item: Int, command: Command)]]
    private let byPath: [String: [(item: Int, content: Action.Content)]]
    /// Every word, path and text of the plan, one after the other: what could be printed of it.
    let words: Haystack
    let approvals: [WipeApproval]
    let mounts: [Mount]

    struct Mount {
        var item: Int
        var source: String
        var target: String
    }

    /// What is applied for a request.
    static func parts(_ request: InstallRequest) -> [Part] { request.sealed ? [.template, .image] : [.whole] }

    static func plan(_ planner: InstallPlanner, _ part: Part) throws -> Plan {
        switch part {
        case .whole: return try planner.plan
        case .template: return try planner.template
        case .image: return try planner.image
        }
    }

    /// - Parameter change: what a test breaks on purpose.
    init(_ request: InstallRequest, part: Part = .whole, _ change: (inout Plan) -> Void = { _ in }) throws {
        self.request = request
        self.part = part
        let planner = try InstallPlanner(request)
        var plan = try Self.plan(planner, part)
        change(&plan)
        self.plan = plan
        approvals = planner.approvals
        disks = try DiskSelection(request.answers, request.facts)
        steps = plan.steps
        var items: [Item] = []
        for (index, step) in steps.enumerated() {
            for action in step.actions { items.append(PlanView.item(index, action)) }
        }
        self.items = items
        commands = items.enumerated().flatMap { item in item.element.commands.map { (item.offset, $0) } }
        byTool = Dictionary(grouping: commands) { $0.command.tool.name }
        var contents: [String: [(item: Int, content: Action.Content)]] = [:]
        var words = plan.title
        for (index, item) in items.enumerated() {
            if let path = item.path { words += " \(path)" }
            guard case .write(_, let content, _) = item.action else { continue }
            contents[item.path ?? "", default: []].append((index, content))
            if case .text(let text) = content { words += " \(text)" }
        }
        for (_, command) in commands {
            for word in command.arguments {
                words += " "
                words += word
            }
        }
        for step in steps { words += " \(step.id) \(step.title) \(step.destroys.joined(separator: " "))" }
        self.words = Haystack(words)
        byPath = contents
        mounts = (byTool["mount"] ?? []).map { item, command in
            Mount(
                item: item, source: command.arguments[command.arguments.count - 2], target: command.arguments[command.arguments.count - 1])
        }
    }

    private static func item(_ step: Int, _ action: Action) -> Item {
        switch action {
        case .run(let command): Item(step: step, action: action, commands: [command])
        case .pipeline(let commands): Item(step: step, action: action, commands: commands)
        case .write(let path, _, _), .makeDirectory(let path, _), .remove(let path), .symlink(let path, _):
            Item(step: step, action: action, commands: [], path: path.string)
        case .waitFor, .perform: Item(step: step, action: action, commands: [])
        }
    }

    // MARK: questions

    var target: String { request.target.string }
    var pool: String { request.answers.poolName }
    var rootPaths: [String] { disks.root.map(\.path) }
    var specialPaths: [String] { disks.special.map(\.path) }
    var allPaths: [String] { disks.all.map(\.path) }

    func run(_ tool: String, _ first: String? = nil) -> [(item: Int, command: Command)] {
        let all = byTool[tool] ?? []
        return first == nil ? all : all.filter { $0.command.arguments.first == first }
    }

    /// What makes datasets, in order: `create`, and `receive` for one that arrives with its content.
    var datasets: [(item: Int, command: Command)] {
        run("zfs").filter { ["create", "receive"].contains($0.command.arguments.first) }
    }

    /// The snapshots that a boot environment arrives in, as a command names them.
    var arrived: [String] {
        let received = run("zfs", "receive")
        guard let root = received.first?.command.arguments.last else { return [] }
        return ["\(root)@\(["payload", "increment"].prefix(received.count).joined(separator: ","))"]
    }

    /// Commands inside the installed system.
    func inside(_ tool: String) -> [Command] {
        run("chroot").map(\.command).filter { $0.arguments.first == target && $0.arguments.dropFirst().first == tool }
    }

    func writes(_ path: String) -> [(item: Int, content: Action.Content)] { byPath[path] ?? [] }

    func written(_ path: String) -> String? {
        if case .text(let text)? = writes(path).last?.content { text } else { nil }
    }

    func stepIndex(_ id: String) -> Int? { steps.firstIndex { $0.id == id } }
    func performs(_ name: String) -> [Int] {
        items.indices.filter { if case .perform(let known, _, _) = items[$0].action { known == name } else { false } }
    }

    /// Releases in the order in which they run after success.
    var releases: [Action] { steps.reversed().flatMap(\.release) }

    /// The first item of a step.
    func begin(_ id: String) -> Int? { stepIndex(id).flatMap { step in items.firstIndex { $0.step == step } } }

    var poolCreation: (item: Int, command: Command)? { run("zpool", "create").first }
    var kernelImage: (item: Int, command: Command)? { run("ukify").first }
}

/// A long text in which many short ones are looked for.
struct Haystack {
    private let text: ContiguousArray<CChar>
    init(_ text: String) { self.text = text.utf8CString }
    func contains(_ needle: String) -> Bool {
        text.withUnsafeBufferPointer { hay in hay.baseAddress.map { strstr($0, needle) != nil } ?? false }
    }
}

extension Set<PlanView.Part> {
    /// What installs a machine.
    static var machine: Self { [.whole] }
    /// What wipes a disk and fills it.
    static var disk: Self { [.whole, .template] }
    /// What makes a system somebody's own.
    static var own: Self { [.whole, .image] }
    static var template: Self { [.template] }
    static var image: Self { [.image] }
    static var every: Self { [.whole, .template, .image] }
}

/// Something that holds for every plan of its parts.
struct Invariant: Sendable {
    var name: String
    var parts: Set<PlanView.Part>
    /// `nil` when it holds, or says nothing of such a plan, else what is wrong.
    var check: @Sendable (PlanView) -> String?

    init(
        _ name: String, of parts: Set<PlanView.Part> = .machine, by loader: Answers.BootLoader? = nil,
        _ holds: @escaping @Sendable (PlanView) -> Bool
    ) {
        self.init(name, of: parts, by: loader, offender: { view in holds(view) ? nil : "" })
    }

    /// - Parameter loader: whose plans it is about; `nil`: those of each.
    init(
        _ name: String, of parts: Set<PlanView.Part> = .machine, by loader: Answers.BootLoader? = nil,
        offender: @escaping @Sendable (PlanView) -> String?
    ) {
        self.name = name
        self.parts = parts
        check = { view in
            guard parts.contains(view.part), loader == nil || loader == view.request.answers.bootloader else { return nil }
            return offender(view)
        }
    }
}
