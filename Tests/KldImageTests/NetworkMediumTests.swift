import KldCore
import KldExec
import KldFiles
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@testable import KldImage

@Suite("A live environment that came over the network")
struct NetworkMediumTests {
    static let folder = "kldload/payloads/debian-trixie-core"
    static let mirror = "kldload/mirrors/debian-trixie"
    static let place = LiveMedium.mountPoint.string

    /// What the server has, by path; digests are the first byte's.
    static func digest(_ text: String) throws -> FileDigest {
        try #require(FileDigest(hex: String(repeating: String(text.utf8.first ?? 0, radix: 16), count: 32)))
    }

    static func list() throws -> String {
        try MediumList([
            .init(path: "LiveOS/squashfs.img", size: ByteCount(4), digest: digest("live")),
            .init(path: "\(folder)/root.zfs", size: ByteCount(4), digest: digest("root")),
            .init(path: "\(folder)/payload.json", size: ByteCount(4), digest: digest("json")),
            .init(path: "\(folder)/packages.tsv", size: ByteCount(4), digest: digest("pack")),
            .init(path: "\(mirror)/debian/pool/x.deb", size: ByteCount(4), digest: digest("deb.")),
            .init(path: "\(mirror)/mirror.json", size: ByteCount(4), digest: digest("says")),
        ]).text
    }

    /// curl and sha256sum over files in memory.
    final class Server: Sendable {
        let files = MemoryFiles(["/proc/meminfo": "MemTotal: 3000000 kB\nMemAvailable:   2000000 kB\n"])
        let contents: Mutex<[String: String]>
        /// How curl ends before it succeeds.
        let failures: Mutex<[Int32]>

        init(_ contents: [String: String], failures: [Int32] = []) {
            self.contents = Mutex(contents)
            self.failures = Mutex(failures)
        }

