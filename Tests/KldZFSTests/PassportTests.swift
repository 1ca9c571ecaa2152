import KldCore
import KldExec
import KldTestSupport
import Testing

@testable import KldZFS

@Suite struct DiskPassportTests {
    let old = DiskPassport([
        "rack": "R12-08", "slot": "SLOT07", "owner": "storage", "x-cable": "blue", "asset": "UB-DSK-88322", "warranty": "2028-02-12",
        "rma": "https://cdw.example/rma/S6Z", "since": "2025-01-02", "serial": "WD-1", "model": "WDC WD40",
    ])

    @Test(
        arguments: [
            ("slot", "SLOT07"), ("rack", "Rück 8"), ("bought", "2026-02-28"), ("rma", "https://cdw.example/rma/S6Z"),
            ("x-cable", "blue"), ("x-a-1", "="), ("note", String(repeating: "n", count: 1024)), ("owner", "a b"),
        ])
    func `what says where a disk is, and whom to ask, is taken`(key: String, value: String) throws {
        let passport = try DiskPassport().changed(setting: [(key, value)], serial: "WD-1", model: nil)
        #expect(passport[key] == value && passport["serial"] == "WD-1" && passport["model"] == nil)
    }

    @Test(arguments: [
        "slto", "serial", "history", "since", "model", "Slot", "x-", "x--a", "x-UPPER", "x-a b", "free", "",
        "x-" + String(repeating: "a", count: 31),
    ])
    func `a field that there is not, or that kldload writes, is refused`(key: String) {
        #expect(problem { _ = try DiskPassport().changed(setting: [(key, "x")], serial: nil, model: nil) }?.code == "passport.field")
        #expect(problem { _ = try old.changed(setting: [], unsetting: [key], serial: nil, model: nil) }?.code == "passport.field")
    }

    @Test func `a mistyped field is told by its nearest`() {
        #expect {
            try DiskPassport().changed(setting: [("warrenty", "2028-02-12")], serial: nil, model: nil)
        } throws: {
            Diagnosis(of: $0).remedies.first == "did you mean warranty?"
        }
    }

    @Test(
        arguments: [
            ("slot", ""), ("slot", "-"), ("slot", " 7"), ("slot", "7\t8"), ("slot", "7\n8"), ("slot", "7\u{1b}[2J"), ("slot", "a;b"),
            ("slot", "a\u{202e}b"), ("slot", String(repeating: "s", count: 129)), ("note", String(repeating: "n", count: 1025)),
            ("bought", "2026-02-30"), ("warranty", "12/2/2028"), ("warranty", "2028-2-12"), ("rma", "https://me:word@cdw.example/"),
            ("rma", "https://token@cdw.example"),
        ])
    func `what would break a list, is no date, or is a secret is refused`(key: String, value: String) {
        #expect(problem { _ = try DiskPassport().changed(setting: [(key, value)], serial: nil, model: nil) }?.code == "passport.value")
    }

    @Test func `a passport with nothing but what the disk says is none`() throws {
        let one = try DiskPassport().changed(setting: [("slot", "7")], serial: "WD-1", model: "WDC")
        #expect(one.keys == ["slot", "serial", "model"])
        #expect(try one.changed(setting: [], unsetting: ["slot"], serial: "WD-1", model: "WDC").isEmpty)
    }

    @Test func `the place goes to the next disk, and what was the old disk's own into one line`() throws {
        let next = try old.carried(
            on: "2026-11-29", setting: [("warranty", "2031-01-01")], serial: "ST-9", model: "ST4000", oldSerial: nil, oldModel: nil)
        #expect(
            next.values == [
                "rack": "R12-08", "slot": "SLOT07", "owner": "storage", "x-cable": "blue", "warranty": "2031-01-01", "since": "2026-11-29",
                "serial": "ST-9", "model": "ST4000",
                "history": "out 2026-11-29, serial WD-1, model WDC WD40, asset UB-DSK-88322, since 2025-01-02, warranty 2028-02-12",
            ])
    }

    @Test func `a disk without a passport leaves a line too, and the oldest lines go first`() throws {
        var passport = DiskPassport()
        for number in 1...60 {
            passport = try passport.carried(
                on: "2026-01-01", setting: [], serial: "NEW-\(number)", model: nil, oldSerial: "OLD-\(number)", oldModel: nil)
        }
        let history = try #require(passport["history"])
        #expect(
            history.hasPrefix("out 2026-01-01, serial NEW-59, since 2026-01-01; out 2026-01-01, serial NEW-58")
                && history.utf8.count <= 2048)
        #expect(!history.contains("OLD-1"))
    }
}

