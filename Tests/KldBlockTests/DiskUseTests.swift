import KldBlock
import KldCore
import KldFiles
import KldTestSupport
import Testing

@Suite("Who uses a disk of which nothing is mounted")
struct DiskUseTests {
    private let plain = BlockDevice(
        path: "/dev/sda", size: .gibibytes(8), children: [BlockDevice(path: "/dev/sda1", size: .gibibytes(7), type: "part")])

    /// A process and a file it has open. The information is of Linux 6.12.
    private static func process(_ number: Int, _ program: String, _ device: String, flags: String) -> (
        texts: [String: String], link: [String: String]
    ) {
        (
            [
                "/proc/\(number)/comm": program + "\n",
                "/proc/\(number)/fdinfo/9": "pos:\t0\nflags:\t\(flags)\nmnt_id:\t25\nino:\t327\n",
            ], ["/proc/\(number)/fd/9": device]
        )
    }

    @Test("a program that may write to it, or to a partition of it, is named; one that only reads it is not")
    func programs() async throws {
        let processes = [
            Self.process(7, "qemu-system-x86", "/dev/sda", flags: "02100002"), Self.process(8, "dd", "/dev/sda1", flags: "0100001"),
            Self.process(9, "smartctl", "/dev/sda", flags: "0100000"), Self.process(10, "mdmon", "/dev/sda", flags: "0140002"),
            Self.process(11, "dd", "/dev/sdb", flags: "0100001"),
        ]
        let texts: [String: String] = processes.reduce(into: ["/proc/meminfo": ""]) { $0.merge($1.texts) { $1 } }
        let links: [String: String] = processes.reduce(into: [:]) { $0.merge($1.link) { $1 } }
        let found = try await DiskUse.find([plain], MemoryFiles(texts, links: links))
        #expect(
            found == [
                "/dev/sda": ["process 7 (qemu-system-x86) may write to /dev/sda", "process 8 (dd) may write to /dev/sda1"]
            ])
    }

    @Test("a loop device over a whole disk is named, one over a file is not it")
    func loops() async throws {
        let files = MemoryFiles([
            "/sys/block/loop0/size": "0\n", "/sys/block/loop1/loop/backing_file": "/srv/file.img\n",
            "/sys/block/loop2/loop/backing_file": "/dev/sda\n",
        ])
        #expect(try await DiskUse.find([plain], files) == ["/dev/sda": ["it is attached as /dev/loop2"]])
    }

    @Test("what the kernel holds is in use, unless it is listed: then it is taken down before the disk is wiped")
    func claimed() async throws {
        let files = MemoryFiles(claimed: ["/dev/sda"])
        #expect(try await DiskUse.find([plain], files)["/dev/sda"]?.count == 1)
        var stacked = plain
        stacked.children[0].children = [BlockDevice(path: "/dev/md127", size: .gibibytes(7), type: "raid1")]
        #expect(try await DiskUse.find([stacked], files) == [:])
        #expect(try await DiskUse.find([plain], MemoryFiles()) == [:])
    }
}
