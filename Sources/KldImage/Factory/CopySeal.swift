import FoundationEssentials
import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldZFS
import SystemPackage

/// Seals a copy of an installed disk, in a factory guest: the source itself is never opened for writing.
///
/// Snapshots of the copy are destroyed: they hold what sealing removes. Whatever tells the copy from its source outside the file tree and
/// can be changed is made anew: GUIDs of partition table and pool, the ESP with its serial number.
struct CopySeal: Sendable, Hashable {
    /// `/dev/disk/by-id/virtio-disk0`, the copy.
    var disk: String
    var pool: String
    /// The partition that is its only device.
    var device: String
    /// Last used under another host id, as every machine's disk is here.
    var foreign: Bool
    /// The serial number of the copy's ESP.
    var espSerial: UInt32
    var target: FilePath = "/target"

    static let releaseHolds = "copy.release-holds"
    static let open = "copy.open"
    static let describe = "copy.describe"
    static let enableUnits = "copy.enable-units"
    static let dropEnvironments = "copy.drop-environments"
    static let dropSnapshots = "copy.drop-snapshots"
    static let dropPassports = "copy.drop-passports"
    static let keepManifest = "copy.keep-manifest"
    static let rebuildTrust = "copy.rebuild-trust"
    static let lookIntoInitramfs = "copy.look-into-initramfs"
    static let remakeESP = "copy.remake-esp"
    static let emptyLogs = "copy.empty-logs"

    /// Where it is while the copy is sealed.
    private static let manifest = "/run/kldload/clone-manifest.json"

    /// Read last, and only for this one build: the guest may be emulated, and level 19 takes minutes there. Later builds of the machine
    /// use its own level. Source: initramfs.conf(5), initramfs-tools 0.142.
    static let fastInitramfs = (path: "/etc/initramfs-tools/conf.d/zz-kldload-seal", content: "COMPRESSLEVEL=3\n")

    var plan: Plan {
        get throws {
            let name = try PoolName(pool)
            return Plan(
                "seal a copy of \(pool)",
                [
                    Phase("open", "Open the copy", openingSteps(name)),
                    Phase("seal", "Seal", sealing),
                    Phase(
                        "disk", "Make the rest of the disk anew",
                        [
                            Step(
                                "copy.esp", "Make the ESP anew, with boot images without the host id",
                                [
                                    .perform(
                                        Self.remakeESP,
                                        [
                                            "partition": Disk.partition(1, of: disk), "target": target.string,
                                            "serial": String(espSerial),
                                        ], effect: .destroys)
                                ], weight: 10, destroys: [disk]),
                            Step(
                                "copy.passports", "Take away what is known of the source's disk",
                                [.perform(Self.dropPassports, ["pool": pool], effect: .changes)]),
                            Step("copy.pool-guid", "A GUID of its own for the pool", [.run(ZPool.reguid(name))]),
                            Step("copy.logs", "Empty the intent logs", emptying(name)),
                            Step(
                                "copy.free", "Close the pool, and give back what it does not use",
                                Performers.giveBack(name, mountedAt: target, on: device), weight: 3),
                        ]),
                ])
        }
    }

    /// An intent log owns a block for its next record, not written yet, with whatever lay there before, and no export frees it.
    private func emptying(_ name: PoolName) -> [Action] {
        Performers.close(name, mountedAt: target) + [
            .run(ZPool.import(opening(name))), .perform(Self.emptyLogs, ["pool": pool], effect: .changes),
        ]
    }

    private func opening(_ name: PoolName) -> PoolImport {
        var request = PoolImport(name)
        request.noMount = true
        request.altroot = target
        return request
    }

