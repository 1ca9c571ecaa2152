import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("What a medium says that it carries")
struct MediumListTests {
    static let digest = String(repeating: "ab", count: 32)

    static func file(_ path: String, _ size: UInt64 = 4, _ digest: String = digest) throws -> MediumList.File {
        .init(path: path, size: ByteCount(size), digest: try #require(FileDigest(hex: digest)))
    }

    @Test("it is read as it was written; without increments it is what earlier versions read")
    func roundTrip() throws {
        var list = MediumList([try Self.file("a/root.zfs"), try Self.file("b/increment.zfs", 7), try Self.file("c/increment.zfs", 8)])
        #expect(try MediumList(text: list.text) == list)
        #expect(list.text.lines.first == "\(Self.digest) 4 a/root.zfs")
        list.bases = ["c/increment.zfs": "a/root.zfs", "b/increment.zfs": "a/root.zfs"]
        #expect(
            list.text == """
                kldload-medium 2
                \(Self.digest) 4 a/root.zfs
                \(Self.digest) 7 b/increment.zfs
                \(Self.digest) 8 c/increment.zfs
                increment b/increment.zfs a/root.zfs
                increment c/increment.zfs a/root.zfs

                """)
        #expect(try MediumList(text: list.text) == list)
    }

    @Test("what a file builds on is found by its path or its folder; where that is missing, it is named")
    func bases() throws {
        var list = MediumList(
            [try Self.file("p/a/root.zfs"), try Self.file("p/b/increment.zfs")], bases: ["p/b/increment.zfs": "p/a/root.zfs"])
        #expect(try list.base(of: "p/b/increment.zfs")?.path == "p/a/root.zfs")
        #expect(try list.base(of: "p/a/root.zfs") == nil)
        #expect(try list.bases(in: "p/b").map(\.path) == ["p/a/root.zfs"])
        #expect(try list.bases(in: "p/a").isEmpty)
        list.files.removeFirst()
        let problem = #expect(throws: Diagnosis.self) { try list.bases(in: "p/b") }
        #expect(problem?.code == "medium.base-missing" && problem?.exit == .inputMissing && problem?.remedies.isEmpty == false)
        #expect(problem?.message.contains("p/a/root.zfs") == true && problem?.message.contains("p/b/increment.zfs") == true)
        // The others can be installed still.
        #expect(try list.bases(in: "p/a").isEmpty)
    }

    static let broken = [
        "kldload-medium 3", "kldload-medium", "increment a/increment.zfs b/root.zfs", "kldload-medium 2\nincrement a/increment.zfs",
        "kldload-medium 2\nincrement ../a b/root.zfs", "kldload-medium 2\nincrement a /b/root.zfs", "kldload-medium 2\nincrement a b c",
        "kldload-medium 2\nincrement a b\nincrement a c", "kldload-medium 2\nincrement a b\nincrement b c",
        "kldload-medium 2\nincrement a a", "\(digest) 4 a\nkldload-medium 2", "\(digest) -4 a", "\(digest) 4 a b", "\(digest) 4",
    ]

    @Test(
        "what is not understood is refused: a newer format, a path that leads elsewhere, a base that is an increment itself",
        arguments: broken)
    func unreadable(_ text: String) {
        #expect(#expect(throws: Diagnosis.self) { try MediumList(text: text) }?.code == "medium.list-unreadable")
    }
}

@Suite("A folder with a payload")
struct PayloadFolderTests {
    static let core = "kldload/payloads/debian-trixie-core"
    static let server = "kldload/payloads/debian-trixie-server"
    static let contents = [
        "\(core)/root.zfs": "base", "\(core)/rest.tar": "rest", "\(server)/increment.zfs": "more", "\(server)/rest.tar": "tail",
    ]

