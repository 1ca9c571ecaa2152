import KldCore
import KldExec
import KldFiles
import SystemPackage

/// Partitions that sealing does not touch. What they hold, memory and keys in a swap partition for one, would be in the image as it is.
enum ForeignPartitions {
    private static let esp = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
    /// GRUB's own program, and the room at the end of a disk that OpenZFS has whole.
    private static let harmless: Set = ["21686148-6449-6e6f-744e-656564454649", "6a945a3b-1dd2-11b2-99a6-080020736631"]

    /// Types that a person may know by name. Source: `sfdisk --label gpt --list-types`, util-linux 2.38.
    private static let names = [
        esp: "EFI system", "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap", "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux filesystem",
        "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM", "a19d880f-05fc-4d3b-a006-743f0f84911e": "Linux RAID",
        "bc13c2ff-59e6-4262-a352-b275fd6f7172": "Linux extended boot", "6a85cf4d-1dd2-11b2-99a6-080020736631": "Solaris root",
        "6a898cc3-1dd2-11b2-99a6-080020736631": "Solaris /usr & Apple ZFS", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Microsoft basic data",
        "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
        "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery environment",
    ]

    /// Reads the partition table of a disk that is to be sealed. What is sealed is its first partition, an ESP, and a pool; others are refused,
    /// but for those that hold no files: BIOS boot, Solaris reserved. A partition is a pool's by its labels, whatever its type says.
    ///
    /// Runs: `blkid --probe --offset BYTES --size BYTES --match-tag TYPE --output value DISK` for each that is refused; reads.
    /// Source: blkid(8), util-linux 2.38: 2 when it finds nothing, 8 when it finds too much.
    ///
    /// - Parameters:
    ///   - disk: raw.
    ///   - source: what it is called by the person who named it.
    /// - Throws: ``Diagnosis`` `image.foreign-partitions`, `image.no-partition-table`; ``FileError``.
    static func refuse(on disk: FilePath, of source: FilePath, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        func read(_ place: UInt64, _ count: Int) throws -> [UInt8] { try files.read(disk, place..<place + UInt64(count)) }
        guard let partitions = try PartitionTable(header: UInt64(PartitionTable.sectorBytes), read)?.partitions else {
            throw Diagnosis(
                "image.no-partition-table", "\(source) has no GPT that is understood, so nobody knows what else it holds",
                remedies: [
                    "look at it: sfdisk --list \(source)", "or export it as it is, with every identity and secret in it: --no-seal",
                ],
                exit: .inputMissing)
        }
        var found: [String] = []
        for partition in partitions {
            if partition.number == 1, partition.type == esp { continue }
            if try harmless.contains(partition.type) || isOfPool(partition, read) { continue }
            let size = ByteCount(UInt64(partition.bytes.count))
            let probe = Command(
                Tool("blkid", package: "util-linux"),
                [
                    "--probe", "--offset", String(partition.bytes.lowerBound), "--size", String(size.bytes), "--match-tag", "TYPE",
                    "--output", "value", disk.string,
                ], effect: .reads, accepting: [0, 2, 8])
            let filesystem = try await runner.run(probe).output.trimmed
            let name = partition.name.isEmpty ? "" : " '\(partition.name)'"
            let type = names[partition.type] ?? "type \(partition.type)"
            found.append(
                "partition \(partition.number)\(name): \(type), \(filesystem.isEmpty ? "no file system that is known" : filesystem), \(size)"
            )
        }
        guard found.isEmpty else {
            throw Diagnosis(
                "image.foreign-partitions",
                "\(source) has partitions that sealing does not touch: what they hold would be in the image as it is",
                remedies: [
                    "on a copy of the disk, zero each of them and remove it: blkdiscard --zeroout, sgdisk --delete=N; export that copy",
                    "or export it as it is, with every identity and secret in it: --no-seal",
                ], exit: .badAnswers, causes: found)
        }
    }

    private static func isOfPool(
        _ partition: PartitionTable.Partition, _ read: (_ place: UInt64, _ count: Int) throws -> [UInt8]
    ) rethrows -> Bool {
        try PoolLabel.offsets(UInt64(partition.bytes.count)).contains { offset in
            try PoolLabel(read(partition.bytes.lowerBound + offset + PoolLabel.listOffset, PoolLabel.listBytes)) != nil
        }
    }
}
