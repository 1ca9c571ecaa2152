import KldBlock
import KldCore
import KldExec
import KldPlan
import KldTestSupport
import KldZFS
import Testing

@testable import KldDisks

@Suite struct DiskInventoryTests {
    @Test func `every disk is there, with its vdev and its passport`() async throws {
        let inventory = try await Machine.inventory(passports: [Machine.first: ["slot": "1", "serial": "disk-vda"]])
        #expect(inventory.entries.map(\.name) == ["virtio-disk0", "virtio-disk1", "virtio-spare0"].map { Machine.byID + $0 })
        #expect(inventory.entries.map { $0.members.count } == [1, 1, 0] && inventory.entries.map(\.state) == ["ONLINE", "ONLINE", "-"])
        #expect(inventory.entries[0].passport["slot"] == "1" && inventory.entries[0].members[0].node == "/dev/vda2")
        #expect(inventory.entries[0].passportOfAnother == nil && inventory.store == .vdev)
    }

    @Test func `a disk that is gone is listed with what its passport says of it`() async throws {
        let listing = Machine.listing.replacing(Machine.installed("vdb") + ",", with: "")
        var tools = Machine.tools(
            Machine.status(second: "UNAVAIL"), listing: listing, passports: [Machine.second: ["serial": "WD-2", "slot": "2"]])
        tools["zdb -l \(Machine.byID)virtio-disk1-part2"] = "failed to unpack label 0\n"
        let files = Machine.files(without: [Machine.byID + "virtio-disk1", Machine.byID + "virtio-disk1-part2"])
        let inventory = try await DiskInventory.gather(runner: ScriptedRunner(tools), files: files)
        let gone = try inventory.find("WD-2")
        #expect(gone.device == nil && gone.name == Machine.byID + "virtio-disk1-part2" && gone.state == "UNAVAIL")
        #expect(try inventory.find("2") == gone && inventory.find(String(Machine.second)) == gone)
    }

    @Test func `another disk in the place of one that a pool cannot open is not taken for it`() async throws {
        for (label, count) in [("    name: 'rpool'\n    guid: 99\n", 0), ("    name: 'rpool'\n    guid: \(Machine.second)\n", 1)] {
            var tools = Machine.tools(Machine.status(second: "UNAVAIL"))
            tools["zdb -l /dev/vdb2"] = label
            let inventory = try await DiskInventory.gather(runner: ScriptedRunner(tools), files: Machine.files())
            #expect(inventory.entries[1].members.count == count && inventory.entries.count == 4 - count)
        }
    }

    @Test func `a passport that was written for another disk is told`() async throws {
        let inventory = try await Machine.inventory(passports: [Machine.second: ["serial": "WD-2", "slot": "2"]])
        #expect(inventory.entries[1].passportOfAnother == "WD-2" && inventory.entries[0].passportOfAnother == nil)
    }

    @Test func `without OpenZFS there are only disks`() async throws {
        let runner = ScriptedRunner(
            [Machine.tools().filter { $0.key.hasPrefix("lsblk") }].map { table in
                { table[$0.description].map { CommandOutput(output: $0) } }
            })
        let files = MemoryFiles(["/proc/meminfo": "MemTotal: 1 kB\n", "/sys/class/net/lo": ""])
        let inventory = try await DiskInventory.gather(runner: runner, files: files)
        #expect(inventory.entries.map(\.name) == ["/dev/vda", "/dev/vdb", "/dev/vdc"] && inventory.entries.allSatisfy(\.members.isEmpty))
    }

