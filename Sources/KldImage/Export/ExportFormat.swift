public import KldCore

/// A form in which a disk image leaves kldload. The raw values are those of `KLDLOAD_EXPORT_FORMAT` and of `kexport`.
public enum ExportFormat: String, Sendable, Hashable, Codable, CaseIterable, Comparable {
    /// KVM, libvirt, Proxmox, OpenStack. Compressed.
    case qcow2
    /// VMware ESXi and Workstation. streamOptimized, so compressed.
    case vmdk
    /// Hyper-V and Azure: fixed size, a multiple of 1 MiB, sparse on disk.
    case vhd
    /// VMware and VirtualBox: descriptor, manifest and VMDK in a tar.
    case ova
    /// `dd`, bare metal, zvols. Sparse.
    case raw

    /// Without the dot.
    public var suffix: String { rawValue }

    /// The order of the seeds' table, which is also the order of work: `ova` after the `vmdk` it shares.
    public static func < (a: ExportFormat, b: ExportFormat) -> Bool { a.rank < b.rank }
    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    /// Reads one name, a comma list, or `all`; letter case does not matter.
    ///
    /// `none`, the default of `KLDLOAD_EXPORT_FORMAT`, and an empty text are an empty list.
    /// - Returns: each format once, in the order of work.
    /// - Throws: ``Diagnosis`` `image.format` for an unknown name, with the nearest known one.
    public static func parse(_ text: some StringProtocol) throws(Diagnosis) -> [ExportFormat] {
        let whole = text.trimmed.lowercased()
        if whole.isEmpty || whole == "none" { return [] }
        if whole == "all" { return allCases }
        var found: Set<ExportFormat> = []
        for name in whole.split(separator: ",", omittingEmptySubsequences: false).map(\.trimmed) {
            guard let format = ExportFormat(rawValue: name) else { throw unknown(name) }
            found.insert(format)
        }
        return found.sorted()
    }

    private static func unknown(_ name: String) -> Diagnosis {
        let names = allCases.map(\.rawValue)
        return Diagnosis(
            "image.format", name.isEmpty ? "an image format is missing in the list" : "\(name) is not an image format",
            remedies: didYouMean(name, names) + ["one of \(names.joined(separator: ", ")), several with commas, or all"], exit: .usage)
    }
}

/// How the clusters of a qcow2 image are compressed.
///
/// The default is zlib: every reader of qcow2 knows it. zstd sets an incompatible feature bit (docs/interop/qcow2.rst, bit 3) that
/// readers before QEMU 5.1 and most readers that are not QEMU refuse. What is given up was measured with qemu-img 10.0.2 on two cores:
/// 700 MiB of programs and libraries became 257 MiB in 20.7 s with zlib and 251 MiB in 4.3 s with zstd; the same content as a pool with
/// `compression=lz4` stores it (354 MiB), which is what an export holds, became 267 MiB in 11.3 s with zlib and 279 MiB in 3.1 s with
/// zstd. So zstd saves time, not space: an option for those who know their readers.
public enum Qcow2Compression: String, Sendable, Hashable, Codable, CaseIterable {
    case zlib, zstd
}
