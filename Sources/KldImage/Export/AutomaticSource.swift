import KldBlock
public import KldCore
public import SystemPackage

/// Finds the disk that `kexport qcow2` means when it names none: the only one that carries ZFS on root and stands still.
public enum AutomaticSource {
    /// - Returns: the disk.
    /// - Throws: ``Diagnosis`` `image.source-ambiguous` when there are several, `image.source-none` when there is none, with the reasons
    ///   against those that are in use; exit status 64 for both, because naming the disk solves either.
    public static func choose(_ facts: SourceGuard.Facts) throws(Diagnosis) -> FilePath {
        let installed = facts.devices.filter { device in
            device.type == "disk" && device.tree.contains { $0.filesystem == "zfs_member" }
                && device.tree.contains { $0.filesystem == "vfat" }
        }
        let judged = installed.map { (path: $0.path, reasons: SourceGuard.reasons(against: FilePath($0.path), isDevice: true, facts)) }
        let free = judged.filter(\.reasons.isEmpty).map(\.path)
        if free.count == 1 { return FilePath(free[0]) }
        if free.count > 1 {
            throw Diagnosis(
                "image.source-ambiguous", "\(free.count) disks could be exported: \(free.joined(separator: ", "))",
                remedies: ["name one: kldload kexport \(free[0]) qcow2"], exit: .usage)
        }
        throw Diagnosis(
            "image.source-none", "no disk with ZFS on root is there to be exported",
            remedies: ["name the disk or image file: kldload kexport /dev/sda qcow2"], exit: .usage,
            causes: judged.flatMap { disk in disk.reasons.map { "\(disk.path): \($0.text)" } })
    }
}
