import Glibc
import KldCore
import KldFiles
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

/// Looks at everything in a folder until it is told to stop.
private final class Watch: Sendable {
    private let folder: FilePath
    private let stopped = Atomic(false)
    init(_ folder: FilePath) { self.folder = folder }
    func stop() { stopped.store(true, ordering: .relaxed) }

    /// - Returns: what files let others do.
    func look() -> Set<UInt32> {
        let files = LocalFiles()
        var seen: Set<UInt32> = []
        repeat {
            for name in (try? files.list(folder)) ?? [] {
                if let status = try? files.status(FilePath("\(folder)/\(name)")) { seen.insert(status.mode.bits & 0o077) }
            }
        } while !stopped.load(ordering: .relaxed)
        return seen
    }
}

@Suite("Files of this machine")
struct LocalFilesTests {
    let files = LocalFiles()

    // MARK: exchanging

    @Test("two folders change places, and neither name is missing on the way")
    func exchange() async throws {
        try await Scratch.with { folder in
            let (a, b) = (folder.appending("a"), folder.appending("b"))
            try files.write("a", to: a.appending("x/name"))
            try files.write("b", to: b.appending("x/name"))
            try files.exchange(a, with: b)
            #expect(try files.readText(a.appending("x/name")) == "b" && files.readText(b.appending("x/name")) == "a")
            #expect(try files.list(folder) == ["a", "b"])
            #expect(throws: FileError.missing(a)) { try files.exchange(a, with: folder.appending("none")) }
            #expect(try files.list(folder) == ["a", "b"])
        }
    }

    // MARK: writing

