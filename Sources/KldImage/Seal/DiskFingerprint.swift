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
            guard let table = try PartitionTable(header: header, read) else { continue }
            add(.partitionTable, table.guid)
            for partition in table.partitions ?? [] {
                add(.partition, partition.guid)
                partitions.append(partition.bytes)
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
                add(.fatSerial, boot.little(67, 4).hex(8))
            }
            for offset in PoolLabel.offsets(place.upperBound - place.lowerBound) {
                let area = try read(place.lowerBound + offset + PoolLabel.listOffset, PoolLabel.listBytes)
                guard let label = PoolLabel(area) else { continue }
                if let guid = label.poolGUID { add(.pool, String(guid)) }
                for guid in label.vdevGUIDs { add(.vdev, String(guid)) }
                if let id = label.hostID { add(.hostID, id.hex(8)) }
                if let name = label.hostName { add(.hostName, name) }
            }
        }
    }

    private mutating func add(_ kind: Kind, _ value: String) { marks.insert(Mark(kind: kind, value: value)) }
}
