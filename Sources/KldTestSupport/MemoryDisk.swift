public import KldCore
import KldFiles
import SystemPackage

/// The content of a disk of any size: every byte is the same, but for a few.
public struct MemoryDisk: Sendable {
    public var size: ByteCount
    public var fill: UInt8
    /// Other bytes, by where they lie.
    public var others: [UInt64: UInt8]
    /// Where reading fails.
    public var broken: Range<UInt64>?

    public init(size: ByteCount, fill: UInt8 = 0, others: [UInt64: UInt8] = [:], broken: Range<UInt64>? = nil) {
        self.size = size
        self.fill = fill
        self.others = others
        self.broken = broken
    }

    func read(_ path: FilePath, _ range: Range<UInt64>) throws -> [UInt8] {
        if let broken, broken.overlaps(range) { throw FileError.other(path, action: "read", reason: "Input/output error") }
        let inside = range.clamped(to: 0..<size.bytes)
        var bytes = [UInt8](repeating: fill, count: inside.count)
        for (place, byte) in others where inside.contains(place) { bytes[Int(place - inside.lowerBound)] = byte }
        return bytes
    }
}
