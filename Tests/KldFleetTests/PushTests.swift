import KldCore
import KldExec
import KldReplicate
import KldSSH
import KldTestSupport
import KldZFS
import Testing

@testable import KldFleet

/// Environments of a machine that a golden one is made on: `next` was cloned from `debian@base`.
private enum Here {
    static let datasets = """
        rpool/ROOT\tfilesystem\t-\toff\t-\t-\t-\t1000000\t98304
        rpool/ROOT/debian\tfilesystem\t-\toff\t-\t-\t-\t1000000\t98304
        rpool/ROOT/next\tfilesystem\trpool/ROOT/debian@base\toff\t-\t-\t-\t1000000\t98304

        """
    static let snapshots = """
        rpool/ROOT/debian@install\tsnapshot\t10\t10\t1785000000\t0\t-
        rpool/ROOT/debian#install\tbookmark\t10\t10\t1785000000\t-\t-
        rpool/ROOT/debian@base\tsnapshot\t20\t20\t1785000001\t0\t-
        rpool/ROOT/debian@later\tsnapshot\t30\t30\t1785000002\t0\t-
        rpool/ROOT/next@mine\tsnapshot\t40\t40\t1785000003\t0\t-
        rpool/ROOT/next@kfleet-20260701-000000\tsnapshot\t50\t50\t1785000004\t0\t-

        """
    static let now = Timestamp(seconds: 1_785_000_100)

    static func lineage(_ label: String = "kfleet-20260701-000000") throws -> FleetLineage {
        let rows = try ReplicaSnapshot.parse(snapshots)
        let end = try #require(rows.first { $0.dataset == "rpool/ROOT/next" && $0.label == label })
        return FleetLineage(end, datasets: try ReplicaDataset.parse(datasets), snapshots: rows)
    }
}

/// Environments of a machine that is pushed to; its pool has another name.
private struct There {
    var datasets = "tank/ROOT\tfilesystem\t-\toff\t-\t-\t-\t1000000\t98304\ntank/ROOT/web\tfilesystem\t-\toff\t-\t-\t-\t1000000\t98304\n"
    var snapshots = "tank/ROOT/web@first\tsnapshot\t10\t7\t1785000000\t0\t-\n"

    func plan(_ lineage: FleetLineage? = nil, token: ResumeToken? = nil, whole: Bool = false) throws -> FleetPushPlan {
        try FleetPushPlan(
            lineage ?? Here.lineage(), to: DatasetName("tank/ROOT/next"), on: "root@web", datasets: ReplicaDataset.parse(datasets),
            snapshots: ReplicaSnapshot.parse(snapshots), token: token, whole: whole)
    }

    func with(_ token: String) -> There {
        var copy = self
        copy.datasets += "tank/ROOT/next\tfilesystem\t-\toff\t-\t-\t\(token)\t1000000\t98304\n"
        return copy
    }
}

