import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldSnapshots

/// What the commands of a plan are.
private func lines(_ plan: Plan) -> [String] {
    plan.steps.flatMap(\.actions).compactMap { if case .run(let command) = $0 { command.description } else { nil } }
}

@Suite struct SnapshotCreationTests {
    func creation(_ words: [String], recursive: Bool = false, label: String? = nil) throws -> SnapshotCreation {
        try SnapshotCreation(
            words, label: label, recursive: recursive, storage: Machine.storage(), folder: "/home/my data", files: Machine.files(),
            now: Machine.now)
    }

    @Test func `without words it is this machine's state, in one transaction`() throws {
        let line =
            "zfs snapshot rpool/ROOT/debian@mysnap rpool/home@mysnap 'rpool/home/my data@mysnap' rpool/home/J_rg@mysnap rpool/locked@mysnap "
            + "rpool/srv@mysnap"
        #expect(lines(try creation(["mysnap"]).plan().plan) == [line])
        #expect(lines(try creation([]).plan().plan) == [line.replacing("@mysnap", with: "@manual-\(Machine.stamp)")])
    }

    @Test(arguments: [
        (["before", "/srv/www", "rpool/home"], ["zfs snapshot rpool/srv@before rpool/home@before"]),
        (["/srv", "/srv/www"], ["zfs snapshot rpool/srv@manual-20260806-070640"]),
        (["."], ["zfs snapshot 'rpool/home/my data@manual-20260806-070640'"]),
        (["tank", "rpool/srv"], ["zfs snapshot tank@manual-20260806-070640", "zfs snapshot rpool/srv@manual-20260806-070640"]),
        (["rpool/srv@x", "rpool/home@x"], ["zfs snapshot rpool/srv@x rpool/home@x"]),
    ])
    func `words are a label, datasets and paths; each pool has its transaction`(words: [String], expected: [String]) throws {
        #expect(lines(try creation(words).plan().plan) == expected)
    }

    @Test func `with everything below, ZFS goes down itself`() throws {
        #expect(lines(try creation(["x", "rpool/home"], recursive: true).plan().plan) == ["zfs snapshot -r rpool/home@x"])
    }

    @Test(arguments: [
        (["a", "b"], "dataset.unknown"), (["rpool/srv@x", "rpool/home@y"], "snapshot.labels"), (["a@b"], "dataset.unknown"),
        (["mit/slash"], "dataset.unknown"), (["jörg", "rpool/srv"], "zfs.name.snapshot"), (["x", "/tmp/x"], "dataset.not-zfs"),
    ])
    func `what cannot be is refused before anything is made`(words: [String], expected: String) {
        #expect(problem { _ = try creation(words) }?.code == expected)
    }

    @Test func `on a machine whose root is not on ZFS something has to be named`() throws {
        let live = try Machine.storage(mounts: "22 1 0:21 / / rw - overlay overlay rw\n")
        #expect(
            problem {
                _ = try SnapshotCreation(
                    ["x"], recursive: false, storage: live, folder: "/", files: Machine.files(), now: Machine.now)
            }?.code == "snapshot.no-root")
    }

    @Test func `a name of its own that is taken is counted up; one that was asked for is refused`() async throws {
        let taken: Set<String> = ["manual-\(Machine.stamp)", "manual-\(Machine.stamp)-2", "mine"]
        let runner = ZFSExplainingRunner(
            ScriptedRunner([
                { command in
                    let name = command.arguments.last ?? ""
                    let label = String(name.split(separator: "@").last ?? "")
                    return taken.contains(label)
                        ? CommandOutput(
                            status: 1, errors: "cannot create snapshot '\(name)': dataset already exists\nno snapshots were created\n")
                        : CommandOutput()
                }
            ]))
        let files = Machine.files()
        let made = try await creation(["/srv"]).apply(runner: runner, files: files)
        #expect(made.map(\.description) == ["rpool/srv@manual-\(Machine.stamp)-3"])
        let twice = await problem { _ = try await creation(["mine", "/srv"]).apply(runner: runner, files: files) }
        #expect(twice?.code == "zfs.dataset-exists")
    }
}

@Suite struct SnapshotListTests {
    @Test func `ten thousand snapshots are one call, the newest first`() async throws {
        let output = (0..<10_000).map { Machine.snapshot("rpool/d\($0 % 1000)@s\($0)", txg: $0) }.joined()
        let runner = Machine.runner([ZFS.snapshots(of: []): output])
        let list = try await SnapshotList.gather([], recursive: false, holds: true, folder: "/", runner: runner, files: Machine.files())
        #expect(list.rows.count == 10_000 && list.rows[0].label == "s9999" && list.rows[9999].label == "s0")
        #expect(runner.commands.count == 1 && list.holds == [:])
    }

