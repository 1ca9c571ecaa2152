import Glibc
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("Partitions that sealing does not touch")
struct ForeignPartitionTests {
    typealias Disk = DiskFingerprintTests.Disk

    static let (esp, pool) = ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "6a85cf4d-1dd2-11b2-99a6-080020736631")
    static let (swap, linux) = ("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "0fc63daf-8483-4772-8e79-3d69d8477de4")
    static let (bios, reserved) = ("21686148-6449-6e6f-744e-656564454649", "6a945a3b-1dd2-11b2-99a6-080020736631")

    /// What blkid of util-linux 2.38 says of each place, by its offset; nothing, and 2, of others.
    private static func runner(_ known: [String: String] = [:]) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                guard command.tool.name == "blkid" else { return nil }
                let found = known.first { command.description.contains(" --offset \($0.key) --size 524288 ") }
                return CommandOutput(status: found == nil ? 2 : 0, output: found.map { "\($0.value)\n" } ?? "")
            }
        ])
    }

    /// - Parameter change: of the bytes.
    private func refuse(
        _ disk: Disk, _ runner: ScriptedRunner = ForeignPartitionTests.runner(), _ change: (inout [UInt8]) -> Void = { _ in }
    ) async throws -> Diagnosis? {
        try await Scratch.with { folder in
            let (image, files) = (folder.appending("disk.raw"), LocalFiles())
            try DiskFingerprintTests.write(disk, to: image)
            var bytes = try files.read(image)
            change(&bytes)
            try files.write(bytes, to: image, mode: .secret)
            return await problem { try await ForeignPartitions.refuse(on: image, of: "/srv/machine.img", runner, files) }
        }
    }

    @Test("an ESP and a pool are sealed; BIOS boot and what Solaris keeps free hold no files")
    func none() async throws {
        let runner = Self.runner()
        #expect(try await refuse(Disk(), runner) == nil)
        #expect(try await refuse(Disk(others: [(Self.bios, ""), (Self.reserved, "")]), runner) == nil)
        // A pool is known by its labels.
        #expect(try await refuse(Disk(types: [Self.esp, Self.linux]), runner) == nil)
        #expect(runner.commands.isEmpty)
    }

    @Test("every other partition is named, with its type, what is on it, and its size")
    func foreign() async throws {
        let disk = Disk(others: [(Self.swap, "swap"), (Self.linux, "data \u{1B}[2J"), ("7c3457ef-0000-11aa-aa11-00306543ecac", "")])
        let runner = Self.runner(["6291456": "swap", "6815744": "crypto_LUKS"])
        let found = try await refuse(disk, runner)
        let problem = try #require(found)
        #expect(problem.code == "image.foreign-partitions" && problem.exit == .badAnswers)
        #expect(problem.message.hasPrefix("/srv/machine.img has partitions that sealing does not touch"))
        #expect(
            problem.causes == [
                "partition 3 'swap': Linux swap, swap, 512 KiB", "partition 4 'data [2J': Linux filesystem, crypto_LUKS, 512 KiB",
                "partition 5: type 7c3457ef-0000-11aa-aa11-00306543ecac, no file system that is known, 512 KiB",
            ])
        #expect(problem.remedies.count == 2 && problem.remedies.contains { $0.contains("--no-seal") })
        #expect(runner.commands.count == 3 && runner.commands.allSatisfy { $0.effect == .reads })
    }

    @Test("a type alone makes no pool, nor does a second ESP, or one that is not the first partition, count as the one that is made anew")
    func typed() async throws {
        let cases: [(disk: Disk, cause: String)] = [
            (Disk(others: [(Self.pool, "")]), "partition 3: Solaris root, no file system that is known, 512 KiB"),
            (Disk(others: [(Self.esp, "EFI")]), "partition 3 'EFI': EFI system, no file system that is known, 512 KiB"),
            (Disk(types: [Self.linux, Self.pool]), "partition 1: Linux filesystem, no file system that is known, 1 MiB"),
        ]
        for (disk, cause) in cases { #expect(try await refuse(disk)?.causes == [cause]) }
    }

    @Test("where the table cannot be read, nobody knows what else is there", arguments: [512, 512 + 72, 512 + 80])
    func unread(_ place: Int) async throws {
        let problem = try await refuse(Disk()) { bytes in
            for index in place..<place + 8 { bytes[index] = 0x7F }
        }
        #expect(problem?.code == "image.no-partition-table" && problem?.exit == .inputMissing)
        // Entries behind the end of the disk.
        #expect(try await refuse(Disk()) { $0[512 + 75] = 1 }?.code == "image.no-partition-table")
    }

    static let hasTools = access("/usr/sbin/sgdisk", X_OK) == 0 && access("/usr/sbin/blkid", X_OK) == 0

    @Test("sgdisk writes what is read, and blkid finds what is there", .enabled(if: hasTools, "sgdisk or blkid is not installed"))
    func contract() async throws {
        try await Scratch.with { folder in
            let (runner, files, image) = (SubprocessRunner(), LocalFiles(), folder.appending("disk.raw"))
            // A swap area's head: its version, and the magic at the end of the first page. Source: mkswap(8), libblkid's `swap.c`, 2.38.
            var swap = [UInt8](repeating: 0, count: 8 << 20)
            swap[1024] = 1
            swap[1028] = 0xFF
            swap.replaceSubrange(4086..<4096, with: Array("SWAPSPACE2".utf8))
            try files.write([UInt8](repeating: 0, count: 1 << 20) + swap + [UInt8](repeating: 0, count: 8 << 20), to: image, mode: .secret)
            try await runner.run(
                Command(
                    Tool("sgdisk", package: "gdisk"),
                    ["--new=1:2048:+8M", "--typecode=1:8200", "--change-name=1:swap", "--new=2:0:+1M", "--typecode=2:EF02", image.string],
                    effect: .changes))
            let problem = await #expect(throws: Diagnosis.self) {
                try await ForeignPartitions.refuse(on: image, of: image, runner, files)
            }
            #expect(problem?.causes == ["partition 1 'swap': Linux swap, swap, 8 MiB"])
        }
    }

    /// What is asked of the machine before a raw file is exported.
    private static func machine(_ size: Int) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                switch (command.tool.name, command.arguments.first) {
                case ("lsblk", _): CommandOutput(output: #"{"blockdevices":[]}"#)
                case ("losetup", _): CommandOutput()
                case ("zpool", _): CommandOutput(status: 1, errors: "The ZFS modules cannot be auto-loaded.\n")
                case ("qemu-img", "info"): CommandOutput(output: #"{"format":"raw","virtual-size":\#(size)}"#)
                case ("qemu-img", "measure"): CommandOutput(output: #"{"required":1048576,"fully-allocated":8388608}"#)
                case ("blkid", _): CommandOutput(output: "swap\n")
                default: nil
                }
            }
        ])
    }

    @Test("an export that seals is refused before anything is made or written; one that does not seal is not, and may hold anything")
    func export() async throws {
        try await Scratch.with { folder in
            let image = folder.appending("disk.raw")
            try DiskFingerprintTests.write(Disk(others: [(Self.swap, "")]), to: image)
            let runner = Self.machine(8 << 20)
            let workshop = Workshop(
                cache: ArtifactCache(root: folder.appending("cache"), runner: runner), runner: runner, executable: "/nowhere", root: false)
            func export(seal: Bool, dryRun: Bool) async throws -> ImageManifest? {
                try await DiskExport(workshop: workshop) { _ in }.run(
                    KexportRequest(
                        source: .path(image), formats: [.qcow2], destination: .folder(folder.appending("out")), seal: seal, dryRun: dryRun),
                    version: "1", created: Timestamp(seconds: 0))
            }
            for dryRun in [false, true] {
                let problem = await #expect(throws: Diagnosis.self) { try await export(seal: true, dryRun: dryRun) }
                #expect(problem?.code == "image.foreign-partitions")
            }
            #expect(try await export(seal: false, dryRun: true) == nil)
            #expect(runner.commands.allSatisfy { $0.effect == .reads })
            #expect(try LocalFiles().list(folder) == ["disk.raw"])
        }
    }
}