    private func openingSteps(_ name: PoolName) -> [Step] {
        var request = opening(name)
        if foreign { request.force = Force(because: "the copy of a disk that another machine used last") }
        let mounts = ["dev", "proc", "sys", "run"]
        return [
            Step(
                "copy.guids", "GUIDs of its own for the disk and its partitions",
                Performers.renewGUIDs(disk, partition: 1)),
            Step(
                "copy.import", "Import the pool \(pool)", [.makeDirectory(target), .run(ZPool.import(request))],
                release: [
                    .run(MountCommand.unmount(target)), .perform(Performers.exportPool, ["pool": pool], effect: .changes),
                ]),
            Step(
                "copy.holds", "Release the holds of the copy's snapshots",
                [.perform(Self.releaseHolds, ["pool": pool], effect: .changes)]),
            Step(
                "copy.environments", "Destroy the copy's other boot environments",
                [.perform(Self.dropEnvironments, ["pool": pool], effect: .destroys)], destroys: [disk]),
            Step("copy.mount", "Mount its boot environment", [.perform(Self.open, ["pool": pool], effect: .changes)]),
            Step(
                "copy.kernel-filesystems", "Give it kernel file systems",
                mounts.map { .run(MountCommand.bind("/\($0)", at: target.appending($0))) },
                release: mounts.reversed().map { .run(MountCommand.unmount(target.appending($0))) }),
            Step("copy.describe", "Read what is installed", [.perform(Self.describe, ["target": target.string], effect: .reads)]),
            // Before the long work: a copy in which nothing can be enabled is refused.
            Step(
                "copy.units", "Enable what gives a clone its identity",
                [.perform(Self.enableUnits, ["target": target.string], effect: .changes)]),
        ]
    }

    private var sealing: [Step] {
        // Beside its usual place, whose folder may hold files of a time when no ESP was mounted.
        let esp = target.appending("boot/efi-copy")
        let fast = FilePath(target.string + Self.fastInitramfs.path)
        return [
            Step(
                "copy.snapshots", "Destroy the copy's snapshots", [.perform(Self.dropSnapshots, ["pool": pool], effect: .destroys)],
                destroys: [disk]),
            Step(
                "seal", "Remove every identity and secret",
                [
                    .makeDirectory(esp, mode: 0o700), .run(MountCommand.mount(Disk.partition(1, of: disk), at: esp, type: "vfat")),
                    .perform(Self.keepManifest, ["from": target.string + InstallManifest.path, "to": Self.manifest], effect: .changes),
                    SealStep.action(root: target, options: SealOptions(), report: SealStep.guestReport),
                    .perform(Self.keepManifest, ["from": Self.manifest, "to": target.string + InstallManifest.path], effect: .changes),
                    // Not longer: programs that see an ESP put boot images there when an initramfs is built.
                    .run(MountCommand.unmount(esp)), .remove(esp),
                    // Sealing empties the list; the first boot needs it for the journal to find its folder.
                    Performers.writeMountCache(pool: pool, target: target),
                    .perform(Self.rebuildTrust, ["target": target.string], effect: .changes),
                ], release: [.run(MountCommand.unmount(esp))], weight: 2),
            Step(
                "copy.initramfs", "Build every initramfs again, and look into it",
                [
                    .write(fast, content: .text(Self.fastInitramfs.content)),
                    .run(
                        Command(Tool("update-initramfs", package: "initramfs-tools"), ["-u", "-k", "all"], effect: .changes)
                            .inside(target)),
                    .remove(fast),
                    .perform(Self.lookIntoInitramfs, ["target": target.string], effect: .reads),
                ], weight: 20),
        ]
    }

