package import KldCore

/// What is fixed about VHD files.
///
/// Source: "Virtual Hard Disk Image Format Specification" 1.0 (Microsoft, 2006); Azure's "Prepare a Windows VHD" for the 1 MiB rule.
package enum VHDFormat {
    /// Bytes of the footer after the disk's content.
    package static let footerBytes: UInt64 = 512
    /// 2040 GiB: the most that Hyper-V and qemu-img (`VHD_MAX_SECTORS`) take.
    package static let limit = ByteCount.gibibytes(2040)

    /// The next multiple of 1 MiB: Azure refuses other sizes.
    package static func roundedSize(_ size: ByteCount) -> ByteCount {
        ByteCount(((size.bytes + (1 << 20) - 1) >> 20) << 20)
    }
}
