import ArgumentParser
import Glibc
import SystemPackage
import KldCore

/// The entry point of every tool: the applet is chosen by the name it was called by.
public enum CommandLineTool {
    public static func main() async {
        signal(SIGPIPE, SIG_IGN)
        let name = CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? "kldload"
        let tool: any AsyncParsableCommand.Type = Applet.named(name)?.command ?? Root.self
        let task = Task { await run(tool) }
        Interrupts.cancel(task)
        await task.value
    }

    private static func run<Tool: AsyncParsableCommand>(_ type: Tool.Type) async {
        do {
            var command = try type.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as any Diagnosable {
            Output.errorLine(error.diagnosis.rendered)
            exit(error.diagnosis.exit.rawValue)
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
        case .kexport: Applet(name: name.rawValue, command: KexportCommand.self)
        case .krecovery: Applet(name: name.rawValue, command: RecoveryCommand.self)
        case .installTarget: Applet(name: name.rawValue, command: GuidedCommand.self)
        case .secureBoot: Applet(name: name.rawValue, command: SecureBootCommand.self)
        case .ca: Applet(name: name.rawValue, command: CACommand.self)
        }
    }

    static func named(_ name: String) -> Applet? { all.first { $0.name == name } }
}

struct Root: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kldload", abstract: "From a flat file of answers to a machine with ZFS on root.", version: Version.text,
        subcommands: [
            AnswersCommand.self, PlanCommand.self, ImageCommand.self, ISOCommand.self, CacheCommand.self, SeedCommand.self,
            InstallCommand.self, GuidedCommand.self,
            VerifyCommand.self,
            FirstBootCommand.self,
            MountESPCommand.self, KbeCommand.self, BootCommand.self, SecureBootCommand.self, CACommand.self, DoctorCommand.self,
            KexportCommand.self,
            RecoveryCommand.self,
            FactsCommand.self,
            AppletsCommand.self,
            AutoinstallCommand.self,
            DefaultPasswordCommand.self, PayloadConfigure.self, FactoryGuestCommand.self,
        ])
}

struct AppletsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "applets", abstract: "List the tools that this binary holds, or install links to them.")

    @Option(help: ArgumentHelp("Make a link for each tool in this folder.", valueName: "folder")) var install: String?

    func run() async throws {
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
}
