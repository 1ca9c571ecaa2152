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

@Suite("Boot environments")
struct BootEnvironmentTests {
    let machine: BootEnvironments

    init() throws { machine = BootEnvironments(try Fixture.system()) }

    @Test("create is a snapshot and a clone of it that never mounts by itself")
    func create() throws {
        #expect(
            try machine.create("next", now: Fixture.now).commandLines == [
                "zfs snapshot rpool/ROOT/debian@kbe-next-20231114221320",
                "zfs clone -o canmount=noauto -o mountpoint=/ -o com.kldload:owner=kldload rpool/ROOT/debian@kbe-next-20231114221320 rpool/ROOT/next",
            ])
    }

    @Test("of a snapshot no other snapshot is made")
    func createFrom() throws {
        #expect(
            try machine.create("old", from: "debian@install", now: Fixture.now).commandLines == [
                "zfs clone -o canmount=noauto -o mountpoint=/ -o com.kldload:owner=kldload rpool/ROOT/debian@install rpool/ROOT/old"
            ])
        #expect(throws: Diagnosis.self) { try machine.create("old", from: "debian@instal", now: Fixture.now) }
        #expect(throws: Diagnosis.self) { try machine.create("old", from: "debain", now: Fixture.now) }
    }

    @Test("the snapshot that somebody named stays when its clone goes")
    func keepingOrigin() throws {
        var system = machine.system
        system.environments[1].owned = true
        #expect(try BootEnvironments(system).destroy("test").steps.map(\.id).contains("be.origin"))
        #expect(try !BootEnvironments(system).destroy("test", keepingOrigin: true).steps.map(\.id).contains("be.origin"))
    }

    @Test(
        "a name is a dataset, a file on FAT and a line of a menu at once",
        arguments: ["", "a b", "a:b", "ä", "-a", "a+1", "a/b", "..", "a.", "Debian", "debian", String(repeating: "a", count: 65)])
    func badName(name: String) { #expect(throws: Diagnosis.self) { try machine.create(name, now: Fixture.now) } }

    @Test("what runs, what boots next, what is mounted and what is not ours is never destroyed")
    func refusals() throws {
        func code(_ system: BootSystem, _ name: String) -> String? {
            problem { _ = try BootEnvironments(system).destroy(name) }?.code
        }
        var system = machine.system
        #expect(code(system, "debian") == "be.running")
        #expect(code(system, "other") == "be.unknown")
        #expect(code(system, "test") == nil)
        system.environments[1].mountpoint = "/mnt"
        #expect(code(system, "test") == "be.mounted")
        system.environments[1].mountpoint = nil
        system.environments[1].owned = false
        #expect(code(system, "test") == "be.foreign")
        let chosen = try Fixture.system([Fixture.esp([Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 3)])])
        #expect(code(chosen, "test") == "be.active")
        #expect(code(try Fixture.system(bootfs: "test"), "test") == "be.active")
    }

    @Test("destroying takes away what boots it, the dataset, and the snapshot that was made for it; each needs its approval")
    func destroy() throws {
        let entries = [Fixture.entry("debian", order: 200), Fixture.entry("test", order: 100)]
        let plan = try BootEnvironments(Fixture.system([Fixture.esp(entries)])).destroy("test")
        #expect(plan.steps.map(\.id) == ["be.unstage.vda1", "be.destroy", "be.origin"])
        #expect(plan.commandLines.suffix(2) == ["zfs destroy -r rpool/ROOT/test", "zfs destroy -r rpool/ROOT/debian@kbe-test-1"])
        #expect(plan.destroys == ["rpool/ROOT/test", "rpool/ROOT/debian@kbe-test-1"])
        #expect(throws: Diagnosis.self) { try PlanRunner.check(plan, approvals: []) }
        // A snapshot that a person made stays.
        var system = machine.system
        system.environments[1].origin = try Fixture.snapshot("debian@install")
        #expect(try BootEnvironments(system).destroy("test").destroys == ["rpool/ROOT/test"])
    }

    @Test("what was cloned from it keeps what it needs: the newest clone takes the snapshots along")
    func promote() throws {
        var system = try Fixture.system([Fixture.esp([Fixture.entry("third", order: 200)])], running: "test", bootfs: "test")
        system.running = try Fixture.dataset("third")
        system.bootfs = "rpool/ROOT/third"
        system.environments[1].mountpoint = nil
        system.environments.append(
            BootEnvironment(dataset: try Fixture.dataset("third"), origin: try Fixture.snapshot("debian@install"), mountpoint: "/"))
        let plan = try BootEnvironments(system).destroy("debian")
        #expect(plan.commandLines == ["zfs promote rpool/ROOT/test", "zfs destroy -r rpool/ROOT/debian"])
    }

    @Test("pruning takes old ones that nothing needs")
    func prune() throws {
        #expect(machine.prunable(olderThan: 86_400, now: Fixture.now) == ["test"])
        #expect(machine.prunable(olderThan: 200_000_000, now: Fixture.now) == [])
    }

    @Test("rolling back makes a new environment of the snapshot, and keeps the old one")
    func rollback() throws {
        let (plan, name) = try machine.rollback("install", now: Fixture.now)
        #expect(name == "install-back")
        #expect(plan.commandLines.count == 1 && plan.commandLines[0].hasSuffix("rpool/ROOT/debian@install rpool/ROOT/install-back"))
        #expect(BootEnvironments.free("install-back", ["debian", "Install-Back", "install-back-2"]) == "install-back-3")
        #expect(BootEnvironments.free("auto:2026 x", []) == "auto-2026-x")
        #expect(BootEnvironments.free("_:x-back", []) == "x-back")
    }

    /// The same machine; `test` was pushed by another one, and debian@kbe-test-1 holds what another one was.
    private func foreign() throws -> BootEnvironments {
        var system = machine.system
        system.environments[0].snapshots[1].isForeign = true
        system.environments[1].isForeign = true
        system.environments[1].snapshots = [
            .init(name: try Fixture.snapshot("test@sent"), used: ByteCount(0), created: Timestamp(seconds: 5), isForeign: true)
        ]
        return BootEnvironments(system)
    }

    @Test("a clone of what is another machine's is another machine's; of anything else it is not")
    func cloneOfForeign() throws {
        let machine = try foreign()
        let properties = "-o canmount=noauto -o mountpoint=/ -o com.kldload:owner=kldload"
        func clone(_ source: String?, marks: ZFSProperties = [:]) throws -> String? {
            try machine.create("next", from: source, now: Fixture.now, marks: marks).commandLines.last
        }
        for (source, snapshot, mark) in [
            (nil, "debian@kbe-next-20231114221320", ""), ("debian@install", "debian@install", ""),
            ("debian@kbe-test-1", "debian@kbe-test-1", " -o com.kldload:identity=foreign"),
            ("test", "test@kbe-next-20231114221320", " -o com.kldload:identity=foreign"),
            ("test@sent", "test@sent", " -o com.kldload:identity=foreign"),
        ] as [(String?, String, String)] {
            #expect(try clone(source) == "zfs clone \(properties)\(mark) rpool/ROOT/\(snapshot) rpool/ROOT/next")
        }
        #expect(try clone("test", marks: ["a:b": "c"])?.contains("-o a:b=c -o com.kldload:identity=foreign") == true)
    }

    @Test("nobody goes back to what another machine was, whether the environment is this one's own by now or not")
    func rollbackToForeign() throws {
        for source in ["kbe-test-1", "debian@kbe-test-1", "test@sent"] {
            let problem = problem { _ = try foreign().rollback(source, now: Fixture.now) }
            #expect(problem?.code == "boot.foreign" && problem?.remedies.first?.contains("kbe adopt NEW") == true)
        }
        #expect(try foreign().rollback("install", now: Fixture.now).name == "install-back")
    }

    @Test("a snapshot stays whose it is when an heir takes it over")
    func promoteForeign() throws {
        var system = try foreign().system
        system.running = try Fixture.dataset("third")
        system.bootfs = "rpool/ROOT/third"
        system.esps = []
        system.environments[0].mountpoint = nil
        system.environments.append(
            BootEnvironment(dataset: try Fixture.dataset("third"), origin: try Fixture.snapshot("test@sent"), mountpoint: "/"))
        // From the machine's own to a foreign heir: debian@kbe-test-1 bears its mark itself.
        #expect(
            try BootEnvironments(system).destroy("debian").commandLines == [
                "zfs set com.kldload:identity=own rpool/ROOT/debian@install", "zfs promote rpool/ROOT/test",
                "zfs destroy -r rpool/ROOT/debian",
            ])
        // From a foreign one to the machine's own.
        #expect(
            try BootEnvironments(system).destroy("test").commandLines == [
                "zfs set com.kldload:identity=foreign rpool/ROOT/test@sent", "zfs promote rpool/ROOT/third",
                "zfs destroy -r rpool/ROOT/test",
            ])
    }

    @Test("a rename takes away what boots the old name before")
    func rename() throws {
        let entries = [Fixture.entry("debian", order: 200), Fixture.entry("test", order: 100)]
        let plan = try BootEnvironments(Fixture.system([Fixture.esp(entries)])).rename("test", to: "Test2")
        #expect(plan.steps.map(\.id) == ["be.unstage.vda1", "be.rename"])
        #expect(plan.commandLines.last == "zfs rename rpool/ROOT/test rpool/ROOT/Test2")
        // In case only: the same file on FAT, but it is its own.
        #expect(throws: Never.self) { try machine.rename("test", to: "TEST") }
        #expect(throws: Diagnosis.self) { try machine.rename("test", to: "DEBIAN") }
        #expect(throws: Diagnosis.self) { try machine.rename("debian", to: "x") }
    }

    @Test("the list says what runs, what boots, and how trials stand")
    func list() throws {
        let system = try Fixture.system([
            Fixture.esp([Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 2, done: 1)])
        ])
        let rows = BootList(system) { _ in nil }.rows
        #expect(rows.map(\.state) == ["good", "on trial, 2 of 3 boots left"])
        #expect(rows.map(\.runsNow) == [true, false] && rows.map(\.bootsNext) == [false, true])
        let failed = try Fixture.system([
            Fixture.esp([Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 0, done: 3)])
        ])
        let row = BootList(failed) { $0.hasPrefix("kldload-test-") ? "ssh.service is failed" : nil }.rows[1]
        #expect(row.state == "failed: ssh.service is failed" && !row.bootsNext)
        #expect(BootList(try foreign().system) { _ in nil }.rows.map(\.state) == ["good", "another machine's: kldload kbe adopt test"])
    }

    @Test("facts of a machine are read from one list")
    func facts() throws {
        let text = """
            rpool/ROOT\tfilesystem\t100\t96\t1600000000\t-\tnone\toff\t-\t-
            rpool/ROOT/adopted\tfilesystem\t9\t1500\t1600000400\t-\t/\tnoauto\town\t-
            rpool/ROOT/adopted@sent\tsnapshot\t7\t1400\t1600000300\t-\t-\t-\tforeign\t-
            rpool/ROOT/adopted@since\tsnapshot\t7\t1400\t1600000500\t-\t-\t-\town\t-
            rpool/ROOT/debian\tfilesystem\t2000\t1500\t1600000000\t-\t/\tnoauto\t-\t-
            rpool/ROOT/debian/usr/src\tfilesystem\t50\t50\t1600000000\t-\t/usr/src\ton\t-\t-
            rpool/ROOT/debian/usr/src@b\tsnapshot\t7\t1400\t1600000300\t-\t-\t-\t-\t-
            rpool/ROOT/debian/usr/src@a\tsnapshot\t5\t1400\t1600000200\t-\t-\t-\t-\t-
            rpool/ROOT/debian@b\tsnapshot\t7\t1400\t1600000300\t-\t-\t-\t-\t-
            rpool/ROOT/debian@a\tsnapshot\t5\t1400\t1600000200\t-\t-\t-\t-\t-
            rpool/ROOT/other\tfilesystem\t9\t1500\t1600000400\trpool/ROOT/debian@b\t/\tnoauto\tforeign\t-
            rpool/ROOT/other/var\tfilesystem\t9\t1500\t1600000400\trpool/ROOT/debian/usr/src@b\t/var\toff\t-\t-
            rpool/ROOT/other@sent\tsnapshot\t7\t1400\t1600000300\t-\t-\t-\tforeign\t-

            """
        let rows = try DatasetTable.parse(text, columns: BootSystem.columns)
        let found = try BootSystem.environments(
            rows, top: try DatasetName("rpool/ROOT"), mounts: [.init(source: "rpool/ROOT/debian", place: "/", type: "zfs")],
            owned: ["rpool/ROOT/debian"], altroot: nil)
        #expect(found.map(\.name) == ["adopted", "debian", "other"])
        #expect(found[1].snapshots.map(\.name.label) == ["a", "b"])
        let (child, clone) = (try Fixture.dataset("debian/usr/src"), try Fixture.dataset("other/var"))
        let origin = try Fixture.snapshot("debian/usr/src@b")
        #expect(found[1].children == [child: .init("/usr/src", labels: ["a", "b"])])
        #expect(found[2].children == [clone: .init("/var", isHolder: true, origin: origin)])
        #expect(found[1].mountpoint == "/" && found[1].owned)
        #expect(try found[2].origin == Fixture.snapshot("debian@b") && !found[2].owned)
        #expect(found.map(\.isForeign) == [false, false, true])
        #expect(found.map { $0.snapshots.map(\.isForeign) } == [[true, false], [false, false], [true]])
    }

    @Test("a stream leaves and arrives without being booted; what one stream cannot hold is refused")
    func streams() throws {
        #expect(
            try machine.export("test", to: .file("/tmp/test.zfs"), now: Fixture.now).commandLines == [
                "zfs snapshot rpool/ROOT/test@kbe-export-20231114221320",
                "zfs send -L -c rpool/ROOT/test@kbe-export-20231114221320 > /tmp/test.zfs.partial", "sync /tmp/test.zfs.partial",
                "mv --force --no-target-directory /tmp/test.zfs.partial /tmp/test.zfs",
            ])
        #expect(
            try machine.export("debian@install", to: .open("/dev/stdout"), now: Fixture.now).commandLines == [
                "zfs send -L -c rpool/ROOT/debian@install > /dev/stdout"
            ])
        #expect(
            try machine.importing("back", from: "/dev/stdin").commandLines == [
                "zfs receive -u -o canmount=noauto -o mountpoint=/ -o com.kldload:owner=kldload -o com.kldload:identity=foreign rpool/ROOT/back < /dev/stdin"
            ])
        #expect(
            try machine.importing("back", from: "/dev/stdin", own: true).commandLines == [
                "zfs receive -u -o canmount=noauto -o mountpoint=/ -o com.kldload:owner=kldload rpool/ROOT/back < /dev/stdin"
            ])
        #expect(throws: Diagnosis.self) { try machine.importing("test", from: "/dev/stdin") }
        var deep = machine.system
        deep.environments[1].children = [try Fixture.dataset("test/usr"): .init("/usr")]
        #expect(throws: Diagnosis.self) { try BootEnvironments(deep).export("test", to: .file("/tmp/x"), now: Fixture.now) }
    }

    @Test("a stream into a file is root's alone, and takes its place when it is whole; what fails leaves what was there")
    func exportedFile() async throws {
        try await Scratch.with { folder in
            let (files, file) = (LocalFiles(), folder.appending("test.zfs"))
            try files.write("an older one", to: file)
            try files.symlink(folder.appending("link"), to: "test.zfs")
            let target = try StreamTarget(folder.appending("link"), files)
            // zfs is not here: a shell sends instead, and fails in the middle of it when it is told to.
            func export(failing: Bool) async throws {
                let sending = ScriptedRunner([
                    { command in
                        guard command.tool.name == "zfs" else { return nil }
                        guard let file = command.outputFile else { return CommandOutput() }
                        #expect(try files.status(file)?.mode == .secret)
                        try files.write(failing ? "half" : "a whole stream", to: file, mode: .secret)
                        return CommandOutput(status: failing ? 1 : 0)
                    }
                ])
                let runner = OneOrTheOther(first: sending, second: SubprocessRunner())
                try await PlanRunner(runner: runner, files: files, performers: BootPerformers.table).apply(
                    machine.export("test", to: target, now: Fixture.now))
            }
            await #expect(throws: Diagnosis.self) { try await export(failing: true) }
            #expect(try files.readText(file) == "an older one" && files.list(folder) == ["link", "test.zfs"])
            try await export(failing: false)
            #expect(try files.readText(file) == "a whole stream" && files.status(file)?.mode == .secret)
            #expect(try files.list(folder) == ["link", "test.zfs"] && files.readLink(folder.appending("link")) == "test.zfs")
        }
    }

    /// zfs by one runner, everything else by another.
    private struct OneOrTheOther: CommandRunner {
        let first: any CommandRunner
        let second: any CommandRunner
        func run(_ command: Command) async throws -> CommandOutput {
            try await (command.tool.name == "zfs" ? first : second).run(command)
        }
        func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "\(pipeline)") }
    }

    @Test("what is there and no file is written into as it is")
    func openTargets() async throws {
        try await Scratch.with { folder in
            let files = LocalFiles()
            #expect(try StreamTarget("/dev/stdout", files) == .open("/dev/stdout"))
            #expect(try StreamTarget("/dev/null", files) == .open("/dev/null"))
            #expect(try StreamTarget("/proc/self/fd/1", files) == .open("/proc/self/fd/1"))
            #expect(try StreamTarget(folder, files) == .open(folder))
            let pipe = folder.appending("pipe")
            try await SubprocessRunner().run(Command(Tool("mkfifo", package: "coreutils"), [pipe.string], effect: .changes))
            #expect(try StreamTarget(pipe, files) == .open(pipe))
            #expect(try StreamTarget(folder.appending("new"), files) == .file(folder.appending("new")))
            // `/dev/stdout` is a link.
            let links = try [StreamTarget.open("/dev/stdout"), .file(pipe)].map {
                try machine.export("debian@install", to: $0, now: Fixture.now).commands[0].followsOutputLink
            }
            #expect(links == [true, false])
        }
    }

    @Test("a difference is told by packages that are installed, kernels, and files of /etc")
    func difference() async throws {
        let (old, new) = (try Fixture.target("debian"), try Fixture.target("test", root: "/mnt"))
        let said = """
            Files /etc/motd and /mnt/etc/motd differ
            Symbolic links /etc/a/editor and /mnt/etc/a/editor differ
            Only in /etc: nanorc
            Only in /mnt/etc/ssh: a key
            File /etc/x is a fifo while file /mnt/etc/x is a directory

            """
        let runner = ScriptedRunner([
            { command in
                switch (command.tool.name, command.arguments[0]) {
                case ("diff", _): CommandOutput(status: 1, output: said)
                case ("dpkg-query", "--admindir=/var/lib/dpkg"): CommandOutput(output: "ii \tzfs\t2.3.2\nrc \told\t1\nii \tcurl\t8.1\n")
                case ("dpkg-query", "--admindir=/mnt/var/lib/dpkg"): CommandOutput(output: "hi \tzfs\t2.3.9\nii \tjq\t1.7\n")
                default: nil
                }
            }
        ])
        var newer = new
        newer.kernels.insert(.init(release: "6.12.60", size: .mebibytes(70)), at: 0)
        let difference = try await BootDifference.between(old, newer, runner: runner)
        #expect(
            difference.packages == [
                .init(name: "curl", old: "8.1", new: nil), .init(name: "jq", old: nil, new: "1.7"),
                .init(name: "zfs", old: "2.3.2", new: "2.3.9"),
            ])
        #expect(difference.kernels == [.init(name: "6.12.60", old: nil, new: "6.12.60")])
        #expect(
            difference.files == [
                "~ /etc/motd", "~ /etc/a/editor", "- /etc/nanorc", "+ /etc/ssh/a key",
                "File /etc/x is a fifo while file /mnt/etc/x is a directory",
            ])
    }
}
