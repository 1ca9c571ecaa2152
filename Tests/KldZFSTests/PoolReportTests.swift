import KldCore
import KldZFS
import Testing

@Suite struct PoolReportTests {
    /// Lines of progress as `print_scan_scrub_resilver_status()` writes them: of 2.1 and 2.2 the first, of 2.3 and 2.4 the second.
    static let progress = [
        "\t1.18G scanned at 606M/s, 390M issued at 190M/s, 1.18G total\n\t0B repaired, 32.20% done, 00:00:04 to go\n",
        "\t1.18G / 1.18G scanned at 606M/s, 390M / 1.18G issued at 190M/s\n\t0B repaired, 32.20% done, 00:00:04 to go\n",
    ]

    func text(_ scan: String, state: String = "ONLINE") -> String {
        """
          pool: tank
         state: \(state)
          scan: \(scan)config:

        \tNAME          STATE     READ WRITE CKSUM
        \ttank          \(state)     0     0     0
        \t  /disks/one  \(state)     0     0     0
        \tspares
        \t  /disks/two  AVAIL

        errors: No known data errors

        """
    }

    @Test func `text and JSON of the same pool say the same`() throws {
        let json = try #require(try PoolReport.parse(Fixtures.statusDegraded, json: true).first)
        let text = try #require(try PoolReport.parse(Fixtures.statusTextDegraded, json: false).first)
        #expect(json.state == .degraded && text.state == .degraded)
        #expect(json.message == text.message && json.advice == text.advice)
        #expect(json.dataErrors == "3 data errors" && text.dataErrors == "3 data errors, use '-v' for a list")
        #expect(json.troubles.last?.state == .unavailable && text.troubles.last?.state == .unavailable)
        #expect(text.troubles.last?.name == "/dev/disk/by-id/ata-B-part2")
        #expect(json.troubles.contains { $0.name == "/dev/disk/by-id/a-part2" && $0.checksumErrors == 7 })
    }

    @Test func `a healthy pool has no troubles, and its scrub's time is read`() throws {
        let pool = try #require(try PoolReport.parse(Fixtures.statusTextHealthy, json: false).first)
        #expect(pool.state == .online && pool.troubles.isEmpty && pool.dataErrors == nil && pool.message == nil)
        #expect(pool.scan?.state == .finished && pool.scan?.ended == Timestamp("2026-08-09T00:24:08Z") && pool.scan?.isResilver == false)
    }

    @Test(arguments: progress) func `a scrub under way tells how far it is`(progress: String) throws {
        let pool = try #require(
            try PoolReport.parse(text("scrub in progress since Sun Aug  9 00:24:08 2026\n" + progress), json: false).first)
        #expect(pool.scan?.state == .running && pool.scan?.percent == 32 && pool.scan?.ended == nil && pool.troubles.isEmpty)
    }

    @Test func `the other states of a scan are told apart`() throws {
        func scan(_ line: String) throws -> PoolReport.Scan? { try PoolReport.parse(text(line), json: false).first?.scan }
        #expect(try scan("none requested\n") == nil)
        #expect(try scan("scrub canceled on Sun Aug  9 00:24:08 2026\n")?.state == .canceled)
        let paused = "scrub paused since Sun Aug  9 00:24:08 2026\n\tscrub started on Sun Aug  9 00:20:00 2026\n"
        #expect(try scan(paused + "\t1G scanned, 1G issued, 2G total\n\t0B repaired, 50.00% done\n")?.state == .paused)
        let resilvered = try scan("resilvered 574M in 00:01:04 with 2 errors on Mon Dec 18 17:21:34 2023\n")
        #expect(resilvered?.isResilver == true && resilvered?.errors == 2 && resilvered?.ended == Timestamp("2023-12-18T17:21:34Z"))
        #expect(try scan("resilver in progress since Sun Aug  9 00:24:08 2026\n" + Self.progress[1])?.isResilver == true)
    }

    @Test func `a text that breaks off counts as ill`() throws {
        let pool = try #require(try PoolReport.parse("  pool: tank\n", json: false).first)
        #expect(pool.state != .online && pool.dataErrors != nil)
    }

    @Test func `a suspended pool is seen`() throws {
        #expect(try PoolReport.parse(text("none requested\n", state: "SUSPENDED"), json: false).first?.state == .suspended)
    }

    @Test func `the scan in JSON tells how far it is, without what it skips`() throws {
        let json = """
            {"pools":{"a":{"name":"a","state":"ONLINE","error_count":0,"scan_stats":{"function":"RESILVER","state":"SCANNING","errors":0,
            "to_examine":1200,"skipped":200,"issued":250,"end_time":0,"scrub_pause":0}}}}
            """
        let scan = try #require(try PoolReport.parse(json, json: true).first?.scan)
        #expect(scan.percent == 25 && scan.isResilver && scan.state == .running && scan.ended == nil)
    }

    @Test func `pools are measured, and one that cannot tell says nothing`() throws {
        let pools = try PoolUsage.parse(
            "rpool\t7516192768\t1288490188\t6227702580\t3\t17\t1.00\tONLINE\toff\trpool/ROOT/debian\n"
                + "tank\t-\t-\t-\t-\t-\t-\tFAULTED\t-\t-\nold\t10\t5\t5\t3%\t50%\t1.50x\tONLINE\ton\t-\n")
        #expect(pools[0].capacity == 17 && pools[0].fragmentation == 3 && pools[0].bootfs == "rpool/ROOT/debian" && !pools[0].isReadOnly)
        #expect(pools[1].size == nil && pools[1].capacity == nil && pools[1].health == .faulted)
        #expect(pools[2].capacity == 50 && pools[2].deduplication == "1.50" && pools[2].isReadOnly)
    }

    @Test func `the cache's hits are counted`() {
        #expect(ARCStats.hitPercent("hits                            4    97\nmisses                          4    3\n") == 97)
        #expect(ARCStats.hitPercent("hits 4 0\nmisses 4 0\n") == nil && ARCStats.hitPercent("") == nil)
    }
}
