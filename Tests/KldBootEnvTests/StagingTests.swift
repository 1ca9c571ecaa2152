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

@Suite("What boots is staged on every ESP")
struct BootStagingTests {
    static let id = "kldload-test-\(Fixture.release).1"

    @Test("activating: the image on every ESP, then the entries, then bootfs")
    func activate() throws {
        let debian = Fixture.entry("debian", order: 100)
        let system = try Fixture.system([Fixture.esp([debian]), Fixture.esp([debian], "/dev/vdb1", mounted: false)])
        let plan = try BootEnvironments(system).activate(Fixture.target("test"))
        #expect(
            plan.text() == """
                plan: activate boot environment test
                be: Boot environments
                  + boot.image: Build the boot image of test, Linux \(Fixture.release)
                      mkdir /run/kldload/boot (700)
                      write /run/kldload/boot/hostid.cpio (644, 512 bytes)
                      ukify build --linux=/run/kldload/look/root/boot/vmlinuz-\(Fixture.release) \
                --initrd=/run/kldload/look/root/boot/initrd.img-\(Fixture.release) --initrd=/run/kldload/boot/hostid.cpio \
                '--cmdline=root=ZFS=rpool/ROOT/test boot=zfs rw console=tty0 panic=15 kldload.environment=selected' --uname=\(Fixture.release) \
                --os-release=@/run/kldload/look/root/usr/lib/os-release --stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub \
                --output=/run/kldload/boot/\(Self.id).efi
                      release: remove /run/kldload/boot/\(Self.id).efi
                      release: remove /run/kldload/boot/hostid.cpio
                  + boot.stage.vda1: Stage it on /dev/vda1
                      mkdir /boot/efi/EFI/kldload (755)
                      cp /run/kldload/boot/\(Self.id).efi /boot/efi/EFI/kldload/.\(Self.id).efi.new
                      sync --file-system /boot/efi
                      cmp /run/kldload/boot/\(Self.id).efi /boot/efi/EFI/kldload/.\(Self.id).efi.new
                      mv --force /boot/efi/EFI/kldload/.\(Self.id).efi.new /boot/efi/EFI/kldload/\(Self.id).efi
                      sync --file-system /boot/efi
                  + boot.stage.vdb1: Stage it on /dev/vdb1
                      mkdir /run/kldload/boot/esp-vdb1 (700)
                      boot.mount-esp at=/run/kldload/boot/esp-vdb1 device=/dev/vdb1
                      mkdir /run/kldload/boot/esp-vdb1/EFI/kldload (755)
                      cp /run/kldload/boot/\(Self.id).efi /run/kldload/boot/esp-vdb1/EFI/kldload/.\(Self.id).efi.new
                      sync --file-system /run/kldload/boot/esp-vdb1
                      cmp /run/kldload/boot/\(Self.id).efi /run/kldload/boot/esp-vdb1/EFI/kldload/.\(Self.id).efi.new
                      mv --force /run/kldload/boot/esp-vdb1/EFI/kldload/.\(Self.id).efi.new /run/kldload/boot/esp-vdb1/EFI/kldload/\(Self.id).efi
                      sync --file-system /run/kldload/boot/esp-vdb1
                      release: umount --recursive /run/kldload/boot/esp-vdb1
                  + boot.entry.vda1: Enter \(Self.id)+3.conf on /dev/vda1
                      write /boot/efi/loader/entries/\(Self.id)+3.conf (644, 295 bytes)
                      sync --file-system /boot/efi
                  + boot.entry.vdb1: Enter \(Self.id)+3.conf on /dev/vdb1
                      mkdir /run/kldload/boot/esp-vdb1 (700)
                      boot.mount-esp at=/run/kldload/boot/esp-vdb1 device=/dev/vdb1
                      write /run/kldload/boot/esp-vdb1/loader/entries/\(Self.id)+3.conf (644, 295 bytes)
                      sync --file-system /run/kldload/boot/esp-vdb1
                      release: umount --recursive /run/kldload/boot/esp-vdb1
                  + boot.bootfs: The pool's bootfs is rpool/ROOT/test
                      zpool set bootfs=rpool/ROOT/test rpool

                """)
    }

    static func matching(_ name: String, generation: Int = 1, on devices: [String] = ["/dev/vda1"]) throws -> BootTarget {
        let id = Fixture.entry(name, order: 0, generation: generation).id
        return try Fixture.target(name, matching: Dictionary(uniqueKeysWithValues: devices.map { ($0, [id]) }))
    }

    @Test("an image of the same kernel is rewritten instead of built again")
    func donor() throws {
        var target = try Fixture.target("test")
        target.kernels[0].donor = .init(device: "/dev/vda1", path: Fixture.entry("debian", order: 0).imagePath)
        let step = try #require(BootStaging(Fixture.system(), target, .always).steps().first)
        #expect(
            step.actions.map(\.text) == [
                "mkdir /run/kldload/boot (700)",
                "boot.rewrite cmdline=root=ZFS=rpool/ROOT/test boot=zfs rw console=tty0 panic=15 "
                    + "kldload.environment=selected from=/boot/efi/EFI/kldload/kldload-debian-\(Fixture.release).1.efi to=/run/kldload/boot/\(Self.id).efi",
            ])
    }

    @Test("the image that runs starts another environment with the same kernel and initramfs: an entry is all that it needs")
    func shared() throws {
        let debian = Fixture.entry("debian", order: 100)
        let system = try Fixture.system([Fixture.esp([debian]), Fixture.esp([debian], "/dev/vdb1", mounted: false)])
        var target = try Fixture.target("test")
        target.kernels[0].images = ["/dev/vda1": [debian.imagePath]]
        let staging = BootStaging(system, target, .always)
        var expected = Fixture.entry("test", order: 200, left: 3)
        expected.sharedImage = debian.imagePath
        #expect(try staging.entry() == expected)
        #expect(try staging.entry().text.contains("efi /\(debian.imagePath)\n"))
        // The second ESP lacks what fits: it gets the very one.
        #expect(try staging.steps().map(\.id) == ["boot.stage.vdb1", "boot.entry.vda1", "boot.entry.vdb1", "boot.bootfs"])
        target.kernels[0].images["/dev/vdb1"] = [debian.imagePath]
        #expect(
            try BootStaging(system, target, .always).steps().map(\.id) == ["boot.entry.vda1", "boot.entry.vdb1", "boot.bootfs"])
    }

    @Test("an environment that the loader cannot name as it is has an image of its own, which starts it by root= alone")
    func capitals() throws {
        let system = try Fixture.system()
        #expect(try !Fixture.target("Other").commandLine(system).words.contains(EnvironmentChoice.word))
        #expect(try Fixture.target("other").commandLine(system).words.contains(EnvironmentChoice.word))
    }

    @Test("an image that starts others keeps its name when the environment that it was made for is gone")
    func takenName() throws {
        var other = Fixture.entry("other", order: 100)
        other.sharedImage = Fixture.entry("test", order: 0).imagePath
        let debian = Fixture.entry("debian", order: 50)
        let entry = try BootStaging(Fixture.system([Fixture.esp([debian, other])]), Fixture.target("test"), .always).entry()
        #expect(entry.generation == 2 && entry.sharedImage == nil)
        // And it stays on the ESP for as long as somebody needs it.
        let system = try Fixture.system([Fixture.esp([debian, other, Fixture.entry("test", order: 10)])])
        #expect(system.needed(without: [Fixture.entry("test", order: 10)]).contains(Fixture.entry("test", order: 0).imagePath))
    }

    @Test("an environment that boots already and has not changed needs nothing")
    func nothing() throws {
        let system = try Fixture.system()
        #expect(try BootEnvironments(system).activate(Self.matching("debian")).steps.isEmpty)
        #expect(try BootStaging(system, Self.matching("debian"), .unchanged).steps().isEmpty)
    }

    @Test("going back needs no image: one small file, on trial again, above all others")
    func back() throws {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200)]
        let staging = BootStaging(
            try Fixture.system([Fixture.esp(entries)], running: "test", bootfs: "test"), try Self.matching("debian"), .always)
        #expect(try staging.entry() == Fixture.entry("debian", order: 300, left: 3))
        #expect(try staging.steps().map(\.id) == ["boot.entry.vda1", "boot.bootfs"])
        // The old name goes after the new one is there.
        #expect(
            try staging.steps()[0].actions.map(\.text).filter { !$0.hasPrefix("sync") } == [
                "write /boot/efi/loader/entries/kldload-debian-\(Fixture.release).1+3.conf (644, 301 bytes)",
                "remove /boot/efi/loader/entries/kldload-debian-\(Fixture.release).1.conf",
            ])
    }

    @Test("the running environment, unchanged, is not on trial")
    func proven() throws {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 3)]
        let staging = BootStaging(try Fixture.system([Fixture.esp(entries)]), try Self.matching("debian"), .always)
        #expect(try staging.entry() == Fixture.entry("debian", order: 300))
    }

    @Test("once: a single try, and bootfs stays")
    func once() throws {
        let staging = BootStaging(try Fixture.system(), try Fixture.target("test"), .once)
        #expect(try staging.entry() == Fixture.entry("test", order: 200, left: 1, once: true))
        #expect(try !staging.steps().contains { $0.id == "boot.bootfs" })
    }

    @Test("once: what has proved itself stays what the machine falls back to, and what boots next anyway stays as it is")
    func onceBeside() throws {
        let (debian, next) = (Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200))
        let system = try Fixture.system([Fixture.esp([debian, next])], running: "test", bootfs: "test")
        let staging = BootStaging(system, try Self.matching("debian"), .once)
        var expected = Fixture.entry("debian", order: 300, left: 1, generation: 2, once: true)
        expected.sharedImage = debian.imagePath
        #expect(try staging.entry() == expected)
        #expect(try staging.steps().map(\.id) == ["boot.entry.vda1"])
        #expect(try !staging.steps().flatMap(\.actions).contains { $0.text.hasPrefix("remove") })
        #expect(try BootStaging(system, Self.matching("test"), .once).steps().isEmpty)
        // Afterwards it is taken away, and what it stood beside is what is activated.
        expected.counter = BootEntry.Counter(left: 0, done: 1)
        let after = try Fixture.system([Fixture.esp([debian, next, expected])], running: "test", bootfs: "test")
        #expect(BootTrial(after).healing.map(\.id) == ["boot.tidy.vda1"])
        let both = try Fixture.target("debian", matching: ["/dev/vda1": [debian.id, expected.id]])
        #expect(try BootStaging(after, both, .always).entry() == Fixture.entry("debian", order: 400, left: 3))
    }

    @Test("a changed kernel or initramfs is a new build beside the old one, on trial, and never above what is chosen")
    func changed() throws {
        let entries = [Fixture.entry("debian", order: 100)]
        let changed = BootStaging(try Fixture.system([Fixture.esp(entries)]), try Fixture.target("debian"), .unchanged)
        #expect(try changed.entry() == Fixture.entry("debian", order: 101, left: 3, generation: 2))
        let pending = entries + [Fixture.entry("test", order: 200, left: 3)]
        let below = BootStaging(try Fixture.system([Fixture.esp(pending)]), try Fixture.target("debian"), .unchanged)
        #expect(try below.entry().order == 101)
    }

    @Test("an ESP that lacks the image gets the very one that another ESP has, the others are left alone")
    func missing() throws {
        let debian = Fixture.entry("debian", order: 100)
        let system = try Fixture.system([Fixture.esp([debian]), Fixture.esp([], "/dev/vdb1", mounted: false)])
        let steps = try BootStaging(system, Self.matching("debian"), .unchanged).steps()
        #expect(steps.map(\.id) == ["boot.stage.vdb1", "boot.entry.vdb1"])
        #expect(steps[0].actions.map(\.text).contains { $0.contains("/boot/efi/\(debian.imagePath)") })
        #expect(steps[0].release.map(\.text) == ["umount --recursive /run/kldload/boot/esp-vdb1"])
    }

    @Test("an ESP that lacks an image which no other one has gets one that is built")
    func missingEverywhere() throws {
        let system = try Fixture.system([Fixture.esp([Fixture.entry("debian", order: 100)]), Fixture.esp([], "/dev/vdb1")])
        let steps = try BootStaging(system, Fixture.target("debian"), .unchanged).steps()
        #expect(steps.map(\.id).prefix(2) == ["boot.image", "boot.stage.vda1"])
    }

    @Test("a kernel that was removed goes from the ESPs, unless it runs")
    func removed() throws {
        var old = Fixture.entry("debian", order: 50)
        old.release = "6.12.1"
        let system = try Fixture.system([Fixture.esp([Fixture.entry("debian", order: 100), old])])
        #expect(try BootStaging(system, Self.matching("debian"), .unchanged).steps().map(\.id) == ["boot.outdated.vda1"])
        var running = system
        running.release = "6.12.1"
        #expect(try BootStaging(running, Self.matching("debian"), .unchanged).steps().isEmpty)
        // Another environment's kernels are its own affair.
        #expect(try BootStaging(system, Self.matching("debian"), .always).steps().isEmpty)
    }

    @Test("what cannot be staged is refused before anything is touched, with a remedy")
    func refusals() throws {
        func code(_ change: (inout BootSystem, inout BootTarget) -> Void) throws -> String? {
            var (system, target) = (try Fixture.system(), try Fixture.target("test"))
            change(&system, &target)
            let problem = problem { _ = try BootStaging(system, target, .always).steps() }
            #expect(problem?.remedies.isEmpty != true)
            return problem?.code
        }
        #expect(try code { _, target in target.kernels = [] } == "boot.no-kernel")
        #expect(try code { system, _ in system.esps = [] } == "boot.no-esp")
        #expect(try code { system, _ in system.esps[0].free = .mebibytes(73) } == "boot.esp-full")
        #expect(try code { system, _ in system.esps[0].free = .mebibytes(74) } == nil)
        #expect(try code { system, _ in system.builder = nil } == "boot.no-builder")
        #expect(try code { system, _ in system.hostID = nil } == "boot.no-host-id")
    }
}

