import KldBlock

extension MachineFacts {
    /// What other disks lose when one is wiped: `/dev/sdb holds another part of the pool tank, whose data may be lost too`.
    ///
    /// ZFS and md write one name into all of their members, and what lies on several disks is shown on top of each. A volume group none of whose
    /// volumes is active is not seen; two pools of one name are taken for one.
    /// - Parameter wiped: with it, and told by their own names.
    func losses(of disk: BlockDevice, wiped: [BlockDevice]) -> [String] {
        let onTop = Set(disk.tree.dropFirst().map(\.path))
        return disks.filter { other in !wiped.contains { $0.isSameDisk(as: other) } }.compactMap { other in
            let shared = other.tree.dropFirst().first { onTop.contains($0.path) }?.name
            guard let name = shared ?? other.tree.lazy.compactMap({ Self.member($0, of: disk) }).first else { return nil }
            return "\(stableName(other)) holds another part of \(name), whose data may be lost too"
        }
    }

    /// The pool or the array that has a device as one of its members, and something of the disk as another.
    private static func member(_ device: BlockDevice, of disk: BlockDevice) -> String? {
        guard let label = device.label, let kind = ["zfs_member": "pool", "linux_raid_member": "array"][device.filesystem ?? ""],
            disk.tree.contains(where: { $0.filesystem == device.filesystem && $0.label == label })
        else { return nil }
        return "the \(kind) \(label)"
    }
}
