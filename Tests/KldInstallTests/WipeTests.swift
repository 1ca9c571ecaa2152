import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldInstall
import KldPlan
import KldTestSupport
import Testing

@Suite("Wiping what disks held")
struct WipeTests {
    static let both = "KLDLOAD_ZFS_TOPOLOGY=mirror\nKLDLOAD_ZFS_DATA_DISKS=/dev/sdb"

    func plan(_ facts: MachineFacts, disk: String = "/dev/sda", _ lines: String...) throws -> Plan {
        try InstallPlanner(
            request(Answers((["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=\(disk)"] + lines).joined(separator: "\n")), facts)
        ).plan
    }

    @Test("a stack is taken down from its top, then every partition is wiped, then the disk")
    func stack() throws {
        let plan = try plan(Machines.used)
        let lines = try #require(plan[step: "disk.wipe.sda"]).actions.map(\.text)
        #expect(
            lines == [
                "disk.verify-same disk=/dev/disk/by-id/ata-A node=/dev/sda serial= size=107374182400", "mdadm --stop /dev/md127",
                "dmsetup remove --retry vg-swap", "dmsetup remove --retry vg-root", "cryptsetup close luks-1",
                "zpool labelclear -f /dev/sda4", "wipefs --all /dev/sda4", "wipefs --all /dev/sda3",
                "wipefs --all /dev/sda2", "wipefs --all /dev/sda1", "wipefs --all /dev/sda",
                "sgdisk --zap-all /dev/disk/by-id/ata-A", "blkdiscard /dev/disk/by-id/ata-A",
                "dd if=/dev/zero of=/dev/disk/by-id/ata-A bs=1M count=4 oflag=direct conv=fsync,nocreat status=none",
                "blockdev --rereadpt /dev/disk/by-id/ata-A", "udevadm settle --timeout=30",
            ])
    }

    @Test("an array over two disks is stopped once, and its partitions go with it")
    func array() throws {
        let plan = try plan(Machines.used, disk: "/dev/sda", Self.both)
        #expect(plan.commandLines.filter { $0.hasPrefix("mdadm") } == ["mdadm --stop /dev/md127"])
        #expect(!plan.commandLines.contains { $0.contains("md127p1") })
        let second = try #require(plan[step: "disk.wipe.sdb"]).actions.map(\.text)
        #expect(second.dropFirst().prefix(2) == ["wipefs --all /dev/sdb1", "wipefs --all /dev/sdb"])
    }

    @Test("an array over two partitions of one disk is stopped once")
    func arrayOnOneDisk() throws {
        let array = BlockDevice.raid("md0", on: [.mapped("vg-a", type: "lvm")])
        let disk = BlockDevice.disk("sda") {
            $0.children = [.part("sda1", "linux_raid_member", on: [array]), .part("sda2", "linux_raid_member", on: [array])]
        }
        let lines = try plan(MachineFacts(disks: [disk])).commandLines
        #expect(
            lines.filter { $0.hasPrefix("mdadm") || $0.hasPrefix("dmsetup") } == ["dmsetup remove --retry vg-a", "mdadm --stop /dev/md0"])
    }

    @Test("an encrypted array with volumes is taken down in order: volumes, encryption, array")
    func deep() throws {
        let crypt = BlockDevice.mapped("luks", type: "crypt", on: [.mapped("vg-a", type: "lvm"), .mapped("vg-b", type: "lvm")])
        let disk = BlockDevice.disk("sda") { $0.children = [.part("sda1", on: [.raid("md0", "raid5", on: [crypt])])] }
        #expect(
            try plan(MachineFacts(disks: [disk])).commandLines.prefix(5) == [
                "dmsetup remove --retry vg-b", "dmsetup remove --retry vg-a", "cryptsetup close luks", "mdadm --stop /dev/md0",
                "wipefs --all /dev/sda1",
            ])
    }

    @Test("a mapped partition of a mapped device is removed, not wiped")
    func mappedPartition() throws {
        let volume = BlockDevice.mapped("vg-disk", type: "lvm", on: [.mapped("vg-disk1", type: "part", "ext4")])
        let disk = BlockDevice.disk("sda") { $0.children = [.part("sda1", on: [volume])] }
        #expect(
            try plan(MachineFacts(disks: [disk])).commandLines.prefix(3) == [
                "dmsetup remove --retry vg-disk1", "dmsetup remove --retry vg-disk", "wipefs --all /dev/sda1",
            ])
    }

    @Test("a pool on a whole disk loses its labels before the signatures are wiped")
    func wholeDiskPool() throws {
        let lines = try plan(Machines.used, disk: "/dev/sdc").commandLines
        #expect(lines.prefix(2) == ["zpool labelclear -f /dev/sdc", "wipefs --all /dev/sdc"])
    }

    @Test("an empty disk is wiped and verified all the same: what lsblk does not know may be there")
    func empty() throws {
        let plan = try plan(Machines.plain(.disk("sda")))
        #expect(plan[step: "disk.wipe.sda"]?.actions[1].text == "wipefs --all /dev/sda")
        #expect(plan[step: "disk.verify.sda"]?.actions.map(\.text) == ["disk.verify-clean disk=/dev/sda"])
    }

    @Test("disks of unequal size get partitions of one size, as ZFS asks")
    func unequal() throws {
        let facts = Machines.plain(
            .disk("sda", gibibytes: 100), .disk("sdb", gibibytes: 99), .disk("sdc", gibibytes: 50), .disk("sdd", gibibytes: 49))
        let lines = try plan(facts, disk: "/dev/sda", Self.both, "KLDLOAD_ZFS_SPECIAL_DISKS=/dev/sdc,/dev/sdd").commandLines
            .filter { $0.hasPrefix("sgdisk --clear") }
        // 99 GiB less the ESP and room for the tables; 49 GiB less that room.
        #expect(lines.map { $0.contains("--new=2:0:+100344M") } == [true, true, false, false])
        #expect(lines.map { $0.contains("--new=1:0:+50168M") } == [false, false, true, true])
    }

    @Test("on a disk with sectors of 4 KiB the alignment is 1 MiB too: the room that is left for it suffices")
    func largeSectors() throws {
        let facts = Machines.plain(
            .disk("sda", gibibytes: 100) { $0.logicalSectorBytes = 4096 }, .disk("sdb", gibibytes: 99) { $0.logicalSectorBytes = 512 })
        let lines = try plan(facts, disk: "/dev/sda", Self.both).commandLines.filter { $0.hasPrefix("sgdisk --clear") }
        #expect(lines.map { $0.contains(" --set-alignment=256 ") } == [true, false])
        #expect(lines.map { $0.contains(" --set-alignment=2048 ") } == [false, true])
    }

    @Test("disks of equal size are used to their end")
    func equal() throws {
        let lines = try plan(Machines.used, disk: "/dev/sda", Self.both).commandLines.filter { $0.hasPrefix("sgdisk --clear") }
        #expect(lines.allSatisfy { $0.contains("--new=2:0:0 ") })
    }

    @Test("what other disks lose is told: parts of an array, a pool or volumes; not of disks that are wiped too")
    func losses() throws {
        func losses(_ facts: MachineFacts, _ lines: String...) throws -> [String] {
            let text = (["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=/dev/sda"] + lines).joined(separator: "\n")
            let plan = try InstallPlanner(request(Answers(text), facts)).plan
            #expect(plan.losses.keys.allSatisfy { plan.destroys.contains($0) })
            #expect(plan.json.losses == (plan.losses.isEmpty ? nil : plan.losses))
            return plan.text().split(separator: "\n").filter { $0.hasPrefix("    ") && $0.contains("may be lost too") }.map(String.init)
        }
        func lost(_ disk: String, _ what: String) -> String { "    /dev/\(disk) holds another part of \(what), whose data may be lost too" }
        #expect(try losses(Machines.used) == ["    /dev/disk/by-id/ata-B holds another part of md127, whose data may be lost too"])
        #expect(try losses(Machines.used, Self.both) == [])
        func member(_ name: String, _ filesystem: String, _ label: String?) -> BlockDevice {
            .disk(name) { disk in
                disk.children = [.part("\(name)1", filesystem)]
                disk.children[0].label = label
            }
        }
        let pool = Machines.plain(
            member("sda", "zfs_member", "tank"), member("sdb", "zfs_member", "tank"), member("sdc", "zfs_member", "old"))
        #expect(try losses(pool) == [lost("sdb", "the pool tank")])
        #expect(try losses(pool, Self.both) == [])
        let array = Machines.plain(member("sda", "linux_raid_member", "host:0"), member("sdb", "linux_raid_member", "host:0"))
        #expect(try losses(array) == [lost("sdb", "the array host:0")])
        // File systems of one label are none of each other's parts.
        #expect(try losses(Machines.plain(member("sda", "ext4", "data"), member("sdb", "ext4", "data"))) == [])
        #expect(try losses(Machines.plain(member("sda", "zfs_member", nil), member("sdb", "zfs_member", nil))) == [])
        let volume = BlockDevice.mapped("vg-data", type: "lvm", "xfs")
        let group = ["sda", "sdb"].map { name in BlockDevice.disk(name) { $0.children = [volume] } }
        #expect(try losses(MachineFacts(disks: group)) == [lost("sdb", "vg-data")])
        #expect(try losses(Machines.plain(.disk("sda"), .disk("sdb"))) == [])
    }

    @Test("approvals cover the disks of the answers, when these approve, under the names that commands use")
    func approvals() throws {
        func approved(_ lines: String...) throws -> [String] {
            let text = ["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=/dev/vda", "KLDLOAD_ZFS_SPECIAL_DISKS=/dev/vdc"] + lines
            return try InstallPlanner(request(Answers(text.joined(separator: "\n")), Machines.virtual)).approvals.map(\.disk)
        }
        #expect(try approved() == [])
        #expect(try approved("KLDLOAD_FORCE_WIPE=0") == [])
        #expect(try approved("KLDLOAD_FORCE_WIPE=1") == ["/dev/disk/by-id/virtio-disk0", "/dev/disk/by-id/virtio-disk2"])
    }

    @Test("applying a plan without the answers' approval runs nothing")
    func unapproved() async throws {
        let planner = try InstallPlanner(request(answers(), Machines.virtual))
        let runner = ScriptedRunner.accepting
        let problem = await problem {
            try await PlanRunner(runner: runner, files: MemoryFiles()).apply(planner.plan, approvals: planner.approvals)
        }
        #expect(problem?.code == "plan.unapproved")
        #expect(runner.commands.isEmpty)
    }
}
