public import KldCore

extension ProfileSpec {
    /// What it holds on a disk, before any compression.
    public var content: ByteCount { ProfileSize.all[id]?.content ?? .gibibytes(2) }

    /// An installation on less is refused.
    public var leastDisk: ByteCount { ProfileSize.all[id]?.disk ?? .gibibytes(8) }
}