@Suite struct PassportStoreTests {
    let pool = "rpool"

    /// `zpool get -Hp -o name,property,value,source all rpool all-vdevs`, OpenZFS 2.4.4, shortened; the last vdev is not present.
    static let vdevs = """
        root-0\tname\troot-0\t-
        root-0\tguid\t14227345870128411364\t-
        mirror-0\tname\tmirror-0\t-
        mirror-0\tguid\t763132626387621737\t-
        mirror-0\tcom.kldload:disk.slot\t-\tdefault
        virtio-disk0-part2\tname\tvirtio-disk0-part2\t-
        virtio-disk0-part2\tguid\t12841765308123764671\t-
        virtio-disk0-part2\tpath\t/dev/disk/by-id/virtio-disk0-part2\t-
        virtio-disk0-part2\tcom.kldload:disk.slot\tSLOT 07\tlocal
        virtio-disk0-part2\tcom.example:colour\tred\tlocal
        virtio-disk0-part2\tname\tvirtio-disk0-part2\t-
        virtio-disk0-part2\tguid\t99\t-
        virtio-disk0-part2\tcom.kldload:disk.slot\t8\tlocal
        1527839927278881561\tname\t1527839927278881561\t-
        1527839927278881561\tguid\t1527839927278881561\t-
        1527839927278881561\tcom.kldload:disk.serial\tdisk1\tlocal
        1527839927278881561\tcom.kldload:disk.slot\t-\tdefault

        """

    /// `zfs get -Hp -o name,property,value,source all rpool`, OpenZFS 2.1.11, shortened.
    static let dataset = """
        rpool\ttype\tfilesystem\t-
        rpool\tcom.kldload:owner\tkldload\tlocal
        rpool\tcom.kldload:disk.12841765308123764671.slot\t7\tlocal
        rpool\tcom.kldload:disk.77.rack\tR1\tlocal
        rpool\tcom.kldload:disk.77.x-a.b\tinherited\tinherited from tank
        rpool\tcom.kldload:disk.none.slot\t7\tlocal

        """

    @Test func `each vdev's fields are its own, of two with one name too`() throws {
        let found = PassportStore.parse(vdevs: try PropertyRow.parse(Self.vdevs))
        #expect(
            found == [
                12_841_765_308_123_764_671: DiskPassport(["slot": "SLOT 07"]), 99: DiskPassport(["slot": "8"]),
                1_527_839_927_278_881_561: DiskPassport(["serial": "disk1"]),
            ])
    }

    @Test func `before OpenZFS 2.2 they lie on the pool's dataset, by number`() throws {
        let found = PassportStore.parse(dataset: try PropertyRow.parse(Self.dataset))
        #expect(found == [12_841_765_308_123_764_671: DiskPassport(["slot": "7"]), 77: DiskPassport(["rack": "R1"])])
    }

    @Test func `what an older OpenZFS wrote is found until the vdev has its own`() async throws {
        let runner = ScriptedRunner([
            "zfs get -Hp -o name,property,value,source all rpool": Self.dataset,
            "zpool get -Hp -o name,property,value,source all rpool all-vdevs": Self.vdevs,
        ])
        let found = try await PassportStore.vdev.passports(of: PoolName(pool), runner: runner)
        #expect(found[77] == DiskPassport(["rack": "R1"]) && found[12_841_765_308_123_764_671] == DiskPassport(["slot": "SLOT 07"]))
        let older = try await PassportStore.dataset.passports(of: PoolName(pool), runner: runner)
        #expect(older[77] != nil && older[12_841_765_308_123_764_671] == DiskPassport(["slot": "7"]) && runner.commands.count == 3)
        #expect(found.isOlder(77) && !found.isOlder(12_841_765_308_123_764_671) && !found.isOlder(1))
    }

    @Test func `one that an older OpenZFS left moves to the vdev whole when it changes`() throws {
        let (old, new) = (DiskPassport(["rack": "R1", "slot": "7"]), DiskPassport(["asset": "A-1", "rack": "R1", "slot": "7"]))
        let commands = PassportStore.vdev.commands(from: old, to: new, older: true, pool: try PoolName(pool), device: 77)
        #expect(
            commands.map(\.description) == [
                "zpool set com.kldload:disk.rack=R1 rpool 77", "zpool set com.kldload:disk.slot=7 rpool 77",
                "zpool set com.kldload:disk.asset=A-1 rpool 77", "zfs inherit com.kldload:disk.77.rack rpool",
                "zfs inherit com.kldload:disk.77.slot rpool",
            ])
    }

    @Test(arguments: [("2.4.4", "2.4.4", true), ("2.2.0", "2.2.0", true), ("2.1.11", "2.1.11", false), ("2.4.4", "2.1.11", false)])
    func `tools and module both must know of them`(tools: String, module: String, vdev: Bool) {
        #expect((PassportStore(OpenZFSVersions(tools: OpenZFSVersion(tools), module: OpenZFSVersion(module))) == .vdev) == vdev)
        #expect(PassportStore(OpenZFSVersions(tools: OpenZFSVersion(tools))) == .dataset)
    }

    @Test func `only what differs is written, in the order of a label`() throws {
        let (old, new) = (
            DiskPassport(["slot": "7", "rack": "R1", "x-a": "1"]), DiskPassport(["slot": "8", "rack": "R1", "serial": "WD 1"])
        )
        #expect(
            try PassportStore.vdev.commands(from: old, to: new, pool: PoolName(pool), device: 5).map(\.description) == [
                "zpool set com.kldload:disk.slot=8 rpool 5", "zpool set 'com.kldload:disk.serial=WD 1' rpool 5",
                "zpool set com.kldload:disk.x-a= rpool 5",
            ])
        #expect(
            try PassportStore.dataset.commands(from: old, to: new, pool: PoolName(pool), device: 5).map(\.description) == [
                "zfs set com.kldload:disk.5.slot=8 rpool", "zfs set 'com.kldload:disk.5.serial=WD 1' rpool",
                "zfs inherit com.kldload:disk.5.x-a rpool",
            ])
        #expect(try PassportStore.vdev.commands(from: new, to: new, pool: PoolName(pool), device: 5).isEmpty)
    }
}

