import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import Synchronization
import SystemPackage
import Testing

@testable import KldReplicate

/// Two pools on one machine, as far as `zfs` tells of them.
private func machine(target: String = "", there: String = "", failing: (@Sendable (Command) -> CommandOutput?)? = nil) throws
    -> ScriptedRunner
{
    let (source, place) = (try DatasetName("rpool/srv"), try DatasetName("tank/srv"))
    let rows = "rpool/srv\tfilesystem\t-\toff\t-\t-\t-\t1000000\t4096\n"
    let table: [Command: CommandOutput] = [
        ZFS.replicas(of: source, recursive: false): CommandOutput(output: rows),
        ZFS.replicaSnapshots(of: source, recursive: false): CommandOutput(output: "rpool/srv@a\tsnapshot\t10\t10\t1785000000\t0\t-\n"),
        ZFS.replicas(of: place, recursive: false): target.isEmpty
            ? CommandOutput(status: 1, errors: "cannot open 'tank/srv': dataset does not exist\n") : CommandOutput(output: target),
        ZFS.replicaSnapshots(of: place, recursive: false): CommandOutput(output: there),
        ZFS.existing([try DatasetName("tank")]): CommandOutput(output: "tank\n"),
    ]
    return ScriptedRunner([
        { table[$0] }, { failing?($0) }, { $0.effect == .reads && $0.arguments.first != "send" ? nil : CommandOutput() },
    ])
}

private func replication(_ runner: any CommandRunner, _ files: MemoryFiles = MemoryFiles(), said: Said = Said()) throws -> Replication {
    Replication(try Sample.request(), runner: runner, files: files, now: Sample.now) { said.add($0) }
}

private final class Said: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}

@Suite struct ReplicationTests {
    let collector = "/var/lib/node_exporter/textfile_collector"

