import KldCore
import KldZFS
import Testing

@Suite struct `zpool status in JSON` {
    @Test func `of the manual page is understood`() throws {
        let pools = try PoolStatus.parse(json: Fixtures.statusManualPage)
        let tank = try #require(pools.first)
        #expect(tank.name == "tank" && tank.state == .online && tank.guid == 3_920_273_586_464_696_295)
        #expect(tank.root?.children.first?.name == "raidz1-0" && tank.root?.children.first?.state == .online)
        #expect(tank.classes["special"]?.first?.path == "/dev/disk/by-partuuid/25d418f8-92bd-4327-b59f-7ef5d5f50d81")
        #expect(tank.devices.count == 2)
    }

    @Test func `with bare numbers counts errors and states`() throws {
        let rpool = try #require(try PoolStatus.parse(json: Fixtures.statusDegraded).first)
        #expect(rpool.state == .degraded && rpool.errors == 3)
        #expect(rpool.guid == 14_227_345_870_128_411_364)
        #expect(rpool.status?.hasPrefix("One or more devices") == true)
        let states = rpool.devices.map(\.state)
        #expect(states == [.online, .unavailable])
        #expect(rpool.devices[0].checksumErrors == 7)
        #expect(rpool.scan?.function == "SCRUB" && rpool.scan?.state == "FINISHED" && rpool.scan?.endTime == 1_786_000_000)
    }

    @Test func `keeps states it does not know`() throws {
        let text = #"{"output_version":{},"pools":{"a":{"name":"a","state":"MELTED","error_count":0}}}"#
        #expect(try PoolStatus.parse(json: text).first?.state == .unknown("MELTED"))
    }