@Suite("A boot on trial")
struct BootTrialTests {
    @Test("that is good gets its plain name on every ESP, and the pool follows")
    func good() throws {
        let before = Fixture.entry("debian", order: 100)
        let system = try Fixture.system(
            [
                Fixture.esp([before, Fixture.entry("test", order: 200, left: 2, done: 1)]),
                Fixture.esp([before, Fixture.entry("test", order: 200, left: 3)], "/dev/vdb1"),
            ], running: "test")
        let trial = BootTrial(system)
        #expect(trial.pending?.environment == "test")
        #expect(trial.proven.steps.map(\.id) == ["boot.good.vda1", "boot.good.vdb1", "boot.reason", "boot.bootfs"])
    }

    @Test("that was healthy before costs nothing")
    func nothing() throws {
        let trial = BootTrial(try Fixture.system())
        #expect(trial.pending == nil && trial.proven.steps.isEmpty && trial.equal.steps.isEmpty)
    }

    @Test("a boot that was to happen once is not made the default, however good it is")
    func once() throws {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 0, done: 1, once: true)]
        let trial = BootTrial(try Fixture.system([Fixture.esp(entries)], running: "test"))
        #expect(trial.pending == nil && trial.proven.steps.isEmpty)
        // It is left all the same if it does not get on.
        #expect(trial.counted?.environment == "test")
        #expect(trial.failures { _ in nil }.isEmpty)
    }

    @Test("after a fall-back the pool follows, and who logs in is told what failed and why")
    func fallback() throws {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 0, done: 3)]
        let trial = BootTrial(try Fixture.system([Fixture.esp(entries)], bootfs: "test"))
        #expect(trial.proven.commandLines == ["zpool set bootfs=rpool/ROOT/debian rpool"])
        let failures = trial.failures { _ in "ssh.service is failed" }
        #expect(failures.map(\.environment) == ["test"] && failures.map(\.tries) == [3])
        let notice = BootTrial.notice(failures, running: "debian")
        #expect(notice.contains("test") && notice.contains("3 times") && notice.contains("ssh.service is failed"))
        #expect(BootTrial.notice([], running: "debian").isEmpty)
    }

    @Test("what is chosen for the next boot is not taken back")
    func pending() throws {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 3)]
        #expect(BootTrial(try Fixture.system([Fixture.esp(entries)], bootfs: "test")).proven.steps.isEmpty)
    }

    @Test("a disk that was replaced gets what the others hold; a build that a newer one has replaced goes")
    func healing() throws {
        let (old, new) = (Fixture.entry("debian", order: 100), Fixture.entry("debian", order: 101, generation: 2))
        let system = try Fixture.system([Fixture.esp([old, new]), Fixture.esp([], "/dev/vdb1", mounted: false)])
        #expect(
            BootTrial(system).equal.steps.map(\.id) == ["boot.tidy.vda1", "boot.copy.vdb1.\(new.id)", "boot.entry.vdb1.\(new.id)"])
        // Builds that were never booted do not pile up.
        let piled = try Fixture.system([
            Fixture.esp([
                old, Fixture.entry("debian", order: 101, left: 3, generation: 2),
                Fixture.entry("debian", order: 102, left: 3, generation: 3),
            ])
        ])
        let gone = BootTrial(piled).equal.steps.flatMap(\.actions).map(\.text).filter { $0.hasPrefix("remove") }
        #expect(gone.count == 2 && gone.allSatisfy { $0.contains(".2") })
        // Not before the newer one has proved itself.
        let unproven = try Fixture.system([Fixture.esp([old, Fixture.entry("debian", order: 101, left: 3, generation: 2)])])
        #expect(BootTrial(unproven).equal.steps.isEmpty)
    }

    @Test("what boots a dataset that is gone goes too; another pool's is left alone")
    func orphans() throws {
        var foreign = Fixture.entry("debian", order: 50)
        foreign.dataset = "tank/ROOT/other"
        let system = try Fixture.system([
            Fixture.esp([Fixture.entry("debian", order: 100), Fixture.entry("gone", order: 200, left: 0, done: 3), foreign])
        ])
        let steps = BootTrial(system).equal.steps
        #expect(steps.map(\.id) == ["boot.tidy.vda1"])
        #expect(steps.flatMap(\.actions).map(\.text).filter { $0.hasPrefix("remove") }.count == 2)
        #expect(steps.flatMap(\.actions).allSatisfy { !$0.text.contains("other") })
    }

    @Test("the loader's word counts for which of two builds was started")
    func selected() throws {
        var system = try Fixture.system([
            Fixture.esp([Fixture.entry("debian", order: 100), Fixture.entry("debian", order: 101, left: 2, done: 1, generation: 2)])
        ])
        #expect(BootTrial(system).pending?.generation == 2)
        system.selected = Fixture.entry("debian", order: 100).id.lowercased()
        #expect(BootTrial(system).pending == nil)
    }

    @Test("an entry of the same name that starts another image is not the same")
    func otherImage() throws {
        let own = Fixture.entry("debian", order: 100)
        var shared = own
        shared.sharedImage = "EFI/kldload/kldload-x-6.1.efi"
        let system = try Fixture.system([Fixture.esp([own]), Fixture.esp([shared], "/dev/vdb1")])
        #expect(!BootTrial(system).equal.steps.isEmpty)
    }
}

