import Glibc
public import KldCore
public import KldExec
public import KldFiles
import KldBlock
import KldPlan
import KldZFS
public import SystemPackage

/// Takes away what an installer left that was killed before it could clean up: commands that go on, mounts, and an imported pool.
///
/// Only for whoever holds the installer's lock: then nobody else's work can be meant.
public enum InstallRecovery {
    /// Unmounts the target and the ESPs, and exports pools with kldload's mark that are mounted below the target. Where there is such a pool,
    /// what fills it is waited for, and what works in the target is ended. Nothing is destroyed.
    ///
    /// - Parameter say: is told what is waited for.
    /// - Returns: what was found, a line each.
    ///
    /// Runs: `umount --recursive DIR`; `zpool list`, `zfs get com.kldload:owner POOL`, `zpool export POOL`, where OpenZFS
    /// is loaded.
    @discardableResult
    public static func run(runner: any CommandRunner, files: any FileSystem, say: (String) -> Void) async throws -> [String] {
        try await run(runner: runner, files: files, left: .here(files), say: say)
    }

    /// - Parameter left: the commands that may go on.
    @discardableResult
    package static func run(
        runner: any CommandRunner, files: any FileSystem, left: LeftCommands, say: (String) -> Void
    ) async throws -> [String] {
        let target: FilePath = "/target"
        var found: [String] = []
        let pools = try await marked(mountedAt: target, runner, files)
        for pool in pools { try await left.waitForReceive(into: pool.text, say: say) }
        if !pools.isEmpty { found += try await left.end(inside: target).map { "ended \($0)" } }
        let mounts = try files.mounts().map(\.place)
        let scratch = "\(InstallPlanner.scratch)/esp"
        // The newest first: they may lie on each other.
        for mount in mounts.reversed() where mount.hasPrefix(scratch) {
            try await runner.run(MountCommand.unmount(FilePath(mount)))
            found.append("unmounted \(mount)")
        }
        if mounts.contains(where: { $0 == target.string || $0.hasPrefix(target.string + "/") }) {
            for mount in mounts.reversed() where mount == target.string || mount.hasPrefix(target.string + "/") {
                try await runner.run(MountCommand.unmount(FilePath(mount)))
            }
            found.append("unmounted \(target)")
        }
        for pool in pools {
            try await Performers.export(pool.text, mountedAt: target.string, attempts: 100, runner, files)
            found.append("exported the pool \(pool)")
        }
        return found
    }

    /// Pools that bear kldload's mark, and whose mounts begin at a folder.
    private static func marked(
        mountedAt target: FilePath, _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws -> [PoolName] {
        guard try MachineFacts.isOpenZFSLoaded(files) else { return [] }
        var found: [PoolName] = []
        for pool in try await PoolRow.all(runner: runner) where pool.altroot == target.string {
            let name = try PoolName(pool.name)
            let rows = try PropertyRow.parse(await runner.run(ZFS.get(name.text, [KldProperty.owner])).output)
            guard rows.contains(where: \.marksOwnership) else { continue }
            found.append(name)
        }
        return found
    }
}

/// Notices that a pool takes no writes any more. The commands that wait for it cannot say so: they wait for ever.
public enum PoolWatch {
    /// Watches beside an installation: says what happened, and ends the process. What waits for a suspended pool cannot be ended, so it is
    /// not waited for.
    ///
    /// - Parameters:
    ///   - log: of the installation, where it lies on this machine.
    ///   - say: what it runs must have a limit.
    /// - Returns: the watch, to be cancelled when the installation is over.
    public static func endProcess(
        whenSuspended pool: String, disks: [String], log: FilePath? = nil, files: any FileSystem,
        say: @escaping @Sendable (Diagnosis) async -> Void
    ) -> Task<Void, any Error> {
        Task {
            let problem = try await stuck(pool, disks: disks, log: log, files: files)
            await say(problem)
            _exit(problem.exit.rawValue)
        }
    }

    /// Returns when the pool is suspended or a disk of it is gone, with what a person should know; never returns while all is well.
    ///
    /// Reads `/proc/spl/kstat/zfs/POOL/state`, which answers when the tools do not. Source: OpenZFS 2.1 to 2.4, `spa_stats.c`. A pool whose
    /// only disk is taken out calls itself ONLINE for ever, while whatever writes to it waits (OpenZFS 2.3.9, Linux 6.12): therefore
    /// `/sys/class/block` is read too.
    ///
    /// - Parameters:
    ///   - disks: their names there: `sda`.
    ///   - log: what is to be kept before a live system is restarted: it lies in its memory.
    public static func stuck(
        _ pool: String, disks: [String], log: FilePath? = nil, files: any FileSystem, every pause: Duration = .seconds(1)
    ) async throws -> Diagnosis {
        let keep: [String] =
            log.map { log in
                [
                    "in a live system keep the log first, it lies in memory: scp \(log) USER@HOST:, or onto a stick: "
                        + "mount /dev/STICK1 /mnt; cp \(log) /mnt; umount /mnt"
                ]
            } ?? []
        let state = FilePath("/proc/spl/kstat/zfs/\(pool)/state")
        while true {
            let isSuspended = (try? files.readText(state))?.trimmed == "SUSPENDED"
            // A pool may be suspended because its disk is gone: that says more.
            if let gone = disks.first(where: { (try? files.exists(FilePath("/sys/class/block/\($0)"))) == false }) {
                return Diagnosis(
                    "disk.gone", "the disk \(gone) has disappeared; the installation stands still",
                    remedies: [
                        "look at the kernel's log: dmesg", "check cable, slot and power of the disk",
                    ] + keep + [
                        "restart the machine: until then the pool can neither go on nor be exported", "then install again",
                    ])
            }
            if isSuspended { break }
            try await Task.sleep(for: pause)
        }
        return Diagnosis(
            "zfs.suspended", "the disks of the pool \(pool) take no writes any more, or are gone; the installation stands still",
            remedies: [
                "look at the kernel's log: dmesg", "check the cables and the disk: smartctl -a, nvme smart-log",
            ] + keep + [
                "restart the machine: until then the pool can neither go on nor be exported", "then install again, on a disk that works",
            ])
    }
}