    @Test("what was written is read back, folders are made on the way")
    func write() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("a/b/c.txt")
            try files.write("hello\n", to: path)
            #expect(try files.readText(path) == "hello\n")
            #expect(try files.status(path) == FileStatus(kind: .file, size: ByteCount(6), mode: 0o644))
            #expect(try files.status(folder.appending("a"))?.mode == 0o755)
        }
    }

    @Test("folders are those in a folder, without files and links, also to folders; a double says the same")
    func subfolders() async throws {
        try await Scratch.with { folder in
            for name in ["b", "a"] { try files.makeDirectory(folder.appending(name), mode: .directory) }
            try files.write("x", to: folder.appending("file"))
            try files.symlink(folder.appending("link"), to: folder.appending("a").string)
            #expect(try files.folders(in: folder) == ["a", "b"])
            #expect(throws: FileError.self) { try files.folders(in: folder.appending("none")) }
        }
        #expect(try MemoryFiles(["/t/a/x": "", "/t/file": ""], links: ["/t/link": "a"]).folders(in: "/t") == ["a"])
    }

    @Test("holes read as zeros and take no room; the rest and the size stay")
    func holes() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("disk")
            let bytes = [UInt8](repeating: 7, count: 1 << 20)
            try files.write(bytes, to: path, mode: .file)
            try files.punchHoles([0..<4096, 8192..<(1 << 20) - 4096], in: path)
            var expected = bytes
            for index in [0..<4096, 8192..<(1 << 20) - 4096].joined() { expected[index] = 0 }
            #expect(try files.read(path) == expected)
            var information = stat()
            #expect(stat(path.string, &information) == 0 && information.st_blocks * 512 < 65536)
            #expect(throws: FileError.self) { try files.punchHoles([0..<4096], in: folder.appending("none")) }
        }
    }

    @Test("the mode is the one asked for, whatever the umask", arguments: [0o600, 0o644, 0o440, 0o755, 0o640] as [UInt32])
    func mode(_ bits: UInt32) async throws {
        try await Scratch.with { folder in
            let path = folder.appending("f")
            try files.write([1], to: path, mode: ModeBits(integerLiteral: bits))
            #expect(try files.status(path)?.mode.bits == bits)
        }
    }

    @Test("a file is replaced whole: who has the old one open reads the old one")
    func replaced() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("f")
            try files.write("old", to: path)
            let open = try FileDescriptor.open(path, .readOnly)
            defer { try? open.close() }
            try files.write("new and longer", to: path)
            var buffer = [UInt8](repeating: 0, count: 32)
            let count = try buffer.withUnsafeMutableBytes { try open.read(into: $0) }
            #expect(String(decoding: buffer[..<count], as: UTF8.self) == "old")
            #expect(try files.readText(path) == "new and longer")
        }
    }

    @Test("a secret is readable by nobody else at any instant, not even before it has its name")
    func secretFromTheStart() async throws {
        try await Scratch.with { folder in
            let watch = Watch(folder)
            let watching = Task.detached { watch.look() }
            for number in 0..<60 {
                try files.write([UInt8](repeating: 65, count: 50_000), to: folder.appending("s\(number)"), mode: .secret)
            }
            watch.stop()
            #expect(await watching.value == [0])
        }
    }

    @Test("a link is replaced, not followed")
    func overLink() async throws {
        try await Scratch.with { folder in
            let (other, link) = (folder.appending("other"), folder.appending("link"))
            try files.write("kept", to: other)
            try files.symlink(link, to: "other")
            try files.write("mine", to: link)
            #expect(try files.readText(other) == "kept")
            #expect(try files.status(link)?.kind == .file)
        }
    }

    @Test("a failed write leaves nothing behind, neither half a file nor a temporary one")
    func failedWrite() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("taken")
            try files.makeDirectory(path.appending("inside"), mode: .directory)
            // A folder with something in it cannot be replaced by a file.
            #expect(throws: FileError.self) { try files.write("x", to: path) }
            #expect(try files.list(folder) == ["taken"])
            #expect(try files.list(path) == ["inside"])
        }
    }

    @Test("a failed write closes its file once, not twice, which would close somebody else's")
    func closedOnce() async throws {
        try await Scratch.with { folder in
            try files.makeDirectory(folder.appending("taken/inside"), mode: .directory)
            let churn = Task.detached {
                while !Task.isCancelled {
                    let file = try FileDescriptor.open("/dev/null", .readOnly)
                    try file.close()
                }
            }
            for _ in 0..<1000 { try? files.write("x", to: folder.appending("taken")) }
            churn.cancel()
            try await churn.value
        }
    }

    @Test("writing below a file is an error")
    func belowFile() async throws {
        try await Scratch.with { folder in
            try files.write("x", to: folder.appending("f"))
            #expect(throws: FileError.self) { try files.write("x", to: folder.appending("f/g")) }
        }
    }

    @Test("errors say what is missing or denied")
    func errors() throws {
        #expect(throws: FileError.missing("/no/such/file")) { try files.read("/no/such/file") }
        #expect(throws: FileError.missing("/no/such/folder")) { try files.list("/no/such/folder") }
        #expect(FileError.missing("/x").diagnosis.exit == .inputMissing)
        #expect(FileError.denied("/x").diagnosis.exit == .needsRoot)
        #expect(FileError.noSpace("/x").diagnosis.remedies == ["free some space"])
    }

    @Test("an empty file and a large one are read whole", arguments: [0, 1, 262_143, 262_144, 262_145, 1_000_000])
    func sizes(_ count: Int) async throws {
        try await Scratch.with { folder in
            let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            try files.write(content, to: folder.appending("f"), mode: .file)
            #expect(try files.read(folder.appending("f")) == content)
        }
    }

    @Test("files of /proc, which have no size, are read whole")
    func proc() throws { #expect(try files.readText("/proc/self/status").contains("Name:")) }

    @Test("so many bytes are read of what has no places, or no end")
    func parts() throws {
        #expect(try files.read("/dev/zero", 0..<300_000) == [UInt8](repeating: 0, count: 300_000))
        let (input, output) = try FileDescriptor.pipe()
        defer { try? input.close() }
        try output.closeAfter { _ = try output.writeAll("pipe".utf8) }
        #expect(try files.read(FilePath("/proc/self/fd/\(input.rawValue)"), 0..<3) == Array("pip".utf8))
        #expect(throws: FileError.self) { try files.read(FilePath("/proc/self/fd/\(input.rawValue)"), 1..<3) }
    }

    @Test("text that is not UTF-8 is an error when text was asked for")
    func notText() async throws {
        try await Scratch.with { folder in
            try files.write([0xFF], to: folder.appending("f"), mode: .file)
            #expect(throws: FileError.self) { try files.readText(folder.appending("f")) }
        }
    }

    // MARK: removing

    @Test("removing takes a folder with all it holds, and nothing there is no error")
    func remove() async throws {
        try await Scratch.with { folder in
            try files.write("x", to: folder.appending("a/b/c"))
            try files.remove(folder.appending("a"))
            #expect(try files.list(folder).isEmpty)
            try files.remove(folder.appending("a"))
        }
    }

    @Test("removing does not follow links: neither one named, nor one inside, nor one that leads nowhere")
    func removeLinks() async throws {
        try await Scratch.with { folder in
            let outside = folder.appending("outside")
            try files.write("kept", to: outside.appending("f"))
            try files.symlink(folder.appending("link"), to: outside.string)
            try files.symlink(folder.appending("tree/inner"), to: outside.string)
            try files.symlink(folder.appending("tree/dangling"), to: "/no/such/place")
            try files.remove(folder.appending("link"))
            try files.remove(folder.appending("tree"))
            #expect(try files.list(folder) == ["outside"])
            #expect(try files.readText(outside.appending("f")) == "kept")
        }
    }

    /// Whether this test may mount something; containers often may not.
    static let mayMount: Bool = {
        guard geteuid() == 0 else { return false }
        let folder = "/tmp/kldload-may-mount-\(getpid())"
        mkdir(folder, 0o700)
        defer { rmdir(folder) }
        guard mount("none", folder, "tmpfs", 0, nil) == 0 else { return false }
        umount(folder)
        return true
    }()

    @Test("removing stops at a mount point and says so", .enabled(if: mayMount, "this needs the right to mount a tmpfs"))
    func mountPoint() async throws {
        try await Scratch.with { folder in
            let place = folder.appending("tree/mounted")
            try files.makeDirectory(place, mode: .directory)
            try #require(mount("none", place.string, "tmpfs", 0, nil) == 0)
            defer { umount(place.string) }
            try files.write("kept", to: place.appending("f"))
            for victim in [place, folder.appending("tree")] {
                #expect(problem { try files.remove(victim) }?.causes == ["something is mounted there"], "\(victim)")
            }
            #expect(try files.readText(place.appending("f")) == "kept")
        }
    }

    // MARK: the rest

    @Test("a link can be made anew, is told apart from its target, and read")
    func links() async throws {
        try await Scratch.with { folder in
            let link = folder.appending("l")
            try files.symlink(link, to: "one")
            try files.symlink(link, to: "two")
            #expect(try files.readLink(link) == "two")
            #expect(try files.status(link)?.kind == .symlink)
            try files.write("x", to: folder.appending("two"))
            #expect(try files.resolve(link) == folder.appending("two"))
        }
    }

    @Test("a link does not replace a folder")
    func linkOverFolder() async throws {
        try await Scratch.with { folder in
            try files.write("kept", to: folder.appending("d/f"))
            #expect(throws: FileError.self) { try files.symlink(folder.appending("d"), to: "x") }
            #expect(try files.readText(folder.appending("d/f")) == "kept")
        }
    }

    @Test("a folder is made with its mode; one that is there keeps its own")
    func folders() async throws {
        try await Scratch.with { folder in
            try files.makeDirectory(folder.appending("x/y"), mode: 0o700)
            #expect(try files.status(folder.appending("x"))?.mode == 0o755)
            #expect(try files.status(folder.appending("x/y"))?.mode == 0o700)
            try files.makeDirectory(folder.appending("x/y"), mode: 0o755)
            #expect(try files.status(folder.appending("x/y"))?.mode == 0o700)
            try files.write("", to: folder.appending("f"))
            #expect(throws: FileError.self) { try files.makeDirectory(folder.appending("f"), mode: .directory) }
        }
    }

    @Test("renaming replaces, and a missing source is an error")
    func rename() async throws {
        try await Scratch.with { folder in
            try files.write("new", to: folder.appending("a"))
            try files.write("old", to: folder.appending("b"))
            try files.rename(folder.appending("a"), to: folder.appending("b"))
            #expect(try files.list(folder) == ["b"])
            #expect(try files.readText(folder.appending("b")) == "new")
            #expect(throws: FileError.missing(folder.appending("a"))) { try files.rename(folder.appending("a"), to: folder.appending("c")) }
        }
    }

    @Test("lists are sorted and hold every name, odd ones too")
    func list() async throws {
        try await Scratch.with { folder in
            for name in ["b", ".hidden", "a b", "ü", "A"] { try files.write("", to: FilePath("\(folder)/\(name)")) }
            #expect(try files.list(folder) == [".hidden", "A", "a b", "b", "ü"])
        }
    }

    @Test("nothing there has no status; below a file neither")
    func status() async throws {
        try await Scratch.with { folder in
            #expect(try files.status(folder.appending("x")) == nil)
            try files.write("", to: folder.appending("f"))
            #expect(try files.status(folder.appending("f/g")) == nil)
            #expect(try files.status("/dev/null")?.kind == .other)
        }
    }

    @Test("free space is told where something is, an error elsewhere")
    func freeSpace() throws {
        #expect(try files.freeSpace("/").bytes > 0)
        #expect(throws: FileError.self) { try files.freeSpace("/no/such/place") }
    }
}
