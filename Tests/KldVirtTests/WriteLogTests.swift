import KldCore
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldVirt

@Suite("Logs of a guest's writes")
struct WriteLogTests {
    private func little(_ values: UInt64...) -> [UInt8] {
        let bytes = values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) } }
        return bytes + [UInt8](repeating: 0, count: 512 - bytes.count)
    }

    @Test("writes are replayed up to any place; flushes and discards are told apart")
    func replay() async throws {
        try await Scratch.with { folder in
            let (log, disk) = (folder.appending("log"), folder.appending("disk"))
            let files = LocalFiles()
            let (a, b) = ([UInt8](repeating: 1, count: 1024), [UInt8](repeating: 2, count: 512))
            try files.write(
                little(0x6a73_6677_7368_72, 1, 5, 512) + little(2, 2, 0, 0) + a + little(0, 0, 1, 0) + little(3, 1, 2, 0) + b
                    + little(2, 1, 4, 0) + little(4, 1, 0, 0) + b, to: log, mode: .file)
            let found = try WriteLog(log)
            #expect(found.entries.map(\.kind) == [.write, .flush, .write, .discard, .write])
            #expect(found.entries.map(\.range.lowerBound) == [1024, 0, 1536, 1024, 2048])
            try files.write([UInt8](repeating: 9, count: 4096), to: disk, mode: .file)
            try found.apply(found.entries.prefix(3), to: disk, part: 0..<4096)
            #expect(try files.read(disk, 1024..<2048) == a.prefix(512) + b)
            #expect(found.entries[0].sectors.map(\.range) == [1024..<1536, 1536..<2048])
            // A part of the disk alone.
            try found.apply(found.entries, to: disk, part: 1024..<2048)
            #expect(try files.read(disk, 0..<1024) == [UInt8](repeating: 0, count: 512) + b)
            try files.write("no log", to: folder.appending("other"))
            #expect(throws: (any Error).self) { try WriteLog(folder.appending("other")) }
        }
    }
}
