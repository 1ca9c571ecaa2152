import ArgumentParser
import Glibc
import SystemPackage
import KldCore
import KldExec
import KldFiles

/// The entry point of every tool: the applet is chosen by the name it was called by.
public enum CommandLineTool {
    public static func main() async {
        signal(SIGPIPE, SIG_IGN)
        let name = CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? "kldload"
        if Applet.asksVersion(Array(CommandLine.arguments.dropFirst())) {
            Output.line(Version.text)
            return
        }
        let tool: any AsyncParsableCommand.Type = Applet.named(name)?.command ?? Root.self
        let task = Task { await run(tool) }
        Interrupts.cancel(task) { Reporter.note($0) }
        await task.value
    }

    private static func run<Tool: AsyncParsableCommand>(_ type: Tool.Type) async {
        do {
            var command = try type.parseAsRoot()
            if let reporting = command as? any ReportingCommand {
                let form = reporting.form
                Reporter.form.withLock { $0 = form }
            }
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as any Diagnosable {
            Reporter.fail(error.diagnosis)
            exit(error.diagnosis.exit.rawValue)
        } catch  where Reporter.form.withLock({ $0 }) == .json && !(error is ExitCode) && !(error is CleanExit) {
            // Who reads events reads nothing else. A command line that is not understood comes before that is known.
            let problem = Diagnosis(of: error)
            Reporter.fail(problem)
            exit(problem.exit.rawValue)
        } catch is CancellationError {
            exit(ExitStatus.interrupted.rawValue)
        } catch {
            type.exit(withError: error)
        }
    }
}

/// A tool with a name of its own on PATH, beside `kldload`.
struct Applet: Sendable {
    let name: String
    let command: any AsyncParsableCommand.Type

    /// The one table from which dispatch, installation, completions and pages are made.
    static let all: [Applet] = AppletName.allCases.map { name in
        switch name {
        case .kbe: Applet(name: name.rawValue, command: KbeCommand.self)
        case .kupgrade: Applet(name: name.rawValue, command: KupgradeCommand.self)
        case .kpkg: Applet(name: name.rawValue, command: KpkgCommand.self)
        case .kexport: Applet(name: name.rawValue, command: KexportCommand.self)
        case .krecovery: Applet(name: name.rawValue, command: RecoveryCommand.self)
        case .kst: Applet(name: name.rawValue, command: KstCommand.self)
        case .ksnap: Applet(name: name.rawValue, command: KsnapCommand.self)
        case .kclone: Applet(name: name.rawValue, command: KcloneCommand.self)
        case .kdf: Applet(name: name.rawValue, command: KdfCommand.self)
        case .kdir: Applet(name: name.rawValue, command: KdirCommand.self)
        case .kdisk: Applet(name: name.rawValue, command: KdiskCommand.self)
        case .kreplicate: Applet(name: name.rawValue, command: KreplicateCommand.self)
        case .kfleet: Applet(name: name.rawValue, command: KfleetCommand.self)
        case .overview: Applet(name: name.rawValue, command: OverviewTool.self)
        case .help: Applet(name: name.rawValue, command: HelpTool.self)
        case .installTarget: Applet(name: name.rawValue, command: GuidedTool.self)
        case .secureBoot: Applet(name: name.rawValue, command: SecureBootTool.self)
        case .ca: Applet(name: name.rawValue, command: CATool.self)
        case .snapshot: Applet(name: name.rawValue, command: SnapshotTool.self)
        case .doctor: Applet(name: name.rawValue, command: DoctorTool.self)
        case .debugBundle: Applet(name: name.rawValue, command: DebugBundleTool.self)
        }
    }

    static func named(_ name: String) -> Applet? { all.first { $0.name == name } }

    /// Every tool is this one program, and says so in the same words.
    static func asksVersion(_ words: [String]) -> Bool { words == ["--version"] }
}

extension CommandConfiguration {
    /// The same under the name that the tool has on PATH: help, completions and pages show it.
    func named(_ name: AppletName) -> CommandConfiguration {
        var copy = self
        copy.commandName = name.rawValue
        copy.aliases = []
        return copy
    }
}

struct GuidedTool: AsyncParsableCommand {
    static let configuration = GuidedCommand.configuration.named(.installTarget)
    @OptionGroup var command: GuidedCommand

    func run() async throws { try await command.run() }
}

struct SecureBootTool: AsyncParsableCommand {
    static let configuration = SecureBootCommand.configuration.named(.secureBoot)
}

struct CATool: AsyncParsableCommand {
    static let configuration = CACommand.configuration.named(.ca)
}

struct DoctorTool: AsyncParsableCommand {
    static let configuration = DoctorCommand.configuration.named(.doctor)
}

struct DebugBundleTool: AsyncParsableCommand {
    static let configuration = DebugBundleCommand.configuration.named(.debugBundle)
    @OptionGroup var command: DebugBundleCommand

    func run() async throws { try await command.run() }
}

struct Root: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kldload", abstract: "From a flat file of answers to a machine with ZFS on root.", version: Version.text,
        subcommands: [
            AnswersCommand.self, PlanCommand.self, ImageCommand.self, ISOCommand.self, PXECommand.self, CacheCommand.self, SeedCommand.self,
            InstallCommand.self, GuidedCommand.self,
            VerifyCommand.self,
            FirstBootCommand.self,
            MountESPCommand.self, KbeCommand.self, KupgradeCommand.self, KpkgCommand.self, SnapshotCommand.self, BootCommand.self,
            SecureBootCommand.self, CACommand.self, DoctorCommand.self, DebugBundleCommand.self,
            KexportCommand.self,
            RecoveryCommand.self,
            KstCommand.self, KsnapCommand.self, KcloneCommand.self, KdfCommand.self, KdirCommand.self, KdiskCommand.self,
            KreplicateCommand.self, KfleetCommand.self,
            OverviewCommand.self,
            ToolsCommand.self, RecoveryConsoleCommand.self, FactsCommand.self,
            AppletsCommand.self,
            AutoinstallCommand.self,
            DefaultPasswordCommand.self, PayloadConfigure.self, FactoryGuestCommand.self,
        ])
}

struct AppletsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "applets", abstract: "List the tools that this binary holds, or install links to them, manual pages and completions.")

    @Option(help: ArgumentHelp("Make a link for each tool in this folder.", valueName: "folder")) var install: String?

    @Option(
        help: ArgumentHelp(
            "Write pages and completions for bash, zsh and fish into the share of this folder: for kldload, and what its bin holds.",
            valueName: "prefix"))
    var documents: String?

    func run() async throws {
        if let documents { return try await Self.document(Host.absolute(documents), LocalFiles()) }
        for applet in Applet.all {
            guard let install else {
                Output.line(applet.name)
                continue
            }
            let link = "\(install)/\(applet.name)"
            unlink(link)
            guard symlink(Host.executable.string, link) == 0 else {
                throw Diagnosis(
                    "applets.cannot-link", "cannot make \(link): \(String(cString: strerror(errno)))",
                    remedies: ["run as root, or choose a folder you may write"], exit: .cannotCreate)
            }
            Output.line(link)
        }
    }

    /// Side by side: making them takes longer than writing them.
    static func document(_ prefix: FilePath, _ files: any FileSystem) async throws {
        let tools = try Applet.withPages.filter { try $0.name == Applet.main.name || files.exists(prefix.appending("bin/\($0.name)")) }
        try await withThrowingTaskGroup { group in
            for (path, text) in tools.flatMap(\.pages) {
                group.addTask { try files.write(text(), to: prefix.appending("share/\(path)")) }
            }
            try await group.waitForAll()
        }
    }
}