    @Test(arguments: ["", "no pools available\n", "{}", #"{"pools":{"a":{"name":"a"}}}"#])
    func `is refused when it is something else`(text: String) {
        #expect { try PoolStatus.parse(json: text) } throws: { Diagnosis(of: $0).code == "zfs.unreadable" }
    }
}

@Suite struct `zpool status in text` {
    @Test func `of a healthy pool`() {
        let pools = PoolHealthText.parse(Fixtures.statusTextHealthy)
        #expect(pools.count == 1 && pools[0].name == "rpool" && pools[0].isHealthy)
    }

    @Test func `names what is troubled`() throws {
        let pool = try #require(PoolHealthText.parse(Fixtures.statusTextDegraded).first)
        #expect(pool.state == .degraded && !pool.withoutDataErrors && !pool.isHealthy)
        #expect(pool.troubled.count == 3 && pool.troubled[2].hasPrefix("9834532098 UNAVAIL"))
        #expect(pool.status == "One or more devices could not be used because the label is missing or invalid.")
    }
}

@Suite struct `lists` {
    @Test func `of pools`() throws {
        let rows = try PoolRow.parse(
            "rpool\t6512349172837645127\t20937965568\t1423859712\t19514105856\tONLINE\toff\t/target\trpool/ROOT/debian\n"
                + "zion\t12\t-\t-\t-\tFAULTED\toff\t-\t-\n")
        #expect(rows[0].size == ByteCount(20_937_965_568) && rows[0].bootfs == "rpool/ROOT/debian" && rows[0].altroot == "/target")
        #expect(rows[1].health == .faulted && rows[1].size == nil && rows[1].bootfs == nil)
        #expect(try PoolRow.parse("").isEmpty)
        #expect(throws: Diagnosis.self) { try PoolRow.parse("rpool ONLINE\n") }
    }

    @Test func `of vdevs`() {
        let pools = PoolListing.parse(
            "rpool\trpool/ROOT/debian\t/target\n\tmirror-0\t7G\n\t/dev/disk/by-id/a-part2\t7G\n\t/dev/disk/by-id/b-part2\n"
                + "special      -      -      -\n\t/dev/vdc1\n\t/srv/a file\t1G\nspecial\t-\t-\n\t/dev/vdd1\n")
        #expect(pools.map(\.name) == ["rpool", "special"])
        #expect(pools[0].bootfs == "rpool/ROOT/debian" && pools[0].altroot == "/target" && pools[0].vdevs.first == "mirror-0")
        #expect(pools[0].devices == ["/dev/disk/by-id/a-part2", "/dev/disk/by-id/b-part2", "/dev/vdc1", "/srv/a file"])
        #expect(pools[1].bootfs == nil && pools[1].altroot == nil && pools[1].vdevs == ["/dev/vdd1"])
        #expect(PoolListing.parse("").isEmpty)
    }

    @Test func `of datasets keep spaces and UTF-8`() throws {
        let entries = try DatasetTable.parse(
            "rpool/my data\t98304\t/srv/my data\nrpool/home/joerg\t1\t/home/jörg\u{2028}x\nrpool/vol\t8\t-\n",
            columns: ["name", "used", "mountpoint"])
        #expect(entries.map(\.name) == ["rpool/my data", "rpool/home/joerg", "rpool/vol"])
        #expect(entries[0].bytes("used") == ByteCount(98304) && entries[0]["mountpoint"] == "/srv/my data")
        #expect(entries[1]["mountpoint"] == "/home/jörg\u{2028}x")
        #expect(entries[2]["mountpoint"] == nil)
        #expect(throws: Diagnosis.self) { try DatasetTable.parse("a b\n", columns: ["name", "used"]) }
    }

    @Test func `of properties`() throws {
        let rows = try PropertyRow.parse(
            "rpool/home\tcom.kldload:owner\tkldload\tlocal\nrpool/home/x\tcom.kldload:owner\tkldload\tinherited from rpool/home\n"
                + "rpool/home\tnote\twith\ttab\tlocal\nrpool\tused\t12\t-\nrpool\torigin\t-\t-\n")
        #expect(rows[0].marksOwnership && !rows[1].marksOwnership)
        #expect(rows[1].source == .inherited(from: "rpool/home"))
        #expect(rows[2].value == "with\ttab")
        #expect(rows[3].source == .none && rows[4].value == nil)
    }
}

@Suite struct `zpool import's list` {
    @Test func `tells pools apart`() throws {
        let pools = try ImportablePool.parse(Fixtures.importable)
        #expect(pools.map(\.name) == ["rpool", "tank"])
        #expect(pools[0].guid == 14_227_345_870_128_411_364 && pools[0].lastUsedElsewhere && !pools[1].lastUsedElsewhere)
        #expect(pools[0].vdevs.map(\.name) == ["rpool", "mirror-0", "vda2", "vdb2"])
        #expect(pools[1].state == .unavailable && pools[1].destroyed && pools[1].vdevs.last?.state == .unavailable)
    }

    @Test func `may be empty`() throws { #expect(try ImportablePool.parse("").isEmpty) }

    @Test func `is refused without ids`() {
        #expect(throws: Diagnosis.self) { try ImportablePool.parse("   pool: a\n  state: ONLINE\n") }
    }
}

@Suite struct `disk labels` {
    @Test func `are read as zdb prints them`() throws {
        let label = try #require(DiskLabel.parse(Fixtures.label))
        #expect(label.pool == "rpool" && label.state == 0 && label.poolGUID == 1_388_568_317_016_226_249)
        #expect(label.guid == 10_744_621_400_976_721_084 && label.hostName == "vm" && label.hostID == nil)
        #expect(label.vdevs == 1 && label.kind == "file" && label.allocatable == ByteCount(129_499_136))
    }

    @Test func `are the first of several that differ`() throws {
        let older = Fixtures.label.replacing("LABEL 0", with: "LABEL 2").replacing("'rpool'", with: "'old'")
            .replacing("129499136", with: "1")
        #expect(DiskLabel.parse(Fixtures.label + older) == DiskLabel.parse(Fixtures.label))
    }

    @Test func `carry the host id in decimal`() throws {
        let text = Fixtures.label.replacing("    hostname: 'vm'", with: "    hostid: 8323074\n    hostname: 'vm'")
        #expect(DiskLabel.parse(text)?.hostID?.description == "007f0002")
    }

    @Test func `may be missing`() { #expect(DiskLabel.parse("failed to read label 0\nfailed to read label 1\n") == nil) }
}
