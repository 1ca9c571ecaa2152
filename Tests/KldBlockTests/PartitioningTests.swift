import KldBlock
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@Suite("Partitions and their commands")
struct PartitioningTests {
    @Test(
        "a partition's path follows the kernel's and udev's rules",
        arguments: [
            ("/dev/sda", "/dev/sda2"), ("/dev/vdz", "/dev/vdz2"), ("/dev/sdaa", "/dev/sdaa2"), ("/dev/nvme0n1", "/dev/nvme0n1p2"),
            ("/dev/nvme10n12", "/dev/nvme10n12p2"), ("/dev/mmcblk0", "/dev/mmcblk0p2"), ("/dev/loop7", "/dev/loop7p2"),
            ("/dev/nbd3", "/dev/nbd3p2"),
            ("/dev/md127", "/dev/md127p2"), ("/dev/xvda", "/dev/xvda2"),
            ("/dev/disk/by-id/ata-WDC_WD40", "/dev/disk/by-id/ata-WDC_WD40-part2"),
            ("/dev/disk/by-id/wwn-0x5001", "/dev/disk/by-id/wwn-0x5001-part2"),
            ("/dev/disk/by-id/nvme-eui.0025", "/dev/disk/by-id/nvme-eui.0025-part2"),
            ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part2"),
        ])
    func path(_ disk: String, _ partition: String) { #expect(Disk.partition(2, of: disk) == partition) }

    @Test("a partition is told from one of a disk whose name begins alike")
    func number() {
        let numbers = [
            Disk.number(of: "/dev/sda12", on: "/dev/sda"), Disk.number(of: "/dev/nvme0n1p2", on: "/dev/nvme0n1"),
            Disk.number(of: "/dev/sdaa1", on: "/dev/sda"), Disk.number(of: "/dev/nvme0n12", on: "/dev/nvme0n1"),
            Disk.number(of: "/dev/sda", on: "/dev/sda"), Disk.number(of: "/dev/sdb1", on: "/dev/sda"),
        ]
        #expect(numbers == [12, 2, nil, nil, nil, nil])
    }

    @Test("the commands are these, with these effects")
    func golden() {
        func check(_ command: Command, _ text: String, _ effect: Effect, accepting: Set<Int32> = [0]) {
            #expect(command.description == text)
            #expect(command.effect == effect)
            #expect(command.acceptedExitStatuses == accepting)
        }
        check(Disk.wipeSignatures("/dev/sda1"), "wipefs --all /dev/sda1", .destroys)
        check(Disk.wipeSignatures("/dev/sda1", nested: true), "wipefs --all --force /dev/sda1", .destroys)
        check(Disk.zap("/dev/sda"), "sgdisk --zap-all /dev/sda", .destroys, accepting: [0, 2])
        check(Disk.discard("/dev/sda"), "blkdiscard /dev/sda", .destroys, accepting: [0, 1])
        check(Disk.makeFAT("/dev/sda1", label: "EFI", serial: 0xAB), "mkfs.vfat -F 32 -n EFI -i 000000ab /dev/sda1", .destroys)
        check(Disk.setFATSerial("/dev/sda1", 0xAB), "fatlabel -i /dev/sda1 000000ab", .changes)
        check(Disk.zero("/dev/sda1"), "blkdiscard --force --zeroout /dev/sda1", .destroys)
        check(Disk.randomizeGUIDs("/dev/sda"), "sgdisk --randomize-guids /dev/sda", .changes)
        check(Disk.settle, "udevadm settle --timeout=30", .reads)
        check(Disk.rereadTable("/dev/sda"), "blockdev --rereadpt /dev/sda", .changes, accepting: [0, 1])
        check(MountCommand.mount("/dev/sda1", at: "/mnt"), "mount /dev/sda1 /mnt", .changes)
        check(
            MountCommand.mount("/dev/sda1", at: "/a b", type: "vfat", options: ["ro", "umask=0077"]),
            "mount -t vfat -o ro,umask=0077 /dev/sda1 '/a b'", .changes)
        check(MountCommand.bind("/dev", at: "/target/dev"), "mount --bind /dev /target/dev", .changes)
        check(MountCommand.unmount("/target"), "umount --recursive /target", .changes, accepting: [0, 1, 32])
        check(MountCommand.unmount("/target", recursive: false), "umount /target", .changes, accepting: [0, 1, 32])
    }

    @Test("all partitions are written at once, the last one to the end of the disk")
    func table() {
        let parts = [
            PartitionSpec(1, size: .gibibytes(1), type: .efiSystem, name: "EFI system partition"),
            PartitionSpec(2, size: .mebibytes(500), type: .zfs, name: "a"), PartitionSpec(3, size: nil, type: .zfs, name: "kldload rpool"),
        ]
        #expect(
            Disk.partition("/dev/sda", parts).description
                == "sgdisk --clear --set-alignment=2048 --new=1:0:+1024M --typecode=1:EF00 '--change-name=1:EFI system partition' "
                + "--new=2:0:+500M --typecode=2:BF00 --change-name=2:a --new=3:0:0 --typecode=3:BF00 "
                + "'--change-name=3:kldload rpool' /dev/sda"
        )
        #expect(Disk.partition("/dev/sda", parts).effect == .destroys)
    }