    @Test func `a run is written down, and measured where somebody reads it`() async throws {
        let files = MemoryFiles()
        try files.makeDirectory(FilePath(collector), mode: .directory)
        let said = Said()
        let outcome = try await replication(machine(), files, said: said).recorded { Timestamp(seconds: Sample.now.seconds + 7) }
        #expect(outcome.label == Sample.label && outcome.rows.count == 1 && outcome.rows[0].problem == nil)
        let state = try #require(try ReplicationState.read("off-site", files))
        #expect(state.lastSuccess?.seconds == Sample.now.seconds + 7 && state.seconds == 7 && state.snapshot == Sample.label)
        #expect(state.trouble(Sample.now) == nil && state.problem == nil && state.bytes == nil)
        #expect(try ReplicationState.all(files) == [state])
        #expect(said.all.contains("Send rpool/srv@\(Sample.label) to tank/srv"))
        #expect(
            files.texts["\(collector)/kldload_replication.prom"]?.hasPrefix(
                """
                # HELP kldload_replication_up 1 if the last run succeeded.
                # TYPE kldload_replication_up gauge
                kldload_replication_up{name="off-site",source="rpool/srv",target="tank/srv"} 1
                # HELP kldload_replication_last_success_timestamp_seconds End of the last run that succeeded.

                """) == true)
    }

    @Test(
        arguments: [
            (
                "cannot receive incremental stream: destination tank/srv has been modified\nsince most recent snapshot\n",
                "replicate.diverged", 1
            ),
            (
                "cannot receive new filesystem stream: destination 'tank/srv' exists\nmust specify -F to overwrite it\n",
                "replicate.diverged", 1
            ),
            (
                "cannot receive resume stream: checksum mismatch or incomplete stream.\nPartially received snapshot is saved.\n",
                "replicate.cut", 75
            ),
            ("cannot receive incremental stream: pool must be upgraded to receive this stream.\n", "replicate.feature", 69),
            ("cannot receive new filesystem stream: out of space\n", "zfs.no-space", 73),
        ] as [(String, String, Int32)])
    func `what receive complains about is named, and kept for the doctor`(errors: String, expected: String, status: Int32) async throws {
        let runner = try machine { $0.arguments.first == "receive" ? CommandOutput(status: 1, errors: errors) : nil }
        let files = MemoryFiles()
        let problem = await problem { _ = try await replication(runner, files).recorded { Sample.now } }
        #expect(problem?.code == expected && problem?.exit.rawValue == status && problem?.remedies.isEmpty == false)
        let state = try #require(try ReplicationState.read("off-site", files))
        #expect(state.problem?.hasPrefix(expected) == true && state.lastSuccess == nil && state.trouble(Sample.now) != nil)
        #expect(!runner.commands.contains { $0.arguments.contains("-F") || $0.arguments.first == "destroy" })
    }

    @Test func `whatever else is being received is waited for, and what it made is looked at anew`() async throws {
        let tries = Mutex(0)
        let runner = try machine { command in
            guard command.arguments.first == "receive" else { return nil }
            let first = tries.withLock { tries in
                tries += 1
                return tries == 1
            }
            return first ? CommandOutput(status: 1, errors: "cannot receive new filesystem stream: dataset is busy\n") : nil
        }
        let said = Said()
        var replication = try replication(runner, said: said)
        replication.pause = .zero
        #expect(try await replication.run().rows.allSatisfy { $0.problem == nil })
        #expect(said.all.contains("waiting for what else is being received into tank/srv"))
        replication.patience = 0
        tries.withLock { $0 = 0 }
        #expect(try await replication.run().rows.first?.problem?.code == "replicate.busy")
    }

    @Test func `a source that is not there, and a limit without pv, are refused before anything is done`() async throws {
        let missing = ScriptedRunner([{ _ in CommandOutput(status: 1, errors: "cannot open 'rpool/srv': dataset does not exist\n") }])
        #expect(await problem { _ = try await replication(missing).run() }?.code == "replicate.no-source")
        let files = MemoryFiles()
        #expect(await problem { _ = try await replication(missing, files).recorded { Sample.now } }?.code == "replicate.no-source")
        #expect(try ReplicationState.all(files) == [], "a slip of the keyboard is no replication that the doctor watches")
        var request = try Sample.request()
        request.rate = .mebibytes(1)
        let limited = Replication(request, runner: ScriptedRunner([]), files: MemoryFiles(), now: Sample.now) { _ in }
        #expect(await problem { _ = try await limited.run() }?.code == "replicate.no-pv")
    }

    @Test func `where nothing can be sent no snapshot is taken`() async throws {
        let runner = try machine(target: "tank/srv\tfilesystem\t-\toff\t-\t-\t-\t1\t1\n")
        #expect(try await replication(runner).run().rows.map(\.problem?.code) == ["replicate.taken"])
        #expect(runner.commands.allSatisfy { $0.effect == .reads })
    }

    @Test func `a dry run changes nothing, and says what stands in the way`() async throws {
        let runner = try machine(target: "tank/srv\tfilesystem\t-\toff\t-\t-\t-\t1\t1\n")
        let (plan, problems) = try await replication(runner).preview()
        #expect(plan.steps.map(\.id) == ["replicate.snapshot"] && problems.map(\.code) == ["replicate.taken"])
        #expect(runner.commands.allSatisfy { $0.effect == .reads })
    }

    @Test func `to forget it takes its own away at both ends, and keeps the newest snapshot of the copy`() async throws {
        let own = "kreplicate-off-site-1"
        let runner = ScriptedRunner([
            { command in
                switch command {
                case ZFS.existing([try DatasetName("rpool/srv")]): CommandOutput(output: "rpool/srv\n")
                case ZFS.existing([try DatasetName("tank/srv")]): CommandOutput(output: "tank/srv\n")
                case ZFS.replicaSnapshots(of: try DatasetName("rpool/srv"), recursive: false):
                    CommandOutput(
                        output:
                            "rpool/srv@\(own)\tsnapshot\t9\t9\t1785000000\t1\toff-site\nrpool/srv#\(own)\tbookmark\t9\t9\t1785000000\t-\t-\n"
                    )
                case ZFS.replicaSnapshots(of: try DatasetName("tank/srv"), recursive: false):
                    CommandOutput(output: "tank/srv@\(own)\tsnapshot\t9\t9\t1785000000\t1\toff-site\n")
                default: nil
                }
            }, { _ in CommandOutput() },
        ])
        let files = MemoryFiles([ReplicationState.path("off-site").string: "{}"])
        try await replication(runner, files).forget(onlyHere: false)
        #expect(
            runner.commands.filter { $0.effect != .reads }.map(\.description) == [
                "zfs release kreplicate-off-site rpool/srv@\(own)", "zfs destroy rpool/srv@\(own)", "zfs destroy 'rpool/srv#\(own)'",
                "zfs release kreplicate-off-site tank/srv@\(own)",
            ])
        #expect(try ReplicationState.read("off-site", files) == nil)
    }
}