@Suite struct PoolDeviceTests {
    static func vdev(
        _ name: String, _ state: PoolState = .online, guid: UInt64 = 1, errors: UInt64 = 0, of children: [PoolStatus.Vdev] = []
    )
        -> PoolStatus.Vdev
    {
        PoolStatus.Vdev(
            name: name, guid: guid, path: name.hasPrefix("/") ? name : nil, state: state, readErrors: errors, writeErrors: 0,
            checksumErrors: 0, children: children)
    }

    static func pool(_ top: PoolStatus.Vdev..., classes: [String: [PoolStatus.Vdev]] = [:]) -> PoolStatus {
        PoolStatus(name: "p", state: .degraded, errors: 0, root: vdev("p", of: top), classes: classes)
    }

    @Test func `a mirror survives all but one, raidz and draid what their names say, a single device nothing`() {
        let (a, b, c) = (Self.vdev("/dev/a"), Self.vdev("/dev/b"), Self.vdev("/dev/c"))
        let status = Self.pool(
            Self.vdev("mirror-0", of: [a, b, c]), Self.vdev("raidz2-1", of: [a, b, c]), Self.vdev("draid1:2d:3c:0s-2", of: [a, b, c]), a,
            classes: ["special": [Self.vdev("mirror-4", of: [a, b])], "logs": [c]])
        let members = status.members
        #expect(members.map(\.parity) == [2, 2, 2, 2, 2, 2, 1, 1, 1, 0, 0, 1, 1])
        #expect(members.map(\.kind).suffix(4) == ["data", "logs", "special", "special"])
        #expect(members[0].siblings == ["/dev/b", "/dev/c"] && members[0].others == 2 && members[0].vdev == "mirror-0")
        #expect(members[9].vdev == "/dev/a" && members[9].layout == "disk" && members[9].others == 0)
        #expect(members[3].layout == "raidz2" && members[6].layout == "draid1:2d:3c:0s")
    }