    @Test func `tags are asked for once, of those that are held`() async throws {
        let output = Machine.snapshot("rpool/srv@a", txg: 1, holds: 2) + Machine.snapshot("rpool/srv@b", txg: 2)
        let runner = Machine.runner([
            ZFS.snapshots(of: ["rpool/srv"]): output, ZFS.holds(["rpool/srv@a"]): "rpool/srv@a\taudit\tx\nrpool/srv@a\tsend\tx\n",
        ])
        let list = try await SnapshotList.gather(
            ["/srv"], recursive: false, holds: true, folder: "/", runner: runner, files: Machine.files())
        #expect(list.holds == ["rpool/srv@a": ["audit", "send"]] && list.rows.map(\.label) == ["b", "a"])
        #expect(runner.commands.count == 3)
    }
}

@Suite struct SnapshotRollbackTests {
    func gather(_ word: String, _ rows: String, holds: [String: String] = [:]) async throws -> SnapshotRollback {
        var table: [Command: String] = [ZFS.snapshots(of: ["rpool/home/my data"], bookmarks: true): rows]
        for label in ["a", "b"] {
            table[ZFS.written(since: try SnapshotName("rpool/home/my data@\(label)"))] = "rpool/home/my data\twritten@\(label)\t4096\t-\n"
        }
        for (name, output) in holds { table[ZFS.holds([name])] = output }
        return try await SnapshotRollback.gather(word, folder: "/", runner: Machine.runner(table), files: Machine.files())
    }

    let a = Machine.snapshot("rpool/home/my data@a", txg: 10)
    let b = Machine.snapshot("rpool/home/my data@b", txg: 20)

    @Test func `to the newest snapshot, it says what was written since`() async throws {
        let back = try await gather("/home/my data", a + b)
        #expect(back.target.label == "b" && back.newer.isEmpty && !back.isNamed && back.written == ByteCount(4096))
        let plan = try back.plan(destroying: [])
        #expect(lines(plan) == ["zfs rollback 'rpool/home/my data@b'"] && plan.destroys == ["rpool/home/my data@b"])
        #expect(back.losses[0].contains("4.0 KiB were written") || back.losses[0].contains("4 KiB were written"))
    }

    @Test func `newer snapshots and bookmarks must each be named, and only those are destroyed`() async throws {
        let back = try await gather("rpool/home/my data@a", a + b + Machine.snapshot("rpool/home/my data#sent", txg: 30))
        #expect(back.isNamed && back.newer.map(\.label) == ["b", "sent"] && back.losses.count == 3)
        for labels in [[], ["b"], ["sent"]] { #expect(problem { _ = try back.plan(destroying: labels) }?.code == "snapshot.newer") }
        #expect(problem { _ = try back.plan(destroying: ["b", "sent", "c"]) }?.code == "snapshot.not-newer")
        let plan = try back.plan(destroying: ["b", "sent"])
        #expect(
            lines(plan) == [
                "zfs destroy 'rpool/home/my data@b'", "zfs destroy 'rpool/home/my data#sent'", "zfs rollback 'rpool/home/my data@a'",
            ])
        #expect(plan.destroys == ["rpool/home/my data@b", "rpool/home/my data#sent", "rpool/home/my data@a"])
        #expect(problem { try PlanRunner.check(plan, approvals: []) }?.code == "plan.unapproved")
    }