    @Test("partitions are aligned to 1 MiB, whatever the sectors are", arguments: [(512, "2048"), (4096, "256")] as [(Int, String)])
    func alignment(_ sector: Int, _ count: String) {
        let parts = [PartitionSpec(1, size: nil, type: .zfs, name: "a")]
        let words = Disk.partition("/dev/sda", parts, sectorBytes: sector).arguments
        #expect(words.contains("--set-alignment=\(count)"))
    }

    @Test(
        "a FAT volume id is written as blkid prints it",
        arguments: [(0xCAFE_F00D, "CAFE-F00D"), (1, "0000-0001"), (0, "0000-0000"), (0xFFFF_FFFF, "FFFF-FFFF")] as [(UInt32, String)])
    func fatUUID(_ serial: UInt32, _ text: String) { #expect(Disk.fatUUID(serial) == text) }
}

/// The real tools, on a file instead of a disk.
@Suite("Real partitioning tools")
struct PartitioningContractTests {
    static func has(_ programs: String...) -> Bool {
        programs.allSatisfy { name in ["/usr/sbin", "/usr/bin"].contains { (try? LocalFiles().exists(FilePath("\($0)/\(name)"))) == true } }
    }

    let runner = SubprocessRunner()

    func withImage(mebibytes: Int, _ body: (String) async throws -> Void) async throws {
        try await Scratch.with { folder in
            let image = folder.appending("disk.img").string
            try await runner.run(Command("truncate", ["--size=\(mebibytes)M", image], effect: .changes))
            try await body(image)
        }
    }

    @Test("sgdisk makes the partitions that were asked for", .enabled(if: has("sgdisk"), "this needs sgdisk"))
    func partitions() async throws {
        try await withImage(mebibytes: 4096) { image in
            try await runner.run(
                Disk.partition(
                    image,
                    [
                        PartitionSpec(1, size: .gibibytes(1), type: .efiSystem, name: "EFI system partition"),
                        PartitionSpec(2, size: nil, type: .zfs, name: "kldload rpool"),
                    ]))
            let table = try await runner.run(Command("sgdisk", ["--print", image], effect: .reads)).output.lines
            #expect(table.contains { $0.words == ["1", "2048", "2099199", "1024.0", "MiB", "EF00", "EFI", "system", "partition"] })
            #expect(table.contains { $0.words.first == "2" && $0.words[1] == "2099200" && $0.hasSuffix("BF00  kldload rpool") })
        }
    }

    @Test(
        "partitions of the size that unequal disks are given fit on the smallest of them", .enabled(if: has("sgdisk"), "this needs sgdisk"))
    func fits() async throws {
        try await withImage(mebibytes: 4096) { image in
            // What an installation asks for on a disk of 4 GiB: see InstallPlanner.
            let parts = [
                PartitionSpec(1, size: .gibibytes(1), type: .efiSystem, name: "EFI system partition"),
                PartitionSpec(2, size: .mebibytes(4096 - 1024 - 8), type: .zfs, name: "kldload rpool"),
            ]
            try await runner.run(Disk.partition(image, parts))
            try await runner.run(Command("sgdisk", ["--verify", image], effect: .reads))
        }
    }

    @Test(
        "a disk that was wiped as we do it carries nothing any more",
        .enabled(if: has("sgdisk", "wipefs", "blkdiscard"), "this needs sgdisk and wipefs"))
    func wiped() async throws {
        try await withImage(mebibytes: 300) { image in
            try await runner.run(Disk.partition(image, [PartitionSpec(1, size: nil, type: .zfs, name: "old")]))
            let look = Command("wipefs", ["--no-act", "--noheadings", "--output", "TYPE", image], effect: .reads)
            #expect(try await !runner.run(look).output.lines.isEmpty)
            for command in [Disk.wipeSignatures(image), Disk.zap(image), Disk.discard(image)] { try await runner.run(command) }
            #expect(try await runner.run(look).output.lines.isEmpty)
        }
    }

    @Test("zapping a table that is damaged is no failure", .enabled(if: has("sgdisk"), "this needs sgdisk"))
    func zapDamaged() async throws {
        try await withImage(mebibytes: 16) { image in
            try await runner.run(Disk.partition(image, [PartitionSpec(1, size: nil, type: .zfs, name: "old")]))
            // The first header's checksum no longer fits.
            let file = try FileDescriptor.open(FilePath(image), .writeOnly)
            _ = try file.writeAll(toAbsoluteOffset: 520, [1, 2, 3, 4, 5, 6, 7, 8])
            try file.close()
            try await runner.run(Disk.zap(image))
        }
    }

    @Test(
        "mkfs.vfat gives the file system the serial number that the mount table names",
        .enabled(if: has("mkfs.vfat", "blkid"), "this needs mkfs.vfat and blkid"))
    func fat() async throws {
        try await withImage(mebibytes: 1024) { image in
            try await runner.run(Disk.makeFAT(image, label: "EFI", serial: 0xCAFE_F00D))
            let told = try await runner.run(Command("blkid", ["--probe", "--output", "export", image], effect: .reads)).output.lines
            #expect(told.contains("UUID=\(Disk.fatUUID(0xCAFE_F00D))"))
            #expect(told.contains("LABEL=EFI"))
            #expect(told.contains("VERSION=FAT32"))
        }
    }

    @Test("lsblk of this machine prints what the parser understands", .enabled(if: has("lsblk"), "this needs lsblk"))
    func lsblk() async throws {
        let devices = try ListBlockDevices.parse(await runner.run(ListBlockDevices.command).output)
        #expect(devices.allSatisfy { $0.path.hasPrefix("/dev/") && !$0.type.isEmpty })
    }
}
