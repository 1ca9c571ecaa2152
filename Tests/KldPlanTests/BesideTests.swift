import KldCore
import KldExec
import KldPlan
import KldTestSupport
import Testing

@Suite("Phases beside each other", .timeLimit(.minutes(10)))
struct BesideTests {
    /// Somebody waits until somebody else says so.
    private struct Signal: Sendable {
        private let pipe = AsyncStream<Void>.makeStream()
        func give() { pipe.continuation.finish() }
        func wait() async throws {
            for await _ in pipe.stream {}
            try Task.checkCancellation()
        }
    }

    private func step(_ name: String, _ actions: [Action]? = nil, needs: [String]? = nil) -> Step {
        Step(
            "s.\(name)", "Step \(name)", actions ?? [word("act \(name)")], undo: [word("undo \(name)")], release: [word("release \(name)")],
            resume: [word("resume \(name)")], weight: 2, needs: needs)
    }

    /// first; then left1, left2 beside right1, right2; then last.
    private func plan(left: [Action]? = nil, right: [Action]? = nil) -> Plan {
        Plan(
            "two at once",
            [
                Phase("first", "First", [step("first")]), Phase("left", "Left", [step("left1", left), step("left2")]),
                Phase("right", "Right", [step("right1", right), step("right2")], beside: true), Phase("last", "Last", [step("last")]),
            ])
    }

    private func apply(
        _ plan: Plan, _ runner: any CommandRunner, _ performers: [String: Performer] = [:], from: String? = nil, log: EventLog = EventLog()
    ) async -> Diagnosis? {
        await problem {
            try await PlanRunner(runner: runner, files: MemoryFiles(), performers: performers, report: log.report).apply(plan, from: from)
        }
    }

    @Test("both are under way at once, and what follows begins when both are done")
    func both() async {
        let (left, right) = (Signal(), Signal())
        let performers: [String: Performer] = [
            "left": { _, _, _ in
                left.give()
                try await right.wait()
            },
            "right": { _, _, _ in
                right.give()
                try await left.wait()
            },
        ]
        let (runner, log) = (doer(), EventLog())
        let plan = plan(left: [.perform("left", [:], effect: .changes)], right: [.perform("right", [:], effect: .changes)])
        #expect(await apply(plan, runner, performers, log: log) == nil)
        #expect(runner.words.first == "act first")
        #expect(Set(runner.words[1...2]) == ["act left2", "act right2"])
        #expect(runner.words[3...4] == ["act last", "release last"])
        #expect(runner.words.last == "release first")
        #expect(log.events.map(\.done).max() == 12)
        #expect(zip(log.events, log.events.dropFirst()).allSatisfy { $0.done <= $1.done && $0.milliseconds <= $1.milliseconds })
        let ended = log.lines.firstIndex(of: "step-started s.last") ?? 0
        #expect(Set(log.lines[..<ended]).isSuperset(of: ["step-done s.left2", "step-done s.right2"]))
    }

    @Test("one that fails ends the other's step, and both are undone; what is said is of the one")
    func failure() async {
        for left in [true, false] {
            let begun = Signal()
            let performers: [String: Performer] = [
                "breaks": { _, _, _ in
                    try await begun.wait()
                    throw Diagnosis("test.broken", "it broke")
                },
                "waits": { _, _, _ in
                    begun.give()
                    try await Task.sleep(for: .seconds(3600))
                },
            ]
            let (breaks, waits) = (
                [Action.perform("breaks", [:], effect: .changes)], [Action.perform("waits", [:], effect: .changes)]
            )
            let (runner, log) = (doer(), EventLog())
            let problem = await apply(
                left ? plan(left: breaks, right: waits) : plan(left: waits, right: breaks), runner, performers, log: log)
            #expect(problem?.code == "test.broken")
            #expect(problem?.causes == ["step: s.\(left ? "left" : "right")1 (Step \(left ? "left" : "right")1)"])
            #expect(!runner.words.contains { $0.hasPrefix("act") && $0 != "act first" })
            for verb in ["undo", "release"] {
                #expect(
                    Set(runner.words.filter { $0.hasPrefix(verb) }) == ["\(verb) first", "\(verb) left1", "\(verb) right1"], "\(verb)")
            }
            #expect(log.lines.filter { $0.hasPrefix("step-failed") } == ["step-failed s.\(left ? "left" : "right")1"])
            #expect(log.lines.filter { $0.hasPrefix("step-skipped") } == ["step-skipped s.\(left ? "right" : "left")1"])
        }
    }

    @Test("--from a step of the second has all of the first done, as the plan's order has it")
    func from() async {
        let runner = doer()
        #expect(await apply(plan(), runner, from: "s.right2") == nil)
        #expect(runner.words.first == "resume first")
        let beside = Array(runner.words[1...4])
        #expect(Set(beside) == ["resume left1", "resume left2", "resume right1", "act right2"])
        #expect(runner.words[5] == "act last")
        let journal = "started s.first\ndone s.first\nstarted s.right1\nstarted s.left1\ndone s.right1\ndone s.left1\nstarted s.left2\n"
        #expect(PlanJournal.firstUnfinished(of: plan(), journal) == "s.left2", "what a crash left undone in the first comes first")
    }

    @Test(
        "in the journal a step that is begun undoes nothing of the phase beside it, and all that comes after both",
        arguments: [
            // One after the other in turn, then all of the second before the first: both are done.
            ("left1 right1 left2 right2", "s.last"), ("right1 right2 left1 left2", "s.last"), ("left1 left2 right1 right2", "s.last"),
            // Begun again: what stands on it is undone.
            ("left1 right1 left2 right2 last left1", "s.left2"), ("left1 right1 left2 right2 last right2", "s.last"),
            ("left1 right1 left2 right2 last first", "s.left1"),
        ])
    func journal(_ order: String, _ unfinished: String) {
        let steps = ["s.first"] + order.split(separator: " ").map { "s.\($0)" }
        let text = steps.map { "started \($0)\ndone \($0)\n" }.joined() + (unfinished == "s.last" ? "started s.last\nfailed s.last\n" : "")
        #expect(PlanJournal.firstUnfinished(of: plan(), text) == unfinished)
    }

    @Test("what both phases had under way at once is done when both say so")
    func interleaved() {
        let text = """
            started s.first\ndone s.first\nstarted s.right1\nstarted s.left1\ndone s.left1\nstarted s.left2\ndone s.right1
            started s.right2\ndone s.right2\ndone s.left2\nstarted s.last\ndone s.last
            """
        #expect(PlanJournal.firstUnfinished(of: plan(), text) == nil)
    }

    @Test("no step needs one beside it: nobody knows which is done first")
    func needs() async {
        var plan = plan()
        plan.phases[2].steps[1].needs = ["s.left1"]
        #expect(await apply(plan, doer())?.code == "plan.needs-later")
        plan.phases[2].steps[1].needs = ["s.first", "s.right1"]
        #expect(await apply(plan, doer()) == nil)
    }

    @Test("text and JSON say which phase is beside the one before")
    func text() {
        #expect(plan().text().lines.filter { $0.hasSuffix("(beside the phase before)") } == ["right: Right (beside the phase before)"])
        #expect(plan().json.phases.map(\.beside) == [nil, nil, true, nil])
    }
}
