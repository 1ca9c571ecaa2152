import ArgumentParser
import KldBootEnv
import KldCore
import KldDoctor
import KldExec
import KldFiles
import KldPlan
import KldTerminal

/// `kldload doctor`, `kldload-doctor`.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "What is wrong with this machine, and what helps.", subcommands: [Examine.self, Boot.self],
        defaultSubcommand: Examine.self, aliases: [AppletName.doctor.rawValue])

    /// How long one command may take: those that wait for a suspended pool never end.
    static let limit = Duration.seconds(20)

    struct Examine: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the machine: what its installation meant to make, and how it is now.",
            discussion: """
                --fix does only what is listed in doctor.md: nothing of it takes anything away. Exit status: 0 no check failed, 2 one did; \
                warnings are no failure.
                """)
        @Option(help: "table or json.") var format = TableFormat.table
        @Option(help: ArgumentHelp("Only these checks or subsystems.", valueName: "name")) var only: [String] = []
        @Flag(help: "Show every check, those that are well too.") var all = false
        @Flag(name: .shortAndLong, help: "Only the names of the checks that are not well.") var quiet = false
        @Flag(help: "Do what can be done by itself without harm, then look again.") var fix = false
        @Flag(help: "With --fix: print the plan and change nothing.") var dryRun = false

        func validate() throws {
            if dryRun, !fix { throw ValidationError("--dry-run goes with --fix.") }
        }

        func run() async throws {
            try Host.needRoot(
                Diagnosis("doctor.not-root", "only root can see all that is checked", remedies: ["sudo kldload doctor"], exit: .needsRoot))
            let runner = TimeLimitRunner(SubprocessRunner(), limit: DoctorCommand.limit)
            func look() async throws -> (VerifyReport, CheckContext) {
                let context = CheckContext(runner: runner, files: LocalFiles(), now: .current)
                return (try await Doctor.run(context, checks: Check.everything, only: only), context)
            }
            var (report, context) = try await look()
            if fix {
                let plan = try await Doctor.fixes(report, context)
                if plan.steps.isEmpty { Output.errorLine("nothing of it can be fixed without a person") }
                // Staging what boots takes longer than any question.
                try await Host.apply(plan, dryRun: dryRun, runner: SubprocessRunner(), performers: [:])
                if dryRun { return }
                if !plan.steps.isEmpty { report = try await look().0 }
            }
            try show(report)
            if report.exitStatus != .done { throw ExitCode(report.exitStatus.rawValue) }
        }

        private func show(_ report: VerifyReport) throws {
            switch (format, quiet) {
            case (.json, _): Output.raw(try DoctorDocument(report).json)
            case (_, true):
                for result in report.results where result.status == .fail || result.status == .warn { Output.line(result.name) }
            case (_, false): Output.raw(all ? report.text : report.problems)
            }
        }
    }

    struct Boot: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Predict what the next boot will do, and why.", discussion: "Exit status: 0 it starts, 2 it does not.")
        @Option(help: "table or json.") var format = TableFormat.table

        func run() async throws {
            let session = BootSession(dryRun: true)
            let prediction = try await BootPrediction.gather(session.system(silently: true), runner: session.runner, files: session.files)
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
