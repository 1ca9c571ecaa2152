import ArgumentParser
import FoundationEssentials
import Glibc
import KldAnswers
import KldBoot
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldImage
import KldInstall
import KldPlan
import KldTerminal
import KldZFS
import SystemPackage

/// Where the root file system of an installation comes from.
struct PayloadOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A folder with payload.json, and root.zfs and rest.tar, or rootfs.tar(.zst); default: the one on this medium, or where it came from.",
            valueName: "folder"))
    var payload: String?

    /// - Parameter whole: `false`: for a plan. What would come over the network is not fetched then.
    /// - Throws: ``Diagnosis`` `install.no-payload`; of ``PayloadCheck``, ``PayloadFolder`` and ``NetworkMedium``.
    func find(_ answers: Answers, whole: Bool = true) async throws -> InstallRequest.Payload {
        let files = LocalFiles()
        let medium = try payload == nil ? NetworkMedium.running(files) : nil
        func fetched(_ folder: String, whole: Bool) async throws -> FilePath? {
            try await medium?.fetch(folder, whole: whole, runner: SubprocessRunner(), files: files, say: { Reporter.note($0) })
        }
        var folder = LiveMedium.mountPoint.appending(LiveMedium.payload(answers))
        var isElsewhere = false
        if let payload {
            folder = Host.absolute(payload)
        } else if let found = try await fetched(LiveMedium.payload(answers), whole: whole) {
            (folder, isElsewhere) = (found, !whole)
        }
        guard try files.exists(folder.appending("payload.json")) else {
            throw Diagnosis(
                "install.no-payload",
                "there is no root file system for \(answers.distro.rawValue) \(answers.release), profile \(answers.profile.rawValue), here",
                remedies: ["name a folder that holds one: --payload FOLDER", "or build an image instead: kldload image build"],
                exit: .inputMissing)
        }
        let info = try PayloadCheck.read(folder.appending("payload.json"), files)
        // A mirror was verified with the payload beside it; another may need more.
        let mirror = LiveMedium.mountPoint.appending(LiveMedium.mirror(answers))
        _ = try await fetched(LiveMedium.mirror(answers), whole: false)
        let lacking = try PayloadCheck.check(
            info, for: answers, installed: PayloadCheck.installed(folder, files),
            mirror: payload == nil ? PayloadCheck.mirror(mirror, files) : nil)
        if whole, !lacking.isEmpty { _ = try await fetched(LiveMedium.mirror(answers), whole: true) }
        let found = try PayloadFolder(folder, files: files)
        let source = try found.source(elsewhere: isElsewhere, files: files)
        // What came over the network was compared when it came.
        if whole, medium == nil {
            try await found.verify(
                source, mirror: lacking.isEmpty ? nil : LiveMedium.mirror(answers), runner: SubprocessRunner(), files: files,
                say: { Reporter.note($0) })
        }
        return InstallRequest.Payload(
            source, kernel: info.kernel, openZFS: info.openZFS,
            additions: lacking.isEmpty ? nil : .init(packages: lacking, mirror: mirror), locale: info.spec.locale)
    }
}

struct PlanCommand: AsyncParsableCommand {
    /// Stands for the one that an installation finds; the command's description names it.
    static let payload = InstallRequest.Payload(.stream(root: "root.zfs", rest: "rest.tar"), kernel: "KERNEL", openZFS: "OPENZFS")

    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Show what an installation would do to which disk, step by step.",
        discussion: """
            It looks for no payload, and so does not know which root file system will be unpacked: KERNEL, root.zfs and rest.tar stand \
            for what an installation finds, and the steps that install what the payload lacks are missing. kldload install --dry-run \
            shows the plan for the payload that it finds.
            """)

    @Option(help: "The answers file.") var answers: String
    @OptionGroup var options: AnswersOptions
    @Option(help: "Plan for the machine that this file describes (kldload facts).") var facts: String?
    @Option(help: "table or json.") var format = TableFormat.table
    @Flag(help: "Also print what is written into files.") var contents = false

    func run() async throws {
        let answers = try options.load(answers)
        // Host id and serial numbers are made when the plan is applied.
        let plan = try InstallCommand.planner(
            answers, Self.payload, .placeholder, await SavedFacts.machine(facts, asked: answers.allDisks)
        ).plan
        if format == .json {
            try Output.json(plan.json)
        } else {
            Output.line(plan.text(contents: contents))
        }
    }
}

struct FactsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "facts", abstract: "Print what the planner knows of this machine, for kldload plan --facts.")

    func run() async throws {
        try Output.json(try await MachineFacts.gather(runner: SubprocessRunner(), files: LocalFiles()))
    }
}

