import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldInstall
import KldTestSupport
import Testing

@Suite("Choosing disks")
struct SelectionTests {
    func refusal(_ facts: MachineFacts, disk: String = "/dev/vda", _ lines: String...) -> Diagnosis? {
        let text = (["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=\(disk)", "KLDLOAD_HOSTNAME=h"] + lines).joined(separator: "\n")
        return problem { _ = try DiskSelection(Answers(text), facts) }
    }

    func chosen(_ facts: MachineFacts, disk: String = "/dev/vda", _ lines: String...) throws -> DiskSelection {
        try DiskSelection(Answers((["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=\(disk)"] + lines).joined(separator: "\n")), facts)
    }

    // MARK: each guard has one case that fails without it; `accepted` fails when one is turned around

    @Test("a disk that nothing speaks against is taken")
    func accepted() throws {
        let selection = try chosen(Machines.plain(.disk("vda"), .disk("vdb") { $0.filesystem = "ext4" }))
        #expect(selection.root.map(\.path) == ["/dev/vda"])
        #expect(selection.special.isEmpty)
    }

    @Test("a disk that is not there is refused, with those that are")
    func missing() {
        let problem = refusal(Machines.virtual, disk: "/dev/sdx")
        #expect(problem?.code == "disk.missing")
        #expect(problem?.message == "there is no disk /dev/sdx")
        #expect(problem?.remedies.first?.hasPrefix("this machine has: /dev/disk/by-id/virtio-disk0 (20 GiB), ") == true)
        #expect(problem?.exit == .badAnswers)
    }

    @Test(
        "a partition is refused by what it is", arguments: [("/dev/xvd-b", "part"), ("/dev/mapper/vg-root", "lvm"), ("/dev/md0", "raid1")])
    func partition(_ name: String, _ type: String) {
        var piece = BlockDevice(path: name, size: .gibibytes(50), type: type)
        piece.name = "piece"
        let problem = refusal(Machines.plain(.disk("vda") { $0.children = [piece] }), disk: name)
        #expect(problem?.code == "disk.not-a-disk")
        #expect(problem?.message == "\(name) is not a disk but a \(type)")
    }

    @Test("what is there and is no disk is refused as that, not as missing", arguments: ["loop", "rom", "device without blocks"])
    func notADisk(_ type: String) {
        var facts = Machines.plain(.disk("vda"))
        facts.notDisks = ["/dev/thing": type]
        let problem = refusal(facts, disk: "/dev/thing")
        #expect(problem?.code == "disk.not-a-disk")
        #expect(problem?.message == "/dev/thing is not a disk but a \(type)")
        #expect(refusal(facts, disk: "/dev/other")?.code == "disk.missing")
    }

    @Test("the disk that carries the running system is refused")
    func live() {
        var facts = Machines.plain(.disk("vda"))
        facts.liveDisks = ["/dev/vda"]
        #expect(refusal(facts)?.code == "disk.live")
    }

    @Test(
        "the running system's disk is refused under every name it has", arguments: ["/dev/vda", "/dev/disk/by-id/x", "/dev/disk/by-path/y"])
    func liveAliases(_ name: String) {
        var facts = Machines.plain(.disk("vda"))
        facts.liveDisks = ["/dev/vda"]
        facts.stableNames = ["/dev/vda": "/dev/disk/by-id/x"]
        facts.aliases = ["/dev/disk/by-path/y": "/dev/vda"]
        #expect(refusal(facts, disk: name)?.code == "disk.live")
    }

    @Test("a read-only disk is refused")
    func readOnly() {
        #expect(refusal(Machines.plain(.disk("vda") { $0.readOnly = true }))?.code == "disk.read-only")
    }

    @Test("a disk of an imported pool is refused, and the pool named")
    func imported() {
        var facts = Machines.plain(.disk("vda"))
        facts.importedPools = ["/dev/vda": "tank"]
        let problem = refusal(facts)
        #expect(problem?.code == "disk.in-use")
        #expect(problem?.message == "/dev/vda belongs to the pool tank, which is imported")
    }

    @Test("a disk that is mounted is refused, wherever in its stack", arguments: 0..<4)
    func mounted(_ depth: Int) {
        var device = BlockDevice.mapped("top", type: "lvm")
        var stack: [BlockDevice] = []
        let shapes: [BlockDevice] = [.disk("vda"), .part("vda1"), .mapped("luks", type: "crypt"), device]
        for level in (0..<4).reversed() {
            device = shapes[level]
            device.children = stack
            if level == depth { device.mountpoints = ["/mnt/data"] }
            stack = [device]
        }
        let problem = refusal(MachineFacts(disks: stack))
        #expect(problem?.code == "disk.in-use")
        #expect(problem?.message == "/dev/vda is in use: mounted at /mnt/data")
    }

