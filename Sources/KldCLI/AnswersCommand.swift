import ArgumentParser
import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldInstall
import KldTerminal
import SystemPackage

/// How every command takes answers.
struct AnswersOptions: ParsableArguments {
    @Option(name: .customLong("set"), help: ArgumentHelp("Replace or add one answer.", valueName: "KEY=value"))
    var overrides: [String] = []

    /// Answers that this version can install. What they say in vain is told on standard error.
    ///
    /// - Parameter forMachine: this machine is installed: what they say of images is in vain too.
    func load(_ path: String, forMachine: Bool = false) throws -> Answers {
        let answers = try read(path)
        for note in answers.notes + (forMachine ? answers.imageNotes : []) { Reporter.note("note: \(note)", remedy: note.remedy) }
        return answers
    }

    func read(_ path: String, files: any FileSystem = LocalFiles()) throws(AnswersError) -> Answers {
        try Answers.load(FilePath(path), files: files, overrides: overrides, unsupported: Self.unsupported)
    }

    private static func unsupported(_ answers: Answers) -> Diagnosis? {
        do {
            _ = try DistroSpec.find(distro: answers.distro.rawValue, suite: answers.release, backports: answers.backports)
            return nil
        } catch {
            return Diagnosis(of: error)
        }
    }
}

/// What `answers check --format json` prints.
struct AnswersReport: Codable, Equatable {
    struct Entry: Codable, Equatable {
        /// Stable: see docs/answers.md.
        var code: String
        /// Counted from 1; absent for an override, and where something is missing.
        var line: Int?
        var key: String?
        var message: String
        var remedy: String
        /// The key or the value that was probably meant.
        var suggestion: String?

        init(_ problem: AnswersProblem) {
            code = problem.code.rawValue
            line = problem.line
            key = problem.key
            message = problem.message
            remedy = problem.remedy
            suggestion = problem.suggestion
        }
    }

    var file: String
    /// Empty when the answers can be used.
    var problems: [Entry]
    /// What has no effect in this version.
    var warnings: [Entry]

    /// - Returns: the report, with the exit status.
    static func check(_ file: String, _ read: () throws(AnswersError) -> Answers) -> (report: AnswersReport, exit: ExitStatus) {
        do {
            return (AnswersReport(file: file, problems: [], warnings: try read().notes.map(Entry.init)), .done)
        } catch {
            let report = AnswersReport(file: file, problems: error.problems.map(Entry.init), warnings: error.notes.map(Entry.init))
            return (report, error.diagnosis.exit)
        }
    }
}

struct AnswersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "answers", abstract: "Check an answers file, or show every key.",
        subcommands: [Check.self, Keys.self, DeviceMatch.self])

    struct Check: AsyncParsableCommand {
        enum Form: String, ExpressibleByArgument, CaseIterable { case text, json }
        static let configuration = CommandConfiguration(abstract: "Report every problem of an answers file at once.")
        @Argument(help: "The file.") var file: String
        @OptionGroup var options: AnswersOptions
        @Flag(help: "Print what the file says, with secrets redacted.") var show = false
        @Option(help: "text, or json for problems and warnings on standard output.") var format = Form.text

        func validate() throws {
            if show, format == .json { throw ValidationError("--show prints text; leave out --format json.") }
        }

        func run() async throws {
            switch format {
            case .text:
                let answers = try options.load(file)
                Output.line(show ? answers.redactedEnvironmentText : "\(file): no problems")
            case .json:
                let (report, exit) = AnswersReport.check(file) { () throws(AnswersError) in try options.read(file) }
                try Output.json(report)
                if exit != .done { throw ExitCode(exit.rawValue) }
            }
        }
    }

    struct Keys: AsyncParsableCommand {
        enum Form: String, ExpressibleByArgument, CaseIterable { case markdown, schema }
        static let configuration = CommandConfiguration(abstract: "Show every key: type, default, allowed values.")
        @Option(help: "markdown, or schema for JSON Schema.") var format = Form.markdown

        func run() async throws {
            switch format {
            case .markdown: Output.line(AnswersReferenceDocument.markdown)
            case .schema: Output.line(AnswersReferenceDocument.jsonSchema)
            }
        }
    }

    struct DeviceMatch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "device-match", abstract: "Try on this machine what KLDLOAD_DISK would mean.",
            discussion: "Exit status: 0, or that of the first one that means no disk. Nothing is touched.")
        @Argument(help: ArgumentHelp("Names of disks, or auto; default: auto, and every disk there is.", valueName: "disk"))
        var selectors: [String] = []
        @Option(help: "Try on the machine that this file describes (kldload facts).") var facts: String?
        @Option(help: "What is to be installed: each profile needs a disk of another size.") var profile = ProfileSpec.server.id

        func run() async throws {
            _ = try ProfileSpec.find(profile)
            let machine = try await SavedFacts.machine(facts, asked: Self.paths(selectors))
            let asked = selectors.isEmpty ? ["auto"] + machine.disks.map { machine.stableName($0) } : selectors
            let matches = asked.map { DeviceMatch.Match($0, machine, profile: profile) }
            Output.line(Self.table(matches))
            if !selectors.isEmpty, let problem = matches.lazy.compactMap(\.problem).first { throw problem }
        }

        /// What is looked at beside the disks, as an installation looks at what its answers name.
        static func paths(_ selectors: [String]) -> [FilePath] { selectors.filter { $0 != "auto" }.map { FilePath($0) } }

        /// What one selector means.
        struct Match {
            var selector: String
            var disk: DiskSelection.Chosen?
            var problem: Diagnosis?

            init(_ selector: String, _ facts: MachineFacts, profile: String = ProfileSpec.server.id) {
                self.selector = selector
                do {
                    let answers = try Answers(
                        "",
                        overrides: [
                            "KLDLOAD_DISTRO=debian", "KLDLOAD_HOSTNAME=localhost", "KLDLOAD_PROFILE=\(profile)",
                            "KLDLOAD_DISK=\(selector)",
                        ])
                    disk = try DiskSelection(answers, facts).root.first
                } catch { problem = Diagnosis(of: error) }
            }
        }

        static func table(_ matches: [Match]) -> String {
            var table = TextTable([("KLDLOAD_DISK", .left), ("DISK", .left), ("SIZE", .right), ("STATE", .left)])
            for match in matches {
                let device = match.disk?.device
                let state =
                    match.problem.map { ([$0.message] + $0.causes.prefix(1)).joined(separator: ": ") }
                    ?? (device?.isEmpty == true ? "empty" : "is wiped with KLDLOAD_FORCE_WIPE=1, or when its name is typed")
                table.add([match.selector, device?.path ?? "-", device?.size.description ?? "-", state])
            }
            return table.text
        }
    }
}
