/// What a machine of a profile holds after the installation, and the least disk that it is installed on.
///
/// Content: what apt counts for Debian 13's packages without recommendations (core 0.8 GB, server 1.3 GB, kvm 1.5 GB, desktop 2.7 GB), the
/// initramfs and boot images, rounded up to whole GiB. Disk: the ESP of 1 GiB, the content, as much again for a second boot environment
/// after an upgrade, and as much for logs and data; kvm has room for a first guest.
package struct ProfileSize: Sendable, Hashable {
    package let content: ByteCount
    package let disk: ByteCount

    /// By the profile's name.
    package static let all: [String: ProfileSize] = [
        "core": ProfileSize(content: .gibibytes(1), disk: .gibibytes(4)),
        "server": ProfileSize(content: .gibibytes(2), disk: .gibibytes(8)),
        "kvm": ProfileSize(content: .gibibytes(2), disk: .gibibytes(16)),
        "desktop": ProfileSize(content: .gibibytes(3), disk: .gibibytes(12)),
        "ai": ProfileSize(content: .gibibytes(2), disk: .gibibytes(8)),
    ]
}
