import ArgumentParser
import KldBootEnv
import KldCore
import KldTerminal

/// Verdicts about this machine.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Verdicts about this machine.", subcommands: [Boot.self])

    struct Boot: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Predict what the next boot will do, and why.", discussion: "Exit status: 0 it starts, 2 it does not.")
        @Option(help: "table or json.") var format = TableFormat.table

        func run() async throws {
            let session = BootSession(dryRun: true)
            let prediction = try await BootPrediction.gather(session.system(), runner: session.runner, files: session.files)
            if format == .json { try Output.json(prediction) } else { Output.line(Self.text(prediction)) }
            if !prediction.starts { throw ExitCode(ExitStatus.problemsFound.rawValue) }
        }

        static func text(_ prediction: BootPrediction) -> String {
            var table = TextTable([("STATE", .left), ("WHAT", .left), ("FOUND", .left)])
            for finding in prediction.findings {
                table.add([finding.status.rawValue.uppercased(), finding.name, finding.text])
                if let remedy = finding.remedy { table.add(["", "", "remedy: \(remedy)"]) }
            }
            let what =
                prediction.environment.map { "the next boot is \($0), Linux \(prediction.release ?? "?")" } ?? "there is no next boot"
            return "\(what): it \(prediction.starts ? "starts" : "does not start")\n\n\(table.text)"
        }
    }
}
