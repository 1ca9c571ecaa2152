import KldCore
import KldExec
import KldFiles
import KldInstall
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@Suite("After an installer that was killed")
struct RecoveryTests {
    static let mounts = """
        rpool/ROOT/debian /target zfs rw 0 0
        rpool/home /target/home zfs rw 0 0
        proc /target/proc proc rw 0 0
        /dev/vda1 /run/kldload/esp0 vfat rw 0 0
        tmpfs /targets tmpfs rw 0 0

        """

    static func files(mounts: String, zfs: Bool = true) throws -> MemoryFiles {
        let files = MemoryFiles()
        try files.write(mounts, to: "/proc/self/mounts")
        if zfs { try files.write("", to: "/sys/module/zfs/version") }
        return files
    }

    private static let list = "zpool list -Hp -o name,guid,size,allocated,free,health,readonly,altroot,bootfs"

    /// A pool as `zpool list` shows it.
    static func pool(_ name: String, _ altroot: String) -> String {
        "\(name)\t1\t9\t1\t8\tONLINE\toff\t\(altroot)\t-\n"
    }

    static func runner(_ pools: String, mark: String = "rpool\tcom.kldload:owner\tkldload\tlocal\n") -> ScriptedRunner {
        ScriptedRunner([
            { command in
                switch (command.tool.name, command.arguments.first) {
                case ("umount", _), ("zpool", "export"): CommandOutput()
                case ("zpool", "list"): CommandOutput(output: command.description == Self.list ? pools : "rpool\n")
                case ("zfs", "get"): CommandOutput(output: mark)
                default: nil
                }
            }
        ])
    }

    /// Nothing goes on, so nothing is to be ended or waited for.
    private func recover(_ runner: ScriptedRunner, _ files: MemoryFiles) async throws -> [String] {
        let left = LeftCommands(files, itself: 300, every: .milliseconds(1)) { process, _ in Issue.record("process \(process)") }
        return try await InstallRecovery.run(runner: runner, files: files, left: left) { Issue.record("waits: \($0)") }
    }

    @Test("mounts of the target and of the ESPs are taken away, the newest first, then the pool is exported")
    func everything() async throws {
        let runner = Self.runner(Self.pool("rpool", "/target") + Self.pool("data", "-"))
        let found = try await recover(runner, Self.files(mounts: Self.mounts))
        #expect(found == ["unmounted /run/kldload/esp0", "unmounted /target", "exported the pool rpool"])
        #expect(
            runner.commands.map(\.description) == [
                Self.list, "zfs get -Hp -o name,property,value,source com.kldload:owner rpool",
                "umount --recursive /run/kldload/esp0", "umount --recursive /target/proc", "umount --recursive /target/home",
                "umount --recursive /target", "zpool list -H -o name rpool", "zpool export rpool",
            ])
    }

    @Test("a clean machine is left alone")
    func nothing() async throws {
        let runner = Self.runner("")
        #expect(try await recover(runner, Self.files(mounts: "tmpfs /targets tmpfs rw 0 0\n")).isEmpty)
        #expect(runner.commands.map(\.description) == [Self.list])
        let without = Self.runner("")
        #expect(try await recover(without, Self.files(mounts: "", zfs: false)).isEmpty)
        #expect(without.commands.isEmpty)
    }

    @Test("another's pool is never exported: neither one mounted elsewhere, nor one without our mark of its own")
    func others() async throws {
        let elsewhere = Self.runner(Self.pool("rpool", "/mnt"))
        #expect(try await recover(elsewhere, Self.files(mounts: "")).isEmpty)
        #expect(!elsewhere.commands.contains { $0.arguments.first == "export" })
        for mark in ["rpool\tcom.kldload:owner\t-\t-\n", "rpool\tcom.kldload:owner\tkldload\tinherited from rpool\n"] {
            let unmarked = Self.runner(Self.pool("rpool", "/target"), mark: mark)
            #expect(try await recover(unmarked, Self.files(mounts: "")).isEmpty)
            #expect(!unmarked.commands.contains { $0.arguments.first == "export" })
        }
    }

    @Test("a pool that takes no writes any more is noticed; a pool that comes and goes is not")
    func suspended() async throws {
        let files = MemoryFiles()
        let state: FilePath = "/proc/spl/kstat/zfs/rpool/state"
        try files.makeDirectory("/sys/class/block/sda", mode: .directory)
        async let problem = PoolWatch.stuck("rpool", disks: ["sda"], files: files, every: .milliseconds(1))
        try await Task.sleep(for: .milliseconds(20))
        try files.write("ONLINE\n", to: state)
        try await Task.sleep(for: .milliseconds(20))
        try files.write("SUSPENDED\n", to: state)
        #expect(try await problem.code == "zfs.suspended")
    }

    @Test("who is told to restart the machine is told before how the log is kept: in a live system it lies in memory")
    func kept() async throws {
        let log: FilePath = "/var/log/kldload/install.jsonl"
        let suspended = MemoryFiles(["/proc/spl/kstat/zfs/rpool/state": "SUSPENDED\n", "/sys/class/block/sda/size": "1\n"])
        for (files, code) in [(suspended, "zfs.suspended"), (MemoryFiles(), "disk.gone")] {
            let found = try await PoolWatch.stuck("rpool", disks: ["sda"], log: log, files: files)
            let keep = try #require(found.remedies.firstIndex { $0.contains("scp \(log) USER@HOST:") && $0.contains("cp \(log) /mnt") })
            #expect(found.code == code && found.remedies[keep...].dropFirst().first?.hasPrefix("restart the machine") == true)
            // In a guest of the factory nobody could: the host has its log.
            let without = try await PoolWatch.stuck("rpool", disks: ["sda"], files: files)
            #expect(without.remedies.count == found.remedies.count - 1 && !without.remedies.contains { $0.contains("scp") })
        }
    }

    @Test("a disk that is taken out is noticed, though its pool goes on calling itself online")
    func gone() async throws {
        let files = MemoryFiles()
        try files.write("ONLINE\n", to: "/proc/spl/kstat/zfs/rpool/state")
        for name in ["sda", "sdb"] { try files.makeDirectory(FilePath("/sys/class/block/\(name)"), mode: .directory) }
        async let problem = PoolWatch.stuck("rpool", disks: ["sda", "sdb"], files: files, every: .milliseconds(1))
        try await Task.sleep(for: .milliseconds(20))
        try files.remove("/sys/class/block/sdb")
        let found = try await problem
        #expect(found.code == "disk.gone" && found.message.contains("sdb"))

        // Where it was the only one the pool may notice first.
        let noticed = MemoryFiles(["/proc/spl/kstat/zfs/rpool/state": "SUSPENDED\n"])
        #expect(try await PoolWatch.stuck("rpool", disks: ["sda"], files: noticed).code == "disk.gone")
    }
}