    /// - Parameter tell: receives what is installed on the copy.
    static func performers(tell: @escaping @Sendable (InstalledSystem) -> Void) -> [String: Performer] {
        [
            releaseHolds: { parameters, runner, _ in try await releaseHolds(of: PoolName(parameters["pool"] ?? ""), runner) },
            open: { parameters, runner, files in
                let pool = try PoolName(parameters["pool"] ?? "")
                try await refuseLocked(in: pool, runner)
                try await runner.run(ZFS.mount(bootfs(of: pool, runner)))
                try await runner.run(ZFS.mountAll())
                try await refuseUnseen(in: pool, runner, files)
            },
            dropEnvironments: { parameters, runner, _ in try await dropEnvironments(of: PoolName(parameters["pool"] ?? ""), runner) },
            describe: { parameters, runner, files in
                tell(try await InstalledSystem.read(FilePath(parameters["target"] ?? ""), runner: runner, files: files))
            },
            enableUnits: { parameters, runner, files in
                try await enableUnits(in: FilePath(parameters["target"] ?? ""), runner, files)
            },
            dropSnapshots: { parameters, runner, _ in try await dropSnapshots(of: PoolName(parameters["pool"] ?? ""), runner) },
            dropPassports: { parameters, runner, _ in
                let versions = try await OpenZFSVersions.read(runner)
                for command in try await PassportStore.clearing(PoolName(parameters["pool"] ?? ""), versions, runner: runner) {
                    try await runner.run(command)
                }
            },
            // What all clones have in common; a system that kldload did not install has none.
            keepManifest: { parameters, _, files in
                let from = FilePath(parameters["from"] ?? "")
                guard try files.exists(from), let whole = try? JSONDecoder().decode(InstallManifest.self, from: Data(files.read(from)))
                else {
                    return
                }
                try files.write(InstallManifestText.render(whole.forClones), to: FilePath(parameters["to"] ?? ""), mode: 0o640)
            },
            rebuildTrust: { parameters, runner, files in
                let target = FilePath(parameters["target"] ?? "")
                guard try files.exists(target.appending("usr/sbin/update-ca-certificates")) else { return }
                try await runner.run(
                    Command(Tool("update-ca-certificates", package: "ca-certificates"), [], effect: .changes).inside(target))
            },
            lookIntoInitramfs: { parameters, runner, files in
                try await lookIntoInitramfs(FilePath(parameters["target"] ?? ""), runner, files)
            },
            emptyLogs: { parameters, runner, files in try await emptyLogs(parameters["pool"] ?? "", runner, files) },
            remakeESP: { parameters, runner, files in
                try await ESPRemake(
                    partition: parameters["partition"] ?? "", target: FilePath(parameters["target"] ?? ""),
                    serial: UInt32(parameters["serial"] ?? "") ?? 0, runner: runner, files: files
                ).run()
            },
        ]
    }

    /// Gives back the intent log of every file system of a pool that was closed properly, so that no log holds anything.
    ///
    /// OpenZFS lets go of a log's last block only when it mounts a file system that is not to be replayed. All are mounted before the first
    /// is unmounted, which waits for a transaction group: one then serves all. Whose key is not there has only encrypted blocks to lose.
    ///
    /// Runs: `tee …/zil_replay_disable`, `zfs list`, `mount -t zfs [-o zfsutil] NAME FOLDER`, `umount FOLDER`.
    /// Source: zfs(4) and zil.c, OpenZFS 2.4.
    private static func emptyLogs(_ name: String, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        let pool = try PoolName(name)
        let filesystems = try await datasets(of: pool, ["name", "mountpoint", "keystatus"], ["filesystem"], runner)
        var places: [FilePath] = []
        var failure: (any Error)?
        func attempt(_ work: () async throws -> Void) async {
            do { try await work() } catch { failure = failure ?? error }
        }
        await attempt {
            try await ModuleParameter.set("zil_replay_disable", to: 1, runner, files)
            for filesystem in filesystems where filesystem.properties["keystatus"] != "unavailable" {
                let options = filesystem.properties["mountpoint"] == "legacy" ? [] : ["zfsutil"]
                let place = FilePath("/run/kldload/logs/\(places.count)")
                try files.makeDirectory(place, mode: 0o700)
                try await runner.run(MountCommand.mount(filesystem.name, at: place, type: "zfs", options: options))
                places.append(place)
            }
        }
        for place in places { await attempt { try await runner.run(MountCommand.unmount(place, recursive: false)) } }
        await attempt { try await ModuleParameter.set("zil_replay_disable", to: 0, runner, files) }
        if let failure { throw failure }
    }

    static func datasets(
        of pool: PoolName, _ columns: [String], _ types: [String], _ runner: any CommandRunner
    ) async throws -> [DatasetEntry] {
        try DatasetTable.parse(await runner.run(ZFS.list(pool.dataset, columns: columns, types: types)).output, columns: columns)
    }

    /// Runs: `chroot ROOT lsinitramfs /boot/initrd.img-RELEASE` for each; reads.
    private static func lookIntoInitramfs(_ target: FilePath, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        var left: [String] = []
        for name in try files.list(target.appending("boot")) where name.hasPrefix("initrd.img-") {
            let list = try await runner.run(InitramfsContent.listing(FilePath("/boot/\(name)")).inside(target)).output.lines
            left += list.filter { $0.hasSuffix("etc/hostid") || $0.hasSuffix("zpool.cache") }.map { "\(name): \($0)" }
        }
        guard left.isEmpty else {
            throw Diagnosis(
                "seal.incomplete", "an initramfs still holds the identity of the machine that was built",
                remedies: ["look for a hook that puts it there, in etc/initramfs-tools/hooks, and remove it from the source"], causes: left)
        }
    }
}