        var runner: ScriptedRunner {
            ScriptedRunner([
                { command in
                    switch command.tool.name {
                    case "curl":
                        if let status = self.failures.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
                            return CommandOutput(status: status, errors: "curl: (\(status))\n")
                        }
                        guard let url = command.arguments.last, let place = command.arguments.firstIndex(of: "--output"),
                            let text = self.contents.withLock({ $0[url] })
                        else { return CommandOutput(status: 22, errors: "curl: (22) 404\n") }
                        try self.files.write(Array(text.utf8), to: FilePath(command.arguments[place + 1]), mode: .file)
                        return CommandOutput()
                    case "sha256sum":
                        let text = try self.files.readText(FilePath(command.arguments.last ?? ""))
                        return CommandOutput(output: "\(try digest(text).hex) *x\0")
                    default: return nil
                    }
                }
            ])
        }
    }

    static func server(_ more: [String: String] = [:], failures: [Int32] = []) throws -> Server {
        let contents = [
            "http://h/k/kldload/medium.list": try list(), "http://h/k/\(folder)/root.zfs": "root",
            "http://h/k/\(folder)/payload.json": "json", "http://h/k/\(folder)/packages.tsv": "pack",
            "http://h/k/\(mirror)/mirror.json": "says", "http://h/k/\(mirror)/debian/pool/x.deb": "deb.",
        ]
        return Server(contents.merging(more) { $1 }, failures: failures)
    }

    static func medium() throws -> NetworkMedium {
        // The list begins with a digest's first digit.
        let digest = try digest(list()).hex
        return try #require(NetworkMedium(commandLine: "quiet root=live:http://h/k/live.squashfs kldload.medium-sha256=\(digest)"))
    }

    private func fetch(_ server: Server, _ name: String = folder, whole: Bool = true) async throws -> FilePath? {
        try await Self.medium().fetch(
            name, whole: whole, every: .zero, runner: server.runner, files: server.files, say: { _ in })
    }

    @Test("it is told by the kernel's command line; a medium is none, nor is one without a digest")
    func words() throws {
        #expect(try Self.medium().address == "http://h/k")
        let digest = String(repeating: "ab", count: 32)
        for line in [
            "root=live:LABEL=KLDLOAD kldload.medium-sha256=\(digest)", "root=live:http://h/live.squashfs", "quiet",
            "root=live:http://h/live.squashfs kldload.medium-sha256=ab",
        ] {
            #expect(NetworkMedium(commandLine: line) == nil)
        }
    }

    @Test("a payload is fetched once, whole, and lies as on a medium")
    func payload() async throws {
        let server = try Self.server()
        #expect(try await fetch(server) == LiveMedium.mountPoint.pushing(FilePath(Self.folder)))
        #expect(server.files.texts["\(Self.place)/\(Self.folder)/root.zfs"] == "root")
        #expect(server.files.texts["\(Self.place)/\(Self.folder)/payload.json"] == "json")
        // Nothing is asked for again.
        let silent = Server([:])
        try silent.files.write(Self.list(), to: FilePath("\(Self.place)/kldload/medium.list"))
        for (name, file) in [("root", "root.zfs"), ("json", "payload.json"), ("pack", "packages.tsv")] {
            try silent.files.write(name, to: FilePath("\(Self.place)/\(Self.folder)/\(file)"))
        }
        #expect(try await fetch(silent) != nil)
    }

    @Test("what its stream builds on comes with it, and nothing else of that payload; where the server lacks it, that is said before")
    func base() async throws {
        let more = "kldload/payloads/debian-trixie-server"
        var list = try MediumList(text: Self.list())
        list.files.append(.init(path: "\(more)/increment.zfs", size: ByteCount(4), digest: try Self.digest("incr")))
        list.bases = ["\(more)/increment.zfs": "\(Self.folder)/root.zfs"]
        // The list's own digest is its first byte's.
        let medium = try #require(
            NetworkMedium(
                commandLine: "root=live:http://h/k/live.squashfs kldload.medium-sha256=\(Self.digest(list.text).hex)"))
        func fetch(_ server: Server, whole: Bool) async throws -> FilePath? {
            try await medium.fetch(more, whole: whole, every: .zero, runner: server.runner, files: server.files, say: { _ in })
        }
        var contents = ["http://h/k/kldload/medium.list": list.text, "http://h/k/\(more)/increment.zfs": "incr"]
        let server = try Self.server(contents)
        #expect(try await fetch(server, whole: true) != nil)
        let found = server.files.texts.keys.filter { $0.hasSuffix(".zfs") || $0.hasSuffix(".json") }.sorted()
        #expect(found == ["\(Self.place)/\(Self.folder)/root.zfs", "\(Self.place)/\(more)/increment.zfs"])
        list.files.removeAll { $0.path == "\(Self.folder)/root.zfs" }
        contents["http://h/k/kldload/medium.list"] = list.text
        for whole in [true, false] {
            let server = try Self.server(contents)
            await #expect { _ = try await fetch(server, whole: whole) } throws: { Diagnosis(of: $0).code == "medium.base-missing" }
            #expect(server.files.texts.keys.allSatisfy { !$0.hasSuffix(".zfs") })
        }
    }

    @Test("for a plan its description and the list of its packages are enough; of what the server does not have there is nothing")
    func description() async throws {
        let server = try Self.server()
        #expect(try await fetch(server, whole: false) != nil)
        let folder = "\(Self.place)/\(Self.folder)"
        #expect(server.files.texts.keys.filter { $0.hasPrefix(folder) }.sorted() == ["\(folder)/packages.tsv", "\(folder)/payload.json"])
        #expect(try await fetch(server, "kldload/payloads/debian-trixie-server") == nil)
        #expect(try await Self.medium().payloads(runner: server.runner, files: server.files) == ["debian-trixie-core"])
    }

    @Test("what a mirror can add is known by its description; packages are fetched when some are to be added")
    func mirror() async throws {
        let server = try Self.server()
        let deb = "\(Self.place)/\(Self.mirror)/debian/pool/x.deb"
        #expect(try await fetch(server, Self.mirror, whole: false) == LiveMedium.mountPoint.pushing(FilePath(Self.mirror)))
        #expect(server.files.texts["\(Self.place)/\(Self.mirror)/mirror.json"] == "says" && server.files.texts[deb] == nil)
        #expect(try await fetch(server, Self.mirror) != nil)
        #expect(server.files.texts[deb] == "deb.")
    }

    @Test("a network that comes up late is waited for; a server that says no is an error")
    func late() async throws {
        #expect(try await fetch(Self.server(failures: [7, 6, 28, 33])) != nil)
        let server = try Self.server()
        server.contents.withLock { $0["http://h/k/\(Self.folder)/root.zfs"] = nil }
        await #expect { _ = try await fetch(server) } throws: { Diagnosis(of: $0).code == "medium.unreachable" }
        await #expect { _ = try await fetch(Server([:], failures: Array(repeating: 7, count: 30))) } throws: {
            Diagnosis(of: $0).code == "medium.unreachable"
        }
    }

    @Test("what is not what the boot menu means is not used, and is not left")
    func digests() async throws {
        for url in ["http://h/k/kldload/medium.list", "http://h/k/\(Self.folder)/root.zfs"] {
            let server = try Self.server([url: "Xther"])
            await #expect { _ = try await fetch(server) } throws: { Diagnosis(of: $0).code == "medium.wrong-digest" }
            #expect(server.files.texts.keys.allSatisfy { !$0.hasSuffix(".part") && !$0.hasSuffix("root.zfs") })
        }
    }

    @Test("memory that is too small is told before anything is fetched")
    func memory() async throws {
        let server = try Self.server()
        try server.files.write("MemAvailable:   400000 kB\n", to: "/proc/meminfo")
        await #expect { _ = try await fetch(server) } throws: { Diagnosis(of: $0).code == "medium.no-memory" }
        #expect(server.files.texts["\(Self.place)/\(Self.folder)/root.zfs"] == nil)
    }
}