struct InstallCommand: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "install", abstract: "Install onto the disks of this machine.",
        discussion: "Disks are wiped only with KLDLOAD_FORCE_WIPE=1 beside their names in the answers, when their names are typed, "
            + "or when they are empty and the answers say KLDLOAD_DISK=auto.")

    @Option(help: "The answers file.") var answers: String
    @OptionGroup var options: AnswersOptions
    @OptionGroup var payload: PayloadOptions
    @Flag(help: "Print the plan and change nothing.") var dryRun = false
    @Option(help: "How --dry-run prints: table or json.") var format = TableFormat.table
    @Option(help: ArgumentHelp("Go on with this step: an earlier run since power-on did those before it.", valueName: "step")) var from:
        String?
    /// Nobody is told what to do next: the caller does it.
    @Flag(help: .hidden) var unattended = false
    @OptionGroup var progress: ProgressOptions
    var form: ProgressOptions.Form { progress.progress }

    func run() async throws { try await run { _ in } }

    /// - Parameter beforeEnd: called before the process ends because a disk takes no writes any more: nothing of the caller runs afterwards.
    ///   What it runs must have a limit.
    /// - Returns: what a person must do at the machine's next start, with a password that was made for that and is nowhere else; else `nil`.
    @discardableResult
    func run(beforeEnd: @escaping @Sendable (Diagnosis) async -> Void) async throws -> String? {
        let answers = try options.load(answers, forMachine: true)
        let runner = ZFSExplainingRunner(Host.tellingRunner)
        let files = LocalFiles()
        let (lock, payload) = try await Self.begin(dryRun: dryRun) { try await self.payload.find(answers, whole: !dryRun) }
        defer { withExtendedLifetime(lock) {} }
        func facts() async throws -> MachineFacts { try await MachineFacts.gather(runner: runner, files: files, asked: answers.allDisks) }
        if dryRun {
            let plan = try await Self.planner(answers, payload, .placeholder, facts()).plan
            if format == .json { try Output.json(plan.json) } else { Output.line(plan.text()) }
            return nil
        }
        // A resumed installation goes on as the machine it began.
        var state =
            if from == nil {
                try await InstallState(identity: .random(), answers: answers, salt: InstallState.randomSalt(), runner: runner)
            } else {
                try await InstallState.resuming(answers, runner: runner, files: files)
            }
        // First of all: without it nobody knows which pools are imported.
        try await Preflight.loadOpenZFS(runner)
        for line in try await InstallRecovery.run(runner: runner, files: files, say: { Reporter.note($0) }) {
            Reporter.note("an earlier run was cut off: \(line)")
        }
        var planner = try await Self.planner(answers, payload, state.identity, facts())
        state.keep(wiped: planner.partitions, from: from)
        planner.wiped = state.wiped
        let plan = try planner.plan
        try Preflight.check(plan, planner.facts, signed: answers.secureBoot, files: files) { Reporter.note($0) }
        if answers.secureBoot, let own = answers.mokFiles {
            try await MachineOwnerKey.requirePair(key: own.key, certificate: own.certificate, runner: runner)
        }
        if let from { try InstallState.check(plan, from: from, files: files) }
        let log = EventLog.install
        let approvals = try await Host.approvals(for: plan, given: planner.approvals, machine: progress.progress == .json)
        try PlanRunner.check(plan, approvals: approvals, from: from)
        // In this order: a record of steps without the identity they were done with would let an installation go on as another machine.
        let journal = try PlanJournal(InstallState.journal, keeping: from != nil, files: files)
        try state.write(files)
        let reporter = try Reporter(progress, log: log, resuming: from != nil)
        let watch = PoolWatch.endProcess(whenSuspended: answers.poolName, disks: planner.diskNames, log: log, files: files) { problem in
            reporter.report(PlanEvent(.planFailed, message: problem.message, diagnosis: problem))
            Reporter.fail(problem)
            await beforeEnd(problem)
        }
        defer { watch.cancel() }
        let performers = Performers.table(logs: [log]) { _, _, _ in
            throw Diagnosis("seal.not-here", "an installed machine is not sealed", exit: .bug)
        }
        try await PlanRunner(runner: runner, files: files, performers: performers, journal: journal, report: reporter.report)
            .apply(plan, approvals: approvals, from: from)
        try? planner.keepManifest(files)
        let made = planner.requestsEnrolment && answers.mokPassword == nil ? try files.readText(KeyEnrolment.passwordFile).trimmed : nil
        // Not through the log: it is a password.
        if planner.requestsEnrolment, progress.progress != .json { Output.error(KeyEnrolment.instruction(made)) }
        // Everything is exported and the log is on the new machine.
        if !unattended, let command = answers.afterInstallCommand {
            try await runner.run(command)
        } else if progress.progress != .json, !unattended {
            Output.errorLine("the machine can be restarted: systemctl reboot")
        }
        return EFIVariable.isSecureBootOn(files) && KeyEnrolment.isWaiting(files) ? made.map { KeyEnrolment.instruction($0) } : nil
    }
}

extension InstallCommand {
    /// Finds what is installed. That takes minutes where it is fetched or read whole, so who may not install is refused before.
    ///
    /// - Parameter root: whether the user is root.
    /// - Returns: what `find` found, and the lock that keeps other installers out; a dry run needs none.
    /// - Throws: ``Diagnosis`` `install.not-root`, `lock.held`; ``FileError``; what `find` throws.
    static func begin<Payload>(
        dryRun: Bool, root: Bool = Host.isRoot, lock: FilePath = "/run/kldload/install.lock", find: () async throws -> Payload
    ) async throws -> (lock: FileLock?, payload: Payload) {
        if dryRun { return (nil, try await find()) }
        try requireRoot(root)
        let held = try FileLock(lock)
        return (held, try await find())
    }

