import ArgumentParser
import Glibc
import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldImage
import KldInstall
import KldPlan
import KldTerminal
import SystemPackage

/// `kldload-install-target`: the installer under the seeds' name, and its screens.
struct GuidedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install-target", abstract: "Install onto this machine: six screens, or an answers file.",
        discussion: "Without --answers it is guided. Nothing is written before every disk's name was typed on the last screen.",
        aliases: [AppletName.installTarget.rawValue])

    private static let file: FilePath = "/run/kldload/guided-answers.env"

    @Flag(help: "Ask on six screens; the default.") var guided = false
    @Option(name: [.long, .customLong("config")], help: "An answers file: as kldload install.") var answers: String?
    @Flag(help: "With the screens, but end with the plan and change nothing.") var dryRun = false
    @Option(help: "Ask for the machine that this file describes (kldload facts), and change nothing.") var facts: String?
    /// Somebody else gets the terminal afterwards: how it ended is read before.
    @Flag(help: .hidden) var wait = false

    func run() async throws {
        guard wait else {
            _ = try await install()
            return
        }
        try await Self.staying({ try await install() }, tell: { Reporter.fail($0) }) {
            if Task.isCancelled { return }
            Output.error("Enter: a shell ")
            // What was typed meanwhile answers nothing.
            tcflush(STDIN_FILENO, TCIFLUSH)
            _ = try? await WipePrompt.line(from: .standardInput)
        }
    }

    /// Does work, and ends when a person has read how that ended.
    ///
    /// - Parameters:
    ///   - work: returns `false` when the person left, and so knows.
    ///   - tell: prints the error, which nobody else does then.
    /// - Throws: `ExitCode` of an error that was told; `CancellationError`: nobody is waited for then.
    static func staying(_ work: () async throws -> Bool, tell: (Diagnosis) -> Void, wait: () async -> Void) async throws {
        do {
            if try await work() { await wait() }
        } catch let error as CancellationError {
            throw error
        } catch {
            let problem = Diagnosis(of: error)
            tell(problem)
            await wait()
            throw ExitCode(problem.exit.rawValue)
        }
    }

    /// What every installation needs, before a person fills six screens for nothing.
    ///
    /// - Throws: ``Diagnosis`` `install.not-root`, `install.no-zfs`.
    static func prepare(root: Bool = Host.isRoot, runner: any CommandRunner) async throws {
        try InstallCommand.requireRoot(root)
        try await Preflight.loadOpenZFS(runner)
    }

    /// - Returns: `false` when the person left.
    private func install() async throws -> Bool {
        if let answers {
            guard !guided else {
                throw Diagnosis("guided.both", "--guided asks what --answers says", remedies: ["leave one of them out"], exit: .usage)
            }
            try await InstallCommand.parse(["--answers", answers] + (dryRun ? ["--dry-run"] : [])).run()
            return true
        }
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else {
            throw Diagnosis(
                "guided.no-terminal", "the screens need a terminal", remedies: ["kldload install --answers FILE"], exit: .usage)
        }
        // Before the machine is looked at, too: without OpenZFS nobody knows which pools are imported.
        if !dryRun, facts == nil { try await Self.prepare(runner: SubprocessRunner()) }
        let files = LocalFiles()
        var folders = ((try? files.folders(in: LiveMedium.payloads)) ?? []).sorted()
        if facts == nil, let medium = try NetworkMedium.running(files) {
            folders = try await medium.payloads(runner: SubprocessRunner(), files: files)
        }
        var payloads = folders.compactMap { GuidedInstall.Payload(folder: $0) }
        // A rehearsal needs no medium.
        if payloads.isEmpty, facts != nil { payloads = ["debian-trixie-server", "debian-trixie-core"].compactMap { .init(folder: $0) } }
        guard let answers = try await ask(GuidedInstall(facts: SavedFacts.machine(facts), payloads: payloads)) else {
            Output.errorLine("nothing was installed")
            return false
        }
        if dryRun || facts != nil { return true }
        // Every disk's name was typed: that is what this word says.
        try files.write(answers.environmentText + "KLDLOAD_FORCE_WIPE=1\n", to: Self.file, mode: .secret)
        defer { try? files.remove(Self.file) }
        try await InstallCommand.parse(["--answers", Self.file.string]).run()
        return true
    }

    /// - Returns: `nil` when the person leaves.
    private func ask(_ start: GuidedInstall) async throws -> Answers? {
        var guide = start
        var screen = try Screen(Screen.Terminal(input: STDIN_FILENO, output: STDOUT_FILENO))
        defer { screen.close() }
        while true {
            // Over a slow line a screen takes seconds: not one for each letter of what was pasted.
            if !screen.isBusy { screen.draw(guide.lines(columns: screen.columns, rows: screen.rows)) }
            guard let key = try await screen.key()?.key else { return nil }
            switch guide.handle(key) {
            case .stays: continue
            case .quits: return nil
            case .installs: return try guide.answers()
            case .plans:
                do {
                    let answers = try guide.answers()
                    let payload = facts == nil ? try await PayloadOptions.parse([]).find(answers, whole: false) : PlanCommand.payload
                    let machine = try await SavedFacts.machine(facts, asked: answers.allDisks)
                    let plan = try InstallCommand.planner(answers, payload, .placeholder, machine).plan
                    guide.show(plan.text().lines, wipes: plan.destroys, losses: plan.losses)
                } catch {
                    let problem = Diagnosis(of: error)
                    guide.refuse(([problem.message] + problem.remedies.prefix(1)).joined(separator: "; "))
                }
            }
        }
    }
}
