public import KldCore

extension ProfileSpec {
    /// What a machine of it holds after the installation, and the least disk that it is installed on.
    ///
    /// Content: what apt counts for Debian 13's packages without recommendations (core 0.8 GB, server 1.3 GB, kvm 1.5 GB, desktop 2.7 GB), the
    /// initramfs and boot images, rounded up to whole GiB. Disk: the ESP of 1 GiB, the content, as much again for a second boot environment
    /// after an upgrade, and as much for logs and data; kvm has room for a first guest.
    private static let sizes: [String: (content: ByteCount, disk: ByteCount)] = [
        "core": (.gibibytes(1), .gibibytes(4)),
        "server": (.gibibytes(2), .gibibytes(8)),
        "kvm": (.gibibytes(2), .gibibytes(16)),
        "desktop": (.gibibytes(3), .gibibytes(12)),
        "ai": (.gibibytes(2), .gibibytes(8)),
    ]

    /// What it holds on a disk, before any compression.
    public var content: ByteCount { Self.sizes[id]?.content ?? .gibibytes(2) }

    /// An installation on less is refused.
    public var leastDisk: ByteCount { Self.sizes[id]?.disk ?? .gibibytes(8) }
}
