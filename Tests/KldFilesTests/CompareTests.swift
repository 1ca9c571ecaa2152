import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@Suite("Files that hold the same")
struct CompareTests {
    private let files = LocalFiles()

    @Test("whole files: the same bytes, and neither shorter, longer nor other ones; a piece's last byte counts, and one behind it")
    func whole() async throws {
        try await Scratch.with { folder in
            let (one, other) = (folder.appending("one"), folder.appending("other"))
            for size in [0, 1, 4 << 20, (4 << 20) + 1] {
                var bytes = [UInt8](repeating: 7, count: size)
                try files.write(bytes, to: one, mode: .file)
                try files.write(bytes, to: other, mode: .file)
                #expect(try files.same(one, other))
                try files.write(bytes + [7], to: other, mode: .file)
                #expect(try !files.same(one, other) && !files.same(other, one))
                guard size > 0 else { continue }
                bytes[size - 1] = 8
                try files.write(bytes, to: other, mode: .file)
                #expect(try !files.same(one, other))
            }
            #expect(try !files.same(one, folder.appending("none")))
        }
    }

    @Test("a range of one, anywhere in the other; not where one of them ends before")
    func ranges() async throws {
        try await Scratch.with { folder in
            let (one, other) = (folder.appending("one"), folder.appending("other"))
            try files.write("xabcy", to: one)
            try files.write("12abc", to: other)
            #expect(try files.same(one, 1..<4, other, at: 2))
            #expect(try files.same(one, 1..<1, other, at: 9))
            #expect(try !files.same(one, 0..<3, other, at: 1))
            #expect(try !files.same(one, 1..<5, other, at: 2))
            #expect(try !files.same(one, 4..<9, one, at: 4))
            #expect(throws: FileError.self) { try files.same(folder.appending("none"), 0..<1, other, at: 0) }
        }
    }
}
