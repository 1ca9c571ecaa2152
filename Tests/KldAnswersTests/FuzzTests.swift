import FoundationEssentials
import KldAnswers
import Testing

@Suite struct Fuzzing {
    /// KLDLOAD_FUZZ says how many inputs, for longer runs.
    static let iterations = ProcessInfo.processInfo.environment["KLDLOAD_FUZZ"].flatMap { Int($0) } ?? 50_000

    /// In parts, for each processor to have one.
    @Test(arguments: 0..<4) func noInputBreaksAPromise(_ part: Int) {
        let count = Self.iterations / 4
        let report = AnswersFuzz.run(iterations: count, seed: 2026 + UInt64(part))
        #expect(report.failures == [])
        // Without a good share of both, the test would say little.
        #expect(report.accepted > count / 20)
        #expect(report.refused > count / 20)
    }

    @Test func theSameSeedMeetsTheSameInputs() {
        #expect(AnswersFuzz.run(iterations: 300, seed: 7) == AnswersFuzz.run(iterations: 300, seed: 7))
        #expect(AnswersFuzz.run(iterations: 300, seed: 7) != AnswersFuzz.run(iterations: 300, seed: 8))
    }
}