/// FAT as a power cut leaves it: what was synced is there; every write of the plan is a place to cut.
@Suite("A power cut while an ESP is written")
struct PowerCutTests {
    /// The loader's choice from what lies on an ESP: the entry, if its image is whole.
    static func boots(_ files: MemoryFiles, _ mount: String) -> BootEntry? {
        let entries = files.texts.compactMap { path, text -> BootEntry? in
            guard path.hasPrefix("\(mount)/\(BootEntry.folder)/"), let name = path.split(separator: "/").last else { return nil }
            return BootEntry(fileName: String(name), text: text)
        }
        // The loader passes over entries whose program is missing. Source: `config_entry_add_type1()`, systemd 252.
        return entries.filter { files.texts["\(mount)/\($0.imagePath)"] != nil }.sorted(by: BootEntry.precedes).first { !$0.isExhausted }
    }

    /// Runs what a plan does to files and nothing else; ends after so many changes, the last copy of them half done.
    final class Cutter: CommandRunner {
        let files: MemoryFiles
        init(_ files: MemoryFiles) { self.files = files }
        func run(_ command: Command) async throws -> CommandOutput {
            let words = command.arguments
            switch command.tool.name {
            case "cp": try files.write(files.read(FilePath(words[0])), to: FilePath(words[1]), mode: .file)
            case "mv": try files.rename(FilePath(words[1]), to: FilePath(words[2]))
            case "cmp":
                guard try files.read(FilePath(words[0])) == files.read(FilePath(words[1])) else {
                    throw CommandError.failed(command, CommandOutput(status: 1))
                }
            case "ukify":
                let output = words.first { $0.hasPrefix("--output=") }.map { String($0.dropFirst(9)) } ?? ""
                let line = words.first { $0.hasPrefix("--cmdline=") } ?? ""
                try files.write(line, to: FilePath(output))
            default: break
            }
            return CommandOutput()
        }
        func run(pipeline: [Command]) async throws -> CommandOutput { CommandOutput() }
    }

