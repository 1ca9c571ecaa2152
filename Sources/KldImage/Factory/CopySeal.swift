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
/// Snapshots of the copy are destroyed: they hold what sealing removes.
struct CopySeal: Sendable, Hashable {
    /// `/dev/disk/by-id/virtio-disk0`, the copy.
    var disk: String
    var pool: String
    /// Last used under another host id, as every machine's disk is here.
    var foreign: Bool
    var target: FilePath = "/target"

    static let open = "copy.open"
    static let dropSnapshots = "copy.drop-snapshots"
    static let rebuildImages = "copy.rebuild-images"

    var plan: Plan {
        get throws {
            let name = try PoolName(pool)
            var request = PoolImport(name)
            request.noMount = true
            request.altroot = target
            if foreign { request.force = Force(because: "the copy of a disk that another machine used last") }
            let mounts = ["dev", "proc", "sys", "run"]
            return Plan(
                "seal a copy of \(pool)",
                [
                    Phase(
                        "open", "Open the copy",
                        [
                            Step(
                                "copy.import", "Import the pool \(pool)", [.makeDirectory(target), .run(ZPool.import(request))],
                                release: [
                                    .run(MountCommand.unmount(target)),
                                    .perform(Performers.exportPool, ["pool": pool], effect: .changes),
                                ]),
                            Step("copy.mount", "Mount its boot environment", [.perform(Self.open, ["pool": pool], effect: .changes)]),
                            Step(
                                "copy.kernel-filesystems", "Give it kernel file systems",
                                mounts.map { .run(MountCommand.bind("/\($0)", at: target.appending($0))) },
                                release: mounts.reversed().map { .run(MountCommand.unmount(target.appending($0))) }),
                        ]),
                    Phase(
                        "seal", "Seal",
                        [
                            Step(
                                "copy.snapshots", "Destroy the copy's snapshots",
                                [.perform(Self.dropSnapshots, ["pool": pool], effect: .destroys)],
                                destroys: [disk]),
                            Step(
                                "seal", "Remove every identity and secret",
                                [
                                    .perform(Performers.seal, ["root": target.string], effect: .changes),
                                    // It tells what the source was; a clone is checked for what every clone has.
                                    .remove(FilePath(target.string + InstallManifest.path)),
                                    // Sealing empties the list; the first boot needs it for the journal to find its folder.
                                    Performers.writeMountCache(pool: pool, target: target),
                                ]),
                            Step(
                                "copy.initramfs", "Build initramfs and boot images again, without the host id",
                                [
                                    .run(
                                        Command(
                                            Tool("update-initramfs", package: "initramfs-tools"), ["-u", "-k", "all"], effect: .changes
                                        ).inside(target)),
                                    .perform(Self.rebuildImages, ["disk": disk, "target": target.string], effect: .changes),
                                ], weight: 20),
                            Step(
                                "copy.trim", "Give back free blocks", [.run(ZPool.sync(name)), .run(ZPool.trim(name, wait: true))],
                                weight: 3),
                        ]),
                ])
        }
    }

    static func performers() -> [String: Performer] {
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
            },
            dropSnapshots: { parameters, runner, _ in
                let list = try await runner.run(
                    Command("zfs", ["list", "-H", "-t", "snapshot", "-o", "name", "-r", parameters["pool"] ?? ""], effect: .reads)
                ).output.lines
                for snapshot in list { try await runner.run(ZFS.destroy(try SnapshotName(snapshot), recursive: false)) }
            },
            rebuildImages: { parameters, runner, files in
                try await rebuild(disk: parameters["disk"] ?? "", target: FilePath(parameters["target"] ?? ""), runner, files)
            },
        ]
    }

    /// Runs: `ukify inspect FILE --json=short --section=.cmdline:text --section=.uname:text`, then `ukify build` without the host id.
    private static func rebuild(disk: String, target: FilePath, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        struct Inspection: Decodable {
            struct Section: Decodable { var text: String? }
            var cmdline: Section?
            var uname: Section?
            enum CodingKeys: String, CodingKey {
                case cmdline = ".cmdline"
                case uname = ".uname"
            }
        }
        let esp: FilePath = "/run/kldload/esp"
        try files.makeDirectory(esp, mode: 0o700)
        try await runner.run(MountCommand.mount(Disk.partition(1, of: disk), at: esp, type: "vfat"))
        do {
            let folder = esp.appending("EFI/Linux")
            for name in try files.exists(folder) ? files.list(folder) : [] where name.hasSuffix(".efi") {
                let old = folder.appending(name)
                let output = try await runner.run(
                    Command(
                        Tool("ukify", package: "systemd-ukify"),
                        // The file follows the verb: options between the two end its parser's list of files.
                        ["inspect", old.string, "--json=short", "--section=.cmdline:text", "--section=.uname:text"], effect: .reads)
                ).output
                let found = try JSONDecoder().decode(Inspection.self, from: Data(output.utf8))
                guard let line = found.cmdline?.text?.trimmed, let release = found.uname?.text?.trimmed else { continue }
                let fresh: FilePath = "/run/kldload/boot.efi"
                let image = UnifiedKernelImage(
                    linux: target.appending("boot/vmlinuz-\(release)"), initrds: [target.appending("boot/initrd.img-\(release)")],
                    commandLine: KernelCommandLine(running: line), release: release, osRelease: target.appending("usr/lib/os-release"),
                    stub: "/usr/lib/systemd/boot/efi/linuxx64.efi.stub", output: fresh)
                try await runner.run(image.build)
                try await runner.run(Command(Tool("cp", package: "coreutils"), [fresh.string, old.string], effect: .changes))
                try files.remove(fresh)
            }
            try files.remove(esp.appending("loader/random-seed"))
        } catch {
            try? await runner.run(MountCommand.unmount(esp))
            throw error
        }
        try await runner.run(MountCommand.unmount(esp))
    }
}
