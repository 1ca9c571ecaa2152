import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("What no mount of a copy shows")
struct CopySealUnseenTests {
    /// Opens a copy with a root at `/target`, `/root` on it, and these datasets beside them.
    /// - Parameters:
    ///   - keys: lines that tell how a dataset is encrypted, and whether its key is loaded.
    ///   - files: as a look below a mount point or at what is not mounted finds them.
    private func open(
        _ lines: String..., keys: [String] = [], files: [String: String] = [:], runner: ScriptedRunner? = nil
    ) async throws -> [String] {
        let list = [
            "rpool\tfilesystem\tno\toff\tnone", "rpool/ROOT/debian\tfilesystem\tyes\tnoauto\t/target",
            "rpool/root\tfilesystem\tyes\ton\t/target/root",
        ]
        let runner = runner ?? Self.pool(list + lines, keys: keys)
        let performers = CopySeal.performers { _ in }
        let performer = try #require(performers[CopySeal.open])
        try await performer(["pool": "rpool"], runner, MemoryFiles(files))
        return runner.commands.map(\.description)
    }

    private static func pool(_ lines: [String], keys: [String]) -> ScriptedRunner {
        let text = lines.joined(separator: "\n") + "\n"
        let encryption = (["rpool\toff\t-", "rpool/ROOT/debian\toff\t-"] + keys).joined(separator: "\n") + "\n"
        return ScriptedRunner([
            { command in
                switch (command.tool.name, command.arguments.first) {
                case ("zpool", "list"): CommandOutput(output: "rpool\t1\t9\t1\t8\tONLINE\toff\t-\trpool/ROOT/debian\n")
                case ("zfs", "list"):
                    CommandOutput(output: command.arguments.contains("name,encryption,keystatus") ? encryption : text)
                case ("zfs", "mount"), ("mount", _), ("umount", _): CommandOutput()
                default: nil
                }
            }
        ])
    }

    @Test("each file system that never mounts itself is looked into, and each that others are mounted on is seen bare")
    func commands() async throws {
        let nested = "rpool/root/cache\tfilesystem\tyes\ton\t/target/root/cache"
        #expect(
            try await open("rpool/usr\tfilesystem\tno\toff\tlegacy", nested) == [
                "zfs list -Hp -r -t filesystem,volume -o name,encryption,keystatus rpool",
                "zpool list -Hp -o name,guid,size,allocated,free,health,readonly,altroot,bootfs rpool",
                "zfs mount rpool/ROOT/debian", "zfs mount -a",
                "zfs list -Hp -r -t filesystem,volume -o name,type,mounted,canmount,mountpoint rpool",
                "mount -t zfs -o ro,zfsutil rpool /run/kldload/unmounted", "umount /run/kldload/unmounted",
                "mount -t zfs -o ro rpool/usr /run/kldload/unmounted", "umount /run/kldload/unmounted",
                "mount --bind /target /run/kldload/bare", "umount /run/kldload/bare",
                "mount --bind /target/root /run/kldload/bare", "umount /run/kldload/bare",
            ])
    }

    @Test(
        "a volume and a file system that is not mounted by itself are refused",
        arguments: [
            ("rpool/vm\tvolume\t-\t-\t-", "volume rpool/vm"),
            ("rpool/ROOT/old\tfilesystem\tno\tnoauto\t/target", "filesystem rpool/ROOT/old"),
            ("rpool/usr\tfilesystem\tno\toff\t/target/usr", nil), ("rpool/srv\tfilesystem\tyes\ton\t/target/srv", nil),
        ])
    func unmounted(_ line: String, _ cause: String?) async throws {
        guard let cause else {
            _ = try await open(line)
            return
        }
        let problem = await #expect(throws: Diagnosis.self) { try await open(line) }
        #expect(problem?.code == "image.unmounted")
        #expect(problem?.causes == [cause])
    }

    @Test("what is encrypted and locked is named before anything is mounted; advice that a guest cannot follow is not given")
    func locked() async throws {
        _ = try await open(keys: ["rpool/open\taes-256-gcm\tavailable"])
        let runner = Self.pool([], keys: ["rpool/home\taes-256-gcm\tunavailable", "rpool/home/ann\taes-256-gcm\tunavailable"])
        let problem = await #expect(throws: Diagnosis.self) { try await open(runner: runner) }
        #expect(problem?.code == "image.encrypted-source" && problem?.exit == .badAnswers)
        #expect(problem?.causes == ["rpool/home is encrypted: aes-256-gcm", "rpool/home/ann is encrypted: aes-256-gcm"])
        #expect(problem?.remedies.contains { $0.contains("--no-seal") } == true)
        #expect(problem?.remedies.contains { $0.contains("load-key") } == false)
        #expect(runner.commands.map(\.tool.name) == ["zfs"])
    }

    @Test("a file system with canmount=off is refused when it holds files; folders alone are none")
    func off() async throws {
        let place = "/run/kldload/unmounted"
        let problem = await #expect(throws: Diagnosis.self) {
            try await open(files: ["\(place)/a/key": "", "\(place)/b": "", "\(place)/c": "", "\(place)/d": ""])
        }
        #expect(problem?.code == "image.unmounted" && problem?.causes == ["filesystem rpool, with a/key, b, c"])
    }

    @Test("files below a mount point are refused, and the first are named; what the file system holds elsewhere is mounted, so sealed")
    func hidden() async throws {
        let place = "/run/kldload/bare"
        _ = try await open(files: ["\(place)/etc/passwd": "", "\(place)/rootless/x": ""])
        let problem = await #expect(throws: Diagnosis.self) { try await open(files: ["\(place)/root/.ssh/authorized_keys": ""]) }
        #expect(problem?.code == "image.hidden" && problem?.exit == .badAnswers)
        #expect(problem?.causes == ["rpool/ROOT/debian: /root/.ssh/authorized_keys"])
    }
}
