import ArgumentParser
import KldCore
import KldExec
import KldPlan
import KldTestSupport
import Testing

@testable import KldCLI

@Suite("How a first boot ends")
struct FirstBootStatusTests {
    @Test("with the status of the first task that failed, as its help says, when the others are done")
    func status() async throws {
        let performers: [String: Performer] = [
            "one": { _, _, _ in throw Diagnosis("test.one", "one", exit: .unavailable) }, "two": { _, _, _ in },
            "three": { _, _, _ in throw Diagnosis("test.three", "three") },
        ]
        let steps = ["one", "two", "three"].map { Step("t.\($0)", $0, [.perform($0, [:], effect: .changes)], needs: []) }
        let log = KldTestSupport.EventLog()
        let problem = await #expect(throws: Diagnosis.self) {
            try await PlanRunner(runner: ScriptedRunner.accepting, files: MemoryFiles(), performers: performers, report: log.report)
                .apply(Plan("p", [Phase("p", "P", steps)]))
        }
        #expect(problem?.exit == .unavailable)
        #expect(log.events.filter { $0.kind == .stepDone }.map(\.step) == ["t.two"])
        #expect(FirstBootCommand.configuration.discussion.contains("else that of the first task that failed"))
    }
}