    @Test("a disk that is used otherwise is refused with who uses it, and never chosen as an empty one")
    func used() throws {
        var facts = Machines.plain(.disk("vda"))
        facts.inUse = ["/dev/vda": ["it is attached as /dev/loop0"]]
        let problem = refusal(facts)
        #expect(problem?.code == "disk.in-use" && problem?.causes == ["it is attached as /dev/loop0"])
        #expect(refusal(facts, disk: "auto")?.causes == ["it is attached as /dev/loop0"])
        facts = Machines.plain(.disk("vda"), .disk("vdb"))
        facts.inUse = ["/dev/vda": ["it is attached as /dev/loop0"]]
        #expect(try chosen(facts, disk: "auto").root.map(\.path) == ["/dev/vdb"])
    }

    @Test("a disk that is swapped to is refused")
    func swap() {
        let disk = BlockDevice.disk("vda") { $0.children = [.part("vda1", "swap", mounted: ["[SWAP]"])] }
        #expect(refusal(Machines.plain(disk))?.message == "/dev/vda is in use: mounted at [SWAP]")
    }

    @Test("a disk one byte too small for the profile is refused with the number, one large enough is taken", arguments: ProfileSpec.all)
    func size(_ profile: ProfileSpec) {
        let line = "KLDLOAD_PROFILE=\(profile.id)"
        var disk = BlockDevice.disk("vda")
        disk.size = profile.leastDisk
        #expect(refusal(Machines.plain(disk), disk: "/dev/vda", line) == nil)
        #expect(refusal(Machines.plain(disk), disk: "auto", line) == nil)
        disk.size = ByteCount(disk.size.bytes - 1)
        for word in ["/dev/vda", "auto"] {
            let problem = refusal(Machines.plain(disk), disk: word, line)
            #expect(problem?.code == "disk.too-small")
            #expect(problem?.message.hasSuffix("the profile \(profile.id) needs at least \(profile.leastDisk)") == true)
        }
    }

    @Test("a special disk need not hold what the profile brings")
    func specialSize() {
        func machine(_ mebibytes: UInt64) -> MachineFacts {
            Machines.plain(.disk("vda"), .disk("vdb") { $0.size = .mebibytes(mebibytes) })
        }
        #expect(refusal(machine(4096), disk: "/dev/vda", "KLDLOAD_ZFS_SPECIAL_DISKS=/dev/vdb") == nil)
        let problem = refusal(machine(4095), disk: "/dev/vda", "KLDLOAD_ZFS_SPECIAL_DISKS=/dev/vdb")
        #expect(problem?.message.hasSuffix("a special vdev needs at least 4 GiB") == true)
    }

    @Test("one disk under two names is refused", arguments: ["/dev/disk/by-id/virtio-disk0", "/dev/disk/by-path/pci-1"])
    func same(_ other: String) {
        var facts = Machines.virtual
        facts.aliases = ["/dev/disk/by-path/pci-1": "/dev/vda"]
        let problem = refusal(facts, disk: "/dev/vda", "KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=\(other)")
        #expect(problem?.code == "disk.same")
        #expect(problem?.message == "\(other) and /dev/vda are the same disk")
    }

    @Test("a special disk that is a root disk too is refused")
    func sameSpecial() {
        let problem = refusal(Machines.virtual, disk: "/dev/vda", "KLDLOAD_ZFS_SPECIAL_DISKS=/dev/disk/by-id/virtio-disk0")
        #expect(problem?.code == "disk.same")
    }

    /// Two paths of one disk, changed as a test needs them, in a mirror.
    func paths(_ change: (inout BlockDevice, _ number: Int) -> Void) -> Diagnosis? {
        var facts = Machines.plain(.disk("vda"), .disk("vdb"))
        for number in 0..<2 { change(&facts.disks[number], number) }
        return refusal(facts, disk: "/dev/vda", "KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/vdb")
    }

    @Test("one disk by two of its paths is refused: a mirror of it would be none")
    func twoPaths() {
        let byName = paths { disk, _ in (disk.wwn, disk.serial) = ("0x6001", "S1") }
        #expect(byName?.code == "disk.same" && byName?.message == "/dev/vdb and /dev/vda are the same disk")
        #expect(paths { disk, number in (disk.wwn, disk.serial) = ("0x6001", number == 0 ? "S1" : nil) }?.code == "disk.same")
        #expect(paths { disk, _ in disk.children = [.mapped("mpatha", type: "mpath")] }?.code == "disk.same")
    }

