import Glibc
import KldCore
package import SystemPackage

extension FileSystem {
    /// Whether a range of one file holds the same bytes as another file from `start` on; not where one of them ends before. Read a piece at a
    /// time, so that it takes no memory to speak of.
    /// - Throws: ``FileError``.
    package func same(_ a: FilePath, _ range: Range<UInt64>, _ b: FilePath, at start: UInt64) throws -> Bool {
        let piece: UInt64 = 4 << 20
        for offset in stride(from: 0, to: UInt64(range.count), by: UInt64.Stride(piece)) {
            let length = min(piece, UInt64(range.count) - offset)
            let (from, to) = (range.lowerBound + offset, start + offset)
            let (ones, others) = (try read(a, from..<(from + length)), try read(b, to..<(to + length)))
            // why not ==: it compares bytes one by one.
            guard UInt64(ones.count) == length, UInt64(others.count) == length, memcmp(ones, others, ones.count) == 0 else { return false }
        }
        return true
    }

    /// Whether two files hold the same bytes. - Throws: ``FileError``.
    package func same(_ a: FilePath, _ b: FilePath) throws -> Bool {
        guard let size = try status(a)?.size, try status(b)?.size == size else { return false }
        return try same(a, 0..<size.bytes, b, at: 0)
    }
}
