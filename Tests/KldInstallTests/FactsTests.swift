import FoundationEssentials
import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldTestSupport
import SystemPackage
import Testing

@Suite("Facts of a machine")
struct FactsTests {
    /// A server with two NVMe disks in a pool, a system disk, a seed stick and odd devices; in lsblk's form (util-linux 2.41).
    static let listing = """
        {"blockdevices":[
          {"path":"/dev/zram0","name":"zram0","size":8589934592,"type":"disk","mountpoints":["[SWAP]"]},
          {"path":"/dev/sr0","name":"sr0","size":1073741312,"type":"rom","mountpoints":[null]},
          {"path":"/dev/sde","name":"sde","size":0,"type":"disk","rm":true,"mountpoints":[null]},
          {"path":"/dev/sda","name":"sda","size":240057409536,"type":"disk","serial":"S1","mountpoints":[null],"children":[
            {"path":"/dev/sda1","name":"sda1","size":1073741824,"type":"part","fstype":"vfat","mountpoints":["/boot/efi"]},
            {"path":"/dev/sda2","name":"sda2","size":238000000000,"type":"part","fstype":"ext4","mountpoints":["/"]}]},
          {"path":"/dev/nvme0n1","name":"nvme0n1","size":512110190592,"type":"disk","mountpoints":[null],"children":[
            {"path":"/dev/nvme0n1p1","name":"nvme0n1p1","size":512109142016,"type":"part","fstype":"zfs_member","mountpoints":[null]}]},
          {"path":"/dev/nvme1n1","name":"nvme1n1","size":512110190592,"type":"disk","mountpoints":[null],"children":[
            {"path":"/dev/nvme1n1p1","name":"nvme1n1p1","size":512109142016,"type":"part","fstype":"zfs_member","mountpoints":[null]}]},
          {"path":"/dev/sdb","name":"sdb","size":16008609792,"type":"disk","rm":true,"fstype":"vfat","label":"KLDSEED","mountpoints":[null]}
        ]}
        """

    static let links = [
        "/dev/disk/by-id/wwn-0x5001": "../../sda", "/dev/disk/by-id/ata-SSD_S1": "../../sda",
        "/dev/disk/by-id/ata-SSD_S1-part1": "../../sda1",
        "/dev/disk/by-id/nvme-eui.0001": "../../nvme0n1", "/dev/disk/by-id/nvme-Disk_A": "../../nvme0n1",
        "/dev/disk/by-id/nvme-eui.0002": "../../nvme1n1", "/dev/disk/by-path/pci-0000:01:00.0-ata-1": "../../sda",
        "/dev/disk/by-path/pci-0000:02:00.0-usb-0:1:1.0-scsi-0:0:0:0": "../../sdb", "/dev/disk/by-id/usb-Foo-part_of_set-0:0": "../../sdb",
        "/dev/disk/by-id/nvme-Disk_A-part1": "../../nvme0n1p1",
    ]

    func gather(
        _ listing: String = listing, pools: String? = nil, links: [String: String] = links, files: [String: String] = [:]
    ) async throws -> MachineFacts {
        var texts = [
            "/proc/meminfo": "MemTotal:       16316412 kB\nMemFree:         1234 kB\n", "/sys/class/net/lo": "",
            "/sys/class/net/eno1/device": "",
            "/dev/disk/by-path/pci-0000:01:00.0-part/by-partnum/1": "",
        ]
        if pools != nil { texts["/sys/module/zfs/version"] = "2.4.4\n" }
        texts.merge(files) { $1 }
        var table = [ListBlockDevices.command.description: listing]
        if let pools { table["zpool list -vHPp -o name,bootfs,altroot"] = pools }
        return try await MachineFacts.gather(runner: ScriptedRunner(table), files: MemoryFiles(texts, links: links))
    }

    @Test("disks are those that can hold something: no card reader without a card, no swap in memory, no CD")
    func disks() async throws {
        #expect(try await gather().disks.map(\.name) == ["sda", "nvme0n1", "nvme1n1", "sdb"])
    }

