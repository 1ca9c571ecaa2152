import ArgumentParser
import KldCore
import KldExec
import KldFleet
import KldPlan
import KldReplicate
import KldSSH
import KldSnapshots
import KldTerminal
import KldZFS
import SystemPackage
import Testing

@testable import KldCLI

@Suite struct ToolsTests {
    @Test(
        arguments: [
            (["kst"], KstCommand.self), (["kst", "--format", "json", "-q"], KstCommand.self), (["ksnap"], KsnapCommand.Create.self),
            (["ksnap", "create", "mysnap"], KsnapCommand.Create.self), (["ksnap", "/srv"], KsnapCommand.Create.self),
            (["ksnap", "list"], KsnapCommand.List.self), (["ksnap", "rollback", "/home"], KsnapCommand.Rollback.self),
            (["ksnap", "rollback", "rpool/a b@x", "--destroy", "y", "--destroy", "z", "--yes"], KsnapCommand.Rollback.self),
            (["ksnap", "destroy", "rpool/home@x"], KsnapCommand.Destroy.self), (["ksnap", "diff", "."], KsnapCommand.Diff.self),
            (["ksnap", "hold", "audit", "rpool/home@x"], KsnapCommand.Hold.self),
            (["kclone", "rpool/data@snap", "rpool/data-copy"], KcloneCommand.self), (["kdf"], KdfCommand.self),
            (["kdf", "/home"], KdfCommand.self),
            (["kdir", "-p", "-o", "recordsize=1M", "-o", "compression=zstd", "/srv/a/b"], KdirCommand.self),
            (["kreplicate", "rpool/home", "backup-host:backup/home"], KreplicateCommand.Run.self),
            (
                ["kreplicate", "--recursive", "--no-privilege-elevation", "rpool/ROOT", "root@backup.infra.local:backup/web-01/ROOT"],
                KreplicateCommand.Run.self
            ),
            (
                ["kreplicate", "-r", "--no-sync-snap", "--no-stream", "--source-bwlimit=10m", "--sshport", "2222", "a/b", "h:c/d"],
                KreplicateCommand.Run.self
            ),
            (
                ["kreplicate", "--no-raw", "--max-lag", "7d", "--create-bookmark", "--no-rollback", "a/b", "c/d"],
                KreplicateCommand.Run.self
            ),
            (["kreplicate", "status", "--format", "json"], KreplicateCommand.Status.self),
            (["kreplicate", "drill", "a/b", "h:c/d", "--key-file", "/k", "--into", "a/x"], KreplicateCommand.Drill.self),
            (["kreplicate", "forget", "a/b", "h:c/d", "--only-here", "--dry-run"], KreplicateCommand.Forget.self),
            (["kdisk", "list", "-q"], KdiskCommand.List.self), (["kdisk", "list", "--format", "json"], KdiskCommand.List.self),
            (["kdisk", "label", "sda"], KdiskCommand.Label.self),
            (["kdisk", "label", "sda", "--format", "svg", "-o", "x"], KdiskCommand.Label.self),
            (["kdisk", "label", "sda", "--set", "slot=7", "rack=R 1", "--set", "x-a=b=c", "--unset", "bay"], KdiskCommand.Label.self),
            (["kdisk", "locate", "sda", "--seconds", "5", "--blink"], KdiskCommand.Locate.self),
            (["kdisk", "locate", "sda", "--off"], KdiskCommand.Locate.self),
            (
                ["kdisk", "replace", "sda", "sdb", "--wipe", "/dev/sdb", "--healthy", "/dev/sda", "--yes", "--wait", "--set", "asset=A"],
                KdiskCommand.Replace.self
            ),
            (["kfleet", "health"], KfleetCommand.Health.self),
            (["kfleet", "health", "web-01", "root@[fd00::1]:22", "-q", "--format", "json"], KfleetCommand.Health.self),
            (["kfleet", "push", "golden@x", "web-01", "--as", "v2", "--whole", "--dry-run", "--parallel", "2"], KfleetCommand.Push.self),
            (
                ["kfleet", "rollout", "golden", "--hosts", "/h", "--batch", "2", "--pause", "60", "--within", "900", "--yes"],
                KfleetCommand.Rollout.self
            ),
            (["kfleet", "self", "--brief"], KfleetCommand.OwnReport.self),
            (["kbe", "adopt", "golden", "--image", "50"], KbeCommand.Adopt.self),
            (["kbe", "import", "back", "--input", "/f", "--own"], KbeCommand.Import.self),
            (["kldload-overview"], OverviewTool.self),
            (["kldload-help"], HelpTool.self), (["kldload-help", "ksnap"], HelpTool.self),
        ] as [([String], any ParsableCommand.Type)])
    func `the printed command lines are understood, under the tool's own name`(words: [String], command: any ParsableCommand.Type) throws {
        let tool = try #require(Applet.named(words[0])?.command)
        #expect(type(of: try tool.parseAsRoot(Array(words.dropFirst()))) == command)
    }

