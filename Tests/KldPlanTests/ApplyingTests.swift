import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

func word(_ text: String, effect: Effect = .changes) -> Action { .run(Command("do", [text], effect: effect)) }

/// Three steps, each with something to undo and something to release.
func threeSteps() -> Plan {
    func step(_ name: String, weight: Int) -> Step {
        Step(
            "s.\(name)", "Step \(name)", [word("act \(name)")], undo: [word("undo \(name)")], release: [word("release \(name)")],
            weight: weight)
    }
    return Plan(
        "three steps", [Phase("one", "First", [step("a", weight: 1), step("b", weight: 5)]), Phase("two", "Then", [step("c", weight: 2)])])
}

/// Does what it is told, except for one word.
func doer(failing word: String? = nil) -> ScriptedRunner {
    ScriptedRunner([{ CommandOutput(status: $0.arguments == [word] ? 7 : 0, errors: $0.arguments == [word] ? "it broke\n" : "") }])
}

extension ScriptedRunner {
    var words: [String] { commands.flatMap(\.arguments) }
}

@Suite("Applying a plan")
struct ApplyingTests {
    func apply(
        _ plan: Plan, _ runner: any CommandRunner, approvals: [WipeApproval] = [], from: String? = nil, log: EventLog = EventLog()
    ) async -> Diagnosis? {
        await problem {
            try await PlanRunner(runner: runner, files: MemoryFiles(), report: log.report).apply(plan, approvals: approvals, from: from)
        }
    }

    @Test("success releases every step, newest first, and undoes none")
    func success() async {
        let runner = doer()
        #expect(await apply(threeSteps(), runner) == nil)
        #expect(runner.words == ["act a", "act b", "act c", "release c", "release b", "release a"])
    }

    @Test("failure undoes the steps begun, newest first, then releases them, newest first")
    func failure() async {
        let runner = doer(failing: "act b")
        let problem = await apply(threeSteps(), runner)
        #expect(runner.words == ["act a", "act b", "undo b", "undo a", "release b", "release a"])
        #expect(problem?.code == "command.failed")
        #expect(problem?.causes == ["step: s.b (Step b)", "command: do 'act b'", "it broke"])
    }

    /// b needs a, d needs b, c needs nothing; the last needs all.
    static let tasks = Plan(
        "tasks",
        [
            Phase(
                "tasks", "Tasks",
                [("a", []), ("b", ["t.a"]), ("c", []), ("d", ["t.gone", "t.b"]), ("end", nil)].map { (name: String, needs: [String]?) in
                    Step(
                        "t.\(name)", "Task \(name)", [word("act \(name)")], undo: [word("undo \(name)")],
                        release: [word("release \(name)")],
                        weight: 2, needs: needs)
                })
        ])

