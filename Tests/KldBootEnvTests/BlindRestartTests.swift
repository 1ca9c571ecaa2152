import KldTestSupport
import Testing

@testable import KldBootEnv

@Suite("A boot that is no good, and no ESP to tell whether it is on trial")
struct BlindRestartTests {
    @Test("it restarts as often as an environment has tries, and then stays up; a good boot forgets them")
    func counted() throws {
        let files = MemoryFiles([:])
        #expect(try (0..<4).map { _ in try BlindRestarts.count(files) } == [1, 2, 3, nil])
        try BlindRestarts.forget(files)
        #expect(try BlindRestarts.count(files) == 1)
    }
}
