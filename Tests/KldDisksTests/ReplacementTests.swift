import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldDisks

@Suite struct DiskReplacementTests {
    @Test func `the new disk gets the others' partitions, the place in the pool, and the passport of the place`() async throws {
        let work = try await replacement(passports: [Machine.second: ["slot": "7", "asset": "A-1", "serial": "disk-vdb"]])
        #expect(try Golden.difference(work.plan.text(contents: true), "replace.txt") == nil)
        #expect(work.esp == "\(spare)-part1" && work.stage == .begin && work.losses.count == 1)
        #expect(work.approvals.map(\.onlyIfEmpty) == [true])
        try PlanRunner.check(work.plan, approvals: work.approvals)
    }

    @Test func `a disk that is well stays, unless it is named`() async throws {
        let status = Machine.status(second: "ONLINE")
        #expect(await problem { _ = try await replacement(status) }?.code == "kdisk.healthy")
        #expect(await problem { _ = try await replacement(status) { $0.healthy = "vdb" } }?.code == "kdisk.healthy")
        #expect(await problem { _ = try await replacement(status) { $0.healthy = "\(Machine.byID)virtio-disk0" } }?.code == "kdisk.healthy")
        #expect(await problem { _ = try await replacement(status) { $0.healthy = "\(Machine.byID)virtio-disk1" } } == nil)
    }

