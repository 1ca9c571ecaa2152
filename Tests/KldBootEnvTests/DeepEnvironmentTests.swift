import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("Environments with datasets below them")
struct DeepEnvironmentTests {
    static let hidden = "rpool/ROOT/.new-next"
    static let fresh = "kbe-next-20231114221320"

    /// `debian` runs, and has datasets below it, one of them for the sake of another.
    static func system(labels: [String] = ["install"]) throws -> BootSystem {
        var system = try Fixture.system()
        system.environments[0].children = [
            try Fixture.dataset("debian/usr"): .init("none", labels: labels),
            try Fixture.dataset("debian/usr/src"): .init("/usr/src", labels: labels),
            try Fixture.dataset("debian/var"): .init("/var", isHolder: true, labels: labels),
            try Fixture.dataset("debian/var/mail"): .init("/var/mail", labels: labels),
        ]
        return system
    }

    // MARK: make

    @Test("one is cloned as a whole, each dataset as it is mounted or not, and gets its name when all of it is there")
    func deep() throws {
        let hidden = Self.hidden
        func clone(_ properties: String, _ path: String) -> String {
            "zfs clone \(properties) rpool/ROOT/debian\(path)@\(Self.fresh) \(hidden)\(path)"
        }
        let child = "-o canmount=noauto -o com.kldload:owner=kldload -o mountpoint="
        #expect(
            try BootEnvironments(Self.system()).create("next", now: Fixture.now).commandLines == [
                "zfs snapshot -r rpool/ROOT/debian@\(Self.fresh)",
                clone("-o canmount=noauto -o mountpoint=/ -o com.kldload:owner=kldload", ""),
                clone(child + "none", "/usr"), clone(child + "/usr/src", "/usr/src"),
                clone("-o canmount=off -o com.kldload:owner=kldload -o mountpoint=/var", "/var"), clone(child + "/var/mail", "/var/mail"),
                "zfs rename \(hidden) rpool/ROOT/next",
            ])
    }

    @Test("at whatever instant the power goes, it is there as a whole or not at all")
    func powerCut() throws {
        let system = try Self.system()
        let commands = try BootEnvironments(system).create("next", now: Fixture.now).commands
        for count in 0...commands.count {
            var datasets = ["rpool/ROOT", "rpool/ROOT/debian"] + system.environments[0].children.keys.map(\.text).sorted()
            for words in commands.prefix(count).map(\.arguments) {
                switch words[0] {
                case "clone": datasets.append(words[words.count - 1])
                case "rename":
                    datasets = datasets.map { name in
                        name == words[1] || name.hasPrefix(words[1] + "/") ? "\(words[2])\(name.dropFirst(words[1].count))" : name
                    }
                default: #expect(words[0] == "snapshot")
                }
            }
            let text = datasets.map { "\($0)\tfilesystem\t1\t1\t1\t-\t/\tnoauto\t-\t-\n" }.joined()
            let rows = try DatasetTable.parse(text, columns: BootSystem.columns)
            let found = try BootSystem.environments(rows, top: system.top, mounts: [], owned: [], altroot: nil)
            let isWhole = count == commands.count
            #expect(found.map(\.name) == (isWhole ? ["debian", "next"] : ["debian"]))
            #expect(found.allSatisfy { $0.children.count == 4 })
            // From the first clone on it is known that something is half made.
            let unfinished = try BootSystem.unfinished(rows, top: system.top)
            #expect(unfinished.map(\.text) == (count < 2 || isWhole ? [] : [Self.hidden]))
        }
    }

    @Test("what fails in the middle is taken away again, with the snapshot that was taken for it")
    func undone() async throws {
        let (hidden, snapshot) = (Self.hidden, "rpool/ROOT/debian@\(Self.fresh)")
        let runner = ScriptedRunner([
            { command in
                switch command.arguments[0] {
                case "clone" where command.arguments.last == hidden + "/var": CommandOutput(status: 1, errors: "out of space")
                case "snapshot", "clone", "destroy": CommandOutput()
                case "list": CommandOutput(output: "rpool/ROOT\t-\nrpool/ROOT/debian\t-\n\(hidden)\t\(snapshot)\n")
                case "get": CommandOutput(output: "\(hidden)\tcom.kldload:owner\tkldload\tlocal\n")
                default: nil
                }
            }
        ])
        let plan = try BootEnvironments(Self.system()).create("next", now: Fixture.now)
        await #expect(throws: Diagnosis.self) {
            try await PlanRunner(runner: runner, files: MemoryFiles(), performers: BootPerformers.table).apply(plan)
        }
        #expect(
            runner.commands.suffix(5).map(\.description) == [
                "zfs list -Hp -d 1 -t filesystem -o name,origin rpool/ROOT",
                "zfs get -Hp -o name,property,value,source com.kldload:owner \(hidden)", "zfs destroy -r \(hidden)",
                "zfs destroy -r \(snapshot)", "zfs destroy -r \(snapshot)",
            ])
    }

    @Test("what a run left that was killed goes before another one is made or destroyed")
    func leftover() throws {
        var system = try Self.system()
        #expect(try !BootEnvironments(system).create("next", now: Fixture.now).steps.contains { $0.id == "be.sweep" })
        system.unfinished = [try DatasetName(Self.hidden)]
        system.environments[1].owned = true
        for plan in [
            try BootEnvironments(system).create("next", now: Fixture.now),
            try BootEnvironments(system).create("flat", from: "test", now: Fixture.now),
            try BootEnvironments(system).rollback("install", now: Fixture.now).plan, try BootEnvironments(system).destroy("test"),
        ] {
            #expect(plan.steps.first?.id == "be.sweep")
            for case .perform(let name, _, _) in plan.steps.flatMap({ $0.actions + $0.undo }) {
                #expect(BootPerformers.table[name] != nil, "\(name)")
            }
        }
    }

    @Test("only what kldload itself was making is taken away, and a snapshot that was not taken for it stays")
    func sweep() async throws {
        func destroyed(_ rows: [String], source: String = "local", held: Bool = false) async throws -> [String] {
            let runner = ScriptedRunner([
                { command in
                    switch command.arguments[0] {
                    case "list": CommandOutput(output: rows.map { $0 + "\n" }.joined())
                    case "get": CommandOutput(output: "\(command.arguments.last ?? "")\tcom.kldload:owner\tkldload\t\(source)\n")
                    // The snapshot has another clone.
                    case "destroy": CommandOutput(status: held || command.arguments.last?.contains("@") == true ? 1 : 0)
                    default: nil
                    }
                }
            ])
            try await BootEnvironments.sweep(below: try DatasetName("rpool/ROOT"), runner)
            return runner.commands.filter { $0.effect == .destroys }.compactMap(\.arguments.last)
        }
        let made = "rpool/ROOT/debian@\(Self.fresh)"
        #expect(try await destroyed(["rpool/ROOT\t-", "\(Self.hidden)\t\(made)"]) == [Self.hidden, made])
        #expect(try await destroyed(["\(Self.hidden)\trpool/ROOT/debian@install"]) == [Self.hidden])
        // What holds a snapshot of it keeps nobody from making an environment.
        #expect(try await destroyed(["\(Self.hidden)\t\(made)"], held: true) == [Self.hidden])
        #expect(try await destroyed(["\(Self.hidden)\t\(made)"], source: "inherited from rpool") == [])
        #expect(try await destroyed(["rpool/ROOT\t-", "rpool/ROOT/debian\t-", "rpool/ROOT/next\t\(made)"]) == [])
    }

    @Test("a snapshot that not every dataset has is refused before anything is done, and names those that lack it")
    func incomplete() throws {
        var system = try Self.system()
        #expect(try BootEnvironments(system).create("old", from: "debian@install", now: Fixture.now).commands.count == 6)
        let mail = try Fixture.dataset("debian/var/mail")
        system.environments[0].children[mail]?.labels = ["other"]
        for verb in [
            { try BootEnvironments(system).create("old", from: "debian@install", now: Fixture.now) },
            { try BootEnvironments(system).rollback("install", now: Fixture.now).plan },
        ] as [() throws -> Plan] {
            let problem = problem { _ = try verb() }
            #expect(problem?.code == "be.incomplete-snapshot" && problem?.message.contains("of \(mail) there is none") == true)
            #expect(problem?.remedies.contains { $0.contains("zfs snapshot -r rpool/ROOT/debian@") } == true)
        }
        // One that is taken now is of all of them.
        #expect(throws: Never.self) { try BootEnvironments(system).create("old", now: Fixture.now) }
    }

    // MARK: look into, take away

    @Test("a dataset that only holds others is not mounted over what is there, to be looked at or to be signed")
    func mounted() throws {
        var system = try Fixture.system()
        system.signing = .by(try CertificateIdentity([0x30, 13, 0x30, 11, 0x02, 1, 7, 0x30, 0, 0x30, 4, 0x31, 2, 0x30, 0]))
        system.environments[1].children = [
            try Fixture.dataset("test/var"): .init("/var", isHolder: true), try Fixture.dataset("test/var/mail"): .init("/var/mail"),
            try Fixture.dataset("test/x"): .init("none"),
        ]
        func places(_ plan: Plan) -> [String] {
            plan.commands.filter { $0.arguments.starts(with: ["-t", "zfs"]) }.map { $0.arguments.suffix(2).joined(separator: " ") }
        }
        #expect(
            try places(BootEnvironments(system).mount("test", at: "/mnt").plan) == [
                "rpool/ROOT/test /mnt", "rpool/ROOT/test/var/mail /mnt/var/mail",
            ])
        let place = "/run/kldload/boot/sign-test"
        #expect(
            try places(BootEnvironments(system).signing("test", releases: ["6.1"])) == [
                "rpool/ROOT/test \(place)", "rpool/ROOT/test/var/mail \(place)/var/mail",
            ])
    }

    @Test("before one goes, of each of its datasets the newest clone is promoted, and nothing that is none of its clones")
    func promoted() throws {
        var system = try Fixture.system([], running: "third", bootfs: "third")
        let (a, b) = (try Fixture.snapshot("debian/var@a"), try Fixture.snapshot("debian/var@b"))
        func snapshot(_ name: String) throws -> BootEnvironment.Snapshot {
            .init(name: try Fixture.snapshot(name), used: ByteCount(0), created: Timestamp(seconds: 1))
        }
        let debian = BootEnvironment(
            dataset: try Fixture.dataset("debian"), snapshots: [try snapshot("debian@a"), try snapshot("debian@b")],
            children: [
                try Fixture.dataset("debian/var"): .init("/var", labels: ["a", "b"]),
                try Fixture.dataset("debian/mail"): .init("/var/mail", labels: ["b"]),
            ])
        let test = BootEnvironment(
            dataset: try Fixture.dataset("test"), origin: try Fixture.snapshot("debian@a"),
            children: [try Fixture.dataset("test/var"): .init("/var", origin: a)])
        let third = BootEnvironment(
            dataset: try Fixture.dataset("third"), origin: try Fixture.snapshot("debian@b"),
            children: [
                try Fixture.dataset("third/var"): .init("/var", origin: b), try Fixture.dataset("third/own"): .init("/own"),
                try Fixture.dataset("third/copy"): .init("/copy", origin: try SnapshotName("rpool/srv@x")),
            ], mountpoint: "/")
        system.environments = [debian, test, third]
        let promotions = ["zfs promote rpool/ROOT/third", "zfs promote rpool/ROOT/third/var"]
        #expect(try BootEnvironments(system).destroy("debian").commandLines == promotions + ["zfs destroy -r rpool/ROOT/debian"])
        // What its own heir has no clone of, another environment may have.
        let younger = try Fixture.dataset("third/var")
        system.environments[2].children[younger]?.origin = nil
        #expect(
            try BootEnvironments(system).destroy("debian").commandLines == [
                "zfs promote rpool/ROOT/third", "zfs promote rpool/ROOT/test/var", "zfs destroy -r rpool/ROOT/debian",
            ])
    }
}
