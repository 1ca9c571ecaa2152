import KldExec
import KldFiles
import KldInstall
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@Suite("Commands that outlive an installer which was killed", .timeLimit(.minutes(10)))
struct LeftCommandsTests {
    /// A process: its parent, and what its links in /proc lead to.
    static func process(_ number: Int32, _ name: String, parent: Int32 = 1, links: [String: String] = [:]) -> (
        texts: [String: String], links: [String: String]
    ) {
        let folder = "/proc/\(number)"
        let texts = [
            "\(folder)/comm": name + "\n", "\(folder)/status": "Name:\t\(name)\nPPid:\t\(parent)\n",
            "\(folder)/cmdline": "\(name)\0-x\0",
        ]
        return (texts, Dictionary(uniqueKeysWithValues: links.map { ("\(folder)/\($0)", $1) }))
    }

    /// kldload is process 300, started from a shell in the target by another one; 400 to 402 are to be ended, and no other.
    static func machine() -> MemoryFiles {
        let all = [
            process(1, "systemd", parent: 0, links: ["cwd": "/target", "root": "/"]),
            process(200, "bash", links: ["cwd": "/target/etc"]), process(300, "kldload", parent: 200, links: ["fd/9": "/target/x"]),
            process(400, "tar", links: ["cwd": "/target", "root": "/"]),
            process(401, "dpkg", parent: 400, links: ["cwd": "/target/root", "root": "/target"]),
            process(402, "cp", links: ["cwd": "/root", "root": "/", "fd/0": "/dev/null", "fd/3": "/target/usr/lib/x"]),
            process(500, "bash", links: ["cwd": "/targets", "root": "/", "fd/1": "/dev/pts/1"]),
            process(501, "sshd", links: ["cwd": "/", "root": "/"]),
        ]
        let texts = all.reduce(into: [String: String]()) { $0.merge($1.texts) { $1 } }
        return MemoryFiles(texts, links: all.reduce(into: [String: String]()) { $0.merge($1.links) { $1 } })
    }

    /// What signals were sent, and what becomes of a process that gets one.
    final class Signals: Sendable {
        private let sent = Mutex<[String]>([])
        var all: [String] { sent.withLock { $0 } }
        func left(_ files: MemoryFiles, stubborn: Int32? = nil) -> LeftCommands {
            LeftCommands(files, itself: 300, every: .milliseconds(1)) { process, number in
                self.sent.withLock { $0.append("\(process) \(number)") }
                if process != stubborn || number == 9 { try? files.remove(FilePath("/proc/\(process)")) }
            }
        }
    }

    @Test("what works in the target is ended: by its root, its working folder, or a file that it has open; nobody else is")
    func ended() async throws {
        let signals = Signals()
        let ended = try await signals.left(Self.machine()).end(inside: "/target")
        #expect(ended == ["tar (process 400)", "dpkg (process 401)", "cp (process 402)"])
        #expect(signals.all == ["400 15", "401 15", "402 15"])
        #expect(try await signals.left(Self.machine()).end(inside: "/elsewhere").isEmpty)
    }

    @Test("what does not end when it is asked to is made to")
    func stubborn() async throws {
        let signals = Signals()
        _ = try await signals.left(Self.machine(), stubborn: 401).end(inside: "/target")
        #expect(signals.all == ["400 15", "401 15", "402 15", "401 9"])
    }

    @Test("what still fills the pool is waited for, and that is told once; another pool's is not waited for")
    func receiving() async throws {
        let files = Self.machine()
        try files.write("/usr/sbin/zfs\0receive\0-u\0rpool/ROOT/debian\0", to: "/proc/501/cmdline")
        try files.write("zfs\n", to: "/proc/501/comm")
        let told = Mutex<[String]>([])
        let left = Signals().left(files)
        try await left.waitForReceive(into: "tank") { text in told.withLock { $0.append(text) } }
        try await left.waitForReceive(into: "rpoo") { text in told.withLock { $0.append(text) } }
        #expect(told.withLock { $0 }.isEmpty)
        try await left.waitForReceive(into: "rpool") { text in
            told.withLock { $0.append(text) }
            try? files.remove("/proc/501")
        }
        let texts = told.withLock { $0 }
        #expect(texts.count == 1 && texts[0].contains("zfs (process 501) of an earlier run still fills the pool rpool"))
    }

    @Test("they are ended before the target is unmounted, and only where a pool of ours is mounted there")
    func recovery() async throws {
        for isOurs in [true, false] {
            let (files, signals) = (Self.machine(), Signals())
            try files.write(RecoveryTests.mounts, to: "/proc/self/mounts")
            try files.write("", to: "/sys/module/zfs/version")
            let runner = RecoveryTests.runner(RecoveryTests.pool("rpool", isOurs ? "/target" : "/mnt"))
            let found = try await InstallRecovery.run(runner: runner, files: files, left: signals.left(files), say: { _ in })
            #expect(signals.all.isEmpty == !isOurs)
            #expect(found.first == (isOurs ? "ended tar (process 400)" : "unmounted /run/kldload/esp0"))
        }
    }
}
