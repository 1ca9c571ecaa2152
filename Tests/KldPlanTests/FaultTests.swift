import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

/// What `open` took and `close` has not given back, in order.
private final class Doors: CommandRunner {
    private let state = Mutex<(open: [String], log: [String])>(([], []))
    var open: [String] { state.withLock { $0.open } }
    var log: [String] { state.withLock { $0.log } }

    func run(_ command: Command) async throws -> CommandOutput {
        let words = command.arguments
        state.withLock { state in
            state.log.append(words.joined(separator: " "))
            if words[0] == "open" { state.open.append(words[1]) }
            if words[0] == "close" { state.open.removeAll { $0 == words[1] } }
        }
        return CommandOutput()
    }
    func run(pipeline: [Command]) async throws -> CommandOutput {
        var last = CommandOutput()
        for command in pipeline { last = try await run(command) }
        return last
    }
}

@Suite("Plans that fail at every place")
struct FaultTests {
    static let count = 12

    /// Steps of several actions of every kind; each opens a door first, which its release closes.
    static let plan = Plan(
        "doors",
        [
            Phase("first", "First", (0..<5).map(step)), Phase("second", "Second", (5..<count).map(step)),
        ])

    static func step(_ index: Int) -> Step {
        Step(
            "step.\(index)", "Step \(index)",
            [
                .run(Command("do", ["open", "\(index)"], effect: .changes)), .write(FilePath("/made/\(index)"), content: .text("x")),
                .makeDirectory(FilePath("/folder/\(index)")),
                .pipeline([Command("do", ["a"], effect: .reads), Command("do", ["b"], effect: .changes)]),
                .perform("work", [:], effect: .changes), .symlink(FilePath("/link/\(index)"), to: "x"),
            ], undo: [.remove(FilePath("/made/\(index)"))], release: [.run(Command("do", ["close", "\(index)"], effect: .changes))])
    }

    /// - Returns: whether it failed, what was left open, the log, and the files that are left.
    private func apply(_ fuse: Fuse, from: String? = nil) async -> (failed: Bool, doors: Doors, files: MemoryFiles) {
        let doors = Doors()
        let files = MemoryFiles()
        let work: Performer = { _, _, _ in try fuse.tick() }
        let runner = PlanRunner(runner: FaultyRunner(doors, fuse), files: FaultyFiles(files, fuse), performers: ["work": work])
        do {
            try await runner.apply(Self.plan, from: from)
            return (false, doors, files)
        } catch { return (true, doors, files) }
    }

    @Test("whichever action fails, exactly the steps begun are undone and released, newest first, and nothing is left open")
    func everyAction() async {
        let actions = 6
        for position in 0..<(Self.count * actions) {
            let begun = position / actions + 1
            let result = await apply(Fuse(at: position))
            #expect(result.failed)
            #expect(result.doors.open.isEmpty, "fault \(position)")
            let closed = result.doors.log.filter { $0.hasPrefix("close") }
            #expect(closed == (0..<begun).reversed().map { "close \($0)" }, "fault \(position)")
            #expect(!result.files.texts.keys.contains { $0.hasPrefix("/made") }, "fault \(position)")
        }
    }

    @Test("whichever clean-up fails after success, the others still run and the plan fails")
    func everyRelease() async {
        let actions = Self.count * 6
        for position in actions..<(actions + Self.count) {
            let result = await apply(Fuse(at: position))
            #expect(result.failed)
            #expect(result.doors.open.count == 1, "the door whose closing failed, and no other")
        }
        #expect(await apply(Fuse(at: actions + Self.count)).failed == false)
    }

    @Test("whichever step it begins with, everything is released at the end")
    func everyStart() async {
        for index in 0..<Self.count {
            let result = await apply(Fuse(at: nil), from: "step.\(index)")
            #expect(!result.failed)
            #expect(result.doors.open.isEmpty)
            #expect(result.doors.log.filter { $0.hasPrefix("open") } == (index..<Self.count).map { "open \($0)" })
            #expect(result.doors.log.filter { $0.hasPrefix("close") } == (0..<Self.count).reversed().map { "close \($0)" })
        }
    }
}

@Suite("A plan that goes on")
struct ResumeTests {
    static func plan() -> Plan {
        func act(_ name: String) -> Action { .run(Command(Tool(name), [], effect: .changes)) }
        return Plan(
            "goes on",
            [
                Phase(
                    "all", "All",
                    [
                        Step("make", "Make", [act("make")], release: [act("release")], resume: [act("again")]),
                        Step("use", "Use", [act("use")], undo: [act("undo")], resume: [act("never")]),
                    ])
            ])
    }

    @Test("brings back what the steps before it had, and does not do them again")
    func goesOn() async throws {
        let runner = ScriptedRunner.accepting
        try await PlanRunner(runner: runner, files: MemoryFiles()).apply(Self.plan(), from: "use")
        #expect(runner.commands.map(\.tool.name) == ["again", "use", "release"])
    }

    @Test("a plan from its beginning brings nothing back")
    func fresh() async throws {
        let runner = ScriptedRunner.accepting
        try await PlanRunner(runner: runner, files: MemoryFiles()).apply(Self.plan())
        #expect(runner.commands.map(\.tool.name) == ["make", "use", "release"])
    }

