import KldCore
import KldExec
import SystemPackage
import Testing

@testable import KldZFS

@Suite("What a pool does not use")
struct FreeSpaceTests {
    static let pool = try? PoolName("rpool")

    /// As `zdb -e -mmmmmm` of OpenZFS 2.3.9 prints it, shorter: two metaslabs of 512 MiB, and a log of which the first has taken over
    /// everything already.
    static let maps = """

        Metaslabs:
        \tvdev          0\t  metaslab shift   29   ms_unflushed_phys object 73
        \tmetaslabs     2   offset                spacemap          free        
        \t---------------   -------------------   ---------------   ------------
        \tmetaslab      0   offset            0   spacemap     75   free     512M
        \t                  segments          2   maxsize    512M   freepct   99%
        \tIn-memory histogram:
        \t\t\t 12:      1 *
        space map object 75:
          smp_length = 0x18
          smp_alloc = 0x3000
        \t    [     0] ALLOC: txg 114 pass 1
        \t    [     1]    A  range: 0000002000-0000004000  size: 002000 vdev: 16777216 words: 1
        \t    [     2]    A  range: 0000004000-0000008000  size: 004000 vdev: 16777216 words: 1
        \t    [     3] FREE: txg 115 pass 1
        \t    [     4]    F  range: 0000003000-0000006000  size: 003000 vdev: 16777216 words: 1
        \tFlush data:
        \tunflushed txg=418

        \tmetaslab      1   offset     20000000   spacemap     74   free     512M
        space map object 74:
          smp_length = 0x8
          smp_alloc = 0x1000
        \t    [     0] ALLOC: txg 114 pass 1
        \t    [     1]    A  range: 0020000000-0020001000  size: 001000 vdev: 16777216 words: 1
        \tFlush data:
        \tunflushed txg=417


        Log Space Maps in Pool:
        Log Spacemap object 25 txg 417
        space map object 25:
          smp_length = 0x20
          smp_alloc = 0xfffffffffffff000
        \t    [     0] FREE: txg 417 pass 1
        \t    [     1]    F  range: 0020000000-0020001000  size: 001000 vdev: 000000 words: 2
        \t    [     2]    F  range: 0000003000-0000004000  size: 001000 vdev: 000000 words: 2
        \t    [     3] ALLOC: txg 417 pass 2
        \t    [     4]    A  range: 0020002000-0020003000  size: 001000 vdev: 000000 words: 2

        Log Space Map Obsolete Entry Statistics:
        51       valid entries out of 51       - txg 417

        """

    static let label: DiskLabel = {
        var label = DiskLabel.parse(
            "    name: 'rpool'\n    state: 1\n    vdev_children: 1\n        type: 'disk'\n        asize: 1073745920\n")
        return label ?? DiskLabel(pool: "")
    }()

    /// As that of 2.4.4 prints the same.
    static let newer = maps.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
        let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
        guard words.contains("range:"), let start = Int(words[4].prefix(10), radix: 16), let size = Int(words[6], radix: 16) else {
            return String(line)
        }
        func hex(_ number: Int) -> String {
            String(repeating: "0", count: 12 - String(number, radix: 16).count) + String(number, radix: 16)
        }
        let vdev = words.last == "2" ? " vdev: 0" : ""
        return "\t    [\(words[1]) \(words[2]) range: \(hex(start))-\(hex(start + size - 1)) size: \(hex(size).suffix(8))\(vdev)"
    }.joined(separator: "\n")

    @Test(
        "is what neither its space maps nor their log hold, the room behind the first labels, and the rest behind the last metaslab",
        arguments: [maps, newer])
    func free(_ maps: String) throws {
        let start: Int64 = 4 << 20
        let space = try FreeSpace(maps, label: Self.label)
        let expected: [Range<Int64>] = [
            512 << 10..<start, 0..<0x2000, 0x3000..<0x6000, 0x8000..<0x2000_2000, 0x2000_3000..<0x4000_1000,
        ].enumerated().map { $0 == 0 ? $1 : $1.lowerBound + start..<$1.upperBound + start }
        #expect(space.ranges == expected)
    }

    @Test("is asked of zdb, in the folder of the pool's devices")
    func command() throws {
        let pool = try #require(Self.pool)
        #expect(FreeSpace.command(pool, devices: "/dev/disk/by-id").description == "zdb -e -p /dev/disk/by-id -mmmmmm rpool")
    }

    @Test(
        "is nothing at all when anything does not fit together",
        arguments: [
            ("smp_alloc = 0x3000", "smp_alloc = 0x2000"), ("smp_alloc = 0xfffffffffffff000", "smp_alloc = 0x0"),
            ("metaslabs     2", "metaslabs     3"), ("offset     20000000", "offset     40000000"),
            ("\t    [     2]    A  range: 0000004000-0000008000  size: 004000 vdev: 16777216 words: 1\n", ""),
            ("A  range: 0000004000-0000008000", "A  range: 0000003000-0000007000"),
            ("range: 0000003000-0000006000", "range: 0000006000-0000003000"),
            ("vdev: 000000", "vdev: 000001"), ("size: 004000", "size: 003000"), ("size: 003000", "size: none"),
            ("vdev          0", "vdev          1"), ("F  range: 0020000000", "F  range: 0010000000"),
            ("unflushed txg=418", "unflushed txg=410"), ("    A  range", "    X  range"), ("smp_alloc = 0x3000", "smp_alloc = lots"),
        ])
    func doubtful(_ old: String, _ new: String) throws {
        let maps = Self.maps.replacing(old, with: new)
        #expect(maps != Self.maps)
        #expect(#expect(throws: Diagnosis.self) { try FreeSpace(maps, label: Self.label) }?.code == "zfs.free-space")
    }

    @Test("is nothing of a pool that is open, has several devices, or lies in a file", arguments: 0..<4)
    func layout(_ place: Int) throws {
        var label = Self.label
        switch place {
        case 0: label.state = 0
        case 1: label.vdevs = 2
        case 2: label.kind = "mirror"
        default: label.allocatable = ByteCount(1 << 30 - 1)
        }
        #expect(#expect(throws: Diagnosis.self) { try FreeSpace(Self.maps, label: label) }?.code == "zfs.free-space")
    }

    @Test("is nothing without any output") func empty() {
        #expect(throws: Diagnosis.self) { try FreeSpace("", label: Self.label) }
    }
}
