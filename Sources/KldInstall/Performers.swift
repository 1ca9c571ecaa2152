import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
public import KldPlan
public import KldZFS
public import SystemPackage

/// The work of an installation that reads before it writes, by the names that plans use.
public enum Performers {
    public static let verifyClean = "disk.verify-clean"
    /// That a name still leads to the disk which was chosen, and nothing of it is mounted or used otherwise.
    package static let verifySame = "disk.verify-same"
    public static let exportPool = "zfs.export"
    public static let releaseFreeSpace = "zfs.release-free-space"
    public static let mountCache = "zfs.mount-cache"
    public static let seal = "seal"
    public static let keepLogs = "logs.keep"
    public static let initramfs = "boot.initramfs"
    /// Of partitions that are gone.
    static let forgetEntries = "boot.forget-entries"
    /// A snapshot of an earlier run of the same installation, where there is one.
    package static let forgetSnapshot = "zfs.forget-snapshot"
    /// That an account of the new system is a person's own.
    static let verifyAccount = "users.verify"

    /// - Parameters:
    ///   - logs: files to copy into the target's `/var/log/kldload`.
    ///   - seal: seals the tree below a folder.
    public static func table(logs: [FilePath], seal: @escaping Performer) -> [String: Performer] {
        let own: [String: Performer] = [
            releaseFreeSpace: { parameters, runner, files in
                try await releaseFreeSpace(of: parameters["pool"] ?? "", on: FilePath(parameters["device"] ?? ""), runner, files)
            },
            mountCache: { parameters, runner, files in
                try await writeMountCache(
                    pool: parameters["pool"] ?? "", target: parameters["target"] ?? "", file: parameters["file"] ?? "", runner, files)
            },
            keepLogs: { parameters, _, files in
                for log in logs where try files.exists(log) {
                    guard let name = log.lastComponent, let target = parameters["target"] else { continue }
                    try files.write(try files.read(log), to: FilePath("\(target)/var/log/kldload/\(name.string)"), mode: 0o640)
                }
            },
            forgetEntries: { parameters, runner, _ in
                let listed = try await runner.run(FirmwareEntry.list).output
                for number in FirmwareEntry.numbers(of: parameters["partitions"]?.words ?? [], in: listed) {
                    try await runner.run(FirmwareEntry.delete(number))
                }
            },
            forgetSnapshot: { parameters, runner, _ in try await destroyEarlier(parameters["snapshot"] ?? "", runner) },
            self.seal: seal,
            initramfs: { parameters, runner, _ in
                try await requireOpenZFS(in: FilePath(parameters["target"] ?? ""), parameters["release"] ?? "", runner)
            },
            verifyAccount: { parameters, runner, _ in
                try await verifyAccount(parameters["user"] ?? "", in: FilePath(parameters["target"] ?? ""), runner)
            },
        ]
        let others = [verifying, closing, DefaultPassword.performers, ModuleSigning.performers, KeyEnrolment.performers]
        return others.reduce(own) { table, more in table.merging(more) { $1 } }
    }

    /// Runs: `zfs list -Hp -d 1 -t snapshot -o name POOL`, reads; where the snapshot is there, `zfs destroy -r POOL@LABEL`, destroys.
    private static func destroyEarlier(_ text: String, _ runner: any CommandRunner) async throws {
        let name = try SnapshotName(text)
        let list = ZFS.list(name.dataset, columns: ["name"], types: ["snapshot"], depth: 1)
        guard try await runner.run(list).output.lines.contains(name.description) else { return }
        try await runner.run(ZFS.destroy(name, recursive: true))
    }

    /// Runs: `chroot TARGET lsinitramfs /boot/initrd.img-RELEASE`, reads. - Throws: ``Diagnosis`` `boot.initramfs`.
    private static func requireOpenZFS(in target: FilePath, _ release: String, _ runner: any CommandRunner) async throws {
        let list = InitramfsContent.listing(FilePath("/boot/initrd.img-\(release)")).inside(target)
        let content = InitramfsContent(try await runner.run(list).output.lines)
        guard content.importsPools else {
            throw Diagnosis(
                "boot.initramfs",
                "the initramfs of Linux \(release) was made again, and lacks \(content.holdsOpenZFS ? "zpool" : "zfs.ko"): it would not start",
                remedies: ["leave out what was added: KLDLOAD_EXTRA_PACKAGES, or the keyboard", "the log says what update-initramfs said"],
                exit: .unavailable)
        }
    }

