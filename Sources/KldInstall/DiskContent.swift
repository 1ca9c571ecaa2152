import KldCore
import KldFiles
import SystemPackage

/// What a disk holds that no tool has a name for: plain dm-crypt, GELI, a database on the raw device. Samples of it are read, not all.
struct DiskContent {
    let disk: FilePath
    let size: ByteCount

    /// So many bytes are read at either end: labels lie there, GELI's in the last sector.
    private static let end: UInt64 = 1 << 20
    private static let places: UInt64 = 128
    /// In bytes. Ten MiB in all: a second on a disk that turns.
    private static let place: UInt64 = 64 << 10

    /// Where it is read, in bytes and in order: both ends, and places at equal distances between them.
    private var samples: [Range<UInt64>] {
        let bytes = size.bytes
        guard bytes > 2 * Self.end else { return [0..<bytes] }
        let step = (bytes - 2 * Self.end) / Self.places
        let between = (0..<Self.places).map { number in
            let start = Self.end + number * step
            return start..<(start + min(Self.place, step))
        }
        return [0..<Self.end] + between.filter { !$0.isEmpty } + [(bytes - Self.end)..<bytes]
    }

    /// The first thing that says that the disk is not empty: `data at byte 512`. What cannot be read says so too.
    ///
    /// - Returns: `nil` when each sample is all zeros, or all ones as erased flash is.
    func found(_ files: any FileSystem) -> String? {
        for range in samples {
            let bytes: [UInt8]
            do { bytes = try files.read(disk, range) } catch { return unread(range, error) }
            guard bytes.count == range.count, let first = bytes.first else {
                return "it ends at byte \(range.lowerBound + UInt64(bytes.count)), before its size"
            }
            let isBlank = first == 0 || first == 0xFF
            if isBlank, bytes == [UInt8](repeating: first, count: bytes.count) { continue }
            let place = isBlank ? bytes.firstIndex { $0 != first } ?? 0 : 0
            return "data at byte \(range.lowerBound + UInt64(place))"
        }
        return nil
    }

    private func unread(_ range: Range<UInt64>, _ error: any Error) -> String {
        let problem = Diagnosis(of: error)
        return "unreadable at byte \(range.lowerBound): " + ([problem.message] + problem.causes).joined(separator: ": ")
    }
}
