import Glibc
import KldCore
import KldFiles
package import SystemPackage

/// Reads a raw image or a disk once and says where any of many strings occurs.
///
/// Holes of sparse files are skipped: a hole reads as zeros, and no string holds a zero. Source: lseek(2), SEEK_DATA and SEEK_HOLE.
package struct ByteScanner: Sendable {
    package struct Pattern: Sendable, Hashable {
        package var name: String
        package var bytes: [UInt8]

        package init(name: String, bytes: [UInt8]) {
            self.name = name
            self.bytes = bytes
        }
        package init(name: String, text: String) { self.init(name: name, bytes: Array(text.utf8)) }
    }

    package struct Hit: Sendable, Hashable, Codable {
        package var name: String
        /// In bytes from the beginning of the file.
        package var offset: UInt64
    }

    package struct Findings: Sendable, Hashable, Codable {
        package var hits: [Hit] = []
        package var bytesRead: UInt64 = 0
        package var bytesInHoles: UInt64 = 0
        /// There were more hits than the limit; the rest was searched and not listed.
        package var isTruncated = false
    }

    private let patterns: [Pattern]
    private let search: PatternSearch
    private let chunkBytes: Int
    private let maximumHits: Int

    /// - Parameters:
    ///   - patterns: each at least eight bytes long and without a zero byte.
    ///   - chunkBytes: how much is read at a time.
    ///   - maximumHits: after so many, hits are no longer listed.
    /// - Throws: ``Diagnosis`` `scan.pattern` for a pattern that could not be searched for.
    package init(_ patterns: [Pattern], chunkBytes: Int = 4 << 20, maximumHits: Int = 10_000) throws {
        if let bad = patterns.first(where: { $0.bytes.count < 8 || $0.bytes.contains(0) }) {
            throw Diagnosis(
                "scan.pattern", "the pattern \(bad.name) cannot be searched for", remedies: ["use eight bytes or more, none of them zero"],
                exit: .usage)
        }
        self.patterns = patterns
        search = PatternSearch(patterns.map(\.bytes))
        self.chunkBytes = max(chunkBytes, search.longest)
        self.maximumHits = maximumHits
    }

    /// Reads all data of a regular file or a block device. Changes nothing.
    ///
    /// - Throws: ``FileError``; `CancellationError` when the task is cancelled.
    package func scan(_ path: FilePath) throws -> Findings {
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
            defer { try? file.close() }
            // A hint only: one pass, front to back.
            posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_SEQUENTIAL)
            let end = try file.seek(offset: 0, from: .end)
            var findings = Findings()
            var position: Int64 = 0
            while position < end, let extent = try nextExtent(file, from: position, end: end) {
                findings.bytesInHoles += UInt64(extent.lowerBound - position)
                try scan(file, extent, into: &findings)
                position = extent.upperBound
            }
            findings.bytesInHoles += UInt64(max(0, end - position))
            return findings
        } catch let number as Errno {
            throw FileError(number, path, action: "search")
        }
    }

    /// The next run of data, or `nil` when only a hole is left. Where holes cannot be asked for (block devices), all is data.
    private func nextExtent(_ file: FileDescriptor, from position: Int64, end: Int64) throws -> Range<Int64>? {
        let start = Int64(lseek(file.rawValue, off_t(position), seekData))
        guard start >= 0 else {
            switch errno {
            case ENXIO: return nil
            case EINVAL, EOPNOTSUPP: return position..<end
            default: throw Errno(rawValue: errno)
            }
        }
        let hole = Int64(lseek(file.rawValue, off_t(start), seekHole))
        return start..<(hole > start ? min(hole, end) : end)
    }

    /// Chunk by chunk; the end of each is kept before the next, so that a string across the border is seen, and seen once.
    private func scan(_ file: FileDescriptor, _ extent: Range<Int64>, into findings: inout Findings) throws {
        let overlap = search.longest - 1
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: overlap + chunkBytes, alignment: 4096)
        defer { buffer.deallocate() }
        var kept = 0
        var position = extent.lowerBound
        while position < extent.upperBound {
            try Task.checkCancellation()
            let wanted = min(chunkBytes, Int(extent.upperBound - position))
            let count = try file.read(
                fromAbsoluteOffset: position, into: UnsafeMutableRawBufferPointer(rebasing: buffer[kept..<kept + wanted]))
            if count == 0 { break }
            let filled = kept + count
            let base = position - Int64(kept)
            UnsafeRawBufferPointer(rebasing: buffer[..<filled]).withMemoryRebound(to: UInt8.self) { bytes in
                search.search(bytes) { string, start in
                    // What lies in the kept part alone was found with the chunk before.
                    guard start + patterns[string].bytes.count > kept else { return }
                    guard findings.hits.count < maximumHits else { return findings.isTruncated = true }
                    findings.hits.append(Hit(name: patterns[string].name, offset: UInt64(base + Int64(start))))
                }
            }
            position += Int64(count)
            findings.bytesRead += UInt64(count)
            kept = min(overlap, filled)
            if kept > 0, let start = buffer.baseAddress { memmove(start, start + filled - kept, kept) }
        }
    }
}

// SEEK_DATA and SEEK_HOLE of <linux/fs.h>: Swift's module of the C library hides them behind _GNU_SOURCE.
private let seekData: CInt = 3
private let seekHole: CInt = 4