    /// A mounted medium; digests are of the first byte.
    static func medium(at top: String = "/cd", _ change: (inout [String: String]) -> Void = { _ in }) throws -> MemoryFiles {
        var list = MediumList(bases: ["\(server)/increment.zfs": "\(core)/root.zfs"])
        for (path, text) in contents.sorted(by: { $0.key < $1.key }) {
            list.files.append(.init(path: path, size: ByteCount(UInt64(text.utf8.count)), digest: try NetworkMediumTests.digest(text)))
        }
        var texts = Self.contents
        texts[MediumList.path] = list.text
        change(&texts)
        return MemoryFiles(Dictionary(uniqueKeysWithValues: texts.map { ("\(top)/\($0)", $1) }))
    }

    static func runner(
        _ files: MemoryFiles, unreadable: String = "-",
        digest: @escaping @Sendable (String) throws -> FileDigest = { try NetworkMediumTests.digest($0) }
    ) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                guard command.tool.name == "sha256sum", let path = command.arguments.last else { return nil }
                // coreutils 9.7, from a disc with a scratch
                if path.hasSuffix(unreadable) { return CommandOutput(status: 1, errors: "sha256sum: \(path): Input/output error\n") }
                return CommandOutput(output: "\(try digest(files.readText(FilePath(path))).hex) *x\0")
            }
        ])
    }

    private func source(_ files: MemoryFiles, _ path: String, elsewhere: Bool = false) throws -> InstallRequest.Payload.Source {
        try PayloadFolder(FilePath(path), files: files).source(elsewhere: elsewhere, files: files)
    }

    @Test("on a medium, wherever it is mounted, a stream is whole or builds on another folder's")
    func streams() throws {
        for top in ["/cd", "/run/initramfs/live"] {
            let files = try Self.medium(at: top)
            #expect(
                try source(files, "\(top)/\(Self.core)")
                    == .stream(root: FilePath("\(top)/\(Self.core)/root.zfs"), rest: FilePath("\(top)/\(Self.core)/rest.tar")))
            #expect(
                try source(files, "\(top)/\(Self.server)")
                    == .stream(
                        root: FilePath("\(top)/\(Self.server)/increment.zfs"), onto: FilePath("\(top)/\(Self.core)/root.zfs"),
                        rest: FilePath("\(top)/\(Self.server)/rest.tar")))
        }
    }

    @Test("elsewhere it is a stream where there is one, else an archive, compressed or not")
    func folders() throws {
        #expect(
            try source(MemoryFiles(["/p/root.zfs": "x", "/p/rest.tar": "x"]), "/p") == .stream(root: "/p/root.zfs", rest: "/p/rest.tar"))
        #expect(try source(MemoryFiles(["/p/rootfs.tar.zst": "x"]), "/p") == .archive("/p/rootfs.tar.zst"))
        #expect(try source(MemoryFiles(["/p/rootfs.tar": "x"]), "/p") == .archive("/p/rootfs.tar"))
    }

    @Test("for a plan, what lies on a server still is taken as its list says")
    func elsewhere() throws {
        let files = try Self.medium(at: "/run/initramfs/live") { $0 = $0.filter { $0.key == MediumList.path } }
        guard case .stream(_, let base, _) = try source(files, "/run/initramfs/live/\(Self.server)", elsewhere: true) else {
            Issue.record("no stream")
            return
        }
        #expect(base?.string == "/run/initramfs/live/\(Self.core)/root.zfs")
    }

    @Test("a copy that lacks what a stream builds on, or what says so, is refused; nobody takes an increment for a whole stream")
    func missing() throws {
        let lacking = try Self.medium { $0["\(Self.core)/root.zfs"] = nil }
        let problem = #expect(throws: Diagnosis.self) { try source(lacking, "/cd/\(Self.server)") }
        #expect(problem?.code == "medium.base-missing" && problem?.message.contains("\(Self.core)/root.zfs") == true)
        for (files, path) in [
            (try Self.medium { $0[MediumList.path] = nil }, "/cd/\(Self.server)"), (MemoryFiles(["/p/increment.zfs": ""]), "/p"),
        ] {
            let problem = #expect(throws: Diagnosis.self) { try source(files, path) }
            #expect(problem?.code == "install.base-unknown" && problem?.exit == .inputMissing && problem?.remedies.isEmpty == false)
        }
    }

    @Test(
        "a folder that was copied in part is refused before anything is touched",
        arguments: [
            ["/p/payload.json": "{}"], ["/p/root.zfs": "x"], ["/p/root.zfs": "", "/p/rest.tar": "x"],
            ["/p/root.zfs": "x", "/p/rest.tar": ""],
            ["/p/rootfs.tar": ""],
        ])
    func incomplete(_ texts: [String: String]) throws {
        let problem = #expect(throws: Diagnosis.self) { try source(MemoryFiles(texts), "/p") }
        #expect(problem?.code == "install.payload-incomplete" && problem?.exit == .inputMissing && problem?.causes.count == 1)
    }

    private func verify(_ files: MemoryFiles, _ name: String, unreadable: String = "-") async throws -> ScriptedRunner {
        let folder = try PayloadFolder(FilePath("/cd/\(name)"), files: files)
        let runner = Self.runner(files, unreadable: unreadable)
        try await folder.verify(folder.source(files: files), runner: runner, files: files, say: { _ in })
        return runner
    }

    @Test("all that will be installed is read first, and nothing else")
    func whole() async throws {
        let read = try await verify(Self.medium(), Self.server).commands
        #expect(
            read.compactMap(\.arguments.last) == [
                "/cd/\(Self.core)/root.zfs", "/cd/\(Self.server)/increment.zfs", "/cd/\(Self.server)/rest.tar",
            ])
        #expect(read.allSatisfy { $0.effect == .reads })
        #expect(try await verify(Self.medium(), Self.core).commands.count == 2)
        // Of what is on no medium nobody says what it should be.
        let files = MemoryFiles(["/p/root.zfs": "x", "/p/rest.tar": "x"])
        let folder = try PayloadFolder("/p", files: files)
        try await folder.verify(folder.source(files: files), runner: ScriptedRunner([:]), files: files, say: { _ in })
    }

    @Test(
        "what is damaged, cut off or cannot be read is named, with the payload that builds on it",
        arguments: ["\(core)/root.zfs", "\(server)/increment.zfs", "\(server)/rest.tar"])
    func damaged(_ path: String) async throws {
        let cases: [(MemoryFiles, String, String)] = [
            (try Self.medium { $0[path] = "xxxx" }, "-", "its sha256 is "),
            (try Self.medium { $0[path] = "m" }, "-", "it has 1 bytes, not 4"),
            (try Self.medium(), path, "sha256sum: /cd/\(path): Input/output error"),
        ]
        for (files, unreadable, cause) in cases {
            let problem = await #expect(throws: Diagnosis.self) { _ = try await verify(files, Self.server, unreadable: unreadable) }
            #expect(problem?.code == "medium.damaged" && problem?.exit == .inputMissing && problem?.remedies.isEmpty == false)
            #expect(problem?.causes.first?.hasPrefix(cause) == true)
            let user = path.hasPrefix(Self.core) ? ", on which \(Self.server) builds," : ""
            #expect(problem?.message == "\(path)\(user) is not what this medium says that it carries; nothing was changed")
        }
        // Another payload's is not this one's harm.
        if path.hasPrefix(Self.server) { _ = try await verify(Self.medium { $0[path] = "xxxx" }, Self.core) }
    }

    @Test("the medium's mirror is read and compared as well where packages come from it, and only there")
    func mirror() async throws {
        let (mirror, deb) = ("kldload/mirrors/debian-trixie", "kldload/mirrors/debian-trixie/debian/pool/x.deb")
        func verify(_ content: String, from mirror: String?) async throws -> [String] {
            let files = try Self.medium()
            let place = FilePath("/cd/\(MediumList.path)")
            var list = try MediumList(text: files.readText(place))
            list.files.append(.init(path: deb, size: ByteCount(4), digest: try NetworkMediumTests.digest("deb.")))
            try files.write(list.text, to: place)
            try files.write(content, to: FilePath("/cd/\(deb)"))
            let folder = try PayloadFolder(FilePath("/cd/\(Self.core)"), files: files)
            let runner = Self.runner(files)
            try await folder.verify(folder.source(files: files), mirror: mirror, runner: runner, files: files, say: { _ in })
            return runner.commands.compactMap(\.arguments.last)
        }
        let payload = ["/cd/\(Self.core)/root.zfs", "/cd/\(Self.core)/rest.tar"]
        #expect(try await verify("deb.", from: mirror) == payload + ["/cd/\(deb)"])
        #expect(try await verify("xxxx", from: nil) == payload)
        for content in ["xxxx", "de"] {
            let problem = await #expect(throws: Diagnosis.self) { _ = try await verify(content, from: mirror) }
            #expect(problem?.code == "medium.damaged")
            #expect(problem?.message == "\(deb) is not what this medium says that it carries; nothing was changed")
        }
    }
}