@Suite struct ReplicationStateTests {
    @Test func `bytes are added up over streams, whatever pv says last`() {
        let sent = SentBytes()
        #expect(sent.sum == nil)
        for line in ["100", "300", "pv: x"] { sent.add(line) }
        sent.endStream()
        sent.add("500")
        #expect(sent.sum == 800)
    }

    @Test func `what is no record of a replication is refused, never taken for one`() throws {
        for text in ["{", "{}", #"{"schema":"replication/9"}"#] {
            let files = MemoryFiles([ReplicationState.path("x").string: text])
            #expect(problem { _ = try ReplicationState.all(files) }?.code == "replicate.state")
        }
    }

    @Test func `names with quotes and backslashes are labels still`() throws {
        var state = ReplicationState(try Sample.request())
        state.source = #"a"b\c"#
        #expect(ReplicationState.metrics([state]).contains(#"source="a\"b\\c""#))
        #expect(ReplicationState.metrics([]) == "")
    }

    @Test func `ages are told in a unit that fits`() {
        #expect([0, 7199, 7200, 259_199, 259_200].map { ReplicationState.age($0) } == ["0 min", "119 min", "2 h", "71 h", "3 d"])
    }
}

@Suite struct DrillTests {
    let key: FilePath = "/root/key"

    func drill(_ copy: ReplicaDataset = ReplicaDataset(name: "tank/srv"), key: FilePath? = nil) throws -> ReplicationDrill {
        let facts = ReplicationFacts(
            source: [ReplicaDataset(name: "rpool/srv", available: .gibibytes(1))], target: [copy],
            sourceSnapshots: [Sample.snapshot("rpool/srv@a", 1), Sample.snapshot("rpool/srv@b", 2)],
            targetSnapshots: [Sample.snapshot("tank/srv@a", 1), Sample.snapshot("tank/srv@b", 2), Sample.snapshot("tank/srv@gone", 3)])
        return try ReplicationDrill(Sample.request(), facts.source[0], facts: facts, scratch: nil, keyFile: key, meter: false)
    }

