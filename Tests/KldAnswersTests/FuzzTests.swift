import FoundationEssentials
import KldAnswers
import Testing

@Suite struct Fuzzing {
    /// KLDLOAD_FUZZ says how many inputs, for longer runs.
    static let iterations = ProcessInfo.processInfo.environment["KLDLOAD_FUZZ"].flatMap { Int($0) } ?? 50_000

    @Test func noInputBreaksAPromise() {
        let report = AnswersFuzz.run(iterations: Self.iterations, seed: 2026)
        #expect(report.failures == [])
        // Without a good share of both, the test would say little.
        #expect(report.accepted > Self.iterations / 20)
        #expect(report.refused > Self.iterations / 20)
    }

    @Test func theSameSeedMeetsTheSameInputs() {
        #expect(AnswersFuzz.run(iterations: 300, seed: 7) == AnswersFuzz.run(iterations: 300, seed: 7))
        #expect(AnswersFuzz.run(iterations: 300, seed: 7) != AnswersFuzz.run(iterations: 300, seed: 8))
    }
}