@Suite("A copy of a folder that a build left")
struct PayloadCopyTests {
    /// Stands for SHA-256: every byte counts, and how many there are (FNV-1a).
    private static func digest(_ text: String) throws -> FileDigest {
        let hash = text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let digits = String(hash, radix: 16)
        return try #require(FileDigest(hex: String(repeating: String(repeating: "0", count: 16 - digits.count) + digits, count: 4)))
    }

    /// What the build wrote, with its `SHA256SUMS`.
    private func copy(_ built: [String: String], _ change: (inout [String: String]) -> Void = { _ in }) throws -> MemoryFiles {
        var texts = built
        texts["SHA256SUMS"] = try built.sorted { $0.key < $1.key }.map {
            "\(try Self.digest($0.value).hex)  \($0.key)\n"
        }.joined()
        change(&texts)
        return MemoryFiles(Dictionary(uniqueKeysWithValues: texts.map { ("/mnt/copy/\($0)", $1) }))
    }

    private static let stream = ["inputs": "i", "payload.json": "{}", "rest.tar": "rest", "root.zfs": "base"]
    private static let archives = [["payload.json": "{}", "rootfs.tar": "tree"], ["payload.json": "{}", "rootfs.tar.zst": "tree"]]

    /// - Returns: what was read, and what was said.
    private func verify(_ files: MemoryFiles, unreadable: String = "-") async throws -> (read: [String], said: [String]) {
        let folder = try PayloadFolder("/mnt/copy", files: files)
        let runner = PayloadFolderTests.runner(files, unreadable: unreadable) { try Self.digest($0) }
        var said: [String] = []
        try await folder.verify(folder.source(files: files), runner: runner, files: files) { said.append($0) }
        #expect(runner.commands.allSatisfy { $0.effect == .reads })
        return (runner.commands.compactMap(\.arguments.last), said)
    }

