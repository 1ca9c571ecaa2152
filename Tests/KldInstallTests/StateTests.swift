import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("Going on with an installation")
struct StateTests {
    /// A digest as short as a test's may be: two texts have the same where they are equal.
    static let runner = ScriptedRunner([
        { command in
            guard command.description == "sha256sum --binary < <redacted>", case .secret(let text) = command.input else { return nil }
            let sum = text.reveal().utf8.reduce(UInt64(5381)) { $0 &* 33 &+ UInt64($1) }
            return CommandOutput(output: "\(sum) *-\n")
        }
    ])

    static func begun(_ answers: Answers) async throws -> MemoryFiles {
        let files = MemoryFiles()
        try await InstallState(identity: identity, answers: answers, salt: "1-2", runner: runner).write(files)
        return files
    }

    @Test("the machine keeps the identity that it was given")
    func same() async throws {
        let answers = try answers()
        let state = try await InstallState.resuming(answers, runner: Self.runner, files: Self.begun(answers))
        #expect(state.identity == identity)
    }

    @Test("nothing begun, or nothing legible, is nothing to go on from")
    func nothing() async throws {
        let answers = try answers()
        for files in [MemoryFiles(), MemoryFiles([InstallState.file.string: "{}"])] {
            let problem = await problem { _ = try await InstallState.resuming(answers, runner: Self.runner, files: files) }
            #expect(problem?.code == "install.nothing-to-resume")
            #expect(problem?.exit == .usage)
        }
    }