    /// useradd ends with the same status for a name that is a daemon's, or a group's, and for one that an earlier run made.
    ///
    /// Runs: `chroot TARGET getent passwd USER`, reads. Source: getent(1), passwd(5), glibc 2.41: it ends with 2 when there is none of that name.
    /// - Throws: ``Diagnosis`` `install.account`.
    private static func verifyAccount(_ user: String, in target: FilePath, _ runner: any CommandRunner) async throws {
        let look = Command(Tool("getent", package: "libc-bin"), ["passwd", user], effect: .reads, accepting: [0, 2])
        let found = try await runner.run(look.inside(target)).output.trimmed
        let fields = found.split(separator: ":", omittingEmptySubsequences: false)
        guard fields.count == 7, fields[0] == user, fields[5] == "/home/\(user)" else {
            throw Diagnosis(
                "install.account", "the name \(user) is taken in the system that is installed, and not by a person",
                remedies: ["choose another name, and begin anew: KLDLOAD_USERNAME"],
                causes: [found.isEmpty ? "it is the name of a group" : found])
        }
    }

    /// What the work of an installation runs that no command of its plan shows, by its name.
    static let tools: [String: [Tool]] = [
        forgetEntries: [FirmwareEntry.list.tool], verifyClean: [wipefs], verifySame: [ListBlockDevices.command.tool],
        WipeApproval.verifier: [wipefs, ListBlockDevices.command.tool],
    ].merging(ModuleSigning.tools) { $1 }.merging(KeyEnrolment.tools) { $1 }

    private static let wipefs = Tool("wipefs", package: "util-linux")

    /// What looks at a disk right before it is wiped, and right after.
    public static let verifying: [String: Performer] = [
        verifyClean: { parameters, runner, _ in try await verify(parameters["disk"] ?? "", runner) },
        verifySame: { parameters, runner, files in try await verifySame(parameters, runner, files) },
        WipeApproval.verifier: { parameters, runner, files in try await verifyEmpty(parameters["disk"] ?? "", runner, files) },
    ]

    /// What ``close(_:mountedAt:)`` performs.
    public static let closing: [String: Performer] = [
        exportPool: { parameters, runner, files in
            try await export(parameters["pool"] ?? "", mountedAt: parameters["target"] ?? "/target", runner, files)
        }
    ]

    /// What libblkid finds on a disk. Runs: `wipefs --no-act --noheadings --output TYPE DISK`, reads.
    private static func signatures(_ disk: String, _ runner: any CommandRunner) async throws -> [String] {
        try await runner.run(
            Command(wipefs, ["--no-act", "--noheadings", "--output", "TYPE", disk], effect: .reads)
        ).output.lines.map(\.trimmed)
    }

    /// Reads the machine again, and the disk itself. Runs: `wipefs`, and what ``MachineFacts/gather(runner:files:asked:)`` runs; reads.
    private static func verifyEmpty(_ disk: String, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        var held = try await signatures(disk, runner)
        let facts = try await MachineFacts.gather(runner: runner, files: files)
        if let device = facts.disk(disk) {
            if let table = device.partitionTable { held.append("a partition table (\(table))") }
            if let filesystem = device.filesystem { held.append(filesystem) }
            held += device.children.map(\.path) + device.allMountpoints.map { "mounted at \($0)" }
            if let pool = facts.importedPools[device.path] { held.append("the pool \(pool)") }
            held += facts.inUse[device.path] ?? []
            if facts.liveDisks.contains(device.path) { held.append("the system that is running now, or its seed") }
            // Only where there are no better words for what it holds: one that dies slowly is read for minutes.
            if held.isEmpty, let data = DiskContent(disk: FilePath(device.path), size: device.size).found(files) { held.append(data) }
        } else {
            held.append("lsblk does not show it any more")
        }
        guard held.isEmpty else {
            throw Diagnosis(
                "disk.not-empty", "\(disk) was chosen because it looked empty, and is not; nothing was changed",
                remedies: [
                    "look at it: lsblk -f, wipefs, od",
                    "if what it holds may be lost, name it: KLDLOAD_DISK=/dev/…; to kldload kdisk replace, --wipe /dev/…",
                ],
                exit: .badAnswers, causes: held)
        }
    }

    /// Links are udev's: of two disks with one name it shows the one that came last. Runs: `lsblk`, reads.
    private static func verifySame(_ parameters: [String: String], _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        let (name, node) = (parameters["disk"] ?? "", parameters["node"] ?? "")
        var causes: [String] = []
        if let leads = try? files.resolve(FilePath(name)).string {
            if leads != node { causes.append("\(name) is \(leads) now, and was \(node)") }
        } else {
            causes.append("\(name) is gone")
        }
        let devices = try ListBlockDevices.parse(await runner.run(ListBlockDevices.command).output)
        if let device = devices.first(where: { $0.path == node }) {
            if String(device.size.bytes) != parameters["size"] { causes.append("\(node) has \(device.size) now") }
            if (device.serial ?? "") != parameters["serial"] { causes.append("\(node) has the serial number \(device.serial ?? "-") now") }
            causes += device.allMountpoints.map { "mounted at \($0)" }
            // Who is known is named instead.
            if causes.isEmpty { causes = try await DiskUse.find([device], files)[node] ?? [] }
        } else {
            causes.append("lsblk does not show \(node) any more")
        }
        guard causes.isEmpty else {
            throw Diagnosis(
                "disk.changed", "\(name) is not what it was when it was chosen; it was not touched",
                remedies: ["look at what is there now: lsblk -o PATH,SIZE,SERIAL,MOUNTPOINTS; then begin again"], exit: .tryAgain,
                causes: causes)
        }
    }

