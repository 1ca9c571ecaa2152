import FoundationEssentials
import KldBlock
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
    /// Last used under another host id, as every machine's disk is here.
    var foreign: Bool
    /// The serial number of the copy's ESP.
    var espSerial: UInt32
    var target: FilePath = "/target"

    static let open = "copy.open"
    static let describe = "copy.describe"
    static let dropSnapshots = "copy.drop-snapshots"
    static let keepManifest = "copy.keep-manifest"
    static let rebuildTrust = "copy.rebuild-trust"
    static let lookIntoInitramfs = "copy.look-into-initramfs"
    static let remakeESP = "copy.remake-esp"

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
                            Step("copy.pool-guid", "A GUID of its own for the pool", [.run(ZPool.reguid(name))]),
                            Step(
                                "copy.trim", "Give back free blocks",
                                Performers.giveBack(name, mountedAt: target, reopening: opening(name)), weight: 3),
                        ]),
                ])
        }
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
                // Before anything uses it: the kernel takes the new table only then.
                [
                    .run(Disk.randomizeGUIDs(disk)), .run(Disk.settle),
                    .waitFor(FilePath(Disk.partition(1, of: disk)), seconds: 30),
                ]),
            Step(
                "copy.import", "Import the pool \(pool)", [.makeDirectory(target), .run(ZPool.import(request))],
                release: [
                    .run(MountCommand.unmount(target)), .perform(Performers.exportPool, ["pool": pool], effect: .changes),
                ]),
            Step("copy.mount", "Mount its boot environment", [.perform(Self.open, ["pool": pool], effect: .changes)]),
            Step(
                "copy.kernel-filesystems", "Give it kernel file systems",
                mounts.map { .run(MountCommand.bind("/\($0)", at: target.appending($0))) },
                release: mounts.reversed().map { .run(MountCommand.unmount(target.appending($0))) }),
            Step("copy.describe", "Read what is installed", [.perform(Self.describe, ["target": target.string], effect: .reads)]),
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
            open: { parameters, runner, _ in
                let pool = try PoolName(parameters["pool"] ?? "")
                let root = try await runner.run(Command("zpool", ["get", "-H", "-o", "value", "bootfs", pool.text], effect: .reads)).output
                    .trimmed
                guard root != "-", !root.isEmpty else {
                    throw Diagnosis(
                        "image.no-bootfs", "the pool \(pool) does not say which boot environment it boots",
                        remedies: ["set it on the source: zpool set bootfs=… \(pool)"], exit: .inputMissing)
                }
                try await runner.run(ZFS.mount(try DatasetName(root)))
                try await runner.run(ZFS.mountAll())
                try await refuseUnmounted(pool, runner)
            },
            describe: { parameters, runner, files in
                tell(try await InstalledSystem.read(FilePath(parameters["target"] ?? ""), runner: runner, files: files))
            },
            dropSnapshots: { parameters, runner, _ in
                let list = try await runner.run(
                    Command("zfs", ["list", "-H", "-t", "snapshot", "-o", "name", "-r", parameters["pool"] ?? ""], effect: .reads)
                ).output.lines
                for snapshot in list { try await runner.run(ZFS.destroy(try SnapshotName(snapshot), recursive: false)) }
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
            remakeESP: { parameters, runner, files in
                try await ESPRemake(
                    partition: parameters["partition"] ?? "", target: FilePath(parameters["target"] ?? ""),
                    serial: UInt32(parameters["serial"] ?? "") ?? 0, runner: runner, files: files
                ).run()
            },
        ]
    }

    /// What is not mounted is not sealed. Runs: `zfs list -H -t filesystem,volume -o name,type,mounted,canmount -r POOL`, reads.
    private static func refuseUnmounted(_ pool: PoolName, _ runner: any CommandRunner) async throws {
        let columns = ["name", "type", "mounted", "canmount"]
        let list = Command(
            "zfs", ["list", "-H", "-t", "filesystem,volume", "-o", columns.joined(separator: ","), "-r", pool.text], effect: .reads)
        let hidden = try await runner.run(list).output.lines.map { $0.split(separator: "\t").map(String.init) }.filter {
            $0.count == columns.count && ($0[1] == "volume" || $0[2] != "yes" && $0[3] != "off")
        }
        guard hidden.isEmpty else {
            throw Diagnosis(
                "image.unmounted", "the copy holds what is not mounted when it starts; secrets in there would stay in the image",
                remedies: [
                    "let the source mount it when it starts: zfs set canmount=on …",
                    "or move it to another machine: zfs send … | zfs receive …",
                ], exit: .badAnswers, causes: hidden.map { "\($0[1]) \($0[0])" })
        }
    }

    /// Runs: `chroot ROOT lsinitramfs /boot/initrd.img-RELEASE` for each; reads.
    private static func lookIntoInitramfs(_ target: FilePath, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        var left: [String] = []
        for name in try files.list(target.appending("boot")) where name.hasPrefix("initrd.img-") {
            let list = try await runner.run(
                Command(Tool("lsinitramfs", package: "initramfs-tools"), ["/boot/\(name)"], effect: .reads).inside(target)
            ).output.lines
            left += list.filter { $0.hasSuffix("etc/hostid") || $0.hasSuffix("zpool.cache") }.map { "\(name): \($0)" }
        }
        guard left.isEmpty else {
            throw Diagnosis(
                "seal.incomplete", "an initramfs still holds the identity of the machine that was built",
                remedies: ["look for a hook that puts it there, in etc/initramfs-tools/hooks, and remove it from the source"], causes: left)
        }
    }
}