    @Test("two disks are two, whatever their vendor or what lies on them has in common")
    func twoDisks() {
        #expect(paths { disk, number in (disk.wwn, disk.serial) = ("0x6001", "S\(number)") } == nil)
        #expect(paths { disk, number in (disk.wwn, disk.serial) = ("0x600\(number)", "S1") } == nil)
        #expect(paths { disk, _ in disk.serial = "S1" } == nil)
        #expect(paths { disk, _ in disk.children = [.mapped("vg-a", type: "lvm")] } == nil)
        #expect(paths { disk, number in disk.children = [.mapped("mpath\(number)", type: "mpath")] } == nil)
    }

    @Test("the other path of a disk that is wiped is no other disk with a pool of the name")
    func otherPath() throws {
        func pool(_ disk: inout BlockDevice) { (disk.wwn, disk.filesystem, disk.label) = ("0x6001", "zfs_member", "rpool") }
        let facts = Machines.plain(.disk("vda", pool), .disk("vdb", pool))
        #expect(problem { _ = try InstallPlanner(request(answers(), facts)) } == nil)
    }

    @Test("root disks that differ by more than a tenth are refused, by a tenth they are taken")
    func unequal() {
        func machine(_ smaller: UInt64) -> MachineFacts { Machines.plain(.disk("vda", gibibytes: 100), .disk("vdb", gibibytes: smaller)) }
        let mirror = ["KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/vdb"]
        #expect(refusal(machine(90), disk: "/dev/vda", mirror[0], mirror[1]) == nil)
        let problem = refusal(machine(89), disk: "/dev/vda", mirror[0], mirror[1])
        #expect(problem?.code == "disk.unequal")
        #expect(problem?.message.hasPrefix("/dev/vda (100 GiB) is more than a tenth larger than /dev/vdb (89 GiB)") == true)
    }

