import KldCore
import KldExec
import KldFiles
import SystemPackage
import Testing

import KldTestSupport

@testable import KldImage

@Suite("The ESP of a template")
struct ESPImageTests {
    static let hasTools = ["sgdisk", "mkfs.vfat", "mcopy", "partx"].allSatisfy { name in
        ["/usr/sbin", "/sbin", "/usr/bin"].contains { (try? LocalFiles().exists(FilePath("\($0)/\(name)"))) == true }
    }

    /// A disk with an ESP on which files were written in an order, with one that is gone.
    private func disk(_ name: String, in root: FilePath, _ names: [String]) async throws -> FilePath {
        let runner = SubprocessRunner()
        func run(_ tool: String, _ words: [String]) async throws { try await runner.run(Command(Tool(tool), words, effect: .changes)) }
        let (disk, file) = (root.appending("\(name).raw"), root.appending("\(name).file"))
        try await run("truncate", ["--size=100M", disk.string])
        try await run("sgdisk", ["--new=1:1M:+64M", "--typecode=1:ef00", "--new=2:0:0", disk.string])
        try await run("mkfs.vfat", ["-F", "32", "-n", "EFI", "--offset=2048", disk.string, "65536"])
        let esp = "\(disk)@@1M"
        try await run("mmd", ["-i", esp, "::EFI", "::EFI/BOOT", "::loader"])
        try LocalFiles().write(String(repeating: "secret of \(name)", count: 1000), to: file)
        try await run("mcopy", ["-i", esp, file.string, "::EFI/gone"])
        for path in names {
            try LocalFiles().write("content of \(path)", to: file)
            try await run("mcopy", ["-i", esp, file.string, "::\(path)"])
        }
        try await run("mdel", ["-i", esp, "::EFI/gone"])
        return disk
    }

    @Test(
        "the same files give the same bytes, whenever and in whatever order they were written, and nothing of what is gone",
        .enabled(if: hasTools))
    func same() async throws {
        try await Scratch.with { root in
            let names = ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi", "loader/loader.conf", "loader/a long name of an entry+3.conf"]
            let runner = SubprocessRunner()
            func remains(_ disk: FilePath) async throws -> Bool {
                try await runner.run(Command("grep", ["--quiet", "--text", "secret of", disk.string], effect: .reads, accepting: [0, 1]))
                    .status == 0
            }
            for (name, names) in [("one", names), ("two", names.reversed())] {
                let disk = try await disk(name, in: root, names)
                #expect(try await remains(disk))
                let esp = ESPImage(disk: disk, serial: 0x1234_abcd, runner: runner, files: LocalFiles())
                try await esp.remake(in: root.appending("scratch"))
                #expect(try await !remains(disk))
                let read = Command("mtype", ["-i", "\(disk)@@1M", "::\(names[3])"], effect: .reads)
                #expect(try await runner.run(read).output == "content of \(names[3])")
                #expect(try LocalFiles().exists(root.appending("scratch")) == false)
            }
            // Without the partition table, whose GUIDs are random.
            let compare = Command(
                "cmp", ["--ignore-initial=1048576", "--bytes=67108864"] + ["one", "two"].map { root.appending("\($0).raw").string },
                effect: .reads, accepting: [0, 1])
            #expect(try await runner.run(compare).output == "")
        }
    }

    @Test("a disk without partitions is refused", .enabled(if: hasTools))
    func bare() async throws {
        try await Scratch.with { root in
            let disk = root.appending("bare.raw")
            try await SubprocessRunner().run(Command("truncate", ["--size=4M", disk.string], effect: .changes))
            let esp = ESPImage(disk: disk, serial: 1, runner: SubprocessRunner(), files: LocalFiles())
            await #expect(throws: (any Error).self) { try await esp.remake(in: root.appending("scratch")) }
        }
    }
}
