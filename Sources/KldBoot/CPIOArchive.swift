/// A small cpio archive in the `newc` format, which the kernel unpacks into the initramfs beside the others.
///
/// Source: Linux `Documentation/driver-api/early-userspace/buffer-format.rst` (6.12). Reproducible: no times, no owners.
public struct CPIOArchive: Sendable, Hashable {
    public private(set) var bytes: [UInt8] = []
    private var inode: UInt32 = 0

    public init() {}

    /// Adds a folder, with its parents given before it.
    public mutating func add(directory path: String) { entry(path, mode: 0o040755, content: []) }
    public mutating func add(file path: String, mode: UInt32 = 0o644, content: [UInt8]) {
        entry(path, mode: 0o100000 | mode, content: content)
    }

    /// The archive with its trailer, padded to 512 bytes.
    public var finished: [UInt8] {
        var copy = self
        copy.entry("TRAILER!!!", mode: 0, content: [])
        copy.bytes.pad(to: 512)
        return copy.bytes
    }

    static func digits(_ value: UInt32) -> [UInt8] {
        let digits = String(value, radix: 16, uppercase: true)
        return Array((String(repeating: "0", count: 8 - digits.count) + digits).utf8)
    }

    private mutating func entry(_ path: String, mode: UInt32, content: [UInt8]) {
        inode += 1
        let name = Array(path.utf8) + [0]
        let fields: [UInt32] = [inode, mode, 0, 0, 1, 0, UInt32(content.count), 0, 0, 0, 0, UInt32(name.count), 0]
        bytes += Array("070701".utf8)
        for field in fields { bytes += Self.digits(field) }
        bytes += name
        bytes.pad(to: 4)
        bytes += content
        bytes.pad(to: 4)
    }
}

extension [UInt8] {
    mutating func pad(to boundary: Int) { self += [UInt8](repeating: 0, count: (boundary - count % boundary) % boundary) }
}