    @Test func `before OpenZFS 2.2 it is the same, from text and by number`() async throws {
        func text(_ first: String, _ second: String) -> String {
            "  pool: rpool\n state: ONLINE\nconfig:\n\n\tNAME  STATE  READ WRITE CKSUM\n\trpool  ONLINE  0 0 0\n\t  mirror-0  ONLINE  0 0 0\n"
                + "\t    \(first)  ONLINE  0 0 0\n\t    \(second)  FAULTED  0 0 0\n\nerrors: No known data errors\n"
        }
        var tools = Machine.tools(version: "2.1.11").filter { !$0.key.hasPrefix("zpool status") && $0.key != Machine.zpoolGet }
        tools["zpool status -p -P"] = text("\(Machine.byID)virtio-disk0-part2", "\(Machine.byID)virtio-disk1-part2")
        tools["zpool status -p -P -g"] = text(String(Machine.first), String(Machine.second))
        tools["zfs get -Hp -o name,property,value,source all rpool"] = "rpool\tcom.kldload:disk.\(Machine.second).slot\t7\tlocal\n"
        let inventory = try await DiskInventory.gather(runner: ScriptedRunner(tools), files: Machine.files())
        #expect(inventory.store == .dataset && inventory.entries.count == 3)
        let (entry, member) = try inventory.member("7")
        #expect(entry.device?.name == "vdb" && member.device.parity == 1 && member.device.state == .faulted)
        let change = try PassportChange(member, of: entry, setting: [("rack", "R1")], unsetting: [], store: inventory.store)
        #expect(change.plan.commandLines.first == "zfs set com.kldload:disk.\(Machine.second).rack=R1 rpool")
        let request = DiskReplacement.Request(old: "7", new: "vdc", yes: true)
        let work = try DiskReplacement(request, inventory, records: [], now: Machine.now, espSerial: 1)
        #expect(work.record.old == Machine.second && work.record.passport["slot"] == "7")
    }

