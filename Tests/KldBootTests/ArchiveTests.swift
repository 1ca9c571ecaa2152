import KldBoot
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@Suite("Archives for the initramfs")
struct ArchiveTests {
    /// One entry's header, as the kernel's document lays it out.
    func header(_ fields: [UInt32]) -> String {
        "070701"
            + fields.map {
                let digits = String($0, radix: 16, uppercase: true)
                return String(repeating: "0", count: 8 - digits.count) + digits
            }.joined()
    }

    @Test("the archive with the host id is this, byte for byte")
    func bytes() throws {
        let id = try #require(HostID(0x0102_0304))
        let archive = InitramfsSupplement.hostID(id)
        // inode, mode, uid, gid, links, time, size, four device numbers, length of the name with its zero, checksum
        var expected = header([1, 0o040755, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 0]) + "etc\0" + "\0\0"
        expected += header([2, 0o100644, 0, 0, 1, 0, 4, 0, 0, 0, 0, 11, 0]) + "etc/hostid\0" + "\0\0\0"
        var content = Array(expected.utf8) + [4, 3, 2, 1]
        content += Array((header([3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11, 0]) + "TRAILER!!!\0").utf8)
        content += [UInt8](repeating: 0, count: 512 - content.count)
        #expect(archive == content)
        #expect(archive.count == 512)
    }

    @Test("every entry and the whole are padded, whatever the lengths", arguments: 0..<9)
    func padding(_ length: Int) {
        var archive = CPIOArchive()
        archive.add(file: String(repeating: "n", count: length + 1), content: [UInt8](repeating: 1, count: length))
        #expect(archive.bytes.count.isMultiple(of: 4))
        #expect(archive.finished.count.isMultiple(of: 512))
    }

    @Test("finishing changes nothing: more can be added after it")
    func finishedTwice() {
        var archive = CPIOArchive()
        archive.add(directory: "a")
        let first = archive.finished
        #expect(archive.finished == first)
        archive.add(file: "a/b", content: [1])
        #expect(archive.finished != first)
    }

    static let hasCPIO = ["/usr/bin/cpio", "/bin/cpio"].contains { (try? LocalFiles().exists(FilePath($0))) == true }

    @Test("cpio unpacks what was packed", .enabled(if: hasCPIO, "this needs cpio"))
    func unpack() async throws {
        try await Scratch.with { folder in
            var archive = CPIOArchive()
            let contents = (0..<9).map { length in (0..<length).map { UInt8($0) } }
            archive.add(directory: "etc")
            for (index, content) in contents.enumerated() {
                archive.add(file: "etc/\(String(repeating: "f", count: index + 1))", mode: 0o600, content: content)
            }
            let file = folder.appending("a.cpio"), tree = folder.appending("tree")
            try LocalFiles().write(archive.finished, to: file, mode: .file)
            try LocalFiles().makeDirectory(tree, mode: .directory)
            try await SubprocessRunner().run(
                Command("cpio", ["--extract", "--quiet"], effect: .changes, input: .file(file), workingDirectory: tree))
            for (index, content) in contents.enumerated() {
                let path = tree.appending("etc/\(String(repeating: "f", count: index + 1))")
                #expect(try LocalFiles().read(path) == content)
                #expect(try LocalFiles().status(path)?.mode == 0o600)
            }
            #expect(try LocalFiles().list(tree) == ["etc"])
        }
    }
}
