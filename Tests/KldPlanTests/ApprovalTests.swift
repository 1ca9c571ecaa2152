import KldCore
import KldExec
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("Approval to wipe")
struct ApprovalTests {
    /// Harmless step, then one that wipes two disks.
    var plan: Plan {
        Plan(
            "wipe",
            [
                Phase("look", "Look", [Step("look", "Look", [word("look", effect: .reads)])]),
                Phase("wipe", "Wipe", [Step("wipe", "Wipe", [word("wipe", effect: .destroys)], destroys: ["/dev/vda", "/dev/vdb"])]),
            ])
    }

    func refusal(_ plan: Plan, _ disks: [String]) async -> (Diagnosis?, [String]) {
        let runner = doer()
        let approvals = disks.compactMap { WipeApproval(typed: $0, disk: $0) }
        do {
            try await PlanRunner(runner: runner, files: MemoryFiles()).apply(plan, approvals: approvals)
            return (nil, runner.words)
        } catch { return (Diagnosis(of: error), runner.words) }
    }

    @Test("without approval nothing at all is run, not even what only reads")
    func none() async {
        let (problem, words) = await refusal(plan, [])
        #expect(problem?.code == "plan.unapproved")
        #expect(problem?.message == "the plan would wipe /dev/vda, and nothing approves that")
        #expect(words.isEmpty)
    }

    @Test("every disk needs an approval of its own")
    func partial() async {
        let (problem, words) = await refusal(plan, ["/dev/vda"])
        #expect(problem?.message == "the plan would wipe /dev/vdb, and nothing approves that")
        #expect(words.isEmpty)
    }

    @Test("an approval of another disk approves nothing")
    func other() async {
        let (problem, words) = await refusal(plan, ["/dev/vdc", "/dev/vda1", "/dev/vd"])
        #expect(problem?.code == "plan.unapproved")
        #expect(words.isEmpty)
    }

    @Test("with every disk approved the plan runs")
    func all() async {
        let (problem, words) = await refusal(plan, ["/dev/vdb", "/dev/vda"])
        #expect(problem == nil)
        #expect(words == ["look", "wipe"])
    }

    @Test("a disk that only a skipped step wipes needs approval too: what was planned is approved as a whole")
    func skipped() async {
        var plan = plan
        plan.phases.reverse()
        let runner = doer()
        await #expect(throws: Diagnosis.self) {
            try await PlanRunner(runner: runner, files: MemoryFiles()).apply(plan, from: "look")
        }
        #expect(runner.commands.isEmpty)
    }

    @Test(
        "a step that destroys without naming a disk is refused, whatever is approved",
        arguments: [
            Step("bad", "Bad", [word("wipe", effect: .destroys)]),
            Step("bad", "Bad", [.pipeline([Command("cat", [], effect: .reads), Command("dd", [], effect: .destroys)])]),
            Step("bad", "Bad", [.perform("wipe", [:], effect: .destroys)]),
            Step("bad", "Bad", [], undo: [word("wipe", effect: .destroys)]),
            Step("bad", "Bad", [], release: [word("wipe", effect: .destroys)]),
        ])
    func unnamed(_ step: Step) async {
        let (problem, words) = await refusal(Plan("bad", [Phase("p", "p", [step])]), ["/dev/vda"])
        #expect(problem?.code == "plan.unnamed-destruction")
        #expect(problem?.exit == .bug)
        #expect(words.isEmpty)
    }

    @Test("the answers approve a disk only when they say so and name it")
    func answers() {
        #expect(WipeApproval(forceWipe: true, named: ["/dev/vda"], disk: "/dev/vda")?.disk == "/dev/vda")
        #expect(WipeApproval(forceWipe: false, named: ["/dev/vda"], disk: "/dev/vda") == nil)
        #expect(WipeApproval(forceWipe: true, named: ["/dev/vda"], disk: "/dev/vdb") == nil)
        #expect(WipeApproval(forceWipe: true, named: [], disk: "/dev/vda") == nil)
        #expect(WipeApproval(forceWipe: true, named: ["/dev/vda1"], disk: "/dev/vda") == nil)
    }

    @Test(
        "a typed name approves only when it is the disk's, exactly",
        arguments: ["", " ", "/dev/vd", "/dev/vda ", "/dev/VDA", "yes", "/dev/vda\n"])
    func typed(_ text: String) {
        #expect(WipeApproval(typed: text, disk: "/dev/vda") == nil)
    }

    @Test("a disk without a name cannot be approved by typing nothing")
    func typedNothing() {
        #expect(WipeApproval(typed: "", disk: "") == nil)
        #expect(WipeApproval(typed: "/dev/vda", disk: "/dev/vda")?.disk == "/dev/vda")
    }

    @Test("the plan lists every disk once, in the order in which it wipes them")
    func list() {
        func step(_ disks: String...) -> Step { Step("x", "x", [], destroys: disks) }
        let plan = Plan("p", [Phase("a", "a", [step("/dev/b"), step("/dev/a", "/dev/b")]), Phase("b", "b", [step("/dev/c")])])
        #expect(plan.destroys == ["/dev/b", "/dev/a", "/dev/c"])
    }

    @Test("a step that names a disk destroys, whatever its actions say")
    func effect() {
        #expect(Step("x", "x", [], destroys: ["/dev/a"]).effect == .destroys)
        #expect(Step("x", "x", []).effect == .reads)
        #expect(Step("x", "x", [word("a", effect: .reads), .remove("/x")]).effect == .changes)
        #expect(Step("x", "x", [.waitFor("/x", seconds: 1)]).effect == .reads)
        #expect(Step("x", "x", [.pipeline([])]).effect == .reads)
    }
}
