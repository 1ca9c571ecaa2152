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
import SystemPackage

/// Where the root file system of an installation comes from.
struct PayloadOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A folder with payload.json, and root.zfs and rest.tar, or rootfs.tar(.zst); default: the one on this medium.",
            valueName: "folder"))
    var payload: String?

    /// - Throws: ``Diagnosis`` `install.no-payload`.
    func find(_ answers: Answers) async throws -> InstallRequest.Payload {
        let folder: FilePath
        if let payload {
            folder = Host.absolute(payload)
        } else {
            folder = FilePath(
                "/run/initramfs/live/kldload/payloads/\(answers.distro.rawValue)-\(answers.release)-\(answers.profile.rawValue)")
        }
        let files = LocalFiles()
        guard try files.exists(folder.appending("payload.json")) else {
            throw Diagnosis(
                "install.no-payload",
                "there is no root file system for \(answers.distro.rawValue) \(answers.release), profile \(answers.profile.rawValue), here",
                remedies: ["name a folder that holds one: --payload FOLDER", "or build an image instead: kldload image build"],
                exit: .inputMissing)
        }
        let info = try JSONDecoder().decode(PayloadInfo.self, from: Data(files.read(folder.appending("payload.json"))))
        let (stream, compressed) = (folder.appending("root.zfs"), folder.appending("rootfs.tar.zst"))
        let source: InstallRequest.Payload.Source =
            if try files.exists(stream) {
                .stream(root: stream, rest: folder.appending("rest.tar"))
            } else {
                .archive(try files.exists(compressed) ? compressed : folder.appending("rootfs.tar"))
            }
        return InstallRequest.Payload(source, kernel: info.kernel, openZFS: info.openZFS)
    }
}

struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Show what an installation would do to which disk, step by step.")

    @Option(help: "The answers file.") var answers: String
    @OptionGroup var options: AnswersOptions
    @Option(help: "Plan for the machine that this file describes (kldload facts).") var facts: String?
    @Option(help: "table or json.") var format = TableFormat.table
    @Flag(help: "Also print what is written into files.") var contents = false

    func run() async throws {
        let answers = try options.load(answers)
        let runner = SubprocessRunner()
        let files = LocalFiles()
        let machine =
            if let facts { try JSONDecoder().decode(MachineFacts.self, from: Data(files.read(Host.absolute(facts)))) } else {
                try await MachineFacts.gather(runner: runner, files: files)
            }
        // Host id and serial numbers are made when the plan is applied; here they stand for themselves.
        let planner = try InstallPlanner(
            InstallRequest(
                answers: answers, facts: machine,
                spec: try DistroSpec.find(distro: answers.distro.rawValue, suite: answers.release, backports: answers.backports),
                profile: try ProfileSpec.find(answers.profile.rawValue),
                payload: InstallRequest.Payload(.stream(root: "root.zfs", rest: "rest.tar"), kernel: "KERNEL", openZFS: "OPENZFS"),
                identity: .random(),
                sealed: false, version: Version.number, executable: Host.executable))
        let plan = try planner.plan
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

struct InstallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install", abstract: "Install onto the disks of this machine.",
        discussion: "Disks are wiped only with KLDLOAD_FORCE_WIPE=1 beside their names in the answers, or when their names are typed.")

    @Option(help: "The answers file.") var answers: String
    @OptionGroup var options: AnswersOptions
    @OptionGroup var payload: PayloadOptions
    @Flag(help: "Print the plan and change nothing.") var dryRun = false
    @Option(help: ArgumentHelp("Go on with this step: an earlier run since power-on did those before it.", valueName: "step")) var from:
        String?
    @OptionGroup var progress: ProgressOptions

    func run() async throws {
        let answers = try options.load(answers)
        let runner = SubprocessRunner()
        let files = LocalFiles()
        let payload = try await payload.find(answers)
        let identity = try identity(files)
        func planner() async throws -> InstallPlanner {
            try InstallPlanner(
                InstallRequest(
                    answers: answers, facts: try await MachineFacts.gather(runner: runner, files: files),
                    spec: try DistroSpec.find(distro: answers.distro.rawValue, suite: answers.release, backports: answers.backports),
                    profile: try ProfileSpec.find(answers.profile.rawValue), payload: payload, identity: identity,
                    sealed: false, version: Version.number, executable: Host.executable))
        }
        if dryRun {
            Output.line(try await planner().plan.text())
            return
        }
        guard Host.isRoot else {
            throw Diagnosis(
                "install.not-root", "installing needs root", remedies: ["sudo kldload install …", "look first: --dry-run"], exit: .needsRoot
            )
        }
        let lock = try FileLock("/run/kldload/install.lock")
        defer { withExtendedLifetime(lock) {} }
        for line in try await InstallRecovery.run(runner: runner, files: files) {
            Output.errorLine("an earlier run was cut off: \(line)")
        }
        let planner = try await planner()
        let plan = try planner.plan
        let log: FilePath = "/var/log/kldload/install.jsonl"
        let approvals = try approve(plan, planner.approvals)
        try files.write(Array(JSONEncoder().encode(identity)), to: Self.identityFile, mode: .secret)
        let reporter = try Reporter(progress, log: log)
        let watch = PoolWatch.endProcess(whenSuspended: answers.poolName, files: files) { problem in
            reporter.report(PlanEvent(.planFailed, message: problem.message, diagnosis: problem))
            Output.errorLine(problem.rendered)
        }
        defer { watch.cancel() }
        let performers = Performers.table(logs: [log]) { _, _, _ in
            throw Diagnosis("seal.not-here", "an installed machine is not sealed", exit: .bug)
        }
        let journal = try PlanJournal("/run/kldload/install.journal", files: files)
        try await PlanRunner(runner: runner, files: files, performers: performers, journal: journal, report: reporter.report)
            .apply(plan, approvals: approvals, from: from)
    }

    private static let identityFile: FilePath = "/run/kldload/install.identity"

    /// A new machine's; a resumed installation goes on as the one it began.
    private func identity(_ files: any FileSystem) throws -> InstallRequest.Identity {
        guard let from else { return .random() }
        guard try files.exists(Self.identityFile) else {
            throw Diagnosis(
                "install.nothing-to-resume", "no installation was begun since this machine started, so none can go on from \(from)",
                remedies: ["leave out --from"], exit: .usage)
        }
        return try JSONDecoder().decode(InstallRequest.Identity.self, from: Data(files.read(Self.identityFile)))
    }

    /// What the answers do not approve, a person must type.
    private func approve(_ plan: Plan, _ given: [WipeApproval]) throws -> [WipeApproval] {
        let missing = plan.destroys.filter { disk in !given.contains { $0.disk == disk } }
        guard !missing.isEmpty, isatty(STDIN_FILENO) == 1, progress.progress != .json else { return given }
        Output.errorLine(plan.text())
        return try given
            + missing.map { disk in
                Output.error("everything on \(disk) will be lost. Type its name to go on: ")
                guard let approval = WipeApproval(typed: readLine() ?? "", disk: disk) else {
                    throw Diagnosis(
                        "install.refused", "\(disk) was not approved; nothing was changed", remedies: ["type the name exactly as shown"])
                }
                return approval
            }
    }
}

struct FirstBootCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "firstboot", abstract: "Finish a machine on its first boot: identities, keys, growth.")

    @Flag(help: "Print the plan and change nothing.") var dryRun = false

    func run() async throws {
        let (runner, files) = (SubprocessRunner(), LocalFiles())
        let plan = try await FirstBoot.gather(runner: runner, files: files).plan
        if dryRun {
            Output.line(plan.text())
            return
        }
        let lock = try FileLock("/run/kldload/firstboot.lock")
        defer { withExtendedLifetime(lock) {} }
        try await PlanRunner(runner: runner, files: files, performers: FirstBoot.performers) { event in
            if event.kind == .stepStarted || event.kind == .stepFailed { Output.errorLine("kldload: \(event.message)") }
        }.apply(plan)
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
