import KldTestSupport
import SystemPackage
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

    @Test("what the loader has started without counting has proved itself, and is never restarted; what it has counted is")
    func proven() throws {
        let selected = "/sys/firmware/efi/efivars/LoaderEntrySelected-\(DamagedESPTests.loader)"
        let count = "/sys/firmware/efi/efivars/LoaderBootCountPath-\(DamagedESPTests.loader)"
        let proven = MemoryFiles([selected: "\u{6}\0\0\0k\0", "/proc/cmdline": "root=ZFS=rpool/ROOT/debian rw\n"])
        #expect(try BlindRestarts.count(proven) == nil)
        #expect(proven.texts[BlindRestarts.file.string] == nil)
        let trial = MemoryFiles([selected: "\u{6}\0\0\0k\0", count: "\u{6}\0\0\0k\0"])
        #expect(try (0..<4).map { _ in try BlindRestarts.count(trial) } == [1, 2, 3, nil])
        let words = "kldload.entry=kldload-debian-6.1.1 kldload.esp=0a"
        #expect(try BlindRestarts.count(MemoryFiles(["/proc/cmdline": "kldload.entry=+ \(words)\n"])) == nil)
        #expect(try BlindRestarts.count(MemoryFiles(["/proc/cmdline": "kldload.entry=+2 \(words)\n"])) == 1)
        // Nothing can be written: it is restarted as long as the loader counts, and not where nobody would.
        let full = FaultyFiles(trial, Fuse(at: 0, forever: true))
        #expect(try BlindRestarts.count(full) == nil)
        try BlindRestarts.forget(trial)
        #expect(try (0..<5).map { _ in try BlindRestarts.count(full) } == [1, 1, 1, 1, 1])
        #expect(throws: (any Error).self) { try BlindRestarts.count(FaultyFiles(MemoryFiles([:]), Fuse(at: 0, forever: true))) }
        // A menu that an older kldload wrote does not say.
        #expect(try BlindRestarts.count(MemoryFiles(["/proc/cmdline": words])) == 1)
    }
}