    @Test func `others that are gone count as lost, those that are only unreliable do not`() {
        let status = Self.pool(
            Self.vdev(
                "raidz1-0",
                of: [
                    Self.vdev("/dev/a", .faulted, guid: 1), Self.vdev("/dev/b", .degraded, guid: 2),
                    Self.vdev("/dev/c", .unavailable, guid: 3),
                    Self.vdev(
                        "replacing-3", .degraded, of: [Self.vdev("/dev/d", .unavailable, guid: 4), Self.vdev("/dev/e", .online, guid: 5)]),
                ]))
        let members = status.members
        #expect(members.map(\.lost) == [2, 3, 2, 2, 2] && members.map { $0.place != nil } == [false, false, false, true, true])
        #expect(members[0].siblings == ["/dev/e"] && members[4].vdev == "raidz1-0" && members[4].others == 3)
        #expect(
            members.map(\.isHealthy) == [false, false, false, false, true]
                && members.map(\.isReadable) == [false, true, false, false, true])
    }

    @Test func `a single device that is being replaced is one place`() {
        let status = Self.pool(Self.vdev("replacing-0", of: [Self.vdev("/dev/a", guid: 4), Self.vdev("/dev/b", guid: 5)]))
        #expect(status.members.map { $0.place != nil } == [true, true] && status.members.map(\.parity) == [0, 0])
        #expect(status.members.map(\.lost) == [0, 0] && status.members.map(\.vdev) == ["/dev/a", "/dev/b"])
    }

    /// The two outputs of OpenZFS 2.1.11 for one pool.
    static let names = """
          pool: rpool
         state: DEGRADED
        status: One or more devices could not be used because the label is missing or
        \tinvalid.
          scan: scrub repaired 0B in 00:00:07 with 0 errors on Sun Aug  9 00:24:08 2026
        config:

        \tNAME                             STATE     READ WRITE CKSUM
        \trpool                            DEGRADED     0     0     0
        \t  mirror-0                       DEGRADED     0     0     0
        \t    /dev/disk/by-id/ata-A-part2  ONLINE       0     0     7
        \t    9834532098                   UNAVAIL      0     0     0  was /dev/disk/by-id/ata-B-part2
        \tspecial
        \t  /dev/disk/by-id/ata-C-part1    ONLINE       0     0     0
        \tspares
        \t  /dev/disk/by-id/ata-D          AVAIL

        errors: No known data errors

        """
    static let guids = names.replacing("rpool                            DEG", with: "rpool       DEG")
        .replacing("mirror-0     ", with: "76313262     ").replacing("/dev/disk/by-id/ata-A-part2", with: "111")
        .replacing("/dev/disk/by-id/ata-C-part1", with: "333").replacing("/dev/disk/by-id/ata-D", with: "444")
        .replacing("  was /dev/disk/by-id/ata-B-part2", with: "")

    @Test func `before OpenZFS 2.3 two texts say the same as one document`() throws {
        let status = try #require(try PoolStatus.parse(text: Self.names, guids: Self.guids).first)
        #expect(status.name == "rpool" && status.state == .degraded)
        let members = status.members
        #expect(members.map(\.guid) == [111, 9_834_532_098, 444, 333] && members.map(\.kind) == ["data", "data", "spares", "special"])
        #expect(members[1].path == "/dev/disk/by-id/ata-B-part2" && members[1].state == .unavailable && members[1].vdev == "mirror-0")
        #expect(members[0].hasErrors && members[0].lost == 1 && members[2].state == .available)
        let json = try #require(try PoolStatus.parse(json: Fixtures.statusDegraded).first).members
        #expect(json.map(\.vdev) == ["mirror-0", "mirror-0"] && json.map(\.lost) == [1, 0] && json.map(\.parity) == [1, 1])
    }

    @Test func `two texts that do not fit together are no answer`() {
        #expect(problem { _ = try PoolStatus.parse(text: Self.names, guids: "") }?.code == "zfs.unreadable")
    }

    @Test func `the version says which of them are asked for`() async throws {
        let older = ScriptedRunner(["zpool status -p -P": Self.names, "zpool status -p -P -g": Self.guids])
        #expect(try await PoolStatus.all(OpenZFSVersions(tools: OpenZFSVersion(2, 1, 11)), runner: older).count == 1)
        let newer = ScriptedRunner(["zpool status -j --json-int -p -P": Fixtures.statusDegraded])
        #expect(try await PoolStatus.all(OpenZFSVersions(tools: OpenZFSVersion(2, 4, 4)), runner: newer).first?.members.count == 2)
    }

    @Test func `a disk is replaced by number, without force`() throws {
        let command = try ZPool.replace(PoolName("rpool"), old: 5, new: "/dev/disk/by-id/ata-N-part2")
        #expect(command.description == "zpool replace rpool 5 /dev/disk/by-id/ata-N-part2" && command.effect == .destroys)
    }
}