    @Test("what cannot be brought back ends the plan, named, and is released")
    func fails() async {
        let runner = ScriptedRunner([{ $0.tool.name == "again" ? CommandOutput(status: 1, errors: "no such pool") : CommandOutput() }])
        let problem = await problem { try await PlanRunner(runner: runner, files: MemoryFiles()).apply(Self.plan(), from: "use") }
        #expect(problem?.causes.first == "step: make (Make)")
        #expect(runner.commands.map(\.tool.name) == ["again", "release"])
    }

    @Test("destruction hidden in what brings back is refused")
    func destroys() async {
        let wipe = Action.run(Command("wipefs", ["/dev/sda"], effect: .destroys))
        let plan = Plan("p", [Phase("a", "A", [Step("s", "S", [], resume: [wipe])])])
        let problem = await problem { try await PlanRunner(runner: ScriptedRunner.accepting, files: MemoryFiles()).apply(plan) }
        #expect(problem?.code == "plan.unnamed-destruction")
    }
}

@Suite("The journal of a plan")
struct JournalTests {
    func lines(_ plan: Plan, _ runner: any CommandRunner) async throws -> [String] {
        try await Scratch.with { folder in
            let path = folder.appending("state/journal")
            let journal = try PlanJournal(path, files: LocalFiles())
            try? await PlanRunner(runner: runner, files: MemoryFiles(), journal: journal).apply(plan)
            return try LocalFiles().readText(path).lines
        }
    }

    @Test("each step is written down when it begins and when it is done")
    func success() async throws {
        #expect(
            try await lines(threeSteps(), doer())
                == ["started s.a", "done s.a", "started s.b", "done s.b", "started s.c", "done s.c"])
    }

    @Test("the step that failed is named, and none after it")
    func failure() async throws {
        #expect(try await lines(threeSteps(), doer(failing: "act b")) == ["started s.a", "done s.a", "started s.b", "failed s.b"])
    }

    @Test("a step is on record before its first action runs")
    func before() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("journal")
            let journal = try PlanJournal(path, files: LocalFiles())
            let seen = Mutex("")
            let look: Performer = { _, _, _ in
                let text = try LocalFiles().readText(path)
                seen.withLock { $0 = text }
            }
            try await PlanRunner(runner: doer(), files: MemoryFiles(), performers: ["look": look], journal: journal)
                .apply(Plan("p", [Phase("p", "p", [Step("s", "s", [.perform("look", [:], effect: .reads)])])]))
            #expect(seen.withLock { $0 } == "started s\n")
        }
    }

    @Test("a step that cannot be written down does not run")
    func unwritable() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("journal")
            let journal = try PlanJournal(path, files: LocalFiles())
            try LocalFiles().remove(path)
            try LocalFiles().makeDirectory(path, mode: .directory)
            let runner = doer()
            await #expect(throws: Diagnosis.self) {
                try await PlanRunner(runner: runner, files: MemoryFiles(), journal: journal).apply(threeSteps())
            }
            #expect(!runner.words.contains { $0.hasPrefix("act") })
        }
    }

    @Test("a plan that goes on keeps the record, one that begins anew does not")
    func keeping() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("journal")
            func run(keeping: Bool, _ runner: any CommandRunner, from: String?) async throws -> [String] {
                let journal = try PlanJournal(path, keeping: keeping, files: LocalFiles())
                try? await PlanRunner(runner: runner, files: MemoryFiles(), journal: journal).apply(threeSteps(), from: from)
                return try LocalFiles().readText(path).lines
            }
            // There may be none to keep.
            #expect(try await run(keeping: true, doer(failing: "act b"), from: nil).last == "failed s.b")
            let all = try await run(keeping: true, doer(), from: "s.b")
            #expect(
                all == [
                    "started s.a", "done s.a", "started s.b", "failed s.b", "started s.b", "done s.b", "started s.c", "done s.c",
                ])
            #expect(try await run(keeping: false, doer(failing: "act a"), from: nil) == ["started s.a", "failed s.a"])
        }
    }

    @Test(
        "the first step that is not done is where a plan goes on",
        arguments: [
            ("", "s.a"), ("started s.a\n", "s.a"), ("started s.a\ndone s.a\n", "s.b"),
            ("started s.a\ndone s.a\nstarted s.b\nfailed s.b\n", "s.b"),
            ("done s.b\n", "s.a"), ("done s.a\ndone s.b\nnonsense\ndone s.x\n", "s.c"), ("done s.a\ndone s.b\ndone s.c\n", nil),
            // Begun again from the first: what the others made went with it.
            ("done s.a\ndone s.b\ndone s.c\nstarted s.a\n", "s.a"), ("done s.a\ndone s.b\nstarted s.a\ndone s.a\n", "s.b"),
            ("done s.a\ndone s.b\ndone s.c\nstarted s.b\ndone s.b\n", "s.c"),
        ] as [(String, String?)])
    func unfinished(_ text: String, _ step: String?) {
        #expect(PlanJournal.firstUnfinished(of: threeSteps(), text) == step)
    }
}
