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
    let disks: DiskSelection
    let plan: Plan
    let steps: [Step]
    let items: [Item]
    let commands: [(item: Int, command: Command)]
    let text: String
    let approvals: [WipeApproval]

    init(_ request: InstallRequest) throws {
        self.request = request
        let planner = try InstallPlanner(request)
        plan = try planner.plan
        approvals = planner.approvals
        disks = try DiskSelection(request.answers, request.facts)
        steps = plan.steps
        var items: [Item] = []
        for (index, step) in steps.enumerated() {
            for action in step.actions { items.append(PlanView.item(index, action)) }
        }
        self.items = items
        commands = items.enumerated().flatMap { item in item.element.commands.map { (item.offset, $0) } }
        text = plan.text(contents: true)
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
        commands.filter { $0.command.tool.name == tool && (first == nil || $0.command.arguments.first == first) }
    }

    /// Commands inside the installed system.
    func inside(_ tool: String) -> [Command] {
        run("chroot").map(\.command).filter { $0.arguments.first == target && $0.arguments.dropFirst().first == tool }
    }

    func writes(_ path: String) -> [(item: Int, content: Action.Content)] {
        items.enumerated().compactMap { index, item in
            if item.path == path, case .write(_, let content, _) = item.action { (index, content) } else { nil }
        }
    }

    func written(_ path: String) -> String? {
        if case .text(let text)? = writes(path).last?.content { text } else { nil }
    }

    func stepIndex(_ id: String) -> Int? { steps.firstIndex { $0.id == id } }
    func performs(_ name: String) -> [Int] {
        items.indices.filter { if case .perform(let known, _, _) = items[$0].action { known == name } else { false } }
    }

    /// What `mount` makes a mount point of: the item, the source, the target.
    var mounts: [(item: Int, source: String, target: String)] {
        run("mount").map { ($0.item, $0.command.arguments[$0.command.arguments.count - 2], $0.command.arguments[$0.command.arguments.count - 1]) }
    }

    /// Releases in the order in which they run after success.
    var releases: [Action] { steps.reversed().flatMap(\.release) }

    /// The first item of a step.
    func begin(_ id: String) -> Int? { stepIndex(id).flatMap { step in items.firstIndex { $0.step == step } } }

    var poolCreation: (item: Int, command: Command)? { run("zpool", "create").first }
    var kernelImage: (item: Int, command: Command)? { run("ukify").first }
}

/// Something that holds for every plan.
struct Invariant: Sendable {
    var name: String
    /// `nil` when it holds, else what is wrong.
    var check: @Sendable (PlanView) -> String?

    init(_ name: String, _ holds: @escaping @Sendable (PlanView) -> Bool) {
        self.name = name
        check = { holds($0) ? nil : "" }
    }

    init(_ name: String, offender: @escaping @Sendable (PlanView) -> String?) {
        self.name = name
        check = offender
    }
}