    @Test("other answers are refused, and the keys that differ are named")
    func otherAnswers() async throws {
        let files = try await Self.begun(answers("KLDLOAD_TIMEZONE=Europe/Berlin", "KLDLOAD_USERNAME=ops"))
        let others = try answers("KLDLOAD_TIMEZONE=America/Toronto", "KLDLOAD_ZFS_POOL=tank")
        let problem = await problem { _ = try await InstallState.resuming(others, runner: Self.runner, files: files) }
        #expect(problem?.code == "install.cannot-resume")
        #expect(
            problem?.message
                == "the installation was begun with other answers: KLDLOAD_TIMEZONE, KLDLOAD_USERNAME, KLDLOAD_ZFS_POOL")
    }

    @Test("another secret is refused, and not silently left as it was; a state of an older version cannot tell")
    func otherSecret() async throws {
        let (old, new) = (try answers("KLDLOAD_PASSWORD='old horse battery'"), try answers("KLDLOAD_PASSWORD='new horse battery'"))
        #expect(old.redactedEnvironmentText == new.redactedEnvironmentText)
        let files = try await Self.begun(old)
        let problem = await problem { _ = try await InstallState.resuming(new, runner: Self.runner, files: files) }
        #expect(problem?.code == "install.cannot-resume")
        #expect(problem?.message.contains("another secret") == true)
        var state = try await InstallState.resuming(old, runner: Self.runner, files: files)
        (state.salt, state.digest) = (nil, nil)
        try state.write(files)
        #expect(files.texts[InstallState.file.string]?.contains("digest") == false)
        #expect(try await InstallState.resuming(new, runner: Self.runner, files: files) == state)
    }

    @Test("no two installations have the same digest of the same answers")
    func salt() async throws {
        let answers = try answers()
        #expect(InstallState.randomSalt() != InstallState.randomSalt())
        let one = try await InstallState(identity: identity, answers: answers, salt: "1", runner: Self.runner)
        let other = try await InstallState(identity: identity, answers: answers, salt: "2", runner: Self.runner)
        #expect(one.digest != other.digest)
    }

    @Test("what is kept holds no secret, and only root may read it")
    func secrets() async throws {
        let files = try await Self.begun(answers("KLDLOAD_PASSWORD='\(RandomRequests.secrets[0])'"))
        let text = try #require(files.texts[InstallState.file.string])
        #expect(text.contains("KLDLOAD_PASSWORD"))
        #expect(!text.contains(RandomRequests.secrets[0]))
        #expect(files.mode(of: InstallState.file.string) == .secret)
    }

    @Test("what was wiped is kept: going on, the firmware forgets what was there before, and not what was made since")
    func wiped() async throws {
        let answers = try answers()
        var state = try await InstallState(identity: identity, answers: answers, salt: "1", runner: Self.runner)
        func planner(_ partition: String) throws -> InstallPlanner {
            var part = BlockDevice.part("vda1", "vfat")
            part.partitionID = partition
            var facts = Machines.plain(.disk("vda") { $0.children = [part] })
            facts.firmwareEntries = true
            var planner = try InstallPlanner(request(answers, facts))
            planner.wiped = state.wiped
            return planner
        }
        func forgotten(_ partition: String) throws -> [String]? {
            try planner(partition).plan[step: "boot.old-entries"]?.actions.map(\.text)
        }
        #expect(try planner("old-1").partitions == ["old-1"])
        state.keep(wiped: ["old-1"], from: nil)
        let files = MemoryFiles()
        try state.write(files)
        state = try await InstallState.resuming(answers, runner: Self.runner, files: files)
        state.keep(wiped: ["new-1"], from: "boot.uki")
        #expect(try forgotten("new-1") == ["boot.forget-entries partitions=old-1"])
        // Wiped once more.
        state.keep(wiped: ["old-1", "new-1"], from: "disk.wipe.vda")
        #expect(try forgotten("new-2") == ["boot.forget-entries partitions=old-1 new-1"])
        // An empty disk: a step that the plan did not have at first would never have been done.
        state.keep(wiped: [], from: nil)
        state.keep(wiped: ["new-1"], from: "boot.uki")
        #expect(try forgotten("new-1") == nil)
    }

    @Test("an installation on a disk that nobody named cannot go on: the disk is not empty any more")
    func automatic() async throws {
        let answers = try answers(disk: "auto")
        let files = try await Self.begun(answers)
        let problem = await problem { _ = try await InstallState.resuming(answers, runner: Self.runner, files: files) }
        #expect(problem?.code == "install.cannot-resume")
        #expect(problem?.remedies.first?.contains("KLDLOAD_DISK=") == true)
    }

    @Test("it goes on with the step that was not done, or with one before it, and with none after it")
    func steps() throws {
        let plan = try InstallPlanner(request(answers(), Machines.virtual)).plan
        let ids = plan.steps.map(\.id)
        let done = ids.prefix { $0 != "system.users" }.map { "started \($0)\ndone \($0)\n" }.joined()
        let files = MemoryFiles([InstallState.journal.string: done + "started system.users\n"])
        for id in ["disk.wipe.vda", "system.names", "system.users"] { try InstallState.check(plan, from: id, files: files) }
        let early = problem { try InstallState.check(plan, from: "system.ssh", files: files) }
        #expect(early?.code == "install.cannot-resume")
        #expect(early?.message == "the installation cannot go on with system.ssh: system.users, before it, was not done")
        #expect(early?.remedies.first == "--from system.users")
        // What they left half done cannot be told from what is whole.
        for id in ["disk.partition.vda", "zfs.pool.create", "zfs.root", "zfs.datasets"] {
            #expect(problem { try InstallState.check(plan, from: id, files: files) }?.code == "install.cannot-resume", "\(id)")
        }
        let wiped = ids.prefix { $0 != "zfs.root" }.map { "started \($0)\ndone \($0)\n" }.joined() + "started zfs.root\n"
        let refusal = problem {
            try InstallState.check(plan, from: "system.users", files: MemoryFiles([InstallState.journal.string: wiped]))
        }
        #expect(refusal?.remedies == ["begin anew: leave out --from"])
        // The runner names the steps there are.
        try InstallState.check(plan, from: "no.such.step", files: files)
    }

    @Test("it goes on with its last step, whichever of users and kernel was done first")
    func afterBoth() throws {
        let plan = try InstallPlanner(request(answers(), Machines.virtual)).plan
        let ids = plan.steps.map(\.id)
        let last = try #require(ids.last)
        let accounts = try #require(plan.phases.first { $0.id == "accounts" }).steps.map(\.id)
        let kernel = try #require(plan.phases.first { $0.id == "kernel" && $0.beside }).steps.map(\.id)
        for both in [accounts + kernel, kernel + accounts] {
            let before = Array(ids.prefix { $0 != accounts.first })
            let after = Array(ids.dropFirst(before.count + both.count).dropLast())
            let order = before + both + after
            #expect(Set(order).count == ids.count - 1)
            let text = order.map { "started \($0)\ndone \($0)\n" }.joined() + "started \(last)\nfailed \(last)\n"
            try InstallState.check(plan, from: last, files: MemoryFiles([InstallState.journal.string: text]))
        }
    }

    @Test("without a record only the first step can be begun with")
    func noRecord() throws {
        let plan = try InstallPlanner(request(answers(), Machines.virtual)).plan
        try InstallState.check(plan, from: plan.steps[0].id, files: MemoryFiles())
        #expect(problem { try InstallState.check(plan, from: plan.steps[1].id, files: MemoryFiles()) }?.code == "install.cannot-resume")
    }
}

@Suite("After an installation")
struct AfterInstallTests {
    @Test(
        "the machine does what the answers say, and nothing by itself",
        arguments: [
            ("KLDLOAD_AFTER_INSTALL=poweroff", "systemctl poweroff"), ("KLDLOAD_AFTER_INSTALL=reboot", "systemctl reboot"), ("", nil),
            ("KLDLOAD_NO_AUTO_REBOOT=1", nil), ("KLDLOAD_NO_AUTO_REBOOT=0", nil),
            ("KLDLOAD_NO_AUTO_REBOOT=0\nKLDLOAD_AFTER_INSTALL=reboot", "systemctl reboot"),
        ] as [(String, String?)])
    func command(_ lines: String, _ command: String?) throws {
        #expect(try answers(lines).afterInstallCommand?.description == command)
    }

    @Test("a copy of the new system's manifest outlives the export of its pool")
    func manifest() throws {
        let (planner, files) = (try InstallPlanner(request(answers(), Machines.virtual)), MemoryFiles())
        try planner.keepManifest(files)
        let written = try planner.plan.steps.flatMap(\.actions).contains { action in
            guard case .write(let path, .text(let text), _) = action, path.string.hasSuffix(InstallManifest.path) else { return false }
            return text == files.texts[InstallState.manifest.string]
        }
        #expect(written)
    }
}