    @Test("the stable name says what the disk is; a bare number is for want of a better one")
    func names() async throws {
        let facts = try await gather()
        #expect(
            facts.stableNames == [
                "/dev/sda": "/dev/disk/by-id/ata-SSD_S1", "/dev/nvme0n1": "/dev/disk/by-id/nvme-Disk_A",
                "/dev/nvme1n1": "/dev/disk/by-id/nvme-eui.0002", "/dev/sdb": "/dev/disk/by-id/usb-Foo-part_of_set-0:0",
            ])
        #expect(facts.disk("/dev/disk/by-path/pci-0000:01:00.0-ata-1")?.name == "sda")
        #expect(facts.disk("/dev/disk/by-id/wwn-0x5001")?.name == "sda")
        #expect(facts.disk("/dev/nvme1n1")?.name == "nvme1n1")
        #expect(facts.disk("/dev/disk/by-id/ata-SSD_S1-part1") == nil)
    }

    @Test("an NVMe disk is called by its namespace: the name without one is every namespace's of the controller")
    func namespaces() async throws {
        let links = [
            "/dev/disk/by-id/nvme-Disk_S9": "../../nvme1n1", "/dev/disk/by-id/nvme-Disk_S9_1": "../../nvme0n1",
            "/dev/disk/by-id/nvme-Disk_S9_2": "../../nvme1n1", "/dev/disk/by-id/nvme-eui.0002": "../../nvme1n1",
            // Older udev has no other name, and an end like a namespace's may be part of a serial number.
            "/dev/disk/by-id/nvme-Other_7": "../../sda", "/dev/disk/by-id/nvme-Other": "../../sdb",
        ]
        let facts = try await gather(links: links)
        #expect(
            facts.stableNames == [
                "/dev/nvme0n1": "/dev/disk/by-id/nvme-Disk_S9_1", "/dev/nvme1n1": "/dev/disk/by-id/nvme-Disk_S9_2",
                "/dev/sda": "/dev/disk/by-id/nvme-Other_7", "/dev/sdb": "/dev/disk/by-id/nvme-Other",
            ])
        // Answers may name either.
        #expect(facts.disk("/dev/disk/by-id/nvme-Disk_S9")?.name == "nvme1n1")
        #expect(facts.disk("/dev/disk/by-id/nvme-Disk_S9_2")?.name == "nvme1n1")
        #expect(facts.disk("/dev/disk/by-id/nvme-Disk_S9_1")?.name == "nvme0n1")
    }

    @Test("without udev's links a disk keeps its kernel name")
    func noLinks() async throws {
        let facts = try await gather(links: [:])
        #expect(facts.stableNames.isEmpty)
        #expect(facts.disks.map { facts.stableName($0) } == ["/dev/sda", "/dev/nvme0n1", "/dev/nvme1n1", "/dev/sdb"])
    }

    @Test("memory and interfaces are read, the loopback is none")
    func rest() async throws {
        let facts = try await gather()
        #expect(facts.memory == ByteCount(16_316_412 << 10))
        #expect(facts.interfaces == ["eno1"])
    }

    @Test("the firmware takes entries where it shows its variables")
    func firmware() async throws {
        #expect(try await gather().firmwareEntries == false)
        #expect(try await gather(files: ["/sys/firmware/efi/efivars/x": ""]).firmwareEntries)
    }

    @Test("pools are not asked for where the module is not loaded")
    func noModule() async throws { #expect(try await gather().importedPools.isEmpty) }

    // MARK: what must not be touched

    @Test(
        "the disk with the running system or its seed is marked",
        arguments: ["/", "/run/initramfs/live", "/run/initramfs/isoscan", "/run/live/medium", "/run/kldload/seed"])
    func mounted(_ place: String) async throws {
        let listing = """
            {"blockdevices":[{"path":"/dev/sda","name":"sda","size":9999999999,"type":"disk","mountpoints":[null],"children":[
            {"path":"/dev/sda1","name":"sda1","size":9999999,"type":"part","mountpoints":["/mnt/x","\(place)"]}]}]}
            """
        #expect(try await gather(listing).liveDisks == ["/dev/sda"])
    }

    @Test("a disk mounted elsewhere is in use, not the running system's", arguments: ["/data", "/mnt/run/live", "[SWAP]"])
    func mountedElsewhere(_ place: String) async throws {
        let listing = #"{"blockdevices":[{"path":"/dev/sda","name":"sda","size":9999999999,"type":"disk","mountpoints":["\#(place)"]}]}"#
        #expect(try await gather(listing).liveDisks.isEmpty)
    }

    @Test(
        "a seed volume is known by its label, on the disk or in a partition",
        arguments: [
            ("label", "KLDLOAD-SEED"), ("label", "kldload-seed"), ("label", "KLDLOADSEED"), ("label", "KLDSEED"), ("label", "KLDLOAD"),
            ("partlabel", "KLDLOAD-SEED"),
        ], [true, false])
    func seed(_ label: (key: String, value: String), _ inPartition: Bool) async throws {
        let own = #""\#(label.key)":"\#(label.value)""#
        let part = #""children":[{"path":"/dev/sda1","name":"sda1","size":99999,"type":"part","mountpoints":[null],\#(own)}]"#
        let rest = inPartition ? part : own
        let listing = #"{"blockdevices":[{"path":"/dev/sda","name":"sda","size":9999999999,"type":"disk",\#(rest)}]}"#
        #expect(try await gather(listing).liveDisks == ["/dev/sda"])
    }

    @Test(
        "other labels are no seed's, nor are those that an installation of ours leaves",
        arguments: ["EFI", "kldload rpool", "kldload special", "KLDLOADS", "SEED", "EFI system partition"])
    func otherLabels(_ label: String) async throws {
        let labels = #""label":"\#(label)","partlabel":"\#(label)""#
        let listing = #"{"blockdevices":[{"path":"/dev/sda","name":"sda","size":9999999999,"type":"disk",\#(labels)}]}"#
        #expect(try await gather(listing).liveDisks.isEmpty)
    }

    @Test(
        "a pool's name is no medium's label: a disk that holds a pool called kldload can be installed again",
        arguments: [
            ("zfs_member", "kldload", false), ("zfs_member", "KLDSEED", false), ("zfs_member", "kldseedling", false),
            ("linux_raid_member", "kldload", false), ("iso9660", "KLDLOAD", true), ("vfat", "KLDSEED", true),
            ("exfat", "KLDLOAD-SEED", true), ("ext4", "kldload-seed", true), ("ntfs", "KLDSEED", true),
        ])
    func poolNames(_ filesystem: String, _ label: String, _ isLive: Bool) async throws {
        let part = #"{"path":"/dev/sda2","name":"sda2","size":99999,"type":"part","fstype":"\#(filesystem)","label":"\#(label)"}"#
        let listing = #"{"blockdevices":[{"path":"/dev/sda","name":"sda","size":9999999999,"type":"disk","children":[\#(part)]}]}"#
        #expect(try await gather(listing).liveDisks == (isLive ? ["/dev/sda"] : []))
    }

    @Test("the factory's own live disk is marked by its serial number")
    func factory() async throws {
        let listing = #"{"blockdevices":[{"path":"/dev/vda","name":"vda","size":9999999999,"type":"disk","serial":"kldload-live"}]}"#
        #expect(try await gather(listing).liveDisks == ["/dev/vda"])
    }

    // MARK: imported pools

    /// `zpool list -vHPp -o name,bootfs,altroot`, OpenZFS 2.4: classes of vdevs stand at the margin, with dashes for the columns.
    static let pools = """
        tank\t-\t-
        \tmirror-0\t476G\t1.2G\t475G\t-\t-\t0%\t0.25%\t-\tONLINE
        \t/dev/disk/by-id/nvme-Disk_A-part1\t477G\t-\t-\t-\t-\t-\t-\t-\tONLINE
        special      -      -      -        -         -      -      -      -         -
        \t/dev/nvme1n1p1\t477G\t-\t-\t-\t-\t-\t-\t-\tONLINE
        rpool\trpool/ROOT/debian\t-
        \t/dev/sda2\t222G\t-\t-\t-\t-\t-\t-\t-\tONLINE

        """

    @Test("each disk of an imported pool is known by the pool's name, special vdevs too")
    func imported() async throws {
        let facts = try await gather(pools: Self.pools)
        #expect(facts.importedPools == ["/dev/nvme0n1": "tank", "/dev/nvme1n1": "tank", "/dev/sda": "rpool"])
        #expect(facts.pools == ["tank", "rpool"])
        // Whatever it lies on.
        #expect(try await gather(pools: "tank\n\t/dev/loop7\n").pools == ["tank"])
    }

    /// lsblk and zpool name a mapped device differently: `/dev/mapper/NAME`, and whatever the pool was made with; both lead to `/dev/dm-N`.
    static let mapped = """
        {"blockdevices":[
          {"path":"/dev/sda","name":"sda","size":240057409536,"type":"disk","mountpoints":[null],"children":[
            {"path":"/dev/sda1","name":"sda1","size":240056360960,"type":"part","fstype":"crypto_LUKS","mountpoints":[null],"children":[
              {"path":"/dev/mapper/luks-1","name":"luks-1","size":240039583744,"type":"crypt","fstype":"zfs_member","mountpoints":[null]}]}]},
          {"path":"/dev/sdb","name":"sdb","size":240057409536,"type":"disk","fstype":"LVM2_member","mountpoints":[null],"children":[
            {"path":"/dev/mapper/vg-pool","name":"vg-pool","size":480000000000,"type":"lvm","fstype":"zfs_member","mountpoints":[null]}]},
          {"path":"/dev/sdc","name":"sdc","size":240057409536,"type":"disk","fstype":"LVM2_member","mountpoints":[null],"children":[
            {"path":"/dev/mapper/vg-pool","name":"vg-pool","size":480000000000,"type":"lvm","fstype":"zfs_member","mountpoints":[null]}]},
          {"path":"/dev/sdd","name":"sdd","size":240057409536,"type":"disk","mountpoints":[null]}
        ]}
        """

    @Test(
        "a pool on LUKS or LVM is on the disks below, all of them, by whatever name its vdevs go",
        arguments: [
            ("/dev/mapper/luks-1", ["/dev/sda": "tank"]), ("/dev/dm-0", ["/dev/sda": "tank"]),
            ("/dev/disk/by-id/dm-name-luks-1", ["/dev/sda": "tank"]), ("/dev/vg/pool", ["/dev/sdb": "tank", "/dev/sdc": "tank"]),
            ("/dev/mapper/vg-pool", ["/dev/sdb": "tank", "/dev/sdc": "tank"]),
        ])
    func mappedVdevs(_ name: String, _ expected: [String: String]) async throws {
        let links = [
            "/dev/mapper/luks-1": "../dm-0", "/dev/disk/by-id/dm-name-luks-1": "../../dm-0", "/dev/mapper/vg-pool": "../dm-1",
            "/dev/vg/pool": "../dm-1",
        ]
        let facts = try await gather(Self.mapped, pools: "tank\n\t\(name)\t477G\t-\n", links: links)
        #expect(facts.importedPools == expected)
        #expect(problem { _ = try DiskSelection(answers(disk: expected.keys.min() ?? ""), facts) }?.code == "disk.in-use")
    }

    @Test("when zpool cannot say which pools there are, nothing is installed: any disk might carry one")
    func poolsUnknown() async throws {
        let files = MemoryFiles(["/proc/meminfo": "MemTotal: 1 kB\n", "/sys/module/zfs/version": "2.4.4\n"])
        let runner = ScriptedRunner([
            { $0.tool.name == "lsblk" ? CommandOutput(output: Self.listing) : nil },
            { _ in CommandOutput(status: 1, errors: "internal error: failed to initialize ZFS library\n") },
        ])
        #expect(await problem { _ = try await MachineFacts.gather(runner: runner, files: files) }?.code == "command.failed")
    }

    @Test(
        "pools are asked for where the module is there, not while it is still being loaded: then there are none",
        arguments: ["live", "coming"])
    func loading(_ state: String) async throws {
        let files = MemoryFiles(["/proc/meminfo": "MemTotal: 1 kB\n", "/sys/module/zfs/initstate": state + "\n"])
        let runner = ScriptedRunner([
            { $0.tool.name == "lsblk" ? CommandOutput(output: Self.listing) : CommandOutput(output: "tank\n\t/dev/sda1\t477G\t-\n") }
        ])
        let facts = try await MachineFacts.gather(runner: runner, files: files)
        #expect(facts.pools == (state == "live" ? ["tank"] : []))
        #expect(runner.commands.contains { $0.tool.name == "zpool" } == (state == "live"))
    }

    // MARK: what is no disk

    @Test("what is there and is no disk is known by what it is")
    func notDisks() async throws {
        let files = [
            "/dev/file.img": "", "/dev/shm/x": "", "/proc/meminfo": "MemTotal: 1 kB\n", "/sys/class/net/lo": "", "/dev/sda1": "",
            "/dev/sda": "",
            "/dev/sr0": "",
        ]
        let links = Self.links.merging(["/dev/cdrom": "sr0"]) { $1 }
        let facts = try await MachineFacts.gather(
            runner: ScriptedRunner([ListBlockDevices.command.description: Self.listing]),
            files: MemoryFiles(files, devices: ["/dev/ram0"], links: links),
            asked: [
                "/dev/file.img", "/dev/shm", "/dev/cdrom", "/dev/ram0", "/dev/disk/by-id/ata-SSD_S1-part1", "/dev/disk/by-id/ata-SSD_S1",
                "/dev/none",
            ])
        #expect(
            facts.notDisks == [
                "/dev/zram0": "device in memory", "/dev/sr0": "rom", "/dev/sde": "drive without a medium", "/dev/file.img": "file",
                "/dev/shm": "folder", "/dev/cdrom": "rom", "/dev/ram0": "block device that lsblk does not show",
                "/dev/disk/by-id/ata-SSD_S1-part1": "part",
            ])
    }

    @Test("the kernel's own devices are no disks", arguments: ["/dev/null", "/dev/tty"])
    func characterDevices(_ name: String) async throws {
        let texts = ["/proc/meminfo": "MemTotal: 1 kB\n"]
        let facts = try await MachineFacts.gather(
            runner: ScriptedRunner([ListBlockDevices.command.description: Self.listing]),
            files: Characters(inner: MemoryFiles(texts), devices: [FilePath(name)]), asked: [FilePath(name)])
        #expect(facts.notDisks[name] == "device without blocks")
    }

    @Test("a pool may be called as a class of vdevs is")
    func oddName() async throws {
        #expect(try await gather(pools: "special\n\t/dev/sda2\t1G\n").importedPools == ["/dev/sda": "special"])
    }

    @Test(
        "devices of a pool that are not disks of this machine are left out",
        arguments: ["tank\n\t/tmp/file.img\n", "tank\n\t/dev/sdz1\n", "", "no pools available\n"])
    func unknownDevices(_ output: String) async throws { #expect(try await gather(pools: output).importedPools.isEmpty) }

    // MARK: as a file

    @Test("facts survive JSON whole, so that a machine can be replayed elsewhere")
    func json() async throws {
        let facts = try await gather(pools: Self.pools)
        let again = try JSONDecoder().decode(MachineFacts.self, from: JSONEncoder().encode(facts))
        #expect(again == facts)
        #expect(facts.schema == "machine-facts/1")
    }

    @Test("who uses an idle disk is found out and kept; of a disk that is mounted or imported it is known already")
    func used() async throws {
        let runner = ScriptedRunner([ListBlockDevices.command.description: Self.listing])
        let files = MemoryFiles(
            ["/proc/meminfo": "MemTotal: 1 kB\n", "/sys/block/loop0/loop/backing_file": "/dev/nvme0n1p1\n"],
            claimed: ["/dev/sda", "/dev/nvme1n1"])
        let facts = try await MachineFacts.gather(runner: runner, files: files)
        #expect(facts.inUse.keys.sorted() == ["/dev/nvme0n1", "/dev/nvme1n1"])
        #expect(facts.inUse["/dev/nvme0n1"] == ["it is attached as /dev/loop0"])
        #expect(try JSONDecoder().decode(MachineFacts.self, from: JSONEncoder().encode(facts)) == facts)
    }

    @Test("facts that were saved before there was a list of what is no disk are read")
    func older() async throws {
        var facts = try await gather()
        let whole = String(decoding: try JSONEncoder().encode(facts), as: UTF8.self)
        facts.notDisks = [:]
        let text = String(decoding: try JSONEncoder().encode(facts), as: UTF8.self)
        #expect(text != whole)
        let older = text.replacing(/"notDisks":\{\},?/, with: "").replacing(",}", with: "}")
        #expect(!older.contains("notDisks"))
        #expect(try JSONDecoder().decode(MachineFacts.self, from: Data(older.utf8)) == facts)
    }

    @Test("a plan for replayed facts is the plan for the machine")
    func replay() throws {
        let facts = Machines.used
        let again = try JSONDecoder().decode(MachineFacts.self, from: JSONEncoder().encode(facts))
        let answers = try answers(disk: "/dev/sda")
        #expect(try InstallPlanner(request(answers, again)).plan == InstallPlanner(request(answers, facts)).plan)
    }
}

/// Files with character devices among them.
private struct Characters: FileSystemDecorator {
    var inner: any FileSystem
    var devices: Set<FilePath>
    func status(_ path: FilePath) throws -> FileStatus? {
        devices.contains(path) ? FileStatus(kind: .other, size: ByteCount(0), mode: 0o666) : try inner.status(path)
    }
}