@Suite struct FleetPushPlanTests {
    @Test func `what a stream may build upon is all that came before it, through every clone, the newest first`() throws {
        let lineage = try Here.lineage()
        #expect(
            lineage.bases.map(\.name) == [
                "rpool/ROOT/next@mine", "rpool/ROOT/debian@base", "rpool/ROOT/debian@install", "rpool/ROOT/debian#install",
            ])
        #expect(try Here.lineage("mine").bases.map(\.label) == ["base", "install", "install"])
    }

    @Test func `the newest snapshot that both have is told by its guid, whatever it is called there`() throws {
        guard case .send(let base, let origin, false) = try There().plan() else { throw Unscripted(what: "no stream") }
        #expect(base?.name == "rpool/ROOT/debian@install" && origin?.description == "tank/ROOT/web@first")
        var there = There()
        there.snapshots += "tank/ROOT/other@x\tsnapshot\t40\t9\t1785000003\t0\t-\n"
        guard case .send(let newer, let other, false) = try there.plan() else { throw Unscripted(what: "no stream") }
        #expect(newer?.name == "rpool/ROOT/next@mine" && other?.description == "tank/ROOT/other@x")
    }

    @Test func `where the snapshot is gone here, its bookmark stands for it`() throws {
        var lineage = try Here.lineage()
        lineage.bases.removeAll { $0.guid == 10 && !$0.isBookmark }
        guard case .send(let base, _, _) = try There().plan(lineage) else { throw Unscripted(what: "no stream") }
        #expect(base?.name == "rpool/ROOT/debian#install")
    }

    @Test func `a bookmark there is nothing to build upon`() throws {
        var there = There()
        there.snapshots = "tank/ROOT/web#first\tbookmark\t10\t7\t1785000000\t-\t-\n"
        #expect { try there.plan() } throws: { Diagnosis(of: $0).code == "fleet.no-common" }
    }

    @Test func `with nothing in common all of it is sent, and only when that is meant`() throws {
        var there = There()
        there.snapshots = "tank/ROOT/web@first\tsnapshot\t99\t7\t1785000000\t0\t-\n"
        #expect { try there.plan() } throws: { Diagnosis(of: $0).code == "fleet.no-common" }
        #expect(try there.plan(whole: true) == .send(base: nil, origin: nil, abandoning: false))
    }

    @Test func `the same snapshot under that name is success`() throws {
        var there = There()
        there.snapshots += "tank/ROOT/next@any\tsnapshot\t50\t9\t1785000004\t0\t-\n"
        #expect(try there.plan() == .present)
    }

    @Test func `another environment of that name is refused, with its snapshots and without`() throws {
        var there = There()
        there.datasets += "tank/ROOT/next\tfilesystem\t-\toff\t-\t-\t-\t1000000\t98304\n"
        #expect { try there.plan() } throws: { Diagnosis(of: $0).code == "fleet.taken" }
        there.snapshots += "tank/ROOT/next@theirs\tsnapshot\t51\t9\t1785000004\t0\t-\n"
        #expect { try there.plan(whole: true) } throws: { Diagnosis(of: $0).code == "fleet.taken" }
        // Somebody else's stream into it is not ours to give up.
        there = There().with("1-abc")
        there.snapshots += "tank/ROOT/next@theirs\tsnapshot\t51\t9\t1785000004\t0\t-\n"
        #expect { try there.plan(token: .useless("x")) } throws: { Diagnosis(of: $0).code == "fleet.taken" }
    }

    @Test func `what was cut off goes on, if it is of the same snapshot; else it is given up`() throws {
        let there = There().with("1-abc")
        #expect(try there.plan(token: .to(label: "x", guid: 50)) == .resume(token: "1-abc"))
        for token in [ResumeToken.to(label: "x", guid: 49), .useless("gone")] {
            guard case .send(let base, _, true) = try there.plan(token: token) else { throw Unscripted(what: "no stream") }
            #expect(base?.guid == 10)
        }
    }
}

@Suite struct FleetPushTests {
    let said = Said()

    private func local(written: String = "0", tokens: String? = nil, more: String = "") -> ScriptedRunner {
        ScriptedRunner([
            { command in
                switch command.arguments.first {
                case "list" where command.arguments.contains("filesystem,volume"): CommandOutput(output: Here.datasets)
                case "list":
                    CommandOutput(
                        output: Here.snapshots + "rpool/ROOT/next@kfleet-20260725-172140\tsnapshot\t60\t60\t1785000100\t0\t-\n" + more)
                case "get" where command.arguments.contains("written@kfleet-20260725-172140"):
                    CommandOutput(output: "rpool/ROOT/next\twritten@kfleet-20260725-172140\t\(written)\t-\n")
                case "snapshot": CommandOutput()
                case "send" where command.arguments.contains("-nvP"): tokens.map { CommandOutput(output: $0) }
                default: nil
                }
            }
        ])
    }

