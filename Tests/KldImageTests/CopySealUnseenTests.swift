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
    /// - Parameter files: as a look below a mount point or at what is not mounted finds them.
    private func open(_ lines: String..., files: [String: String] = [:]) async throws -> [String] {
        let list = [
            "rpool\tfilesystem\tno\toff\tnone\t-", "rpool/ROOT/debian\tfilesystem\tyes\tnoauto\t/target\t-",
            "rpool/root\tfilesystem\tyes\ton\t/target/root\t-",
        ]
        let text = (list + lines).joined(separator: "\n") + "\n"
        let runner = ScriptedRunner([
            { command in
                switch (command.tool.name, command.arguments.first) {
                case ("zpool", "get"): CommandOutput(output: "rpool/ROOT/debian\n")
                case ("zfs", "list"): CommandOutput(output: text)
                case ("zfs", "mount"), ("mount", _), ("umount", _): CommandOutput()
                default: nil
                }
            }
        ])
        let performers = CopySeal.performers { _ in }
        let performer = try #require(performers[CopySeal.open])
        try await performer(["pool": "rpool"], runner, MemoryFiles(files))
        return runner.commands.map(\.description)
    }

    @Test("each file system that never mounts itself is looked into, and each that others are mounted on is seen bare")
    func commands() async throws {
        let nested = "rpool/root/cache\tfilesystem\tyes\ton\t/target/root/cache\t-"
        #expect(
            try await open("rpool/usr\tfilesystem\tno\toff\tlegacy\t-", nested) == [
                "zpool get -H -o value bootfs rpool", "zfs mount rpool/ROOT/debian", "zfs mount -a",
                "zfs list -Hp -r -t filesystem,volume -o name,type,mounted,canmount,mountpoint,keystatus rpool",
                "mount -t zfs -o ro,zfsutil rpool /run/kldload/unmounted", "umount /run/kldload/unmounted",
                "mount -t zfs -o ro rpool/usr /run/kldload/unmounted", "umount /run/kldload/unmounted",
                "mount --bind /target /run/kldload/bare", "umount /run/kldload/bare",
                "mount --bind /target/root /run/kldload/bare", "umount /run/kldload/bare",
            ])
    }

    @Test(
        "a volume, a file system that is not mounted by itself, and one without its key are refused",
        arguments: [
            ("rpool/vm\tvolume\t-\t-\t-\t-", "volume rpool/vm"),
            ("rpool/ROOT/old\tfilesystem\tno\tnoauto\t/target\t-", "filesystem rpool/ROOT/old"),
            ("rpool/key\tfilesystem\tno\toff\tnone\tunavailable", "filesystem rpool/key"),
            ("rpool/usr\tfilesystem\tno\toff\t/target/usr\t-", nil), ("rpool/srv\tfilesystem\tyes\ton\t/target/srv\t-", nil),
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
