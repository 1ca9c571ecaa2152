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
        let problem = await problem { try await PlanRunner(runner: runner, files: MemoryFiles()).apply(plan, approvals: approvals) }
        return (problem, runner.words)
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

    @Test("a dataset is approved only when it bears kldload's mark, and has a name")
    func owned() {
        #expect(WipeApproval(owned: true, dataset: "rpool/ROOT/test")?.disk == "rpool/ROOT/test")
        #expect(WipeApproval(owned: false, dataset: "rpool/ROOT/test") == nil)
        #expect(WipeApproval(owned: true, dataset: "") == nil)
    }

    @Test("the plan lists every disk once, in the order in which it wipes them")
    func list() {
        func step(_ disks: String...) -> Step { Step("x", "x", [], destroys: disks) }
        let plan = Plan("p", [Phase("a", "a", [step("/dev/b"), step("/dev/a", "/dev/b")]), Phase("b", "b", [step("/dev/c")])])
        #expect(plan.destroys == ["/dev/b", "/dev/a", "/dev/c"])
    }

    // MARK: a disk that nobody named

    @Test("an empty disk is approved only where the choice was left to kldload")
    func automatic() {
        #expect(WipeApproval(automatic: true, empty: true, disk: "/dev/vda")?.disk == "/dev/vda")
        #expect(WipeApproval(automatic: true, empty: false, disk: "/dev/vda") == nil)
        #expect(WipeApproval(automatic: false, empty: true, disk: "/dev/vda") == nil)
        #expect(WipeApproval(automatic: true, empty: true, disk: "") == nil)
    }

    @Test("only such an approval depends on what the disk holds later")
    func conditional() {
        #expect(WipeApproval(automatic: true, empty: true, disk: "/dev/vda")?.onlyIfEmpty == true)
        #expect(WipeApproval(typed: "/dev/vda", disk: "/dev/vda")?.onlyIfEmpty == false)
        #expect(WipeApproval(forceWipe: true, named: ["/dev/vda"], disk: "/dev/vda")?.onlyIfEmpty == false)
    }

    /// Applies steps to a disk that is approved as empty.
    func applyEmpty(
        _ steps: [Step], from: String? = nil, isEmpty: Bool = true, more: [WipeApproval] = []
    ) async -> (code: String?, words: [String]) {
        let runner = doer()
        let verify: Performer = { parameters, runner, _ in
            try await runner.run(Command("do", ["verify \(parameters["disk"] ?? "")"], effect: .reads))
            if !isEmpty { throw Diagnosis("test.not-empty", "not empty") }
        }
        let problem = await problem {
            try await PlanRunner(runner: runner, files: MemoryFiles(), performers: [WipeApproval.verifier: verify]).apply(
                Plan("p", [Phase("p", "p", steps)]),
                approvals: [WipeApproval(automatic: true, empty: true, disk: "/dev/vda")].compactMap { $0 } + more, from: from)
        }
        return (problem?.code, runner.words)
    }

    static let verify = Step("verify", "Verify", [WipeApproval.verification(of: "/dev/vda")])
    static let wipe = Step("wipe", "Wipe", [word("wipe", effect: .destroys)], destroys: ["/dev/vda"])
    static let after = Step("after", "After", [word("after")])

    @Test("a disk approved as empty is wiped when it was read just before")
    func verified() async {
        let result = await applyEmpty([Self.after, Self.verify, Self.wipe])
        #expect(result.code == nil)
        #expect(result.words == ["after", "verify /dev/vda", "wipe"])
    }

    @Test("a disk approved as empty that is not empty any more is not wiped")
    func notEmpty() async {
        let result = await applyEmpty([Self.verify, Self.wipe], isEmpty: false)
        #expect(result.code == "test.not-empty")
        #expect(result.words == ["verify /dev/vda"])
    }

    @Test(
        "an approval for an empty disk is worth nothing in a plan that does not look first, and nothing is run",
        arguments: [
            [wipe], [wipe, verify], [Step("other", "Other", [WipeApproval.verification(of: "/dev/vdb")]), wipe],
            [Step("wipe", "Wipe", [WipeApproval.verification(of: "/dev/vda"), word("wipe", effect: .destroys)], destroys: ["/dev/vda"])],
            [Step("first", "First", [word("wipe", effect: .destroys)], destroys: ["/dev/vda"]), verify, wipe],
        ])
    func unverified(_ steps: [Step]) async {
        let result = await applyEmpty(steps)
        #expect(result.code == "plan.unverified")
        #expect(result.words.isEmpty)
    }

    @Test("a verification that is skipped verifies nothing; a wipe that is skipped needs none")
    func skippedVerification() async {
        let skipped = await applyEmpty([Self.verify, Self.wipe, Self.after], from: "wipe")
        #expect(skipped.code == "plan.unverified")
        #expect(skipped.words.isEmpty)
        #expect(await applyEmpty([Self.verify, Self.wipe, Self.after], from: "after").code == nil)
    }

    @Test("a disk that is approved by name as well needs no verification")
    func both() async {
        let typed = [WipeApproval(typed: "/dev/vda", disk: "/dev/vda")].compactMap { $0 }
        #expect(await applyEmpty([Self.wipe], more: typed).code == nil)
    }

    @Test("the disk is read before another one is wiped, too")
    func beforeAny() async {
        let typed = [WipeApproval(typed: "/dev/vdb", disk: "/dev/vdb")].compactMap { $0 }
        let other = Step("other", "Other", [word("wipe other", effect: .destroys)], destroys: ["/dev/vdb"])
        #expect(await applyEmpty([other, Self.verify, Self.wipe], more: typed).code == "plan.unverified")
        #expect(await applyEmpty([Self.verify, other, Self.wipe], more: typed).code == nil)
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
