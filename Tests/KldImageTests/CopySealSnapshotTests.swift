import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import Synchronization
import Testing

@testable import KldImage

@Suite("What keeps a copy's snapshots, and what its clones need")
struct CopySealSnapshotTests {
    private func perform(
        _ name: String, _ parameters: [String: String], _ runner: ScriptedRunner, _ files: MemoryFiles = MemoryFiles()
    ) async throws {
        let performers = CopySeal.performers { _ in }
        let performer = try #require(performers[name])
        try await performer(parameters, runner, files)
    }

    private static let snapshots = "zfs list -Hp -r -t snapshot -o name,type,used,referenced,creation,createtxg,userrefs,clones rpool"

    /// A pool that boots `rpool/ROOT/new`.
    private static let booting = "rpool\t1\t9\t1\t8\tONLINE\toff\t-\trpool/ROOT/new\n"

    @Test("holds are released before any snapshot is destroyed, each by its own tag")
    func holds() async throws {
        let (home, srv) = ("rpool/home@repl-1", "rpool/srv@repl-1")
        let list = [
            "rpool/home@old\tsnapshot\t0\t1\t1\t1\t0\t-", "\(home)\tsnapshot\t0\t1\t1\t2\t2\t-",
            "\(srv)\tsnapshot\t0\t1\t1\t2\t1\t-",
        ]
        let time = "Thu Aug  6 07:06 2026"
        let holds = ["\(home)\taudit\t\(time)", "\(home)\trepl\t\(time)", "\(srv)\trepl\t\(time)"]
        let runner = ScriptedRunner([
            Self.snapshots: list.joined(separator: "\n") + "\n",
            "zfs holds -H \(home) \(srv)": holds.joined(separator: "\n") + "\n",
            "zfs release audit \(home)": "", "zfs release repl \(home)": "", "zfs release repl \(srv)": "",
        ])
        try await perform(CopySeal.releaseHolds, ["pool": "rpool"], runner)
        #expect(
            runner.commands.filter { $0.effect == .changes }.map(\.description) == [
                "zfs release audit \(home)", "zfs release repl \(home)", "zfs release repl \(srv)",
            ])
        let ids = try CopySealTests.seal.plan.steps.map(\.id)
        let release = try #require(ids.firstIndex(of: "copy.holds"))
        for later in ["copy.environments", "copy.snapshots"] {
            let place = try #require(ids.firstIndex(of: later))
            #expect(release < place)
        }
    }

    @Test("where nothing is held, nothing is asked")
    func nothingHeld() async throws {
        let runner = ScriptedRunner([Self.snapshots: "rpool/home@old\tsnapshot\t0\t1\t1\t1\t0\t-\n"])
        try await perform(CopySeal.releaseHolds, ["pool": "rpool"], runner)
        #expect(runner.commands.count == 1)
    }

    @Test("every snapshot is destroyed")
    func dropped() async throws {
        let runner = ScriptedRunner([
            { $0.effect == .reads ? CommandOutput(output: "rpool/home@old\nrpool/srv@repl-1\n") : CommandOutput() }
        ])
        try await perform(CopySeal.dropSnapshots, ["pool": "rpool"], runner)
        #expect(
            runner.commands.map(\.description) == [
                "zfs list -Hp -r -t snapshot -o name rpool", "zfs destroy rpool/home@old", "zfs destroy rpool/srv@repl-1",
            ])
    }

    /// What a pool with these datasets, each with its mount point and origin, is asked to do: as OpenZFS would, promotion and all.
    private func dropping(_ datasets: [(name: String, place: String, origin: String)]) async throws -> [String] {
        let state = Mutex(datasets)
        let runner = ScriptedRunner([
            { command in
                let words = command.arguments
                switch (command.tool.name, words.first) {
                case ("zpool", "list"): return CommandOutput(output: Self.booting)
                case ("zfs", "list"):
                    return CommandOutput(output: state.withLock { $0 }.map { "\($0.name)\t\($0.place)\t\($0.origin)\n" }.joined())
                case ("zfs", "promote"):
                    state.withLock { rows in
                        guard let own = rows.firstIndex(where: { $0.name == words.last }) else { return }
                        let snapshot = rows[own].origin
                        guard let old = rows.firstIndex(where: { snapshot.hasPrefix($0.name + "@") }) else { return }
                        (rows[own].origin, rows[old].origin) = (rows[old].origin, snapshot.replacing(rows[old].name, with: rows[own].name))
                    }
                    return CommandOutput()
                case ("zfs", "destroy"):
                    let name = words.last ?? ""
                    let cloned = state.withLock { $0 }.contains { $0.origin.hasPrefix(name) && !$0.name.hasPrefix(name) }
                    if cloned { return CommandOutput(status: 1, errors: "cannot destroy '\(name)': filesystem has dependent clones\n") }
                    state.withLock { rows in rows.removeAll { $0.name == name || $0.name.hasPrefix(name + "/") } }
                    return CommandOutput()
                default: return nil
                }
            }
        ])
        try await perform(CopySeal.dropEnvironments, ["pool": "rpool"], runner, MemoryFiles())
        return runner.commands.filter { $0.effect != .reads }.map(\.description)
    }

    @Test("an image holds the environment that it boots, and none beside it; what came from another one is promoted first")
    func environments() async throws {
        let (top, home) = (("rpool/ROOT", "none", "-"), ("rpool/home", "/target/home", "-"))
        #expect(try await dropping([top, ("rpool/ROOT/new", "/target", "-"), home]) == [])
        // A chain of three, a fourth made of the booted one, and one with a dataset of its own.
        #expect(
            try await dropping([
                top, ("rpool/ROOT/old", "/target", "-"), ("rpool/ROOT/mid", "/target", "rpool/ROOT/old@a"),
                ("rpool/ROOT/new", "/target", "rpool/ROOT/mid@b"), ("rpool/ROOT/try", "/target", "rpool/ROOT/new@c"),
                ("rpool/ROOT/try/usr", "/target/usr", "-"), ("rpool/ROOT/data", "/target/data", "-"), home,
            ]) == [
                "zfs promote rpool/ROOT/new", "zfs promote rpool/ROOT/new", "zfs destroy -r rpool/ROOT/old",
                "zfs destroy -r rpool/ROOT/mid",
                "zfs destroy -r rpool/ROOT/try",
            ])
        // Right below the pool lies what is nobody's environment.
        #expect(try await dropping([("rpool/ROOT/new", "/target", "-"), ("rpool/other", "/target", "-")]) == [])
        let problem = await #expect(throws: Diagnosis.self) {
            try await dropping([
                top, ("rpool/ROOT/new", "/target", "-"), ("rpool/ROOT/old", "/target", "-"),
                ("rpool/srv", "/target/srv", "rpool/ROOT/old@a"),
            ])
        }
        #expect(problem?.code == "image.environment-cloned" && problem?.causes == ["rpool/ROOT/old"])
    }

    private typealias Row = (name: String, place: String, origin: String)

    /// What a pool is refused for that boots `rpool/ROOT/new`, which nothing in this may change.
    private func refused(_ rows: Row...) async throws -> [String]? {
        let list = rows.map { "\($0.name)\t\($0.place)\t\($0.origin)\n" }.joined()
        let runner = ScriptedRunner([
            ZPool.list(try PoolName("rpool")).description: Self.booting,
            "zfs list -Hp -r -t filesystem,volume -o name,mountpoint,origin rpool": "rpool\tnone\t-\nrpool/ROOT\tnone\t-\n" + list,
        ])
        do {
            try await perform(CopySeal.dropEnvironments, ["pool": "rpool"], runner)
            return nil
        } catch let problem as Diagnosis where problem.code == "image.clones" {
            #expect(problem.exit == .badAnswers && problem.remedies.count == 3)
            return problem.causes
        }
    }

    @Test("a clone that would stay is refused before anything is destroyed, and named with its origin")
    func clones() async throws {
        let new: Row = ("rpool/ROOT/new", "/target", "-")
        let home: Row = ("rpool/home", "/target/home", "-")
        #expect(try await refused(new, home) == nil)
        let copy: Row = ("rpool/home-copy", "/target/home-copy", "rpool/home@kclone-1")
        #expect(try await refused(new, home, copy) == ["rpool/home-copy is a clone of rpool/home@kclone-1"])
        // Volumes too, and beside another environment, which is not destroyed then.
        let old: Row = ("rpool/ROOT/old", "/target", "-")
        let volume: Row = ("rpool/vm", "-", "-")
        let second: Row = ("rpool/vm2", "-", "rpool/vm@a")
        #expect(try await refused(new, old, volume, second) == ["rpool/vm2 is a clone of rpool/vm@a"])
        // Promotion ends where what stays begins: here it would only make the one that boots a clone of the base.
        let base: Row = ("rpool/base", "/target/base", "-")
        let cloned: Row = ("rpool/ROOT/old", "/target", "rpool/base@a")
        let booted: Row = ("rpool/ROOT/new", "/target", "rpool/ROOT/old@b")
        #expect(try await refused(base, cloned, booted) == ["rpool/ROOT/new is a clone of rpool/ROOT/old@b"])
    }

    @Test("what gives a clone its identity is enabled in the copy: our own unit, and those of cloud-init's that are there")
    func units() async throws {
        let folder = "/target/usr/lib/systemd/system"
        let files = MemoryFiles(
            ["\(folder)/kldload-firstboot.service": "", "\(folder)/cloud-init-network.service": "", "\(folder)/cloud-final.service": ""],
            links: [
                // An alias, and what is masked.
                "\(folder)/cloud-init.service": "cloud-init-network.service",
                "/target/etc/systemd/system/cloud-final.service": "/dev/null",
            ])
        let runner = ScriptedRunner.accepting
        try await perform(CopySeal.enableUnits, ["target": "/target"], runner, files)
        #expect(
            runner.commands.map(\.description) == [
                "chroot /target systemctl enable cloud-init-network.service kldload-firstboot.service"
            ])
    }

    @Test("a source whose clones would get no identity is refused: the unit of the first boot is missing, or masked")
    func noFirstBoot() async throws {
        let unit = "systemd/system/kldload-firstboot.service"
        for files in [
            MemoryFiles(["/target/etc/hostname": "host\n"]),
            MemoryFiles(["/target/usr/lib/\(unit)": ""], links: ["/target/etc/\(unit)": "/dev/null"]),
        ] {
            let runner = ScriptedRunner.accepting
            let problem = await #expect(throws: Diagnosis.self) {
                try await perform(CopySeal.enableUnits, ["target": "/target"], runner, files)
            }
            #expect(problem?.code == "image.no-first-boot" && problem?.exit == .inputMissing)
            #expect(runner.commands.isEmpty)
        }
        let ids = try CopySealTests.seal.plan.steps.map(\.id)
        let (units, sealing) = (try #require(ids.firstIndex(of: "copy.units")), try #require(ids.firstIndex(of: "seal")))
        #expect(units < sealing)
    }
}