    /// - Throws: ``Diagnosis`` `install.not-root`.
    static func requireRoot(_ root: Bool) throws {
        guard root else {
            throw Diagnosis(
                "install.not-root", "installing needs root", remedies: ["sudo kldload install …", "look first: --dry-run"], exit: .needsRoot
            )
        }
    }

    static func planner(
        _ answers: Answers, _ payload: InstallRequest.Payload, _ identity: InstallRequest.Identity, _ facts: MachineFacts
    ) throws -> InstallPlanner {
        try InstallPlanner(
            InstallRequest(
                answers: answers, facts: facts,
                spec: try DistroSpec.find(distro: answers.distro.rawValue, suite: answers.release, backports: answers.backports),
                profile: try ProfileSpec.find(answers.profile.rawValue), payload: payload, identity: identity,
                sealed: false, version: Version.number, executable: Host.executable))
    }
}

struct FirstBootCommand: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "firstboot", abstract: "Finish a machine on its first boot: identities, keys, growth.",
        discussion: "May run again: it does what is missing. Exit status: 0 everything is done, else that of the first task "
            + "that failed, and the others were done; of --status: 0 everything is done, 2 something is left.")

    @Flag(help: "Print what is left to do and change nothing.") var dryRun = false
    @Flag(help: "Show which task is done, and which is left.") var status = false
    @Option(help: "How --dry-run and --status print: table or json.") var format = TableFormat.table
    @OptionGroup var progress: ProgressOptions
    var form: ProgressOptions.Form { progress.progress }

    func validate() throws {
        if dryRun, status { throw ValidationError("one of --dry-run and --status") }
    }

    func run() async throws {
        let (runner, files) = (ZFSExplainingRunner(Host.tellingRunner), LocalFiles())
        if status {
            let status = try FirstBootStatus.read(files)
            Output.line(format == .json ? Self.json(status) : Self.text(status))
            if status.state != .done { throw ExitCode(ExitStatus.problemsFound.rawValue) }
            return
        }
        if dryRun {
            let plan = try await FirstBoot.gather(runner: runner, files: files).plan
            if format == .json { try Output.json(plan.json) } else { Output.line(plan.text()) }
            return
        }
        let lock = try FileLock("/run/kldload/firstboot.lock")
        defer { withExtendedLifetime(lock) {} }
        let plan = try await FirstBoot.gather(runner: runner, files: files).plan
        let journal = try PlanJournal(FirstBoot.journalFile, keeping: true, files: files)
        try FirstBootStatus.write(plan, files)
        let reporter = try Reporter(progress, log: FirstBoot.log, resuming: true, steps: plan.steps.map(\.id))
        try await PlanRunner(
            runner: runner, files: files, performers: FirstBoot.performers, journal: journal, report: reporter.report
        ).apply(plan)
    }

    static func text(_ status: FirstBootStatus) -> String {
        var table = TextTable([("STATE", .left), ("TASK", .left), ("WHAT", .left)])
        for task in status.tasks { table.add([task.state.rawValue, task.id, task.title]) }
        let done = status.tasks.count { $0.state == .done }
        let what =
            switch status.state {
            case .notBegun: "the first boot has not begun"
            case .unfinished: "the first boot is not finished: \(done) of \(status.tasks.count) tasks are done"
            case .done: "the first boot is done"
            }
        return status.tasks.isEmpty ? what : "\(what)\n\n\(table.text)"
    }

    /// `firstboot/1`.
    static func json(_ status: FirstBootStatus) -> String {
        let tasks = status.tasks.map { task in
            JSONText.object([
                ("id", .text(task.id)), ("title", .text(task.title)), ("state", .text(task.state.rawValue)),
                ("weight", .number(UInt64(task.weight))), ("needs", .texts(task.needs)),
            ])
        }
        return JSONText.object([
            ("schema", .text("firstboot/1")), ("state", .text(status.state.rawValue)), ("tasks", .list(tasks)),
        ]).rendered
    }
}

/// Called at each boot, before local file systems count as mounted.
struct MountESPCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount-esp", abstract: "Mount the EFI system partition that this machine was started from at /boot/efi.")

    func run() async throws {
        let device = try await MountedESP.mount(runner: SubprocessRunner(), files: LocalFiles())
        Output.line(device.map { "\($0) is mounted at \(MountedESP.place)" } ?? "\(MountedESP.place) is mounted already")
    }
}

/// Started when `/etc/shadow` changes on a machine that was installed with the default password.
struct DefaultPasswordCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "default-password", abstract: "Accept passwords over SSH once the default one was changed.", shouldDisplay: false)

    func run() async throws {
        let (runner, files) = (SubprocessRunner(), LocalFiles())
        let plan = DefaultPassword.plan(
            shadow: try files.readText("/etc/shadow"), dropIn: try? files.readText(FilePath(DefaultPassword.sshDropIn)))
        try await PlanRunner(runner: runner, files: files).apply(plan)
    }
}
