public import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// GPT partition type codes, in sgdisk's short form.
public enum PartitionType: String, Sendable, Hashable {
    case efiSystem = "EF00"
    /// Solaris root: what OpenZFS uses for whole disks and Debian's HOWTO for ZFS partitions.
    case zfs = "BF00"
}

/// One partition to make.
public struct PartitionSpec: Sendable, Hashable {
    public var number: Int
    /// `nil`: all that is left.
    public var size: ByteCount?
    public var type: PartitionType
    public var name: String

    public init(_ number: Int, size: ByteCount?, type: PartitionType, name: String) {
        self.number = number
        self.size = size
        self.type = type
        self.name = name
    }
}

/// Builders for sgdisk, wipefs, mkfs.vfat, udevadm. Source: sgdisk(8) 1.0.10, wipefs(8) util-linux 2.41, mkfs.fat(8) 4.2.
public enum Disk {
    static let sgdisk = Tool("sgdisk", package: "gdisk")

    /// The path of a partition, by the kernel's and udev's naming rules: `sda2`, `nvme0n1p2`, `by-id/…-part2`.
    public static func partition(_ number: Int, of disk: String) -> String {
        if disk.hasPrefix("/dev/disk/by-") { return "\(disk)-part\(number)" }
        return disk.last?.isNumber == true ? "\(disk)p\(number)" : "\(disk)\(number)"
    }

    /// The number of a partition by the kernel's name for it; `nil` for one that lies on another disk: `/dev/sda` has no `/dev/sdaa1`.
    public static func number(of partition: String, on disk: String) -> Int? {
        guard partition.hasPrefix(disk), let last = disk.last else { return nil }
        let rest = partition.dropFirst(disk.count)
        let digits = last.isNumber ? (rest.first == "p" ? rest.dropFirst() : "") : rest
        return digits.allSatisfy(\.isNumber) ? Int(digits) : nil
    }

    /// Removes every signature that libblkid knows.
    ///
    /// Runs: `wipefs --all [--force] DEVICE`. Without `--force` the kernel refuses a device that is mounted, or that anything else holds.
    /// Source: wipefs(8), util-linux 2.41.
    /// - Parameter nested: also a table of partitions inside a partition, which needs `--force`.
    public static func wipeSignatures(_ device: String, nested: Bool = false) -> Command {
        Command(Tool("wipefs", package: "util-linux"), ["--all"] + (nested ? ["--force"] : []) + [device], effect: .destroys)
    }

    /// Runs: `sgdisk --zap-all DISK`. Exit status 2 means that the old table was damaged, which is why it is being zapped.
    public static func zap(_ disk: String) -> Command {
        Command(sgdisk, ["--zap-all", disk], effect: .destroys, accepting: [0, 2])
    }

    /// Runs: `blkdiscard DISK`. Accepts failure: not every disk can discard, and none that anything holds.
    public static func discard(_ disk: String) -> Command {
        Command(Tool("blkdiscard", package: "util-linux"), [disk], effect: .destroys, accepting: [0, 1])
    }

    /// Zeroes the first 4 MiB past the kernel's memory: a disk that takes no writes says so here, with its name, and not minutes later.
    ///
    /// Runs: `dd if=/dev/zero of=DISK bs=1M count=4 oflag=direct conv=fsync,nocreat status=none`. Source: dd(1), coreutils 9.1.
    public static func zeroStart(_ disk: String) -> Command {
        Command(
            Tool("dd", package: "coreutils"),
            ["if=/dev/zero", "of=\(disk)", "bs=1M", "count=4", "oflag=direct", "conv=fsync,nocreat", "status=none"], effect: .destroys)
    }

    /// Runs: `sgdisk --clear --set-alignment=… --new=… --typecode=… --change-name=… DISK`, all partitions in one write, each aligned to 1 MiB.
    /// - Parameter sectorBytes: of the disk, in which sgdisk counts the alignment: 512 or 4096.
    public static func partition(_ disk: String, _ partitions: [PartitionSpec], sectorBytes: Int = 512) -> Command {
        var words = ["--clear", "--set-alignment=\((1 << 20) / max(sectorBytes, 512))"]
        for part in partitions {
            let end = part.size.map { "+\($0.bytes >> 20)M" } ?? "0"
            words += [
                "--new=\(part.number):0:\(end)", "--typecode=\(part.number):\(part.type.rawValue)",
                "--change-name=\(part.number):\(part.name)",
            ]
        }
        return Command(sgdisk, words + [disk], effect: .destroys)
    }

    /// Runs: `mkfs.vfat -F 32 -n LABEL -i SERIAL DEVICE`.
    /// - Parameter serial: the FAT volume id; `/etc/fstab` names it as `XXXX-XXXX`.
    public static func makeFAT(_ device: String, label: String, serial: UInt32) -> Command {
        Command(FATImage.mkfs, ["-F", "32", "-n", label, "-i", hex8(serial), device], effect: .destroys)
    }

    /// Gives a FAT file system that is not mounted another serial number, in both copies of its boot sector.
    ///
    /// Runs: `fatlabel -i DEVICE SERIAL`. Source: fatlabel(8), dosfstools 4.2.
    public static func setFATSerial(_ device: String, _ serial: UInt32) -> Command {
        Command(Tool("fatlabel", package: "dosfstools"), ["-i", device, hex8(serial)], effect: .changes)
    }