    @Test(arguments: [
        ["ksnap", "rollback"], ["ksnap", "destroy"], ["ksnap", "hold", "audit"], ["kclone", "rpool/data"], ["kdir"], ["kst", "x"],
        ["kdisk", "label"], ["kdisk", "label", "sda", "--set", "slot"], ["kdisk", "label", "sda", "--format", "png"],
        ["kdisk", "label", "sda", "--dry-run"], ["kdisk", "locate", "sda", "--off", "--blink"],
        ["kdisk", "locate", "sda", "--seconds", "0"],
        ["kdisk", "replace", "sda"], ["kdisk", "replace", "sda", "sdb", "--set", "=x"],
        ["kreplicate"], ["kreplicate", "a/b"], ["kreplicate", "--skip-parent", "a/b", "c/d"],
        ["kreplicate", "--bwlimit", "fast", "a/b", "c/d"],
        ["kreplicate", "--max-lag", "soon", "a/b", "c/d"],
        ["kfleet", "push"], ["kfleet", "rollout"], ["kfleet", "health", "--parallel", "0"], ["kbe", "adopt"],
        ["kfleet", "rollout", "golden", "--batch", "0"], ["kfleet", "health", "--timeout", "0"],
    ])
    func `incomplete command lines are refused`(words: [String]) throws {
        let tool = try #require(Applet.named(words[0])?.command)
        #expect(throws: (any Error).self) { try tool.parseAsRoot(Array(words.dropFirst())) }
    }

    @Test func `the list of tools names every one, and a name that is nearly right is offered`() throws {
        let text = try ToolsCommand.text(nil)
        for name in AppletName.allCases { #expect(text.contains("\n\(name.rawValue) ")) }
        #expect(try ToolsCommand.text("ksnap").contains("USAGE: ksnap"))
        #expect { try ToolsCommand.text("ksnpa") } throws: { Diagnosis(of: $0).remedies.first == "did you mean ksnap?" }
    }

    @Test func `snapshots are listed with what holds them`() throws {
        let rows = [
            SnapshotRow(
                name: "rpool/my data@b", used: ByteCount(8192), referenced: ByteCount(1 << 20), created: Timestamp(seconds: 2), holds: 2),
            SnapshotRow(name: "rpool@a", created: Timestamp(seconds: 1), clones: ["rpool/copy", "rpool/x"]),
        ]
        #expect(
            KsnapCommand.List.table(SnapshotList(rows: rows, holds: nil)) == """
                SNAPSHOT         CREATED                USED  REFER  HOLDS  CLONES
                rpool/my data@b  1970-01-01T00:00:02Z  8 KiB  1 MiB  2      -
                rpool@a          1970-01-01T00:00:01Z    0 B    0 B  -      rpool/copy,rpool/x
                2 snapshots
                """)
        #expect(KsnapCommand.List.table(SnapshotList(rows: rows, holds: ["rpool/my data@b": ["audit", "send"]])).contains("audit,send"))
        #expect(
            KsnapCommand.List.json(SnapshotList(rows: [rows[1]], holds: nil)).rendered == """
                {
                 "schema": "snapshots/1",
                 "snapshots": [
                  {
                   "name": "rpool@a",
                   "dataset": "rpool",
                   "label": "a",
                   "created": "1970-01-01T00:00:01Z",
                   "used": 0,
                   "referenced": 0,
                   "holds": 0,
                   "tags": null,
                   "clones": [
                    "rpool/copy",
                    "rpool/x"
                   ]
                  }
                 ]
                }
                """)
    }

    @Test func `an approval is a name: typed, or in the command line beside --yes`() async throws {
        let name = try SnapshotName("rpool/home@x")
        let plan = Plan("x", [Phase("x", "X", [Step("x", "X", [.run(ZFS.destroy(name))], destroys: [name.description])])])
        let given = try await StorageSession.approvals(
            for: plan, word: "rpool/home@x", named: true, yes: true, losses: [], again: "")
        #expect(given.map(\.disk) == ["rpool/home@x"])
        await #expect { try await StorageSession.approvals(for: plan, word: "x", named: false, yes: true, losses: [], again: "") } throws: {
            Diagnosis(of: $0).code == "snapshot.unasked"
        }
    }
}