    @Test("special disks may be smaller than root disks, but not than each other")
    func unequalSpecial() {
        let facts = Machines.plain(
            .disk("vda", gibibytes: 500), .disk("vdb", gibibytes: 500), .disk("vdc", gibibytes: 20), .disk("vdd", gibibytes: 20),
            .disk("vde", gibibytes: 50))
        let mirror = ["KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/vdb"]
        #expect(refusal(facts, disk: "/dev/vda", mirror[0], mirror[1], "KLDLOAD_ZFS_SPECIAL_DISKS=/dev/vdc,/dev/vdd") == nil)
        #expect(
            refusal(facts, disk: "/dev/vda", mirror[0], mirror[1], "KLDLOAD_ZFS_SPECIAL_DISKS=/dev/vdc,/dev/vde")?.code == "disk.unequal")
    }

    @Test("data and special disks are checked as the first one is", arguments: ["KLDLOAD_ZFS_DATA_DISKS", "KLDLOAD_ZFS_SPECIAL_DISKS"])
    func allChecked(_ key: String) {
        var facts = Machines.virtual
        facts.liveDisks = ["/dev/vdb"]
        let topology = key.hasSuffix("DATA_DISKS") ? "mirror" : "single"
        #expect(refusal(facts, disk: "/dev/vda", "KLDLOAD_ZFS_TOPOLOGY=\(topology)", "\(key)=/dev/vdb")?.code == "disk.live")
    }

    // MARK: names

    @Test(
        "commands use the stable name, whatever the answers use",
        arguments: ["/dev/vda", "/dev/disk/by-id/virtio-disk0", "/dev/disk/by-path/pci-1"])
    func stable(_ name: String) throws {
        var facts = Machines.virtual
        facts.aliases = ["/dev/disk/by-path/pci-1": "/dev/vda"]
        let disk = try chosen(facts, disk: name).root[0]
        #expect(disk.path == "/dev/disk/by-id/virtio-disk0")
        #expect(disk.named == name)
    }

    @Test("the order of the answers is kept")
    func order() throws {
        let selection = try chosen(
            Machines.virtual, disk: "/dev/vdc", "KLDLOAD_ZFS_TOPOLOGY=raidz1", "KLDLOAD_ZFS_DATA_DISKS=/dev/vda /dev/vdd")
        #expect(selection.root.map(\.device.name) == ["vdc", "vda", "vdd"])
    }

    // MARK: auto

    @Test("auto takes the only empty disk")
    func auto() throws {
        let facts = Machines.plain(.disk("sda") { $0.partitionTable = "gpt" }, .disk("sdb"), .disk("sdc") { $0.filesystem = "ext4" })
        #expect(try chosen(facts, disk: "auto").root.map(\.path) == ["/dev/sdb"])
    }

    @Test("a disk that auto takes is marked as nobody's choice, and no other is")
    func automatic() throws {
        let facts = Machines.plain(.disk("sda"), .disk("sdb") { $0.partitionTable = "gpt" })
        #expect(try chosen(facts, disk: "/dev/sda").all.map(\.automatic) == [false])
        let mirror = ["KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/sdb"]
        #expect(try chosen(facts, disk: "auto", mirror[0], mirror[1]).all.map(\.automatic) == [true, false])
    }

    @Test("auto takes none when none is empty")
    func autoNone() {
        let problem = refusal(Machines.plain(.disk("sda") { $0.partitionTable = "gpt" }), disk: "auto")
        #expect(problem?.code == "disk.none-empty")
        #expect(refusal(MachineFacts(disks: []), disk: "auto")?.code == "disk.none-empty")
    }

    @Test("where there are empty disks and none will do, auto tells what speaks against the largest")
    func autoUnfit() {
        let used = BlockDevice.disk("vda") { $0.filesystem = "ext4" }
        var facts = Machines.plain(used, .disk("vdb", gibibytes: 2), .disk("vdc", gibibytes: 3), .disk("vdd", gibibytes: 1))
        let problem = refusal(facts, disk: "auto")
        #expect(problem?.code == "disk.too-small" && problem?.message == "/dev/vdc has 3 GiB; the profile server needs at least 8 GiB")
        facts.importedPools = ["/dev/vdc": "tank"]
        #expect(refusal(facts, disk: "auto")?.code == "disk.in-use")
        facts = Machines.plain(used, .disk("vdb", gibibytes: 2), .disk("vdc") { $0.readOnly = true })
        #expect(refusal(facts, disk: "auto")?.code == "disk.read-only")
        // What runs from it is no disk that anybody could mean.
        facts = Machines.plain(used, .disk("vdb", gibibytes: 2))
        facts.liveDisks = ["/dev/vdb"]
        #expect(refusal(facts, disk: "auto")?.code == "disk.none-empty")
    }

    @Test("auto takes none when several are empty, and names them")
    func autoSeveral() {
        let problem = refusal(Machines.virtual, disk: "auto")
        #expect(problem?.code == "disk.ambiguous")
        #expect(problem?.message.contains("virtio-disk0, /dev/disk/by-id/virtio-disk1") == true)
    }

    static let notForAuto: [(String, MachineFacts)] = {
        let other = BlockDevice.disk("sdb")
        func facts(_ change: (inout BlockDevice) -> Void) -> MachineFacts { MachineFacts(disks: [.disk("sda", change), other]) }
        var live = facts { _ in }
        live.liveDisks = ["/dev/sda"]
        var pool = facts { _ in }
        pool.importedPools = ["/dev/sda": "tank"]
        return [
            ("the running system", live), ("an imported pool", pool), ("read-only", facts { $0.readOnly = true }),
            ("too small", facts { $0.size = .mebibytes(8191) }), ("a file system", facts { $0.filesystem = "xfs" }),
            ("a partition table", facts { $0.partitionTable = "dos" }), ("a partition", facts { $0.children = [.part("sda1")] }),
        ]
    }()

    @Test("auto passes over a disk that it could not use", arguments: notForAuto.map(\.0))
    func autoSkips(_ what: String) throws {
        let facts = try #require(Self.notForAuto.first { $0.0 == what }?.1)
        #expect(try chosen(facts, disk: "auto").root.map(\.path) == ["/dev/sdb"])
    }

    @Test("auto passes over volumes of pools and of the network; who names one may use it", arguments: ["zd16", "nbd0", "rbd1", "drbd0"])
    func autoVolumes(_ name: String) throws {
        #expect(try chosen(Machines.plain(.disk(name), .disk("sda")), disk: "auto").root.map(\.path) == ["/dev/sda"])
        #expect(refusal(Machines.plain(.disk(name)), disk: "auto")?.code == "disk.none-empty")
        #expect(try chosen(Machines.plain(.disk(name)), disk: "/dev/\(name)").root.map(\.path) == ["/dev/\(name)"])
    }

    @Test("auto refuses an empty-looking disk that is mounted")
    func autoMounted() {
        #expect(refusal(Machines.plain(.disk("sda") { $0.mountpoints = ["/data"] }), disk: "auto")?.code == "disk.in-use")
    }
}
