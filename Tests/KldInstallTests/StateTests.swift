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
    static func begun(_ answers: Answers) throws -> MemoryFiles {
        let files = MemoryFiles()
        try InstallState(identity: identity, answers: answers).write(files)
        return files
    }

    @Test("the machine keeps the identity that it was given")
    func same() throws {
        let answers = try answers()
        #expect(try InstallState.resuming(answers, files: Self.begun(answers)).identity == identity)
    }

    @Test("nothing begun, or nothing legible, is nothing to go on from")
    func nothing() throws {
        let answers = try answers()
        for files in [MemoryFiles(), MemoryFiles([InstallState.file.string: "{}"])] {
            let problem = problem { _ = try InstallState.resuming(answers, files: files) }
            #expect(problem?.code == "install.nothing-to-resume")
            #expect(problem?.exit == .usage)
        }
    }

    @Test("other answers are refused, and the keys that differ are named")
    func otherAnswers() throws {
        let files = try Self.begun(answers("KLDLOAD_TIMEZONE=Europe/Berlin", "KLDLOAD_USERNAME=ops"))
        let problem = problem {
            _ = try InstallState.resuming(answers("KLDLOAD_TIMEZONE=America/Toronto", "KLDLOAD_ZFS_POOL=tank"), files: files)
        }
        #expect(problem?.code == "install.cannot-resume")
        #expect(
            problem?.message
                == "the installation was begun with other answers: KLDLOAD_TIMEZONE, KLDLOAD_USERNAME, KLDLOAD_ZFS_POOL")
    }

    @Test("what is kept holds no secret, and only root may read it")
    func secrets() throws {
        let files = try Self.begun(answers("KLDLOAD_PASSWORD='\(RandomRequests.secrets[0])'"))
        let text = try #require(files.texts[InstallState.file.string])
        #expect(text.contains("KLDLOAD_PASSWORD"))
        #expect(!text.contains(RandomRequests.secrets[0]))
        #expect(files.mode(of: InstallState.file.string) == .secret)
    }

    @Test("an installation on a disk that nobody named cannot go on: the disk is not empty any more")
    func automatic() throws {
        let answers = try answers(disk: "auto")
        let problem = problem { _ = try InstallState.resuming(answers, files: Self.begun(answers)) }
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