    @Test("of tasks that say what they need, one that fails is undone alone, and those that can do without it are done")
    func tasks() async {
        let (runner, log) = (doer(failing: "act a"), EventLog())
        let problem = await apply(Self.tasks, runner, log: log)
        #expect(runner.words == ["act a", "undo a", "act c", "release c", "release a"])
        #expect(
            problem?.causes == [
                "step: t.a (Task a)", "command: do 'act a'", "it broke", "Task b: not done, it needs t.a", "Task d: not done, it needs t.b",
                "Task end: not done, it needs t.a",
            ])
        #expect(
            log.events.filter { $0.step != nil && ![.undoing, .releasing].contains($0.kind) }.map { "\($0.kind.rawValue) \($0.done)" } == [
                "step-started 0", "step-failed 0", "step-skipped 4", "step-started 4", "step-done 6", "step-skipped 8", "step-skipped 10",
            ])
        let all = doer()
        #expect(await apply(Self.tasks, all) == nil)
        #expect(all.words.filter { $0.hasPrefix("act") }.count == 5 && !all.words.contains { $0.hasPrefix("undo") })
    }

    @Test("where several tasks fail, the error names each; one that ends the plan does not undo tasks that are done")
    func tasksFail() async {
        let two = ScriptedRunner([{ CommandOutput(status: ["act c", "act d"].contains($0.arguments[0]) ? 3 : 0) }])
        let problem = await apply(Self.tasks, two)
        #expect(problem?.causes.first == "step: t.c (Task c)")
        #expect(problem?.causes.contains { $0.hasPrefix("step: t.d (Task d): ") } == true)
        #expect(two.words.filter { $0.hasPrefix("undo") } == ["undo c", "undo d"])
        let last = doer(failing: "act end")
        #expect(await apply(Self.tasks, last) != nil)
        #expect(last.words.filter { $0.hasPrefix("undo") } == ["undo end"])
    }

    @Test("a task that needs a later one is refused")
    func needsLater() async {
        let steps = [Step("a", "A", [word("act a")], needs: ["b"]), Step("b", "B", [word("act b")], needs: [])]
        let runner = doer()
        #expect(await apply(Plan("p", [Phase("p", "P", steps)]), runner)?.code == "plan.needs-later")
        #expect(runner.words.isEmpty)
    }

    @Test(
        "a task that was begun again makes those undone that need it, however far",
        arguments: [
            ("", []), ("started t.a\ndone t.a\n", ["t.a"]), ("done t.a\ndone t.b\ndone t.c\ndone t.d\n", ["t.a", "t.b", "t.c", "t.d"]),
            ("done t.a\ndone t.b\ndone t.c\ndone t.d\nstarted t.a\n", ["t.c"]),
            ("done t.a\ndone t.b\ndone t.d\nfailed t.a\ndone t.a\n", ["t.a"]), ("done t.c\ndone t.end\nstarted t.c\n", []),
            ("done elsewhere\nnonsense\n", []),
        ] as [(String, [String])])
    func finished(_ text: String, _ done: [String]) {
        #expect(PlanJournal.finished(of: Self.tasks, text).sorted() == done)
    }

    @Test("what a journal says last of a step counts")
    func states() {
        #expect(
            PlanJournal.states("started a\ndone a\nstarted b\nstarted c\nfailed c\nnonsense d\n")
                == ["a": .done, "b": .started, "c": .failed])
    }

    @Test("work that is no plan begins and ends as one")
    func telling() async throws {
        let log = EventLog()
        #expect(try await PlanEvent.telling("title", to: log.report) { 7 } == 7)
        #expect(log.events.map(\.kind) == [.planStarted, .planDone])
        let problem = Diagnosis("a.code", "it broke")
        await #expect(throws: problem) {
            try await PlanEvent.telling("title", to: log.report) { () async throws -> Int in throw problem }
        }
        #expect(log.events.last?.kind == .planFailed && log.events.last?.diagnosis == problem)
    }

    @Test("clean-up goes on when a part of it fails, and says so")
    func cleanUpFails() async {
        let runner = ScriptedRunner([
            { ["act c", "undo b", "release c"].contains($0.arguments[0]) ? CommandOutput(status: 9) : CommandOutput() }
        ])
        let log = EventLog()
        let problem = await apply(threeSteps(), runner, log: log)
        #expect(runner.words == ["act a", "act b", "act c", "undo c", "undo b", "undo a", "release c", "release b", "release a"])
        #expect(problem?.causes.first == "step: s.c (Step c)", "the cause is the step that failed, not the clean-up")
        #expect(log.events.filter { $0.kind == .line }.map(\.step) == ["s.b", "s.c"])
    }

    @Test("a release that fails after success fails the plan")
    func releaseFails() async {
        let log = EventLog()
        let problem = await apply(threeSteps(), doer(failing: "release b"), log: log)
        #expect(problem?.code == "command.failed")
        #expect(log.events.last?.kind == .planFailed)
        #expect(!log.lines.contains { $0.hasPrefix("undoing") })
    }

    @Test("a plan without steps is done at once")
    func empty() async {
        let log = EventLog()
        #expect(await apply(Plan("nothing", []), doer(), log: log) == nil)
        #expect(log.lines == ["plan-started", "plan-done"])
    }

    @Test("--from skips the steps before it, and releases them all the same")
    func from() async {
        let runner = doer()
        #expect(await apply(threeSteps(), runner, from: "s.b") == nil)
        #expect(runner.words == ["act b", "act c", "release c", "release b", "release a"])
    }

    @Test("--from with an unknown step runs nothing and names those there are")
    func fromUnknown() async {
        let runner = doer()
        let problem = await apply(threeSteps(), runner, from: "s.x")
        #expect(problem?.code == "plan.no-such-step")
        #expect(problem?.exit == .usage)
        #expect(problem?.remedies == ["one of: s.a, s.b, s.c"])
        #expect(runner.commands.isEmpty)
    }

    @Test("events tell begin and end of each step, and how much of the whole is done")
    func events() async {
        let log = EventLog()
        #expect(await apply(threeSteps(), doer(), log: log) == nil)
        #expect(
            log.lines == [
                "plan-started", "step-started s.a", "step-done s.a", "step-started s.b", "step-done s.b", "step-started s.c",
                "step-done s.c",
                "releasing s.c", "releasing s.b", "releasing s.a", "plan-done",
            ])
        #expect(log.events.map(\.done) == [0, 0, 1, 1, 6, 6, 8, 8, 8, 8, 8])
        #expect(log.events.allSatisfy { $0.total == 8 })
        #expect(log.events.filter { $0.kind == .stepStarted }.map(\.phase) == ["one", "one", "two"])
        #expect(zip(log.events, log.events.dropFirst()).allSatisfy { $0.milliseconds <= $1.milliseconds })
    }

    @Test("events of a failure carry the diagnosis, and done counts only what was done")
    func failureEvents() async {
        let log = EventLog()
        _ = await apply(threeSteps(), doer(failing: "act b"), log: log)
        #expect(
            log.lines == [
                "plan-started", "step-started s.a", "step-done s.a", "step-started s.b", "step-failed s.b", "undoing s.b", "undoing s.a",
                "releasing s.b", "releasing s.a", "plan-failed",
            ])
        #expect(log.events.first { $0.kind == .stepFailed }?.diagnosis?.code == "command.failed")
        #expect(log.events.last?.diagnosis?.code == "command.failed")
        #expect(log.events.last?.done == 1)
    }

    @Test("with --from, skipped steps count as done and make no events of their own")
    func fromEvents() async {
        let log = EventLog()
        _ = await apply(threeSteps(), doer(), from: "s.c", log: log)
        #expect(log.lines.prefix(3) == ["plan-started", "step-started s.c", "step-done s.c"])
        #expect(log.events.first { $0.kind == .stepStarted }?.done == 6)
    }

    @Test("cancelling ends the running step and still cleans up")
    func cancellation() async throws {
        let started = AsyncStream<Void>.makeStream()
        let runner = ScriptedRunner([{ _ in CommandOutput() }])
        let waiting: Performer = { _, _, _ in
            started.continuation.finish()
            try await Task.sleep(for: .seconds(60))
        }
        var plan = threeSteps()
        plan.phases[0].steps[1].actions = [.perform("wait", [:], effect: .changes)]
        let log = EventLog()
        let task = Task { [plan] in
            try await PlanRunner(runner: runner, files: MemoryFiles(), performers: ["wait": waiting], report: log.report).apply(plan)
        }
        for await _ in started.stream {}
        task.cancel()
        let result = await task.result
        #expect(throws: Diagnosis.self) { try result.get() }
        #expect(runner.words == ["act a", "undo b", "undo a", "release b", "release a"])
        #expect(log.events.last?.diagnosis?.exit == .interrupted)
    }

    @Test("a task that was cancelled before runs no action at all")
    func cancelledBefore() async {
        let runner = doer()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await PlanRunner(runner: runner, files: MemoryFiles()).apply(threeSteps())
        }
        await #expect(throws: Diagnosis.self) { try await task.value }
        #expect(!runner.words.contains { $0.hasPrefix("act") })
    }

    @Test("work that nobody performs is a defect of ours, and is cleaned up after")
    func noPerformer() async {
        var plan = threeSteps()
        plan.phases[1].steps[0].actions = [.perform("magic", [:], effect: .changes)]
        let runner = doer()
        let problem = await apply(plan, runner)
        #expect(problem?.code == "plan.no-performer")
        #expect(problem?.exit == .bug)
        #expect(runner.words.suffix(3) == ["release c", "release b", "release a"])
    }

    @Test("waiting for a file ends when it is there, and fails when it never comes")
    func waiting() async throws {
        let there = MemoryFiles(devices: ["/dev/vda1"])
        try await PlanRunner(runner: doer(), files: there)
            .apply(Plan("wait", [Phase("p", "p", [Step("w", "w", [.waitFor("/dev/vda1", seconds: 30)])])]))
        let problem = await apply(Plan("wait", [Phase("p", "p", [Step("w", "w", [.waitFor("/dev/vda1", seconds: 0)])])]), doer())
        #expect(problem?.code == "plan.wait")
        #expect(problem?.message == "/dev/vda1 did not appear within 0 s")
    }

    @Test("files, folders, links and removals are made as the plan says")
    func fileActions() async throws {
        let files = MemoryFiles(["/old/a": "x", "/old/b/c": "y"])
        let plan = Plan(
            "files",
            [
                Phase(
                    "p", "p",
                    [
                        Step(
                            "f", "f",
                            [
                                .write("/etc/a", content: .text("A\n")), .write("/etc/s", content: .secret(Secret("hush")), mode: .secret),
                                .write("/etc/b", content: .bytes([66])), .makeDirectory("/new/folder"), .remove("/old"),
                                .symlink("/etc/l", to: "../a"),
                            ])
                    ])
            ])
        try await PlanRunner(runner: ScriptedRunner([:]), files: files).apply(plan)
        #expect(files.texts == ["/etc/a": "A\n", "/etc/s": "hush", "/etc/b": "B"])
        #expect(files.mode(of: "/etc/s") == .secret)
        #expect(try files.readLink("/etc/l") == "../a")
        #expect(try files.exists("/new/folder"))
    }
}
