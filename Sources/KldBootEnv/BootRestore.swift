public import KldBlock
import KldBoot
public import KldCore
public import KldExec
public import KldFiles
import KldInstall
public import KldPlan
public import SystemPackage

/// Gives a disk of the root pool back what starts the machine from it: an ESP that was erased, that a new disk never had, or that is damaged;
/// and the firmware's entry.
public struct BootRestore: Sendable, Hashable {
    private var disks: [RunningRoot.Disk]
    private var partitions: [BlockDevice]
    /// Whatever they hold: made anew only when a person names them.
    private var named: [BlockDevice]
    /// Partitions that should be ESPs, and hold none.
    public private(set) var lost: [BlockDevice]

    /// Reads the system whose root is `/`. Runs: what ``RunningRoot/gather(runner:files:)`` runs; reads.
    /// - Parameter disk: this one alone; `nil`: every disk of the root pool.
    /// - Throws: ``Diagnosis`` `be.no-zfs-root`, `boot.not-a-pool-disk`, `boot.no-esp-partition`.
    public static func gather(disk: FilePath? = nil, runner: any CommandRunner, files: any FileSystem) async throws -> BootRestore {
        guard let root = try await RunningRoot.gather(runner: runner, files: files) else { throw BootSystem.noRoot }
        var restore = BootRestore(disks: root.disks, partitions: root.esps, named: root.namedESPs, lost: root.lostESPs)
        if let disk {
            let path = try files.resolve(disk).string
            guard root.disks.contains(where: { $0.disk == path }) else {
                throw Diagnosis(
                    "boot.not-a-pool-disk", "\(disk) is no disk of the pool \(root.pool)",
                    remedies: ["one of: " + root.disks.map(\.disk).joined(separator: ", ")], exit: .inputMissing)
            }
            func isOn(_ partition: BlockDevice) -> Bool { Disk.number(of: partition.path, on: path) != nil }
            restore.disks = restore.disks.filter { $0.disk == path }
            restore.partitions = restore.partitions.filter(isOn)
            restore.lost = restore.lost.filter(isOn)
            restore.named = restore.named.filter(isOn)
        }
        guard (restore.partitions + restore.named).isEmpty else { return restore }
        let disks = restore.disks.map(\.disk)
        let first = disks.first ?? "DISK"
        throw Diagnosis(
            "boot.no-esp-partition", "there is no partition for an ESP on \(disks.joined(separator: ", "))",
            remedies: [
                // What has no such name may be another system's. The disk is in use: sgdisk cannot tell the kernel.
                "make one in its free space: sgdisk --new=0:0:+1G --typecode=0:EF00 --change-name=0:'\(ESPLayout.partitionName)' \(first), and partx --update \(first); then again",
                "a new disk gets the partitions of the one that it replaces: kldload kdisk replace OLD NEW",
            ], exit: .inputMissing)
    }

    /// Whether an ESP is one of those that are given back. - Parameter device: `/dev/vda1`.
    public func includes(_ device: String) -> Bool { partitions.contains { $0.path == device } }

    /// Makes empty ESPs.
    ///
    /// - Parameter named: partitions that a person named; those of ``lost`` are the only others.
    /// - Throws: ``Diagnosis`` `boot.not-an-esp`, `boot.esp-mounted`.
    ///
    /// Runs: `mkfs.vfat -F 32 -n EFI -i SERIAL PARTITION`, destroys; each needs an approval that names it.
    public func formatting(_ named: [String], serial: UInt32) throws(Diagnosis) -> Plan {
        var chosen = lost
        for name in named where !chosen.contains(where: { $0.path == name }) {
            guard let partition = (partitions + self.named).first(where: { $0.path == name }) else {
                throw Diagnosis(
                    "boot.not-an-esp", "\(name) is no ESP of the root pool's disks",
                    remedies: ["one of: " + (partitions + self.named).map(\.path).joined(separator: ", ")], exit: .inputMissing)
            }
            chosen.append(partition)
        }
        for partition in chosen {
            if let place = partition.mountpoint {
                throw Diagnosis("boot.esp-mounted", "\(partition.path) is mounted at \(place)", remedies: ["umount \(place), then again"])
            }
        }
        let steps = chosen.map { partition in
            Step(
                "boot.format.\(partition.name)", "Make an empty ESP of \(partition.path)",
                [
                    .run(Disk.makeFAT(partition.path, label: ESPLayout.volumeLabel, serial: serial)), .run(Disk.settle),
                ], destroys: [partition.path])
        }
        return Plan("make ESPs", [Phase("boot", "Boot", steps)])
    }

    /// Waits until what was made is seen as an ESP: udev looks at it in its own time.
    ///
    /// Runs: what ``RunningRoot/gather(runner:files:)`` runs; reads. - Throws: ``Diagnosis`` `boot.esp-unseen`.
    public func awaitESPs(_ made: [String], runner: any CommandRunner, files: any FileSystem) async throws {
        for _ in 0..<15 {
            let seen = try await RunningRoot.gather(runner: runner, files: files)?.esps.map(\.path) ?? []
            if made.allSatisfy(seen.contains) { return }
            try await Task.sleep(for: .seconds(1))
        }
        throw Diagnosis(
            "boot.esp-unseen", "an ESP was made on \(made.joined(separator: ", ")), and the system does not see it",
            remedies: ["udevadm trigger, then again"], exit: .tryAgain)
    }

    /// The firmware's entries for ESPs that have none; nothing where it keeps none.
    ///
    /// Runs: `efibootmgr --verbose`, `lsblk --noheadings --output PARTUUID PARTITION`, read; the plan: `efibootmgr --create …`, changes.
    /// - Parameter damaged: ESPs that the firmware shall not begin with.
    public func entering(
        _ label: String, except damaged: [BootSystem.Damaged] = [], runner: any CommandRunner, files: any FileSystem
    ) async throws -> Plan {
        let whole = partitions.filter { partition in !damaged.contains { $0.device == partition.path } }
        var steps: [Step] = []
        if EFIVariable.areThere(files) {
            let output = try await runner.run(FirmwareEntry.list).output
            // The newest entry becomes the first.
            for disk in disks.reversed() {
                guard let partition = whole.first(where: { Disk.number(of: $0.path, on: disk.disk) != nil }),
                    let number = Disk.number(of: partition.path, on: disk.disk)
                else { continue }
                let guid = try await runner.run(
                    Command(
                        Tool("lsblk", package: "util-linux"), ["--noheadings", "--output", "PARTUUID", partition.path], effect: .reads)
                ).output.trimmed
                if guid.isEmpty || FirmwareEntry.isListed(guid, in: output) { continue }
                var entry = FirmwareEntry.create(disk: disk.disk, partition: number, label: label)
                // Firmware refuses in many ways; the disk starts by its removable path too.
                entry.acceptedExitStatuses = Set(0...255)
                steps.append(Step("boot.firmware.\(partition.name)", "Firmware entry \(label) for \(disk.disk)", [.run(entry)]))
            }
        }
        return Plan("enter into the firmware", [Phase("boot", "Boot", steps)])
    }
}