    @Test func `a suspended pool is listed, and not asked`() async throws {
        var tools = Machine.tools(
            Machine.status(second: "ONLINE").replacing(#""state":"ONLINE","pool_guid""#, with: #""state":"SUSPENDED","pool_guid""#))
        tools[Machine.zpoolGet] = nil
        let inventory = try await DiskInventory.gather(runner: ScriptedRunner(tools), files: Machine.files())
        #expect(inventory.entries[0].members.map(\.device.poolState) == [.suspended])
    }

    @Test(
        arguments: [
            "vdb", "/dev/vdb", "/dev/vdb2", "vdb2", "virtio-disk1", "/dev/disk/by-id/virtio-disk1", "/dev/disk/by-id/virtio-disk1-part2",
            "virtio-disk1-part2", "disk-vdb", "1527839927278881561", "pci-0000:00:05.0", "/dev/disk/by-path/pci-0000:00:05.0", "SLOT 2",
        ])
    func `a disk has many names`(word: String) async throws {
        #expect(try await Machine.inventory(passports: [Machine.second: ["slot": "SLOT 2"]]).find(word).device?.name == "vdb")
    }

    @Test func `a word that means none, or several, is refused`() async throws {
        let inventory = try await Machine.inventory(passports: [Machine.first: ["slot": "1"], Machine.second: ["slot": "1"]])
        #expect(problem { _ = try inventory.find("vdx") }?.code == "kdisk.unknown")
        #expect(problem { _ = try inventory.find("") }?.code == "kdisk.unknown")
        #expect(problem { _ = try inventory.find("1") }?.code == "kdisk.which")
    }

    @Test func `a label needs a vdev, and one alone`() async throws {
        let inventory = try await Machine.inventory()
        #expect(problem { _ = try inventory.member("vdc") }?.code == "kdisk.no-vdev")
        let another =
            #"\#(Machine.member(Machine.byID + "virtio-disk1-part2", Machine.second, "ONLINE")),"#
            + Machine.member("/dev/vda1", 77, "ONLINE")
        let both = Machine.status.replacing("SECOND", with: another).replacing("STATE", with: "ONLINE")
        let double = try await Machine.inventory(both)
        #expect(problem { _ = try double.member("vda") }?.code == "kdisk.several-vdevs")
        #expect(try double.member("77").member.device.guid == 77 && double.member("/dev/vda2").member.device.guid == Machine.first)
    }
}

@Suite struct PassportChangeTests {
    func change(_ fields: [(key: String, value: String)], unsetting: [String] = [], had: [String: String] = [:]) async throws
        -> PassportChange
    {
        let inventory = try await Machine.inventory(passports: had.isEmpty ? [:] : [Machine.second: had])
        let (entry, member) = try inventory.member("vdb")
        return try PassportChange(member, of: entry, setting: fields, unsetting: unsetting, store: inventory.store)
    }

    @Test func `fields are written to the vdev, with the disk's serial number beside them`() async throws {
        let plan = try await change([("slot", "SLOT 7"), ("warranty", "2028-02-12")], unsetting: ["bay"], had: ["bay": "3", "slot": "6"])
            .plan
        #expect(
            plan.commandLines == [
                "zpool set com.kldload:disk.bay= rpool 1527839927278881561",
                "zpool set 'com.kldload:disk.slot=SLOT 7' rpool 1527839927278881561",
                "zpool set com.kldload:disk.warranty=2028-02-12 rpool 1527839927278881561",
                "zpool set com.kldload:disk.serial=disk-vdb rpool 1527839927278881561",
            ])
        #expect(plan.steps.allSatisfy { $0.effect == .changes })
    }

    @Test func `what is so already is not written`() async throws {
        let plan = try await change([("slot", "7")], had: ["slot": "7", "serial": "disk-vdb"]).plan
        #expect(plan.steps.isEmpty)
    }

    @Test func `it is read back, and what was not kept is named`() async throws {
        let plan = try await change([("slot", "7")]).plan
        for (kept, expected) in [
            (["slot": "7", "serial": "disk-vdb"], nil), (["slot": "7"], "kdisk.not-kept"),
            (["slot": "8", "serial": "disk-vdb"], "kdisk.not-kept"), ([:], "kdisk.not-kept"),
            (["slot": "7", "serial": "disk-vdb", "bay": "1"], "kdisk.not-kept"),
        ] as [([String: String], String?)] {
            let tools = Machine.tools(passports: [Machine.second: kept])
            let runner = ScriptedRunner([
                { $0.arguments.first == "set" ? CommandOutput() : nil }, { tools[$0.description].map { CommandOutput(output: $0) } },
            ])
            let result = await problem {
                try await PlanRunner(runner: runner, files: MemoryFiles(), performers: PassportChange.performers).apply(plan)
            }?.code
            #expect(result == expected, "\(kept)")
        }
    }
}

@Suite struct DiskBeaconTests {
    @Test func `whoever looks for it is told where it is, light or no light`() async throws {
        let inventory = try await Machine.inventory(passports: [Machine.second: ["rack": "R1", "slot": "7", "model": "WDC"]])
        let beacon = try DiskBeacon(inventory.find("vdb"), files: Machine.files())
        #expect(beacon.whereabouts == "/dev/disk/by-id/virtio-disk1, rack R1, slot 7, serial disk-vdb, model WDC")
        #expect(try beacon.reachable().way == .ledctl)
        let problem = beacon.unlit(.toolMissing("ledctl"))
        #expect(problem.code == "kdisk.no-light" && problem.remedies[0].contains("slot 7") && problem.exit == .unavailable)
    }

    @Test func `a disk that is gone has no light`() async throws {
        var tools = Machine.tools(Machine.status(second: "UNAVAIL"))
        tools["zdb -l /dev/vdb2"] = ""
        let inventory = try await DiskInventory.gather(runner: ScriptedRunner(tools), files: Machine.files())
        let beacon = try DiskBeacon(inventory.find("virtio-disk1-part2"), files: Machine.files())
        #expect(problem { _ = try beacon.reachable() }?.code == "kdisk.gone")
    }

    @Test func `blinking lasts as long as was said`() async throws {
        let runner = ScriptedRunner.accepting
        try await DiskBeacon.blink("/dev/vdb", seconds: 7, pause: .zero, runner: runner)
        #expect(runner.commands.count == 3 && runner.commands.allSatisfy { $0.effect == .reads })
    }
}