    @Test func `the error for newer ones holds the line that does it`() async throws {
        let back = try await gather("rpool/home/my data@a", a + b)
        #expect { try back.plan(destroying: []) } throws: {
            Diagnosis(of: $0).remedies.contains { $0.hasSuffix("ksnap rollback 'rpool/home/my data@a' --destroy b") }
        }
    }

    @Test func `a bookmark of the snapshot itself does not stand in the way`() async throws {
        let back = try await gather("rpool/home/my data@b", a + b + Machine.snapshot("rpool/home/my data#b", txg: 20))
        #expect(back.newer.isEmpty)
    }

    @Test func `newer ones that are held or cloned stay, and so does everything`() async throws {
        let held = Machine.snapshot("rpool/home/my data@b", txg: 20, holds: 1)
        let back = try await gather("rpool/home/my data@a", a + held, holds: ["rpool/home/my data@b": "rpool/home/my data@b\taudit\tx\n"])
        #expect { try back.plan(destroying: ["b"]) } throws: {
            Diagnosis(of: $0).code == "snapshot.held"
                && Diagnosis(of: $0).remedies == ["kldload ksnap release audit 'rpool/home/my data@b'"]
        }
        let cloned = try await gather("rpool/home/my data@a", a + Machine.snapshot("rpool/home/my data@b", txg: 20, clones: "rpool/c"))
        #expect(problem { _ = try cloned.plan(destroying: ["b"]) }?.code == "snapshot.cloned")
    }

    @Test(arguments: [
        ("/", "snapshot.boot-environment"), ("rpool/ROOT/next@x", "snapshot.boot-environment"), ("/etc/fstab", "snapshot.boot-environment"),
        ("rpool/home/my data@zz", "snapshot.unknown"),
    ])
    func `boot environments and what is not there are refused`(word: String, expected: String) async {
        #expect(await problem { _ = try await gather(word, a + b) }?.code == expected)
    }

    @Test func `a live root points at kbe`() async throws {
        let live = await problem { _ = try await gather("/.zfs/snapshot/install", "") }
        #expect(live?.remedies.first?.hasSuffix("kbe rollback debian@install") == true)
        #expect(await problem { _ = try await gather("/home/my data", "") }?.code == "snapshot.none")
    }
}

@Suite struct SnapshotDestructionTests {
    func gather(
        _ words: [String], _ rows: String, recursive: Bool = false, datasets: [String] = ["rpool/srv"], holds: [String: String] = [:]
    ) async throws -> (SnapshotDestruction, [Command]) {
        let listing = ZFS.snapshots(of: datasets, recursive: recursive)
        let runner = ScriptedRunner([
            { $0 == Machine.storageCommand ? CommandOutput(output: Machine.list) : nil },
            { $0 == listing ? CommandOutput(output: rows) : nil },
            { command in command.arguments.first == "holds" ? CommandOutput(output: holds[command.arguments.last ?? ""] ?? "") : nil },
            { $0.arguments.prefix(2) == ["destroy", "-nvp"] ? CommandOutput(output: "destroy\tx\nreclaim\t1000\n") : nil },
        ])
        let result = try await SnapshotDestruction.gather(
            words, recursive: recursive, folder: "/", runner: runner, files: Machine.files())
        return (result, runner.commands)
    }

    let rows = Machine.snapshot("rpool/srv@a", txg: 1) + Machine.snapshot("rpool/srv@a1", txg: 2) + Machine.snapshot("rpool/srv@b", txg: 3)

    @Test func `several of one dataset go together, and ZFS says how much that gives back`() async throws {
        let (destruction, _) = try await gather(["rpool/srv@a,b"], rows)
        #expect(destruction.reclaimed == ByteCount(1000))
        let plan = try destruction.plan(environments: false)
        #expect(lines(plan) == ["zfs destroy rpool/srv@a,b"] && plan.destroys == ["rpool/srv@a", "rpool/srv@b"])
        #expect(problem { try PlanRunner.check(plan, approvals: []) }?.code == "plan.unapproved")
    }

    @Test func `labels are compared whole, with everything below too`() async throws {
        let tree =
            Machine.snapshot("rpool/home@a", txg: 1) + Machine.snapshot("rpool/home@a1", txg: 2)
            + Machine.snapshot("rpool/home/my data@a", txg: 3) + Machine.snapshot("rpool/home/my data@a2", txg: 3)
        let (destruction, _) = try await gather(["rpool/home@a"], tree, recursive: true, datasets: ["rpool/home"])
        #expect(destruction.rows.map(\.name) == ["rpool/home@a", "rpool/home/my data@a"])
        #expect(lines(try destruction.plan(environments: false)) == ["zfs destroy rpool/home@a", "zfs destroy 'rpool/home/my data@a'"])
    }

