/// A format that `qemu-img convert` writes, with the settings that each platform's import wants.
package enum ImageFormat: Sendable, Hashable {
    package enum Compression: String, Sendable, Hashable, Codable {
        case none
        /// Read by every QEMU.
        case zlib
        /// Smaller and several times faster to read; QEMU 5.1 and later.
        case zstd
    }

    /// Sparse.
    case raw
    case qcow2(Compression)
    /// VMware's stream-optimized subformat, as OVF and ESXi import it; always compressed.
    case vmdk
    /// Hyper-V's and Azure's fixed VHD with the exact size (`force_size=on`; without it the size is rounded to a disk geometry). Azure
    /// wants a whole number of MiB. qemu-img does not recognise the result: say its format, or it is taken for a raw image.
    case vhd

    /// The value of `-O`.
    package var name: String { disk.rawValue }

    /// What a guest's disk in this format is.
    package var disk: MachineDisk.Format {
        switch self {
        case .raw: .raw
        case .qcow2: .qcow2
        case .vmdk: .vmdk
        case .vhd: .vpc
        }
    }

    package var fileExtension: String {
        switch self {
        case .raw: "raw"
        case .qcow2: "qcow2"
        case .vmdk: "vmdk"
        case .vhd: "vhd"
        }
    }

    var convertArguments: [String] {
        switch self {
        case .raw, .qcow2(.none): ["-O", name]
        case .qcow2(let compression): ["-O", name, "-c", "-o", "compression_type=\(compression.rawValue)"]
        case .vmdk: ["-O", name, "-o", "subformat=streamOptimized"]
        case .vhd: ["-O", name, "-o", "subformat=fixed,force_size=on"]
        }
    }
}
