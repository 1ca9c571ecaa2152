import KldCore
package import SystemPackage

/// The writes of a guest to one disk, in their order, as QEMU's blklogwrites driver recorded them: a disk as it stood at any instant is
/// what it was before, and the writes up to there.
///
/// Source: Linux `drivers/md/dm-log-writes.c`, 6.12; QEMU `block/blklogwrites.c`, 10.0.
package struct WriteLog: Sendable {
    package struct Entry: Sendable, Hashable {
        package enum Kind: Sendable, Hashable { case write, discard, flush }
        package var kind: Kind
        /// On the disk, in bytes.
        package var range: Range<UInt64>
        /// Where its data lies in the log.
        var data: UInt64

        /// The same write by sectors of 512 bytes: the most that a disk promises to write as one.
        package var sectors: [Entry] {
            guard kind != .flush else { return [self] }
            return stride(from: range.lowerBound, to: range.upperBound, by: 512).map { start in
                Entry(kind: kind, range: start..<min(start + 512, range.upperBound), data: data + start - range.lowerBound)
            }
        }
    }

    private static let magic: UInt64 = 0x6a73_6677_7368_72
    package private(set) var entries: [Entry] = []
    private let file: FilePath

    /// - Throws: ``Diagnosis`` `vm.bad-write-log`; `Errno`.
    package init(_ file: FilePath) throws {
        self.file = file
        let log = try FileDescriptor.open(file, .readOnly, options: [.closeOnExec])
        entries = try log.closeAfter {
            func little(_ place: UInt64, _ count: Int) throws -> [UInt64] {
                let bytes = try Self.read(log, place..<(place + UInt64(count * 8)))
                return (0..<count).map { index in bytes[(8 * index)..<(8 * index + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
            }
            let head = try little(0, 4)
            let sector = head[3] & 0xffff_ffff
            guard head[0] == Self.magic, sector >= 512 else {
                throw Diagnosis("vm.bad-write-log", "\(file) is no log of writes", exit: .bug)
            }
            var place = sector
            var entries: [Entry] = []
            for _ in 0..<head[2] {
                let words = try little(place, 3)
                let range = words[0] * sector..<(words[0] + words[1]) * sector
                let kind: Entry.Kind = words[2] & 4 != 0 ? .discard : range.isEmpty ? .flush : .write
                entries.append(Entry(kind: kind, range: range, data: place + sector))
                place += sector + (kind == .write ? UInt64(range.count) : 0)
            }
            return entries
        }
    }

    private static func read(_ log: FileDescriptor, _ range: Range<UInt64>) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            while count < range.count {
                let got = try log.read(
                    fromAbsoluteOffset: Int64(range.lowerBound) + Int64(count),
                    into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count..<range.count]))
                guard got > 0 else { throw Diagnosis("vm.bad-write-log", "the log of writes ends in the middle of one", exit: .bug) }
                count += got
            }
        }
    }

    /// Writes entries to a disk, or to a file that holds a part of it. Discarded bytes become zeros, which a disk may do or not.
    ///
    /// - Parameters:
    ///   - part: which bytes of the disk the file holds; what lies beside them is left out.
    package func apply(_ chosen: some Sequence<Entry>, to disk: FilePath, part: Range<UInt64>) throws {
        let log = try FileDescriptor.open(file, .readOnly, options: [.closeOnExec])
        defer { try? log.close() }
        let target = try FileDescriptor.open(disk, .writeOnly, options: [.closeOnExec])
        try target.closeAfter {
            for entry in chosen where entry.kind != .flush && entry.range.overlaps(part) {
                let range = entry.range.clamped(to: part)
                let start = entry.data + (range.lowerBound - entry.range.lowerBound)
                let bytes =
                    entry.kind == .write
                    ? try Self.read(log, start..<(start + UInt64(range.count))) : [UInt8](repeating: 0, count: range.count)
                try target.writeAll(toAbsoluteOffset: Int64(range.lowerBound - part.lowerBound), bytes)
            }
        }
    }
}