    @Test func `held and cloned ones are refused, with who holds them, and nothing is previewed`() async throws {
        let held = Machine.snapshot("rpool/srv@a", txg: 1, holds: 1)
        let (destruction, commands) = try await gather(["rpool/srv@a"], held, holds: ["rpool/srv@a": "rpool/srv@a\tlegal\tx\n"])
        #expect { try destruction.plan(environments: false) } throws: {
            Diagnosis(of: $0).code == "snapshot.held" && Diagnosis(of: $0).causes == ["rpool/srv@a: legal"]
        }
        #expect(!commands.contains { $0.arguments.first == "destroy" })
        let (cloned, _) = try await gather(["rpool/srv@a"], Machine.snapshot("rpool/srv@a", txg: 1, clones: "rpool/c,rpool/d"))
        #expect { try cloned.plan(environments: false) } throws: {
            Diagnosis(of: $0).code == "snapshot.cloned"
                && Diagnosis(of: $0).causes == ["rpool/srv@a: rpool/c,rpool/d".replacing(",", with: ", ")]
        }
    }

    @Test func `those of boot environments go only when that is said`() async throws {
        let row = Machine.snapshot("rpool/ROOT/debian@x", txg: 1)
        let (destruction, _) = try await gather(["rpool/ROOT/debian@x"], row, datasets: ["rpool/ROOT/debian"])
        #expect(problem { _ = try destruction.plan(environments: false) }?.code == "snapshot.of-environment")
        #expect(lines(try destruction.plan(environments: true)) == ["zfs destroy rpool/ROOT/debian@x"])
    }

    @Test(arguments: [("rpool/srv", "snapshot.unnamed"), ("rpool/srv@c", "snapshot.unknown"), ("rpool/srv@a,c", "snapshot.unknown")])
    func `a dataset is never meant, and what is not there is named`(word: String, expected: String) async {
        #expect(await problem { _ = try await gather([word], rows) }?.code == expected)
    }
}

@Suite struct SnapshotHoldingTests {
    func plan(_ tag: String, _ words: [String], release: Bool = false) async throws -> Plan {
        try await SnapshotHolding.plan(
            tag, words, release: release, recursive: false, folder: "/", runner: Machine.runner(), files: Machine.files())
    }

    @Test func `one call holds or releases all of them`() async throws {
        #expect(lines(try await plan("audit", ["rpool/srv@a", "/srv/.zfs/snapshot/b"])) == ["zfs hold audit rpool/srv@a rpool/srv@b"])
        #expect(lines(try await plan("audit", ["rpool/srv@a"], release: true)) == ["zfs release audit rpool/srv@a"])
    }

    @Test func `tags that ZFS keeps for itself, options and names in the wrong place are refused`() async {
        for tag in ["", ".x", "-r", "rpool/srv@a"] {
            #expect(await problem { _ = try await plan(tag, ["rpool/srv@a"]) }?.code == "snapshot.tag")
        }
        #expect(await problem { _ = try await plan("x", ["rpool/srv"]) }?.code == "snapshot.unnamed")
    }
}

@Suite struct SnapshotDifferenceTests {
    let output = "M\t/\t/srv/\n+\tF\t/srv/www/new\nR\tF\t/srv/www/a\t/srv/other/a\n-\tF\t/srv/wwwx\n"

    func gather(_ first: String, _ second: String? = nil) async throws -> SnapshotDifference {
        let runner = Machine.runner([
            ZFS.diff(try SnapshotName("rpool/srv@b"), nil): output,
            ZFS.diff(try SnapshotName("rpool/srv@a"), try SnapshotName("rpool/srv@b")): output,
            ZFS.snapshots(of: ["rpool/srv"]): Machine.snapshot("rpool/srv@b", txg: 2) + Machine.snapshot("rpool/srv@a", txg: 1),
            ZFS.snapshots(of: ["rpool/home"]): "",
        ])
        return try await SnapshotDifference.gather(first, second, folder: "/", runner: runner, files: Machine.files())
    }

    @Test func `a path tells what changed below it since the newest snapshot, and nothing beside it`() async throws {
        let difference = try await gather("/srv/www")
        #expect(difference.old.label == "b" && difference.changes.map(\.path) == ["/srv/www/new", "/srv/www/a"])
        #expect(try await gather("/srv").changes.count == 4)
    }

    @Test func `two snapshots are compared; a path in a snapshot is the same path now`() async throws {
        #expect(try await gather("rpool/srv@a", "rpool/srv@b").changes.count == 4)
        let inside = try await gather("/srv/.zfs/snapshot/b/www")
        #expect(inside.old.label == "b" && inside.changes.count == 2)
    }

    @Test(
        arguments: [
            ("rpool/locked", nil, "dataset.not-mounted"), ("rpool/srv@a", "rpool/home@b", "snapshot.other-dataset"),
            ("/home", nil, "snapshot.none"),
        ] as [(String, String?, String)])
    func `what cannot be compared is refused`(first: String, second: String?, expected: String) async {
        #expect(await problem { _ = try await gather(first, second) }?.code == expected)
    }
}
