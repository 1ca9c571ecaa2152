import KldCore

/// What an initramfs must hold to boot any machine, and must not hold because it is shared between machines.
struct InitramfsCheck: Sendable, Hashable {
    /// Names of modules without `.ko`; one that is built into the kernel counts.
    var modules: [String]
    /// Names of programs, and of the scripts of initramfs-tools.
    var programs: [String]
    /// Paths that must not be in it.
    var forbidden: [String]
    var minimum: ByteCount
    /// An ESP of 1 GiB holds three boot images of this size.
    var maximum: ByteCount

    /// Disks that a machine may boot from: NVMe, SATA, SCSI, USB, cards, server controllers, and those of hypervisors that the export formats are
    /// for: KVM and Xen (qcow2, raw), VMware and VirtualBox (vmdk, ova), Hyper-V (vhd).
    private static let storage = [
        "nvme", "vmd", "ahci", "sd_mod", "xhci-pci", "ehci-pci", "usb-storage", "uas", "mmc_block", "sdhci-pci", "megaraid_sas", "mpt3sas",
        "mpi3mr", "smartpqi", "hpsa", "aacraid", "virtio_blk", "virtio_scsi", "xen-blkfront", "mptspi", "vmw_pvscsi", "ata_piix",
        "hv_storvsc",
    ]
    /// A passphrase is typed, and a rescue shell too.
    private static let keyboards = ["usbhid", "hid-generic"]
    private static let identities = ["etc/hostid", "etc/zfs/zpool.cache"]

    static func of(_ kind: PayloadSpec.Kind) -> InitramfsCheck {
        switch kind {
        case .target:
            InitramfsCheck(
                modules: ["zfs", "spl", "vfat", "efivarfs"] + storage + keyboards,
                programs: ["zpool", "zfs", "mount.zfs"] + SystemFiles.initramfsScripts.map(\.name), forbidden: identities,
                minimum: .mebibytes(8), maximum: .mebibytes(256))
        // It mounts a squashfs; pools are the installer's business.
        case .live:
            InitramfsCheck(
                modules: storage + keyboards + ["sr_mod", "isofs", "squashfs", "overlay", "loop"], programs: ["dmsquash-live-root"],
                forbidden: identities,
                minimum: .mebibytes(8), maximum: .mebibytes(256))
        }
    }

    /// As parameters of a step, so that a plan's text holds them.
    var parameters: [String: String] {
        [
            "modules": modules.joined(separator: " "), "programs": programs.joined(separator: " "),
            "forbidden": forbidden.joined(separator: " "), "minimum": String(minimum.bytes), "maximum": String(maximum.bytes),
        ]
    }

    init(modules: [String], programs: [String], forbidden: [String], minimum: ByteCount, maximum: ByteCount) {
        self.modules = modules
        self.programs = programs
        self.forbidden = forbidden
        self.minimum = minimum
        self.maximum = maximum
    }

    init?(_ parameters: [String: String]) {
        guard let minimum = parameters["minimum"].flatMap({ UInt64($0) }), let maximum = parameters["maximum"].flatMap({ UInt64($0) })
        else {
            return nil
        }
        self.init(
            modules: (parameters["modules"] ?? "").words, programs: (parameters["programs"] ?? "").words,
            forbidden: (parameters["forbidden"] ?? "").words, minimum: ByteCount(minimum), maximum: ByteCount(maximum))
    }

    /// What is wrong with one, in words; empty when nothing is.
    ///
    /// - Parameters:
    ///   - names: paths in it.
    ///   - builtin: paths of the modules that are part of the kernel: lines of `modules.builtin`.
    func problems(_ names: [String], size: ByteCount, builtin: [String]) -> [String] {
        let files = Set(names.map { $0.split(separator: "/").last.map(String.init) ?? "" })
        let loadable = Set((Array(files) + builtin).compactMap(KernelModule.name))
        let executables = Set(
            names.filter { $0.contains("bin/") || $0.hasPrefix("scripts/") }.map { $0.split(separator: "/").last.map(String.init) ?? "" })
        var problems: [String] = []
        if size < minimum { problems.append("is \(size), less than \(minimum)") }
        if size > maximum { problems.append("is \(size), more than \(maximum)") }
        let lacking =
            modules.filter { !loadable.contains(KernelModule.plain($0)) }.map { "\($0).ko" } + programs.filter { !executables.contains($0) }
        if !lacking.isEmpty { problems.append("lacks \(lacking.joined(separator: ", "))") }
        let held = forbidden.filter { path in names.contains { $0 == path || $0.hasSuffix("/\(path)") } }
        if !held.isEmpty { problems.append("holds \(held.joined(separator: ", "))") }
        return problems
    }
}