    @Test("what will be installed of it is read and compared first, and nothing else")
    func whole() async throws {
        let stream = try await verify(copy(Self.stream))
        #expect(stream.read == ["/mnt/copy/root.zfs", "/mnt/copy/rest.tar"])
        #expect(stream.said == ["reading 8 B of /mnt/copy before anything is changed"])
        for built in Self.archives {
            let name = built.keys.sorted()[1]
            #expect(try await verify(copy(built)).read == ["/mnt/copy/\(name)"])
        }
        // Of `sha256sum --binary`.
        #expect(try await verify(copy(Self.stream) { $0["SHA256SUMS"]?.replace("  ", with: " *") }).read.count == 2)
    }

    @Test(
        "a file that was damaged or cut off, or cannot be read, is named, and nothing was changed",
        arguments: ["root.zfs", "rest.tar", "rootfs.tar", "rootfs.tar.zst"])
    func damaged(_ name: String) async throws {
        let built = try #require(([Self.stream] + Self.archives).first { $0[name] != nil })
        let content = try #require(built[name])
        let cases: [(files: MemoryFiles, unreadable: String, cause: String)] = [
            (try copy(built) { $0[name] = "x\(content.dropFirst())" }, "-", "its sha256 is "),
            (try copy(built) { $0[name] = String(content.dropLast()) }, "-", "its sha256 is "),
            (try copy(built), name, "sha256sum: /mnt/copy/\(name): Input/output error"),
        ]
        for (files, unreadable, cause) in cases {
            let problem = await #expect(throws: Diagnosis.self) { _ = try await verify(files, unreadable: unreadable) }
            #expect(problem?.code == "install.payload-damaged" && problem?.exit == .inputMissing)
            #expect(problem?.message == "/mnt/copy/\(name) is not what was built; nothing was changed")
            #expect(problem?.causes.first?.hasPrefix(cause) == true && problem?.remedies.count == 2)
        }
    }