@Suite struct KreplicateTests {
    @Test func `what was said reaches the request`() throws {
        let words = ["-r", "--skip-parent", "--bwlimit", "512k", "--raw", "--sshport", "2222", "--sshkey", "/k", "--known-hosts", "/h"]
        let command = try #require(
            try KreplicateCommand.parseAsRoot(words + ["--max-lag", "90m", "rpool/a", "root@h:tank/a"]) as? KreplicateCommand.Run)
        let request = try command.request()
        #expect(request.recursive && request.skipParent && request.raw == true && request.rate == ByteCount(524_288))
        #expect(request.maxLag == 5400 && request.takesSnapshot && request.withSnapshotsBetween)
        #expect(request.target.host?.port == 2222 && request.target.host?.identity == "/k" && request.target.host?.knownHosts == "/h")
        #expect(request.source.host == nil && request.target.dataset.text == "tank/a")
    }

    @Test func `replications are listed with what is wrong with them`() throws {
        var state = ReplicationState(try ReplicationRequest(from: ReplicaPlace("rpool/a"), to: ReplicaPlace("h:tank/a"), name: "off-site"))
        let now = Timestamp(seconds: 1_786_000_000)
        #expect(KreplicateCommand.Status.table([], now) == "no replication has run here")
        state.lastSuccess = Timestamp(seconds: now.seconds - 60)
        state.snapshotTime = Timestamp(seconds: now.seconds - 3 * 86_400)
        state.bytes = 1 << 20
        #expect(
            KreplicateCommand.Status.table([state], now) == """
                NAME      SOURCE   TARGET    AGE   SENT  LAST SUCCESS          DRILL  STATE
                off-site  rpool/a  h:tank/a  3 d  1 MiB  2026-08-06T07:05:40Z  never  3 d old, and may be 26 h
                """)
        #expect(KreplicateCommand.Status.json([state], now).rendered.contains("\"lag\": 259200,"))
    }
}

@Suite struct JSONTextTests {
    @Test func `texts are quoted, whatever they hold`() {
        #expect(JSONText.text("a\"b\\c\n\t\u{1}ö\u{2028}").rendered == "\"a\\\"b\\\\c\\n\\t\\u0001ö\u{2028}\"")
        #expect(JSONText.list([]).rendered == "[]" && JSONText.object([]).rendered == "{}")
        #expect(
            JSONText.object([("a", .number(.max)), ("b", .list([.flag(true), .none])), ("c", .optional(nil as String?))]).rendered
                == "{\n \"a\": 18446744073709551615,\n \"b\": [\n  true,\n  null\n ],\n \"c\": null\n}")
    }
}

@Suite struct FleetTextTests {
    private func report(_ running: String) -> FleetReport {
        var report = FleetReport(
            host: "h", version: "1", boot: "b", running: running, dataset: "rpool/ROOT/\(running)", good: true)
        (report.snapshots, report.scrub, report.failed, report.warned) = (412, "2026-11-20", [], ["apt.lists"])
        report.pools = [.init(name: "rpool", state: "ONLINE")]
        return report
    }

    @Test func `health is a row for each machine, and below it what is to be looked at`() throws {
        var ill = report("golden")
        (ill.pools, ill.failed, ill.warned) = ([.init(name: "rpool", state: "DEGRADED")], ["zfs.pool.health"], [])
        let gone = try SSHDestination(host: "web-03", user: "root", port: 2222)
        let health = [
            FleetHealth(try SSHDestination("root@web-01"), report: report("debian")),
            FleetHealth(try SSHDestination("root@web-02"), report: ill),
            FleetHealth(gone, problem: SSHProblem.hostChanged.diagnosis(of: gone, errors: "")),
        ]
        #expect(
            KfleetCommand.Health.text(health) == """
                HOST           SSH          ZFS       BOOT-ENV  SNAPS  LAST-SCRUB  DOCTOR
                web-01         OK           ONLINE    debian      412  2026-11-20  1 warnings
                web-02         OK           DEGRADED  golden      412  2026-11-20  1 failed
                [web-03]:2222  KEY-CHANGED  -         -             -  -           -

                web-02: rpool is DEGRADED
                web-02: kldload-doctor: zfs.pool.health
                [web-03]:2222: [web-03]:2222 shows another host key than the one that is known
                  remedy: find out why before anything else: somebody may be in between
                  remedy: if it was installed anew: ssh-keygen -R '[web-03]:2222', then learn the new key as for an unknown host
                1 of 3 machines are well
                """)
        let json = KfleetCommand.Health.json(health).rendered
        #expect(json.contains("\"state\": \"key-changed\"") && json.contains("\"code\": \"ssh.host-changed\""))
    }
}
