public import KldBlock
import KldCore
import KldVirt
public import KldZFS
public import SystemPackage

/// Decides whether a disk or image stands still: an image of one that is written to is torn.
public enum SourceGuard {
    /// Why a source is refused.
    public enum Reason: Sendable, Hashable {
        case mounted(device: String, at: String)
        case swap(device: String)
        case poolMember(device: String, pool: String)
        /// LVM, encryption or RAID is active on it.
        case stacked(device: String, type: String)
        /// Attached as a loop device.
        case loop(device: String)
        /// Another process has it open, as a running virtual machine does.
        case locked(String)
        /// Something in the kernel has the device for itself, and none of the lists says what.
        case claimed(String)
        case notWholeDisk(device: String, type: String)
        /// A block device that lsblk does not list: nothing is known about it.
        case unknownDevice(String)
    }

    /// What the machine says, at one moment.
    public struct Facts: Sendable, Hashable {
        public var devices: [BlockDevice]
        /// Of all imported pools.
        public var vdevs: [PoolVdev]
        public var mounts: [MountedSource]
        public var loops: [LoopDevice]
        /// What `qemu-img info` printed when it failed on the source; `nil` when it did not fail.
        public var imageError: String?
        /// ``WriterLock``: a QEMU process may write to the source.
        public var isOpenForWriting: Bool
        /// ``DeviceClaim``: something in the kernel has the device for itself.
        public var isClaimed: Bool

        public init(
            devices: [BlockDevice] = [], vdevs: [PoolVdev] = [], mounts: [MountedSource] = [], loops: [LoopDevice] = [],
            imageError: String? = nil, isOpenForWriting: Bool = false, isClaimed: Bool = false
        ) {
            self.devices = devices
            self.vdevs = vdevs
            self.mounts = mounts
            self.loops = loops
            self.imageError = imageError
            self.isOpenForWriting = isOpenForWriting
            self.isClaimed = isClaimed
        }

        fileprivate func device(_ source: FilePath) -> BlockDevice? {
            devices.lazy.flatMap(\.tree).first { $0.path == source.string || "/dev/\($0.name)" == source.string }
        }
    }

    /// - Parameters:
    ///   - source: absolute and without links.
    ///   - isDevice: a block device and not a file.
    /// - Returns: every reason against it; empty when it stands still as far as can be seen.
    public static func reasons(against source: FilePath, isDevice: Bool, _ facts: Facts) -> [Reason] {
        var reasons: [Reason] = []
        var paths: Set<String> = [source.string]
        if isDevice {
            if let device = facts.device(source) {
                if ["part", "rom"].contains(device.type) { reasons.append(.notWholeDisk(device: device.path, type: device.type)) }
                for part in device.tree {
                    paths.formUnion([part.path, "/dev/\(part.name)"])
                    for place in part.mountpoints {
                        reasons.append(place == "[SWAP]" ? .swap(device: part.path) : .mounted(device: part.path, at: place))
                    }
                    if part.path != device.path, part.type != "part" { reasons.append(.stacked(device: part.path, type: part.type)) }
                }
            } else {
                reasons.append(.unknownDevice(source.string))
            }
        }
        for loop in facts.loops where paths.contains(loop.backingFile) { reasons.append(.loop(device: loop.device)) }
        for mount in facts.mounts where paths.contains(mount.source) { reasons.append(.mounted(device: mount.source, at: mount.target)) }
        for vdev in facts.vdevs where paths.contains(vdev.path) { reasons.append(.poolMember(device: vdev.path, pool: vdev.pool)) }
        if facts.isOpenForWriting || facts.imageError.map(QemuImg.isLocked) == true { reasons.append(.locked(source.string)) }
        // Who is known is named instead.
        if facts.isClaimed, reasons.isEmpty { reasons.append(.claimed(source.string)) }
        return reasons.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// - Throws: ``ExportError/busy(_:reasons:)`` (`image.source-busy`), ``ExportError/sectors(_:bytes:)`` (`image.source-sectors`).
    public static func check(_ source: FilePath, isDevice: Bool, _ facts: Facts) throws(ExportError) {
        let reasons = reasons(against: source, isDevice: isDevice, facts)
        if !reasons.isEmpty { throw .busy(source, reasons: reasons) }
        if isDevice, let bytes = facts.device(source)?.logicalSectorBytes, bytes != 512 { throw .sectors(source, bytes: bytes) }
    }
}

extension SourceGuard.Reason {
    var text: String {
        switch self {
        case .mounted(let device, let place): "\(device) is mounted at \(place)"
        case .swap(let device): "\(device) is used as swap"
        case .poolMember(let device, let pool): "\(device) belongs to the imported pool \(pool)"
        case .stacked(let device, let type): "\(device) (\(type)) is active on it"
        case .loop(let device): "it is attached as \(device)"
        case .locked: "another process, perhaps a running virtual machine, has it open"
        case .claimed(let device): "something in the kernel holds \(device): a volume, or a target that exports it"
        case .notWholeDisk(let device, let type): "\(device) is a \(type == "part" ? "partition" : type), not a whole disk"
        case .unknownDevice(let device): "lsblk does not list \(device)"
        }
    }

    var remedy: String {
        switch self {
        case .mounted(_, let place): "umount \(place)"
        case .swap(let device): "swapoff \(device)"
        case .poolMember(_, let pool): "zpool export \(pool); the running system's own pool is exported from the live environment"
        case .stacked(let device, _): "deactivate \(device) first (vgchange -an, cryptsetup close, mdadm --stop)"
        case .loop(let device): "losetup --detach \(device)"
        case .locked: "shut the virtual machine down, or export a snapshot of its disk"
        case .claimed: "stop what uses it: targetcli, dmsetup ls and lsblk show more"
        case .notWholeDisk: "name the whole disk"
        case .unknownDevice: "name the disk as lsblk shows it"
        }
    }
}
