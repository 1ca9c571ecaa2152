import Glibc
import KldCore
import KldExec
import KldFiles
import SystemPackage
import Testing

@testable import KldImage

@Suite("Identities of a disk outside all files")
struct DiskFingerprintTests {
    struct Disk {
        var table = "0f0e0d0c-0b0a-0908-0706-050403020100"
        var types = ["c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "6a85cf4d-1dd2-11b2-99a6-080020736631"]
        var partitions = ["11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"]
        var serial: UInt32 = 0x1234_ABCD
        var pool: UInt64 = 14_227_345_870_128_411_364
        var device: UInt64 = 77
        var host: UInt64? = 0x007F_0082
        var name = "builder"
        /// Behind the two, half a MiB each; there is room for three.
        var others: [(type: String, name: String)] = []
    }

    // MARK: writing

    private static func big(_ value: UInt32) -> [UInt8] { (0..<4).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) } }
    private static func little(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }

    private static func text(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        return big(UInt32(bytes.count)) + bytes + [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
    }
    private static func pair(_ name: String, _ type: UInt32, _ value: [UInt8], count: UInt32 = 1) -> [UInt8] {
        let body = text(name) + big(type) + big(count) + value
        return big(UInt32(body.count + 8)) + big(UInt32(body.count + 40)) + body
    }
    private static func number(_ name: String, _ value: UInt64) -> [UInt8] {
        pair(name, 8, big(UInt32(value >> 32)) + big(UInt32(truncatingIfNeeded: value)))
    }
    private static func list(_ pairs: [[UInt8]]) -> [UInt8] { big(0) + big(1) + pairs.flatMap { $0 } + big(0) + big(0) }

    static func label(_ disk: Disk) -> [UInt8] {
        let child = list([pair("type", 9, text("disk")), number("guid", disk.device), pair("whole", 1, [], count: 0)])
        let tree = list([
            pair("type", 9, text("mirror")), number("guid", 88), pair("features", 16, big(0) + big(9), count: 1),
            pair("children", 20, child + list([number("guid", 99)]), count: 2),
        ])
        let pairs = [
            number("version", 5000), pair("name", 9, text("rpool")), number("pool_guid", disk.pool), number("top_guid", 88),
            number("guid", disk.device), pair("vdev_tree", 19, tree),
        ]
        return [1, 1, 0, 0] + list(pairs + (disk.host.map { [number("hostid", $0), pair("hostname", 9, text(disk.name))] } ?? []))
    }

    /// A GUID as it lies on a disk.
    private static func guid(_ text: String) -> [UInt8] {
        let parts = text.split(separator: "-").map { part in
            stride(from: 0, to: part.count, by: 2).compactMap { UInt8(part.dropFirst($0).prefix(2), radix: 16) }
        }
        return parts[0].reversed() + parts[1].reversed() + parts[2].reversed() + parts[3] + parts[4]
    }

    /// 8 MiB: a FAT file system of 1 MiB and a device of a pool of 4 MiB.
    static func write(_ disk: Disk, to path: FilePath) throws {
        var bytes = [UInt8](repeating: 0, count: 8 << 20)
        func put(_ content: [UInt8], _ place: Int) { bytes.replaceSubrange(place..<place + content.count, with: content) }
        let sectors = bytes.count / 512
        for (header, entries) in [(1, 2), (sectors - 1, sectors - 33)] {
            put(Array("EFI PART".utf8), header * 512)
            put(guid(disk.table), header * 512 + 56)
            put(little(UInt64(entries), 8) + little(128, 4) + little(128, 4), header * 512 + 72)
            for (index, place) in [(2048, 4095), (4096, 12287)].enumerated() {
                put(guid(disk.types[index]) + guid(disk.partitions[index]), entries * 512 + index * 128)
                put(little(UInt64(place.0), 8) + little(UInt64(place.1), 8), entries * 512 + index * 128 + 32)
            }
            for (index, other) in disk.others.enumerated() {
                let (entry, first) = (entries * 512 + (index + 2) * 128, UInt64(12288 + index * 1024))
                put(guid(other.type) + [UInt8](repeating: UInt8(index + 1), count: 16), entry)
                put(little(first, 8) + little(first + 1023, 8), entry + 32)
                put(other.name.utf16.flatMap { little(UInt64($0), 2) }, entry + 56)
            }
        }
        for sector in [2048, 2054] {
            put(little(UInt64(disk.serial), 4), sector * 512 + 67)
            put(Array("FAT32   ".utf8), sector * 512 + 82)
            put([0x55, 0xAA], sector * 512 + 510)
        }
        for offset in PoolLabel.offsets(4 << 20) { put(label(disk), 4096 * 512 + Int(offset + PoolLabel.listOffset)) }
        try LocalFiles().write(bytes, to: path, mode: .secret)
    }

    // MARK: reading

    @Test("every kind is read, from both tables, both boot sectors and all labels")
    func read() throws {
        try withTemporaryFolder { folder in
            let image = folder.appending("disk.raw")
            try Self.write(Disk(), to: image)
            let print = try DiskFingerprint(of: image)
            #expect(
                print.marks.sorted().map(\.description) == [
                    "fat-serial 1234abcd", "gpt-disk-guid 0f0e0d0c-0b0a-0908-0706-050403020100",
                    "gpt-partition-guids 11111111-2222-3333-4444-555555555555", "gpt-partition-guids aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
                    "host id in pool-label-host 007f0082", "host name in pool-label-host builder", "pool-guid 14227345870128411364",
                    "vdev-guids 77", "vdev-guids 88", "vdev-guids 99",
                ])
            #expect(print.kinds == Set(DiskFingerprint.Kind.allCases))
        }
    }

    @Test("what a copy still has is told; one place that was forgotten is enough")
    func shared() throws {
        try withTemporaryFolder { folder in
            let (source, copy) = (folder.appending("source.raw"), folder.appending("copy.raw"))
            try Self.write(Disk(), to: source)
            var other = Disk(
                table: "00000000-0000-0000-0000-000000000001",
                partitions: ["00000000-0000-0000-0000-000000000002", "00000000-0000-0000-0000-000000000003"], serial: 5, pool: 6, host: nil)
            try Self.write(other, to: copy)
            let before = try DiskFingerprint(of: source)
            #expect(before.shared(with: try DiskFingerprint(of: copy)).map(\.kind) == [.vdev, .vdev, .vdev])
            other.serial = Disk().serial
            try Self.write(other, to: copy)
            #expect(before.shared(with: try DiskFingerprint(of: copy)).map(\.kind) == [.fatSerial, .vdev, .vdev, .vdev])
            // The last label of the source on an otherwise new disk.
            other.serial = 5
            try Self.write(other, to: copy)
            var bytes = try LocalFiles().read(copy)
            let place = 4096 * 512 + Int(PoolLabel.offsets(4 << 20)[3] + PoolLabel.listOffset)
            let old = Self.label(Disk())
            bytes.replaceSubrange(place..<place + old.count, with: old)
            try LocalFiles().write(bytes, to: copy, mode: .secret)
            #expect(Set(before.shared(with: try DiskFingerprint(of: copy)).map(\.kind)) == [.vdev, .pool, .hostID, .hostName])
        }
    }

    @Test("labels lie at both ends of a device, whole labels only")
    func labels() {
        #expect(PoolLabel.offsets(4 << 20) == [0, 262_144, 3_670_016, 3_932_160])
        #expect(PoolLabel.offsets((4 << 20) + 1000) == PoolLabel.offsets(4 << 20))
        #expect(PoolLabel.offsets(1 << 19) == [])
    }

    @Test("half a label, and bytes that are none, are no label")
    func broken() {
        let whole = Self.label(Disk())
        #expect(PoolLabel(whole)?.pool == "rpool")
        for end in stride(from: 0, to: whole.count, by: 3) { _ = PoolLabel(Array(whole[..<end])) }
        #expect(PoolLabel([UInt8](repeating: 0, count: 4096)) == nil)
        #expect(PoolLabel([1, 1, 0, 0] + [UInt8](repeating: 0xFF, count: 4096)) == nil)
        var generator = SplitMix64(state: 1)
        for _ in 0..<2000 {
            var bytes = whole
            for _ in 0..<4 { bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: generator.next()) }
            _ = PoolLabel(bytes)
        }
    }

    @Test("a file that is no disk is refused")
    func noDisk() throws {
        try withTemporaryFolder { folder in
            let file = folder.appending("text")
            try LocalFiles().write("no disk", to: file)
            #expect(throws: Diagnosis.self) { try DiskFingerprint(of: file) }
            #expect(throws: FileError.self) { try DiskFingerprint(of: folder.appending("missing")) }
        }
    }

    static let hasTools = access("/usr/sbin/sgdisk", X_OK) == 0 && access("/usr/sbin/fatlabel", X_OK) == 0

    @Test("sgdisk, mkfs.vfat and fatlabel write where we read", .enabled(if: hasTools, "sgdisk or dosfstools is not installed"))
    func contract() async throws {
        var template = Array("/tmp/kldload-seal-XXXXXX".utf8CString)
        let folder = FilePath(try #require(mkdtemp(&template).map { String(cString: $0) }))
        defer { try? LocalFiles().remove(folder) }
        let runner = SubprocessRunner()
        let (image, part) = (folder.appending("disk.raw"), folder.appending("esp.raw"))
        for (file, size) in [(image, "80M"), (part, "64M")] {
            try await runner.run(Command(Tool("truncate", package: "coreutils"), ["--size=\(size)", file.string], effect: .changes))
        }
        try await runner.run(
            Command(Tool("sgdisk", package: "gdisk"), ["--new=1:2048:+64M", "--new=2:0:0", image.string], effect: .changes))
        try await runner.run(
            Command(Tool("mkfs.vfat", package: "dosfstools"), ["-F", "32", "-n", "EFI", "-i", "1234abcd", part.string], effect: .changes))
        func place() async throws {
            try await runner.run(
                Command(
                    Tool("dd", package: "coreutils"),
                    ["if=\(part)", "of=\(image)", "bs=1M", "seek=1", "conv=notrunc", "status=none"], effect: .changes))
        }
        try await place()
        let before = try DiskFingerprint(of: image)
        #expect(before.marks.contains { $0.description == "fat-serial 1234abcd" })
        #expect(before.marks.count { $0.kind == .partition } == 2 && before.marks.count { $0.kind == .partitionTable } == 1)
        try await runner.run(Command(Tool("sgdisk", package: "gdisk"), ["--randomize-guids", image.string], effect: .changes))
        try await runner.run(Command(Tool("fatlabel", package: "dosfstools"), ["-i", part.string, "0badcafe"], effect: .changes))
        try await place()
        let after = try DiskFingerprint(of: image)
        #expect(before.shared(with: after) == [])
        #expect(after.kinds == before.kinds)
    }
}
