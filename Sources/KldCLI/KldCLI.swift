import ArgumentParser
import Glibc
import KldCore

/// The entry point of every tool: the applet is chosen by the name it was called by.
public enum CommandLineTool {
    public static func main() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try Root.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as any Diagnosable {
            let diagnosis = error.diagnosis
            Output.errorLine(diagnosis.rendered)
            exit(diagnosis.exit.rawValue)
        } catch {
            Root.exit(withError: error)
        }
    }
}

struct Root: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kldload", abstract: "From a flat file of answers to a machine with ZFS on root.", version: Version.text,
        subcommands: [
            AnswersCommand.self, PlanCommand.self, ImageCommand.self, InstallCommand.self, VerifyCommand.self, FirstBootCommand.self,
            FactsCommand.self, DefaultPasswordCommand.self, PayloadConfigure.self, FactoryGuestCommand.self,
        ])
}