    @Test func `the newest snapshot of both is restored under a mark, mounted read-only, compared, and destroyed in any case`() throws {
        let plan = try drill().plan()
        #expect(
            Sample.lines(plan) == [
                "umount --recursive /run/kldload/drill/off-site.original", "umount --recursive /run/kldload/drill/off-site",
                "replicate.destroy-scratch dataset=rpool/kldload-drill-off-site name=off-site",
                "zfs send -L -c tank/srv@b | zfs receive -u -o com.kldload:owner=kldload -o com.kldload:drill=off-site -o readonly=on "
                    + "-o canmount=noauto -o mountpoint=/run/kldload/drill/off-site rpool/kldload-drill-off-site",
                "mkdir /run/kldload/drill (700)", "zfs mount rpool/kldload-drill-off-site",
                "mkdir /run/kldload/drill/off-site.original (700)",
                "mount -t zfs -o ro rpool/srv@b /run/kldload/drill/off-site.original",
                "replicate.compare original=/run/kldload/drill/off-site.original restored=/run/kldload/drill/off-site",
            ])
        #expect(plan.destroys == ["rpool/kldload-drill-off-site"])
        #expect(
            plan[step: "replicate.drill.receive"]?.release.map(\.text) == [
                "replicate.destroy-scratch dataset=rpool/kldload-drill-off-site name=off-site"
            ])
    }

    @Test func `what is encrypted needs its key, from a file, and comes raw`() throws {
        let copy = ReplicaDataset(name: "tank/srv", isEncrypted: true, isEncryptionRoot: true, isLocked: true)
        #expect(problem { _ = try drill(copy) }?.code == "replicate.no-key")
        let lines = Sample.lines(try drill(copy, key: key).plan())
        #expect(lines.contains { $0.hasPrefix("zfs send -w tank/srv@b | ") })
        #expect(lines.contains("zfs load-key -L file:///root/key rpool/kldload-drill-off-site"))
    }

    @Test func `more than there is room for is not restored`() throws {
        #expect(problem { _ = try drill(ReplicaDataset(name: "tank/srv", referenced: .gibibytes(2))) }?.code == "replicate.drill-space")
    }

    @Test(arguments: [
        "x\tcom.kldload:owner\tkldload\tlocal\nx\tcom.kldload:drill\toff-site\tinherited from rpool\n",
        "x\tcom.kldload:owner\tkldload\tinherited from rpool\nx\tcom.kldload:drill\toff-site\tlocal\n",
        "x\tcom.kldload:owner\tkldload\tlocal\nx\tcom.kldload:drill\tother\tlocal\n",
        "x\tcom.kldload:owner\t-\t-\nx\tcom.kldload:drill\t-\t-\n",
    ])
    func `what does not bear the marks of this drill is never destroyed`(properties: String) async throws {
        let runner = ScriptedRunner([
            "zfs list -Hp -t filesystem,volume -o name rpool/x": "rpool/x\n",
            "zfs get -Hp -o name,property,value,source com.kldload:owner,com.kldload:drill rpool/x": properties,
        ])
        #expect(
            await problem { try await ReplicationDrill.destroyScratch(try DatasetName("rpool/x"), of: "off-site", runner) }?.code
                == "replicate.scratch-taken")
    }

    @Test func `what bears them is, and what is not there is no error`() async throws {
        let runner = ScriptedRunner([
            "zfs list -Hp -t filesystem,volume -o name rpool/x": "rpool/x\n",
            "zfs get -Hp -o name,property,value,source com.kldload:owner,com.kldload:drill rpool/x":
                "rpool/x\tcom.kldload:owner\tkldload\tlocal\nrpool/x\tcom.kldload:drill\toff-site\tlocal\n", "zfs destroy -r rpool/x": "",
            "zfs list -Hp -t filesystem,volume -o name rpool/y": "",
        ])
        try await ReplicationDrill.destroyScratch(try DatasetName("rpool/x"), of: "off-site", runner)
        try await ReplicationDrill.destroyScratch(try DatasetName("rpool/y"), of: "off-site", runner)
        #expect(runner.commands.filter { $0.effect == .destroys }.map(\.description) == ["zfs destroy -r rpool/x"])
    }
}

@Suite struct TreeComparisonTests {
    func compare(_ change: (FilePath, LocalFiles) throws -> Void) async throws -> TreeComparison {
        try await Scratch.with { folder in
            let files = LocalFiles()
            for root in ["one", "other"] {
                let root = folder.appending(root)
                try files.write("same", to: root.appending("a/b c"))
                try files.write(Array(repeating: 7, count: (4 << 20) + 3), to: root.appending("large"), mode: .file)
                try files.symlink(root.appending("link"), to: "a")
            }
            try change(folder.appending("one"), files)
            return try TreeComparison(folder.appending("one"), folder.appending("other"), files: files)
        }
    }

    @Test func `equal trees are equal, and counted`() async throws {
        let result = try await compare { _, _ in }
        #expect(result.count == 0 && result.files == 4 && result.bytes == UInt64((4 << 20) + 7))
    }

    @Test func `one byte, one mode, one link, one file more or less is a difference`() async throws {
        let changes: [(FilePath, LocalFiles) throws -> Void] = [
            { root, files in
                var bytes = try files.read(root.appending("large"))
                bytes[bytes.count - 1] = 8
                try files.write(bytes, to: root.appending("large"), mode: .file)
            },
            { try $1.write("same", to: $0.appending("a/b c"), mode: .script) },
            { try $1.symlink($0.appending("link"), to: "b") },
            { try $1.write("", to: $0.appending("new")) },
            { try $1.remove($0.appending("a/b c")) },
            {
                try $1.remove($0.appending("link"))
                try $1.write("a", to: $0.appending("link"))
            },
        ]
        for (index, change) in changes.enumerated() {
            let result = try await compare(change)
            #expect(result.count == 1 && result.differences.count == 1, "\(index): \(result.differences)")
        }
    }
}