    /// A machine that is pushed to, and what its stream would run.
    private func remote(
        _ there: There, images: [String: String] = [:], foreign: Set<String> = [], adopts: CommandOutput = CommandOutput(),
        running: String = "web"
    ) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                guard let text = command.arguments.last?.split(separator: "LC_ALL=C.UTF-8 ").last else { return nil }
                if text.hasSuffix("kfleet self --brief") {
                    let report = FleetReport(
                        host: "web", version: "1", boot: "b", running: running, dataset: "tank/ROOT/\(running)", good: true,
                        environments: images.map { .init(name: $0.key, state: "good", image: $0.value) }
                            + foreign.map { .init(name: $0, state: "another machine's", foreign: true) })
                    return CommandOutput(output: try report.json)
                }
                if text.hasPrefix("zfs list"), text.contains("snapshot,bookmark") { return CommandOutput(output: there.snapshots) }
                if text.hasPrefix("zfs list") { return CommandOutput(output: there.datasets) }
                if text.hasPrefix("/usr/lib/kldload/kldload kbe adopt") { return adopts }
                return text == "zfs receive -A tank/ROOT/next" ? CommandOutput() : nil
            }
        ])
    }

    private func push(
        _ source: String, local: ScriptedRunner, machines: [String: any CommandRunner], stream: ScriptedRunner = .accepting,
        dryRun: Bool = false, meter: Bool = true
    ) -> FleetPush {
        var request = FleetPush.Request(source)
        request.dryRun = dryRun
        return FleetPush(
            request, fleet: fleet(machines), local: local, meter: meter, now: Here.now, streams: { _, _ in stream }
        ) { [said] in said.add($0) }
    }

    private func running() throws -> DatasetName { try DatasetName("rpool/ROOT/debian") }

    private func told(_ runner: ScriptedRunner) -> [String] {
        runner.commands.compactMap {
            $0.effect == .reads ? nil : $0.arguments.last?.split(separator: "LC_ALL=C.UTF-8 ").last.map(String.init)
        }
    }

    @Test func `what changed is received as a new environment that nobody mounts, and made that machine's own`() async throws {
        let (local, web, stream) = (local(), remote(There()), ScriptedRunner.accepting)
        let push = push("next@kfleet-20260701-000000", local: local, machines: ["web": web], stream: stream)
        let lineage = try await push.prepare(beside: running())
        let rows = await push.run(lineage, to: try hosts("web"))
        #expect(rows.map(\.state) == [.pushed] && rows[0].base == "tank/ROOT/web@first" && rows[0].problem == nil)
        let lines = stream.commands.map(\.description)
        #expect(lines.count == 3)
        #expect(lines[0] == "zfs send -L -c -i rpool/ROOT/debian@install rpool/ROOT/next@kfleet-20260701-000000")
        #expect(lines[1] == "pv -n -b -i 1")
        #expect(
            stream.commands[2].arguments.last?.hasSuffix(
                "zfs receive -u -s -o origin=tank/ROOT/web@first -o canmount=noauto -o mountpoint=/ -o com.kldload:owner=kldload -o com.kldload:identity=foreign tank/ROOT/next"
            )
                == true)
        #expect(told(web) == ["/usr/lib/kldload/kldload kbe adopt next --image 50"])
        #expect(local.commands.allSatisfy { $0.effect == .reads })
        #expect((stream.commands + web.commands).allSatisfy { !$0.description.contains(" -F ") && !$0.description.contains("destroy") })
    }

    @Test func `a machine that has it is left alone, and one that has it half is finished`() async throws {
        var there = There()
        there.snapshots += "tank/ROOT/next@any\tsnapshot\t50\t9\t1785000004\t0\t-\n"
        let (own, half, stream) = (remote(there, images: ["next": "50"]), remote(there, foreign: ["next"]), ScriptedRunner([]))
        let push = push("next@kfleet-20260701-000000", local: local(), machines: ["own": own, "half": half], stream: stream)
        let rows = await push.run(try await push.prepare(beside: running()), to: try hosts("own", "half"))
        #expect(rows.map(\.state) == [.present, .pushed] && stream.commands.isEmpty)
        #expect(told(own).isEmpty && told(half) == ["/usr/lib/kldload/kldload kbe adopt next --image 50"])
    }

    @Test func `where it was made it stays as it is, whether that runs it or not`() async throws {
        var there = There()
        there.snapshots += "tank/ROOT/next@any\tsnapshot\t50\t9\t1785000004\t0\t-\n"
        let (maker, runs) = (remote(there), remote(there, running: "next"))
        let machines = ["maker": maker, "runs": runs]
        let push = push("next@kfleet-20260701-000000", local: local(), machines: machines, stream: ScriptedRunner([]))
        let rows = await push.run(try await push.prepare(beside: running()), to: try hosts("maker", "runs"))
        #expect(rows.map(\.state) == [.present, .present] && told(maker).isEmpty && told(runs).isEmpty)
        var request = FleetPush.Request("next@kfleet-20260701-000000")
        request.dryRun = true
        let dry = FleetPush(
            request, fleet: fleet(["maker": maker, "half": remote(there, foreign: ["next"])]), local: local(), meter: true, now: Here.now,
            streams: { _, _ in ScriptedRunner([]) }, say: { _ in })
        let planned = await dry.run(try await dry.prepare(beside: running()), to: try hosts("maker", "half"))
        #expect(planned.map(\.plan) == ["it is there", "it is there; make it that machine's own"])
    }

    @Test func `what was cut off goes on, and is made that machine's own`() async throws {
        let contents = "resume token contents:\n\ttoguid = 0x32\n\ttoname = rpool/ROOT/next@kfleet-20260701-000000\n"
        let (web, stream) = (remote(There().with("1-abc")), ScriptedRunner.accepting)
        let push = push("next@kfleet-20260701-000000", local: local(tokens: contents), machines: ["web": web], stream: stream, meter: false)
        let rows = await push.run(try await push.prepare(beside: running()), to: try hosts("web"))
        #expect(rows.map(\.state) == [.pushed])
        #expect(stream.commands.first?.description == "zfs send -t 1-abc" && stream.commands.count == 2)
        #expect(stream.commands.last?.arguments.last?.hasSuffix("zfs receive -u -s tank/ROOT/next") == true)
        #expect(told(web) == ["/usr/lib/kldload/kldload kbe adopt next --image 50"])
    }

    @Test func `what cannot go on is given up, and only that`() async throws {
        let contents = "resume token contents:\n\ttoguid = 0x31\n\ttoname = rpool/ROOT/next@before\n"
        let (web, stream) = (remote(There().with("1-abc")), ScriptedRunner.accepting)
        let push = push("next@kfleet-20260701-000000", local: local(tokens: contents), machines: ["web": web], stream: stream)
        let rows = await push.run(try await push.prepare(beside: running()), to: try hosts("web"))
        #expect(rows.map(\.state) == [.pushed])
        #expect(told(web) == ["zfs receive -A tank/ROOT/next", "/usr/lib/kldload/kldload kbe adopt next --image 50"])
    }

    @Test func `one machine that fails keeps no other from getting it`() async throws {
        let gone = FakeMachine()
        gone.change { $0.isGone = true }
        let full = ScriptedRunner([
            {
                $0.arguments.last?.contains("zfs receive") == true
                    ? CommandOutput(status: 1, errors: "cannot receive incremental stream: out of space\n") : CommandOutput()
            }
        ])
        var request = FleetPush.Request("next@kfleet-20260701-000000")
        request.whole = false
        let sick = CommandOutput(status: 1, errors: "error[fleet.accounts]: services of both machines have different numbers\n")
        let machines: [String: any CommandRunner] = [
            "gone": gone, "full": remote(There()), "sick": remote(There(), adopts: sick), "web": remote(There()),
        ]
        let push = FleetPush(
            request, fleet: fleet(machines), local: local(), meter: true, now: Here.now,
            streams: { host, _ in host.host == "full" ? full : .accepting }, say: { [said] in said.add($0) })
        let rows = await push.run(try await push.prepare(beside: running()), to: try hosts("gone", "full", "sick", "web"))
        #expect(rows.map(\.state) == [.failed, .failed, .failed, .pushed])
        #expect(rows.map(\.problem?.code) == ["ssh.unreachable", "zfs.no-space", "fleet.refused", nil])
        #expect(rows[2].problem?.causes.first == "error[fleet.accounts]: services of both machines have different numbers")
    }

    @Test func `a stream that is cut off can go on later`() async throws {
        let cut = ScriptedRunner([
            {
                $0.arguments.last?.contains("zfs receive") == true
                    ? CommandOutput(
                        status: 1,
                        errors:
                            "cannot receive resume stream: checksum mismatch or incomplete stream.\nPartially received snapshot is saved.\n"
                    )
                    : CommandOutput()
            }
        ])
        let push = push("next@kfleet-20260701-000000", local: local(), machines: ["web": remote(There())], stream: cut)
        let rows = await push.run(try await push.prepare(beside: running()), to: try hosts("web"))
        #expect(rows[0].state == .failed && rows[0].problem?.code == "replicate.cut" && rows[0].problem?.exit == .tryAgain)
    }

    @Test func `a dry run says what would be sent, and changes nothing anywhere`() async throws {
        let (local, web, stream) = (local(written: "4096"), remote(There()), ScriptedRunner([]))
        let push = push("debian", local: local, machines: ["web": web], stream: stream, dryRun: true)
        let lineage = try await push.prepare(beside: running())
        let rows = await push.run(lineage, to: try hosts("web"))
        #expect(lineage.end.name == "rpool/ROOT/debian@kfleet-20260725-172140")
        #expect(rows.map(\.plan) == ["send what changed since tank/ROOT/web@first"] && rows[0].state == .planned)
        #expect((local.commands + web.commands).allSatisfy { $0.effect == .reads } && stream.commands.isEmpty)
    }

    @Test func `a snapshot is taken, unless nothing was written since the last that a push took`() async throws {
        let unchanged = local()
        // Its last one is of this second already.
        let last = try await push("next", local: unchanged, machines: [:]).prepare(beside: running())
        #expect(last.end.label == "kfleet-20260725-172140" && unchanged.commands.allSatisfy { $0.effect == .reads })
        let changed = ScriptedRunner([
            { command in
                switch command.arguments.first {
                case "list" where command.arguments.contains("filesystem,volume"): CommandOutput(output: Here.datasets)
                case "list": CommandOutput(output: Here.snapshots)
                case "get" where command.arguments.contains("written@kfleet-20260701-000000"):
                    CommandOutput(output: "rpool/ROOT/next\twritten@kfleet-20260701-000000\t4096\t-\n")
                case "snapshot": CommandOutput()
                default: nil
                }
            }
        ])
        await #expect { try await push("next", local: changed, machines: [:]).prepare(beside: running()) } throws: {
            Diagnosis(of: $0).code == "fleet.snapshot-gone"
        }
        #expect(changed.commands.map(\.description).contains("zfs snapshot rpool/ROOT/next@kfleet-20260725-172140"))
    }

    @Test func `snapshots that others take meanwhile are no reason for another one`() async throws {
        let autosnap = "rpool/ROOT/next@autosnap_2026-07-25_17:30:00_frequently\tsnapshot\t70\t70\t1785000600\t0\t-\n"
        let local = local(more: autosnap)
        var there = There()
        there.snapshots += "tank/ROOT/next@any\tsnapshot\t60\t9\t1785000004\t0\t-\n"
        let push = push("next", local: local, machines: ["web": remote(there, images: ["next": "60"])], stream: ScriptedRunner([]))
        let lineage = try await push.prepare(beside: running())
        #expect(lineage.end.label == "kfleet-20260725-172140" && !lineage.bases.contains { $0.guid == 70 })
        #expect(local.commands.allSatisfy { $0.effect == .reads })
        #expect(await push.run(lineage, to: try hosts("web")).map(\.state) == [.present])
        // Once something was written, the change since that snapshot of others is what is sent.
        let changed = self.local(written: "4096", more: autosnap)
        let fresh = self.push("next", local: changed, machines: [:], dryRun: true)
        #expect(try await fresh.prepare(beside: running()).bases.first?.guid == 70)
    }

    @Test(arguments: [("nothing", "be.unknown"), ("next@nothing", "be.no-snapshot"), ("next@mine@x", "be.no-snapshot"), ("-x", "be.name")])
    func `what is not there cannot be sent`(source: String, code: String) async throws {
        let push = push(source, local: local(), machines: [:])
        await #expect { try await push.prepare(beside: running()) } throws: { Diagnosis(of: $0).code == code }
    }
}
