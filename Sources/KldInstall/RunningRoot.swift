public import KldBlock
import KldBoot
public import KldCore
public import KldExec
public import KldFiles
import KldZFS
import SystemPackage

/// The pool that this machine's root file system lies on, its disks and their ESPs.
public struct RunningRoot: Sendable, Hashable {
    /// A disk of the root pool.
    public struct Disk: Sendable, Hashable {
        /// `/dev/vda`, and the partition that is the vdev: `/dev/vda2`, its number, its path as the pool knows it.
        public var disk: String
        public var partition: String
        public var number: Int
        public var vdev: String
        public init(disk: String, partition: String, number: Int, vdev: String) {
            self.disk = disk
            self.partition = partition
            self.number = number
            self.vdev = vdev
        }
    }

    public var pool: String
    /// The dataset that loaders without entries start.
    public var bootfs: String?
    /// The folder that the pool was opened below.
    public var altroot: String?
    public var disks: [Disk]
    /// What is free behind each of the pool's partitions that is the last of its disk.
    public var rooms: [String: ByteCount] = [:]
    /// FAT partitions labelled `EFI` on those disks: another system's are not ours.
    public var esps: [BlockDevice]
    /// Partitions of those disks that are named as an ESP, and hold no file system at all: one that does may be another system's.
    public var lostESPs: [BlockDevice]
    /// All partitions of those disks that are named as an ESP, whatever they hold.
    public var namedESPs: [BlockDevice]

    /// Reads the running machine.
    ///
    /// Runs: `lsblk`, `zpool list -vHPp POOL`; reads.
    /// - Returns: `nil` when the root file system is not ZFS.
    public static func gather(runner: any CommandRunner, files: any FileSystem) async throws -> RunningRoot? {
        let root = try files.mounts().first(where: \.isZFSRoot)
        guard let pool = root?.source.split(separator: "/").first.map(String.init) else { return nil }
        async let listed = runner.run(ListBlockDevices.command)
        let own = PoolListing.parse(try await runner.run(ZPool.vdevs(of: PoolName(pool))).output).first
        let vdevs = (own?.devices ?? []).filter { $0.hasPrefix("/dev/") }
        let devices = try ListBlockDevices.parse(await listed.output)
        let disks: [Disk] = vdevs.compactMap { vdev in
            guard let resolved = try? files.resolve(FilePath(vdev)).string,
                let disk = devices.first(where: { $0.children.contains { $0.path == resolved } }),
                let number = KldBlock.Disk.number(of: resolved, on: disk.path)
            else { return nil }
            return Disk(disk: disk.path, partition: resolved, number: number, vdev: vdev)
        }
        var rooms: [String: ByteCount] = [:]
        for disk in disks {
            guard let device = devices.first(where: { $0.path == disk.disk }) else { continue }
            rooms[disk.partition] = KldBlock.Disk.room(behind: disk.partition, on: device, files)
        }
        let partitions = devices.filter { device in disks.contains { $0.disk == device.path } }.flatMap(\.children)
        func isESP(_ partition: BlockDevice) -> Bool { partition.filesystem == "vfat" && partition.label == ESPLayout.volumeLabel }
        return RunningRoot(
            pool: pool, bootfs: own?.bootfs, altroot: own?.altroot, disks: disks, rooms: rooms, esps: partitions.filter(isESP),
            lostESPs: partitions.filter { $0.partitionLabel == ESPLayout.partitionName && $0.filesystem == nil },
            namedESPs: partitions.filter { $0.partitionLabel == ESPLayout.partitionName })
    }
}
