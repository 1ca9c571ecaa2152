/// A GPT of a disk with sectors of 512 bytes, as far as it is needed. Source: UEFI 2.10, 5.3.2 and 5.3.3.
struct PartitionTable: Sendable, Hashable {
    struct Partition: Sendable, Hashable {
        /// From one.
        var number: Int
        /// GUIDs, in lower case.
        var type: String
        var guid: String
        /// Without characters that are none.
        var name: String
        /// In bytes from the beginning of the disk.
        var bytes: Range<UInt64>
    }

    static let sectorBytes = 512

    var guid: String
    /// `nil`: the header names a place where they are not.
    var partitions: [Partition]?

    /// - Parameters:
    ///   - header: where it lies, in bytes from the beginning of the disk.
    ///   - read: so many bytes from a place; fewer where the disk ends before.
    /// - Returns: `nil` where there is none, or none that is understood.
    init?(header: UInt64, _ read: (_ place: UInt64, _ count: Int) throws -> [UInt8]) rethrows {
        let bytes = try read(header, Self.sectorBytes)
        guard bytes.count == Self.sectorBytes, bytes.starts(with: "EFI PART".utf8) else { return nil }
        let (count, size, sector) = (Int(bytes.little(80, 4)), Int(bytes.little(84, 4)), bytes.little(72, 8))
        guard (1...1024).contains(count), (128...4096).contains(size), sector < 1 << 48 else { return nil }
        guid = Self.guid(bytes, 56)
        let entries = try read(sector * UInt64(Self.sectorBytes), count * size)
        guard entries.count == count * size else { return }
        partitions = (0..<count).compactMap { Self.partition($0 + 1, Array(entries[$0 * size..<($0 + 1) * size])) }
    }

    private static func partition(_ number: Int, _ entry: [UInt8]) -> Partition? {
        let (first, last) = (entry.little(32, 8), entry.little(40, 8))
        guard entry[..<16].contains(where: { $0 != 0 }), first <= last, last < 1 << 48 else { return nil }
        let units = stride(from: 56, to: 128, by: 2).map { UInt16(entry.little($0, 2)) }.prefix { $0 != 0 }
        let name = String(decoding: units, as: UTF16.self).unicodeScalars.filter { $0.properties.generalCategory != .control }
        let sector = UInt64(sectorBytes)
        return Partition(
            number: number, type: guid(entry, 0), guid: guid(entry, 16), name: String(name), bytes: first * sector..<(last + 1) * sector)
    }

    /// The first three parts of a GUID are little-endian, the rest stands as it is. Source: UEFI 2.10, appendix A.
    private static func guid(_ bytes: [UInt8], _ place: Int) -> String {
        func plain(_ start: Int, _ count: Int) -> String { bytes[start..<start + count].map { UInt64($0).hex(2) }.joined() }
        return [
            bytes.little(place, 4).hex(8), bytes.little(place + 4, 2).hex(4), bytes.little(place + 6, 2).hex(4), plain(place + 8, 2),
            plain(place + 10, 6),
        ].joined(separator: "-")
    }
}

extension [UInt8] {
    /// A number of so many bytes, the lowest first.
    func little(_ place: Int, _ count: Int) -> UInt64 { self[place..<place + count].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
}

extension UInt64 {
    /// At least so many hexadecimal digits.
    func hex(_ digits: Int) -> String {
        let text = String(self, radix: 16)
        return String(repeating: "0", count: Swift.max(0, digits - text.count)) + text
    }
}