    @Test("what is not installed may be as it likes; without the sums, or of files that they do not list, nobody says what they should be")
    func unlisted() async throws {
        #expect(try await verify(copy(Self.stream) { $0["inputs"] = "other" }).read.count == 2)
        let alone = try await verify(copy(Self.stream) { ($0["SHA256SUMS"], $0["root.zfs"]) = (nil, "xxxx") })
        #expect(alone.read.isEmpty && alone.said.isEmpty)
        let unpacked = try await verify(copy(Self.archives[1]) { ($0["rootfs.tar.zst"], $0["rootfs.tar"]) = (nil, "tree") })
        #expect(unpacked.read.isEmpty && unpacked.said.isEmpty)
    }

    @Test("sums that were copied in part are refused: they would compare nothing", arguments: [0, 30, 100, 200])
    func partialSums(_ length: Int) async throws {
        let files = try copy(Self.stream) { $0["SHA256SUMS"] = String(($0["SHA256SUMS"] ?? "").prefix(length)) }
        let problem = await #expect(throws: Diagnosis.self) { _ = try await verify(files) }
        #expect(problem?.code == "install.payload-damaged" && problem?.message.contains("/mnt/copy/SHA256SUMS") == true)
        let strange = try copy(Self.stream) { $0["SHA256SUMS"] = "<html>\n" }
        let other = await #expect(throws: Diagnosis.self) { _ = try await verify(strange) }
        #expect(other?.causes == ["this line is none of sha256sum's: <html>"])
    }
}

@Suite("Which payload of an ISO builds on which")
struct BaseTests {
    typealias Payload = (folder: String, channel: String, size: ByteCount)

    @Test("the others on the smallest of their release and channel, in whichever order they are named")
    func smallest() {
        let payloads: [Payload] = [
            ("server", "trixie", .mebibytes(733)), ("core", "trixie", .mebibytes(467)), ("kvm", "trixie", .mebibytes(900)),
            ("old", "bookworm", .mebibytes(400)), ("older", "bookworm", .mebibytes(500)), ("alone", "backports", .mebibytes(100)),
        ]
        let wanted = ["server": "core", "kvm": "core", "older": "old"]
        #expect(ISOContents.bases(payloads) == wanted)
        #expect(ISOContents.bases(payloads.reversed()) == wanted)
        #expect(ISOContents.bases([]).isEmpty)
    }

    @Test("of two that are as large the first by name; one that is named twice does not build on itself")
    func equal() {
        let payloads: [Payload] = [("b", "c", ByteCount(5)), ("a", "c", ByteCount(5)), ("a", "c", ByteCount(5))]
        #expect(ISOContents.bases(payloads) == ["b": "a"])
        #expect(ISOContents.bases(payloads.reversed()) == ["b": "a"])
    }

    @Test("the guest gets both streams by name, and the pool's features are those of the release")
    func guest() throws {
        for (suite, compatibility) in [("trixie", "openzfs-2.3-linux"), ("bookworm", "openzfs-2.1-linux")] {
            let spec = PayloadSpec(
                kind: .target, distro: "debian", suite: suite, backports: false, profile: "server", buildMirror: "", installedMirror: "")
            let pack = try FactoryGuest.incrementing(spec)
            #expect(pack.base == "/dev/disk/by-id/virtio-kldload-base" && pack.whole == "/dev/disk/by-id/virtio-kldload-stream")
            #expect(pack.result == "/dev/disk/by-id/virtio-kldload-increment" && pack.compatibility == compatibility)
            #expect(try pack.plan.destroys == ["/dev/disk/by-id/virtio-kldload-scratch"])
        }
        // A virtio disk's serial number has room for no more.
        for serial in [FactoryJob.baseSerial, FactoryJob.incrementSerial] { #expect(serial.utf8.count <= 20) }
    }
}
