import KldCore
import KldFiles
package import SystemPackage

/// What tells one disk from its copy outside all files: read from a raw image, to prove that sealing changed it.
package struct DiskFingerprint: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, CaseIterable, Comparable {
        case partitionTable = "gpt-disk-guid"
        case partition = "gpt-partition-guids"
        case fatSerial = "fat-serial"
        case pool = "pool-guid"
        case vdev = "vdev-guids"
        case hostID = "host id in pool-label-host"
        case hostName = "host name in pool-label-host"

        package static func < (a: Kind, b: Kind) -> Bool { a.rawValue < b.rawValue }
    }

    package struct Mark: Sendable, Hashable, Comparable, CustomStringConvertible {
        package var kind: Kind
        package var value: String
        package var description: String { "\(kind.rawValue) \(value)" }
        package static func < (a: Mark, b: Mark) -> Bool { (a.kind, a.value) < (b.kind, b.value) }
    }

    package private(set) var marks: Set<Mark> = []

    package var kinds: Set<Kind> { Set(marks.map(\.kind)) }

    /// What another disk has in the same places.
    package func shared(with other: DiskFingerprint) -> [Mark] { marks.intersection(other.marks).sorted() }

    /// Reads both partition tables, both boot sectors of every FAT file system, and all four labels of every device of a pool.
    ///
    /// - Parameter image: raw, with sectors of 512 bytes.
    /// - Throws: ``Diagnosis`` `scan.no-partition-table`; ``FileError``.
    package init(of image: FilePath) throws {
        let file: FileDescriptor
        do { file = try FileDescriptor.open(image, .readOnly, options: .closeOnExec) } catch Errno.noSuchFileOrDirectory {
            throw FileError.missing(image)
        }
        defer { try? file.close() }
        let size = UInt64(try file.seek(offset: 0, from: .end))
        func read(_ offset: UInt64, _ count: Int) throws -> [UInt8] {
            guard offset + UInt64(count) <= size else { return [] }
            var bytes = [UInt8](repeating: 0, count: count)
            let got = try bytes.withUnsafeMutableBytes { try file.read(fromAbsoluteOffset: Int64(offset), into: $0) }
            return Array(bytes[..<got])
        }
        var partitions: [Range<UInt64>] = []
        for header in [512, size >= 1024 ? size - 512 : 0] {
            guard let table = PartitionTable(header: try read(header, 512)) else { continue }
            add(.partitionTable, table.guid)
            for entry in try table.entries(read(table.entries, table.entryBytes * table.entryCount)) {
                add(.partition, entry.guid)
                partitions.append(entry.bytes)
            }
        }
        guard !partitions.isEmpty else {
            throw Diagnosis(
                "scan.no-partition-table", "\(image) has no partition table", remedies: ["name a raw disk image"], exit: .inputMissing)
        }
        for place in Set(partitions) where place.upperBound <= size {
            // The copy of the boot sector lies in the seventh sector. Source: mkfs.fat(8) -b; Microsoft's FAT specification, 3.3.
            for sector in [place.lowerBound, place.lowerBound + 6 * 512] {
                let boot = try read(sector, 512)
                guard boot.count == 512, boot[510] == 0x55, boot[511] == 0xAA, boot[82..<87].elementsEqual("FAT32".utf8) else { continue }
                add(.fatSerial, hex(little(boot, 67, 4), 8))
            }
            for offset in PoolLabel.offsets(place.upperBound - place.lowerBound) {
                let area = try read(place.lowerBound + offset + PoolLabel.listOffset, PoolLabel.listBytes)
                guard let label = PoolLabel(area) else { continue }
                if let guid = label.poolGUID { add(.pool, String(guid)) }
                for guid in label.vdevGUIDs { add(.vdev, String(guid)) }
                if let id = label.hostID { add(.hostID, hex(id, 8)) }
                if let name = label.hostName { add(.hostName, name) }
            }
        }
    }

    private mutating func add(_ kind: Kind, _ value: String) { marks.insert(Mark(kind: kind, value: value)) }
}

/// As far as it is needed. Source: UEFI 2.10, 5.3.2 and 5.3.3.
private struct PartitionTable {
    var guid: String
    /// In bytes from the beginning of the disk.
    var entries: UInt64
    var entryCount: Int
    var entryBytes: Int

    init?(header: [UInt8]) {
        guard header.count == 512, header.starts(with: "EFI PART".utf8) else { return nil }
        guid = guidText(header, 56)
        entryCount = Int(little(header, 80, 4))
        entryBytes = Int(little(header, 84, 4))
        let sector = little(header, 72, 8)
        guard (1...1024).contains(entryCount), (128...4096).contains(entryBytes), sector < 1 << 48 else { return nil }
        entries = sector * 512
    }

    func entries(_ bytes: [UInt8]) -> [(guid: String, bytes: Range<UInt64>)] {
        guard bytes.count == entryBytes * entryCount else { return [] }
        return (0..<entryCount).compactMap { index in
            let start = index * entryBytes
            let (first, last) = (little(bytes, start + 32, 8), little(bytes, start + 40, 8))
            guard bytes[start..<start + 16].contains(where: { $0 != 0 }), first <= last, last < 1 << 48 else { return nil }
            return (guidText(bytes, start + 16), first * 512..<(last + 1) * 512)
        }
    }
}

private func little(_ bytes: [UInt8], _ place: Int, _ count: Int) -> UInt64 {
    bytes[place..<place + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
}

private func hex(_ value: UInt64, _ digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}

/// The first three parts of a GUID are little-endian, the rest stands as it is. Source: UEFI 2.10, appendix A.
private func guidText(_ bytes: [UInt8], _ place: Int) -> String {
    func plain(_ start: Int, _ count: Int) -> String { bytes[start..<start + count].map { hex(UInt64($0), 2) }.joined() }
    return [
        hex(little(bytes, place, 4), 8), hex(little(bytes, place + 4, 2), 4), hex(little(bytes, place + 6, 2), 4), plain(place + 8, 2),
        plain(place + 10, 6),
    ].joined(separator: "-")
}