    static func changes(_ plan: Plan) -> [Action] { plan.steps.flatMap(\.actions) }

    /// Two ESPs of a machine, with whole images for every entry.
    static func disk(_ system: BootSystem) throws -> MemoryFiles {
        let files = MemoryFiles(["/proc/self/mounts": ""])
        for esp in system.esps {
            for entry in esp.entries {
                try files.write(entry.text, to: FilePath("\(esp.workplace.string)/\(entry.path)"))
                try files.write("--cmdline=whole", to: FilePath("\(esp.workplace.string)/\(entry.imagePath)"))
            }
        }
        return files
    }

    @Test("each ESP boots the old or the new environment, whole, after every single write of every verb")
    func everyCut() async throws {
        let (debian, test) = (Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 2, done: 1))
        let both = [debian, test]
        func two(_ entries: [BootEntry], running: String = "debian") throws -> BootSystem {
            try Fixture.system(
                [Fixture.esp(entries), Fixture.esp(entries, "/dev/vdb1", mounted: false)], running: running, bootfs: running)
        }
        let other = [debian, Fixture.entry("test", order: 50)]
        // The image that runs is another's, and starts a third one; its maker goes; an ESP lacks it.
        var sharing = Fixture.entry("test", order: 200)
        sharing.sharedImage = debian.imagePath
        var third = try Fixture.target("third")
        third.kernels[0].images = ["/dev/vda1": [debian.imagePath], "/dev/vdb1": [debian.imagePath]]
        let lone = try Fixture.system(
            [Fixture.esp([debian, sharing]), Fixture.esp([debian], "/dev/vdb1", mounted: false)], running: "test", bootfs: "test")
        let cases: [(BootSystem, Plan)] = [
            (try two([debian]), try BootEnvironments(two([debian])).activate(Fixture.target("test"))),
            (try two([debian]), try BootEnvironments(two([debian])).activate(Fixture.target("test"), once: true)),
            (
                try two(both, running: "test"),
                try BootEnvironments(two(both, running: "test")).activate(
                    BootStagingTests.matching("debian", on: ["/dev/vda1", "/dev/vdb1"]))
            ),
            (
                try two([debian]),
                Plan("refresh", [Phase("a", "A", try BootStaging(two([debian]), Fixture.target("debian"), .unchanged).steps())])
            ),
            (try two(both, running: "test"), BootTrial(try two(both, running: "test")).proven),
            (try two(other), try BootEnvironments(two(other)).destroy("test")),
            (
                try two([debian, sharing], running: "test"),
                try BootEnvironments(two([debian, sharing], running: "test")).activate(third)
            ),
            (
                try two([debian, sharing], running: "test"),
                try BootEnvironments(two([debian, sharing], running: "test")).destroy("debian")
            ),
            (lone, BootTrial(lone).equal),
        ]
        var cuts = 0
        for (system, plan) in cases {
            let actions = Self.changes(plan)
            let before = try Self.disk(system)
            let mounts = system.esps.map(\.workplace.string)
            func what(_ entry: BootEntry?) -> [String?] { [entry?.dataset, entry?.imagePath] }
            let old = mounts.map { what(Self.boots(before, $0)) }
            for count in 0...actions.count {
                let files = try Self.disk(system)
                let runner = PlanRunner(runner: Cutter(files), files: files, performers: [BootPerformers.mountESP: { _, _, _ in }])
                let head = Step("cut", "Cut", Array(actions.prefix(count)), destroys: plan.destroys)
                try await runner.apply(
                    Plan("cut", [Phase("cut", "Cut", [head])]),
                    approvals: plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) })
                // Cut in the middle of the next copy: under its hidden name lies half of it.
                if count < actions.count, case .run(let command) = actions[count], command.tool.name == "cp" {
                    try files.write("--cmd", to: FilePath(command.arguments[1]))
                }
                for (index, mount) in mounts.enumerated() {
                    let choice = Self.boots(files, mount)
                    let whole = choice.flatMap { files.texts["\(mount)/\($0.imagePath)"] }?.contains("=") ?? false
                    #expect(choice != nil && whole, "\(plan.title), after \(count): nothing boots from \(mount)")
                    let new = what(Self.boots(try await Self.finished(system, plan), mount))
                    #expect(what(choice) == old[index] || what(choice) == new, "\(plan.title), after \(count)")
                    cuts += 1
                }
            }
        }
        #expect(cuts > 100)
    }

    static func finished(_ system: BootSystem, _ plan: Plan) async throws -> MemoryFiles {
        let files = try disk(system)
        let all = Step("all", "All", changes(plan), destroys: plan.destroys)
        try await PlanRunner(runner: Cutter(files), files: files, performers: [BootPerformers.mountESP: { _, _, _ in }])
            .apply(Plan("all", [Phase("a", "A", [all])]), approvals: plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) })
        return files
    }
}