    /// Every byte of a device becomes zero; where the device can, by giving the blocks back.
    ///
    /// Runs: `blkdiscard --force --zeroout DEVICE`. Source: blkdiscard(8), util-linux 2.41.
    public static func zero(_ device: String) -> Command {
        Command(Tool("blkdiscard", package: "util-linux"), ["--force", "--zeroout", device], effect: .destroys)
    }

    /// New GUIDs for the partition table and for every partition. Runs: `sgdisk --randomize-guids DISK`.
    public static func randomizeGUIDs(_ disk: String) -> Command {
        Command(sgdisk, ["--randomize-guids", disk], effect: .changes)
    }

    /// Less than this behind a partition is alignment, or an image's rounding.
    public static let smallestRoom = ByteCount.mebibytes(8)

    /// What is free behind a partition, up to the end of its disk; `nil` when another partition follows, or the kernel does not say.
    ///
    /// Reads `/sys/class/block/vda2/start` and `size`, which count 512 bytes on every disk. Source: Linux, `block/partitions/core.c`, 6.12.
    public static func room(behind partition: String, on disk: BlockDevice, _ files: any FileSystem) -> ByteCount? {
        guard let end = Self.end(of: partition, files), end <= disk.size.bytes else { return nil }
        for other in disk.children where other.path != partition && other.type == "part" {
            guard let other = Self.end(of: other.path, files), other < end else { return nil }
        }
        return ByteCount(disk.size.bytes - end)
    }

    private static func end(of partition: String, _ files: any FileSystem) -> UInt64? {
        let folder = FilePath("/sys/class/block").appending(String(partition.split(separator: "/").last ?? ""))
        func number(_ name: String) -> UInt64? { (try? files.readText(folder.appending(name))).flatMap { UInt64($0.trimmed) } }
        guard let start = number("start"), let size = number("size") else { return nil }
        return (start + size) * 512
    }

    /// Moves the end of the last partition to the end of the disk, and tells the kernel, which may be using it. Never shrinks one.
    ///
    /// Runs: `sgdisk --move-second-header DISK`, `sfdisk --no-reread --no-tell-kernel --partno N DISK`, `partx --update DISK`; changes.
    /// Source: sgdisk(8) 1.0.10, sfdisk(8) and partx(8), util-linux 2.41; partx ends with 1 where one of the other partitions is busy.
    public static func growing(_ number: Int, of disk: String) -> [Command] {
        [
            Command(sgdisk, ["--move-second-header", disk], effect: .changes),
            Command(
                Tool("sfdisk", package: "fdisk"), ["--no-reread", "--no-tell-kernel", "--partno", String(number), disk], effect: .changes,
                input: .text(", +\n")),
            Command(Tool("partx", package: "util-linux"), ["--update", disk], effect: .changes, accepting: [0, 1]),
        ]
    }

    /// `1234-ABCD`, as blkid prints a FAT volume id.
    public static func fatUUID(_ serial: UInt32) -> String {
        let digits = hex8(serial).uppercased()
        return "\(digits.prefix(4))-\(digits.suffix(4))"
    }

    private static func hex8(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// Runs: `udevadm settle --timeout=30`.
    public static let settle = settling(within: 30)

    /// - Parameter seconds: after which it gives up, with exit status 1.
    package static func settling(within seconds: Int, accepting statuses: Set<Int32> = [0]) -> Command {
        Command(
            Tool("udevadm", package: "udev"), ["settle", "--timeout=\(seconds)"], effect: .reads, accepting: statuses,
            // It does nothing in a chroot otherwise. Source: systemd `udevadm-settle.c`, 257.
            environment: ["SYSTEMD_IGNORE_CHROOT": "1"])
    }

    /// Runs: `blockdev --rereadpt DISK`; a busy table is settled by udev instead.
    public static func rereadTable(_ disk: String) -> Command {
        Command(Tool("blockdev", package: "util-linux"), ["--rereadpt", disk], effect: .changes, accepting: [0, 1])
    }
}

/// Builders for mount(8) and umount(8), util-linux 2.41.
public enum MountCommand {
    static let mount = Tool("mount", package: "mount")

    public static func mount(_ source: String, at target: FilePath, type: String? = nil, options: [String] = []) -> Command {
        var words = type.map { ["-t", $0] } ?? []
        if !options.isEmpty { words += ["-o", options.joined(separator: ",")] }
        return Command(mount, words + [source, target.string], effect: .changes)
    }

    /// Runs: `mount --bind SOURCE TARGET`.
    ///
    /// Not recursive, on purpose: copies of the mounts below would propagate into the mount namespaces of running services, and stay there
    /// when ours are gone. Then the pool that the target lies on is busy, and nothing that we can see holds it.
    public static func bind(_ source: String, at target: FilePath) -> Command {
        Command(mount, ["--bind", source, target.string], effect: .changes)
    }

    /// Runs: `umount --recursive TARGET`. Exit status 32 with nothing mounted is as good as done.
    public static func unmount(_ target: FilePath, recursive: Bool = true) -> Command {
        Command(
            Tool("umount", package: "mount"), (recursive ? ["--recursive"] : []) + [target.string], effect: .changes, accepting: [0, 1, 32])
    }
}