    @Test func `one that counts errors, or says itself that it fails, is not well`() async throws {
        let errors = Machine.status(second: "ONLINE").replacing(
            #""write_errors":0,"checksum_errors":0}}"#, with: #""write_errors":0,"checksum_errors":3}}"#)
        #expect(errors.contains(#""checksum_errors":3"#))
        #expect(await problem { _ = try await replacement(errors) } == nil)
        let verdict = ["its own verdict is FAILED"]
        #expect(await problem { _ = try await replacement(Machine.status(second: "ONLINE"), failing: verdict) } == nil)
        for state in ["OFFLINE", "DEGRADED", "FAULTED"] {
            #expect(await problem { _ = try await replacement(Machine.status(second: state)) } == nil)
        }
    }

    @Test func `the last disk that has the data stays`() async throws {
        let first = #""path":"/dev/disk/by-id/virtio-disk0-part2","state":"ONLINE""#
        let status = Machine.status(second: "FAULTED").replacing(first, with: first.replacing("ONLINE", with: "FAULTED"))
        #expect(status.contains(first.replacing("ONLINE", with: "FAULTED")))
        #expect(await problem { _ = try await replacement(status) }?.code == "kdisk.no-redundancy")
    }

    func shape(parity: Int, lost: Int, _ state: PoolState) async throws -> String? {
        var inventory = try await Machine.inventory(Machine.status(second: "FAULTED"))
        inventory.entries[1].members[0].device = PoolDevice(
            pool: "rpool", vdev: "raidz", parity: parity, lost: lost, others: 3, siblings: ["\(Machine.byID)virtio-disk0-part2"],
            path: "\(Machine.byID)virtio-disk1-part2", guid: Machine.second, state: state)
        let request = DiskReplacement.Request(old: "vdb", new: "vdc", healthy: "\(Machine.byID)virtio-disk1", yes: true)
        return problem { _ = try DiskReplacement(request, inventory, records: [], now: Machine.now, espSerial: 1) }?.code
    }

    @Test(
        arguments: [
            (1, 0, "FAULTED", true), (1, 1, "FAULTED", false), (2, 1, "UNAVAIL", true), (2, 2, "OFFLINE", false), (3, 2, "REMOVED", true),
            (1, 1, "ONLINE", true), (1, 2, "ONLINE", false), (0, 0, "ONLINE", true), (0, 0, "DEGRADED", true), (0, 0, "FAULTED", false),
            (2, 2, "DEGRADED", true),
        ])
    func `what is lost already counts against what the vdev survives`(parity: Int, lost: Int, state: String, allowed: Bool) async throws {
        #expect(try await shape(parity: parity, lost: lost, PoolState(state)) == (allowed ? nil : "kdisk.no-redundancy"))
    }

    @Test func `pools and vdevs that cannot take a disk now are refused`() async throws {
        let suspended = Machine.status(second: "FAULTED").replacing(
            #""state":"DEGRADED","pool_guid""#, with: #""state":"SUSPENDED","pool_guid""#)
        #expect(await problem { _ = try await replacement(suspended) }?.code == "kdisk.suspended")
        #expect(await problem { _ = try await replacement(Machine.filling()) { $0.new = "vda" } }?.code == "kdisk.busy")
        let spares = Machine.status(second: "FAULTED").replacing(
            #""error_count":0"#, with: #""error_count":0,"spares":{\#(Machine.member("/dev/vdc", 9, "AVAIL"))}"#)
        #expect(await problem { _ = try await replacement(spares, "vdc", "vdb") }?.code == "kdisk.kind")
    }

    @Test(
        arguments: [
            ("vdx", "disk.missing"), ("vda2", "disk.missing"), (String(Machine.first), "disk.missing"), ("vda", "disk.in-use"),
            ("/dev/vdc1", "disk.missing"), ("/dev/vda", "disk.in-use"), ("/dev/vda2", "disk.not-a-disk"),
        ])
    func `the new disk is looked at like those of an installation`(new: String, expected: String) async {
        #expect(await problem { _ = try await replacement { $0.new = new } }?.code == expected)
    }

    @Test func `a new disk that is read-only, mounted or too small is refused; one that the partitions fit on is taken`() async throws {
        func with(_ old: String, _ new: String) -> String { Machine.listing.replacing(old, with: new) }
        let spare = #""path":"/dev/vdc","name":"vdc","size":8589934592,"type":"disk""#
        #expect(await problem { _ = try await replacement(listing: with(spare, spare + #","ro":true"#)) }?.code == "disk.read-only")
        #expect(
            await problem {
                _ = try await replacement(listing: with(#""model":"QEMU DISK","mountpoints":[null]"#, #""mountpoints":["/mnt"]"#))
            }?.code
                == "disk.in-use")
        #expect(
            await problem { _ = try await replacement(listing: with(spare, spare.replacing("8589934592", with: "8580000000"))) }?.code
                == "disk.too-small")
        let larger = try await replacement(listing: with(spare, spare.replacing("8589934592", with: "9000000000")))
        #expect(try larger.plan.text().contains("--new=1:0:+1024M") && larger.plan.text().contains("--new=2:0:0"))
        let fits = Machine.listing.replacing("7514095616", with: "7000000000").replacing(
            spare, with: spare.replacing("8589934592", with: "8500000000"))
        #expect(try await replacement(listing: fits).plan.text().contains("--new=2:0:+6675M"))
    }

    static let used = Machine.listing.replacing(
        #""model":"QEMU DISK","mountpoints":[null]}"#,
        with:
            #""pttype":"gpt","mountpoints":[null],"children":[{"path":"/dev/vdc1","name":"vdc1","size":1000,"type":"part","fstype":"zfs_member","label":"tank","mountpoints":[null]}]}"#
    )

    @Test func `what a new disk holds is told, and wiped only where it is named`() async throws {
        let asked = try await replacement(listing: Self.used)
        #expect(asked.approvals.isEmpty && asked.losses.last?.contains("/dev/vdc1 zfs_member 'tank'") == true)
        #expect(problem { try PlanRunner.check(asked.plan, approvals: asked.approvals) }?.code == "plan.unapproved")
        for word in ["vdc", "/dev/vdc", "\(Machine.byID)virtio-disk1", ""] {
            #expect(try await replacement(listing: Self.used) { $0.wipe = word }.approvals.isEmpty, "\(word)")
        }
        let named = try await replacement(listing: Self.used) { $0.wipe = spare }
        #expect(named.approvals.map(\.disk) == [spare])
        #expect(try named.plan.commandLines.contains("zpool labelclear -f /dev/vdc1"))
        try PlanRunner.check(named.plan, approvals: named.approvals)
        #expect(try await replacement(listing: Self.used) { ($0.wipe, $0.yes) = (spare, false) }.approvals.isEmpty)
        #expect(try await replacement { $0.yes = false }.approvals.isEmpty)
    }

    @Test func `an empty disk is read first, and wiped instead where it is named: it may hold what no tool has a name for`() async throws {
        let look = WipeApproval.verification(of: spare)
        #expect(try await replacement().plan.steps.contains { $0.actions.contains(look) })
        let named = try await replacement { $0.wipe = spare }
        #expect(try !named.plan.steps.contains { $0.actions.contains(look) } && named.plan.commandLines.contains("wipefs --all /dev/vdc"))
        #expect(named.approvals.map(\.onlyIfEmpty) == [false])
        try PlanRunner.check(named.plan, approvals: named.approvals)
        for word in ["vdc", "/dev/vdc", "\(Machine.byID)virtio-disk1"] {
            #expect(try await replacement { $0.wipe = word }.plan.steps.contains { $0.actions.contains(look) }, "\(word)")
        }
    }

    @Test func `a whole disk is replaced by a whole disk, somebody's own partitions are left to him`() async throws {
        func with(_ label: String, _ other: String) -> String {
            Machine.listing.replacing(#""partlabel":"EFI system partition""#, with: #""partlabel":"\#(label)""#)
                .replacing(#""partlabel":"kldload rpool""#, with: #""partlabel":"\#(other)""#)
        }
        #expect(await problem { _ = try await replacement(listing: with("boot", "data")) }?.code == "kdisk.layout")
        #expect(await problem { _ = try await replacement(listing: with("EFI system partition", "data")) }?.code == "kdisk.layout")
        let whole = BlockDevice(
            path: "/dev/sda", size: .gibibytes(8),
            children: [
                BlockDevice(path: "/dev/sda1", size: .gibibytes(7), type: "part"),
                BlockDevice(path: "/dev/sda9", size: .mebibytes(8), type: "part"),
            ])
        var labelled = whole
        labelled.children[0].partitionLabel = "zfs-0123456789abcdef"
        #expect(try DiskReplacement.Shape(labelled, vdev: "/dev/sda1", name: "x").vdev == nil)
        #expect(problem { _ = try DiskReplacement.Shape(whole, vdev: "/dev/sda1", name: "x") }?.code == "kdisk.layout")
        #expect(try DiskReplacement.Shape(BlockDevice(path: "/dev/sdb", size: .gibibytes(8)), vdev: "/dev/sdb", name: "x").vdev == nil)
        var special = BlockDevice(
            path: "/dev/sdc", size: .gibibytes(8), children: [BlockDevice(path: "/dev/sdc1", size: .gibibytes(7), type: "part")])
        special.children[0].partitionLabel = "kldload special"
        let shape = try DiskReplacement.Shape(special, vdev: "/dev/sdc1", name: "x")
        #expect(shape.vdev == 1 && shape.esp == nil)
        #expect(shape.partitions(on: special, like: special) == [PartitionSpec(1, size: nil, type: .zfs, name: "kldload special")])
    }

    @Test func `old and new are not one`() async {
        #expect(await problem { _ = try await replacement { $0.new = "virtio-disk1" } }?.code == "kdisk.same")
        let status = Machine.status(second: "UNAVAIL")
        var tools = Machine.tools(status)
        tools["zdb -l /dev/vdb2"] = ""
        tools["zpool list -vHPp -o name,bootfs,altroot"] = "rpool\t-\t-\n\tmirror-0\n\t/dev/disk/by-id/virtio-disk0-part2\n"
        let inventory = try? await DiskInventory.gather(runner: ScriptedRunner(tools), files: Machine.files())
        // The disk in the place of the old one holds something else by now: it may come, and is asked for like any other.
        let request = DiskReplacement.Request(old: "virtio-disk1-part2", new: "vdb", yes: true)
        let work = inventory.flatMap { try? DiskReplacement(request, $0, records: [], now: Machine.now, espSerial: 1) }
        #expect(work?.approvals.isEmpty == true && work?.record.new == "\(Machine.byID)virtio-disk1")
    }

    @Test func `what lies at the old path and is another vdev's, or nobody's, is not the old disk`() async throws {
        for (state, label, isOld) in [
            ("OFFLINE", "guid: 77", false), ("FAULTED", "guid: 77", false), ("OFFLINE", "", false), ("REMOVED", "", false),
            ("FAULTED", "", true), ("OFFLINE", "guid: \(Machine.second)", true),
        ] {
            var tools = Machine.tools(Machine.status(second: state))
            tools["zdb -l /dev/vdb2"] = "    name: 'rpool'\n    \(label)\n"
            let inventory = try await DiskInventory.gather(runner: ScriptedRunner(tools), files: Machine.files())
            let entry = try #require(inventory.entries.first { $0.device?.path == "/dev/vdb" })
            #expect(entry.members.isEmpty != isOld && (inventory.facts.importedPools["/dev/vdb"] == nil) != isOld, "\(state), \(label)")
        }
        #expect(try await Machine.inventory().facts.importedPools["/dev/vdb"] == "rpool")
    }

    @Test func `a disk of a pool by another path, or a copy of one, is no new disk`() async throws {
        let request = DiskReplacement.Request(old: "vdb", new: "vdc", yes: true)
        func code(wwn: String?, serial: String = "disk-vda", filesystem: String? = nil, label: String = "") async -> String? {
            var listing = Machine.listing
            if let wwn {
                listing = listing.replacing(#""serial":"disk-vda""#, with: #""serial":"disk-vda","wwn":"0x5000""#)
                    .replacing(#""serial":"spare0""#, with: #""serial":"\#(serial)","wwn":"\#(wwn)""#)
            }
            if let filesystem { listing = listing.replacing(#""serial":"spare0""#, with: #""serial":"spare0","fstype":"\#(filesystem)""#) }
            var tools = Machine.tools(Machine.status(second: "FAULTED"), listing: listing)
            tools[DiskHealth.command("/dev/vdb").description] = "{}"
            tools["zdb -l /dev/vdc"] = "    name: 'rpool'\n    \(label)\n"
            return await problem {
                _ = try await DiskReplacement.gather(
                    request, now: Machine.now, espSerial: 1, runner: ScriptedRunner(tools), files: Machine.files())
            }?.code
        }
        #expect(await code(wwn: "0x5000") == "kdisk.same")
        #expect(await code(wwn: "0x5001") == nil)
        // Some makers gave one WWN to many disks.
        #expect(await code(wwn: "0x5000", serial: "spare0") == nil)
        #expect(await code(wwn: nil, filesystem: "zfs_member", label: "guid: \(Machine.first)") == "kdisk.same")
        #expect(await code(wwn: nil, filesystem: "zfs_member", label: "guid: 99") == nil)
    }

    @Test func `a spare that stands in does not keep the lost disk from being replaced, nor counts as lost`() async throws {
        func status(_ scan: String) -> String {
            let pair = [("virtio-disk1-part2", Machine.second, "FAULTED"), ("virtio-spare0-part2", 42, "ONLINE")].map {
                Machine.member(Machine.byID + $0, $1, $2)
            }.joined(separator: ",")
            return Machine.status.replacing(
                "SECOND", with: #""spare-1":{"name":"spare-1","vdev_type":"spare","guid":8,"state":"DEGRADED","vdevs":{\#(pair)}}"#
            ).replacing("STATE", with: "DEGRADED").replacing(#""error_count":0"#, with: #""error_count":0,"scan_stats":\#(scan)"#)
        }
        let filled = status(#"{"function":"RESILVER","state":"FINISHED","errors":0}"#)
        let members = try #require(try PoolStatus.parse(json: filled).first).members
        #expect(members.map(\.place) == [nil, "spare-1", "spare-1"] && members.allSatisfy { !$0.isReplacing })
        #expect(members.map(\.lost) == [0, 0, 0])
        let running = try PoolStatus.parse(json: status(#"{"function":"RESILVER","state":"SCANNING"}"#)).first?.members.first
        #expect(running?.lost == 1)
    }

    @Test func `what an earlier run made of the new disk is made again, without asking`() async throws {
        let made = Machine.listing.replacing(
            #""model":"QEMU DISK","mountpoints":[null]}"#,
            with: #"""
                "pttype":"gpt","mountpoints":[null],"children":[
                {"path":"/dev/vdc1","name":"vdc1","size":1000,"type":"part","fstype":"vfat","label":"EFI","partlabel":"EFI system partition","mountpoints":[null]},
                {"path":"/dev/vdc2","name":"vdc2","size":1000,"type":"part","partlabel":"kldload rpool","mountpoints":[null]}]}
                """#)
        #expect(try await replacement(listing: made, records: [record]).approvals.map(\.disk) == [spare])
        #expect(try await replacement(listing: made).approvals.isEmpty)
        #expect(try await replacement(listing: Self.used, records: [record]).approvals.isEmpty)
        var other = record
        other.newSerial = "another"
        #expect(try await replacement(listing: made, records: [other]).approvals.isEmpty)
        other = record
        other.old = 5
        #expect(try await replacement(listing: made, records: [other]).approvals.isEmpty)
        // Somebody has put something there meanwhile.
        for filesystem in ["zfs_member", "ext4", "crypto_LUKS", "LVM2_member"] {
            let used = made.replacing(
                #""size":1000,"type":"part","partlabel":"kldload rpool""#,
                with: #""size":1000,"type":"part","fstype":"\#(filesystem)","partlabel":"kldload rpool""#)
            #expect(try await replacement(listing: used, records: [record]).approvals.isEmpty, "\(filesystem)")
        }
        // By its place alone a disk is nobody's.
        var unnamed = record
        unnamed.newSerial = nil
        let nameless = made.replacing(#""serial":"spare0","#, with: "")
        #expect(try await replacement(listing: nameless, records: [unnamed]).approvals.isEmpty)
    }

    @Test func `a new disk that somebody attached elsewhere has replaced nothing`() async throws {
        let beside = [("virtio-disk1-part2", Machine.second, "FAULTED"), ("virtio-spare0-part2", 42, "ONLINE")].map {
            Machine.member(Machine.byID + $0, $1, $2)
        }.joined(separator: ",")
        let status = Machine.status.replacing("SECOND", with: beside).replacing("STATE", with: "DEGRADED")
        #expect(await problem { _ = try await replacement(status, listing: Self.given, records: [record]) }?.code == "kdisk.not-replaced")
        // Nor is one that only has the name of the new disk.
        var other = record
        other.newSerial = "another"
        #expect(await problem { _ = try await replacement(Machine.filled, listing: Self.given, records: [other]) }?.code == "kdisk.no-vdev")
    }

    @Test func `a passport that was written is not changed by going on`() async throws {
        #expect(
            await problem {
                _ = try await replacement(Machine.filling(), listing: Self.given, records: [record]) { $0.fields = [("slot", "7")] }
            } == nil)
        #expect(
            await problem {
                _ = try await replacement(Machine.filling(), listing: Self.given, records: [record]) { $0.fields = [("slot", "8")] }
            }?.code
                == "kdisk.begun")
    }

    static let given = Machine.listing.replacing(
        #""model":"QEMU DISK","mountpoints":[null]}"#,
        with:
            #""mountpoints":[null],"children":[{"path":"/dev/vdc1","name":"vdc1","size":1,"type":"part","partlabel":"EFI system partition","mountpoints":[null]},{"path":"/dev/vdc2","name":"vdc2","size":1,"type":"part","mountpoints":[null]}]}"#
    )

    @Test func `once the pool has the new disk, only what is left is done`() async throws {
        for word in ["vdb", "/dev/vdb", "virtio-disk1", String(Machine.second)] {
            let filling = try await replacement(Machine.filling(), word, listing: Self.given, records: [record])
            #expect(filling.stage == .filling && filling.esp == "/dev/vdc1" && filling.approvals.isEmpty)
            #expect(try filling.plan.steps.map(\.id) == ["kdisk.passport"] && filling.plan.destroys.isEmpty)
        }
        let filled = try await replacement(Machine.filled, listing: Self.given, records: [record])
        #expect(filled.stage == .filled)
        #expect(try filled.finishing(.vdev, old: DiskPassport(), manifest: nil).steps.map(\.id) == ["kdisk.passport", "kdisk.forget"])
        // Nothing remembers it.
        #expect(await problem { _ = try await replacement(Machine.filled, listing: Self.given) }?.code == "kdisk.no-vdev")
    }

    @Test(arguments: [["\(Machine.byID)virtio-disk1"], ["\(Machine.byID)virtio-disk1-part2", "5"]])
    func `the installation knows the new disk in the old one's place`(names: [String]) async throws {
        var manifest = InstallManifest(
            kldloadVersion: "2", distro: "debian", suite: "trixie", profile: "core", hostname: "box", username: "admin", pool: "rpool",
            bootEnvironment: "debian", topology: "mirror", disks: ["\(Machine.byID)virtio-disk0", "\(Machine.byID)virtio-disk1"],
            encrypted: false, network: .init(.dhcp), timezone: "UTC", locale: "C.UTF-8", keyboard: "us", sshPolicy: .keys, heldPackages: [],
            units: [], hostID: nil, sealed: false, credentials: .locked)
        var work = try await replacement(Machine.filled, listing: Self.given, records: [record])
        work.record.oldNames = names
        let plan = try work.finishing(.vdev, old: DiskPassport(), manifest: manifest)
        #expect(plan.steps.map(\.id) == ["kdisk.passport", "kdisk.manifest", "kdisk.forget"])
        let text = plan.text(contents: true)
        #expect(text.contains("virtio-spare0\"") && text.contains("virtio-disk0\"") && !text.contains("virtio-disk1\""))
        manifest.disks = ["/dev/disk/by-id/other"]
        #expect(try work.finishing(.vdev, old: DiskPassport(), manifest: manifest).steps.count == 2)
    }

    @Test func `before OpenZFS 2.2 the old disk's passport is taken off the pool`() async throws {
        let filled = try await replacement(Machine.filled, listing: Self.given, records: [record])
        #expect(
            try filled.finishing(.dataset, old: DiskPassport(["slot": "7"]), manifest: nil).commandLines == [
                "zfs inherit com.kldload:disk.1527839927278881561.slot rpool"
            ])
    }
}
