import KldCore
import KldTestSupport
import Testing

@Suite("One thing after another, whatever fails")
struct CollectingTests {
    @Test("the rest is done, and what the first one said that failed hides nothing of what the others said")
    func collecting() async throws {
        var done: [Int] = []
        let problem = await KldTestSupport.problem {
            try await Diagnosis.collecting([
                { throw Diagnosis("a.first", "the first", remedies: ["mend it"], exit: .unavailable) }, { done.append(2) },
                { throw Diagnosis("a.third", "the third", remedies: ["mend that"], causes: ["why"]) }, { done.append(4) },
            ])
        }
        #expect(done == [2, 4])
        #expect(problem?.code == "a.first" && problem?.exit == .unavailable && problem?.causes == ["the third", "why"])
        #expect(problem?.remedies == ["mend it", "mend that"])
        try await Diagnosis.collecting([{ done.append(5) }])
        #expect(done.last == 5)
    }
}