    private static func verify(_ disk: String, _ runner: any CommandRunner) async throws {
        let left = try await signatures(disk, runner)
        guard left.isEmpty else {
            throw Diagnosis(
                "disk.not-clean", "\(disk) still carries \(left.joined(separator: ", ")) after it was wiped",
                remedies: ["look for what writes to it: lsblk, dmsetup ls, cat /proc/mdstat", "the disk may ignore writes: look at dmesg"])
        }
    }

    /// Exports the pool, and says who holds it when it cannot.
    ///
    /// - Parameter attempts: every 300 ms, while it is busy: what a killed command was doing may still be ending.
    static func export(
        _ name: String, mountedAt target: String, attempts: Int = 10, _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws {
        let pool = try PoolName(name)
        guard try await runner.run(ZPool.existing(pool)).status == 0 else { return }
        for attempt in 1...attempts {
            do {
                try await runner.run(ZPool.export(pool))
                return
            } catch  where attempt < attempts && ZFSError.said(error)?.contains("busy") == true {
                try await Task.sleep(for: .milliseconds(300))
            } catch {
                let mounts = ((try? files.mounts()) ?? []).filter { $0.place.hasPrefix(target) || $0.source.hasPrefix(name) }
                let said = ZFSError.said(error)?.lines ?? [Diagnosis(of: error).message]
                throw Diagnosis(
                    "zfs.export", "the pool \(name) cannot be exported", remedies: ["end what uses it, then: zpool export \(name)"],
                    causes: said + mounts.map { "still mounted: \($0.source) at \($0.place)" })
            }
        }
    }

    /// Unmounts a target and exports its pool, or finds that there is nothing to do.
    public static func close(_ pool: PoolName, mountedAt target: FilePath) -> [Action] {
        [.run(MountCommand.unmount(target)), exporting(pool, mountedAt: target)]
    }

    /// Exports a pool of which nothing is mounted any more, or finds that it is not imported. - Parameter target: for what is said of mounts that are left.
    public static func exporting(_ pool: PoolName, mountedAt target: FilePath) -> Action {
        .perform(exportPool, ["pool": pool.text, "target": target.string], effect: .changes)
    }

    /// Gives a disk and its partitions GUIDs of their own. Before anything uses it: the kernel takes the new table only then.
    /// - Parameter partition: waited for.
    public static func renewGUIDs(_ disk: String, partition: Int) -> [Action] {
        [
            .run(Disk.randomizeGUIDs(disk)), .run(Disk.settle),
            .waitFor(FilePath(Disk.partition(partition, of: disk)), seconds: 30),
        ]
    }

    /// Closes a pool of one disk for good, and gives back all that it does not use: what was deleted is gone then.
    ///
    /// - Parameter device: its partition, by a name in a folder where all of the pool's devices have one.
    public static func giveBack(_ pool: PoolName, mountedAt target: FilePath, on device: String) -> [Action] {
        [
            .perform(exportPool, ["pool": pool.text, "target": target.string], effect: .changes),
            .perform(releaseFreeSpace, ["pool": pool.text, "device": device], effect: .changes),
        ]
    }

    /// Runs: `zdb -l DEVICE`, `zdb -e -p FOLDER -mmmmmm POOL`, reads; then fallocate(2).
    /// - Throws: ``Diagnosis`` `zfs.free-space`.
    private static func releaseFreeSpace(
        of name: String, on device: FilePath, _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws {
        let pool = try PoolName(name)
        guard let label = DiskLabel.parse(try await runner.run(DiskLabel.command(device.string)).output), label.pool == pool.text else {
            throw Diagnosis("zfs.no-label", "\(device) is no device of the pool \(pool)", exit: .bug)
        }
        let maps = try await runner.run(FreeSpace.command(pool, devices: device.removingLastComponent())).output
        try files.punchHoles(FreeSpace(maps, label: label).ranges, in: device)
    }

    /// Writes the list of a pool's mounts into a target. After sealing, which empties it.
    public static func writeMountCache(pool: String, target: FilePath) -> Action {
        .perform(
            mountCache, ["pool": pool, "target": target.string, "file": "\(target)/etc/zfs/zfs-list.cache/\(pool)"], effect: .changes)
    }

    /// The list from which systemd makes mount units, without the altroot in front of each path.
    private static func writeMountCache(
        pool: String, target: String, file: String, _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws {
        let output = try await runner.run(MountCache.list(PoolName(pool))).output
        try files.write(MountCache.text(output, altroot: target), to: FilePath(file))
    }
}
