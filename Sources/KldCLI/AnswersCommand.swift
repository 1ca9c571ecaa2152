import ArgumentParser
import KldAnswers
import KldCore
import KldFiles
import SystemPackage

/// How every command takes answers.
struct AnswersOptions: ParsableArguments {
    @Option(name: .customLong("set"), help: ArgumentHelp("Replace or add one answer.", valueName: "KEY=value"))
    var overrides: [String] = []

    func load(_ path: String) throws -> Answers { try Answers.load(FilePath(path), files: LocalFiles(), overrides: overrides) }
}

struct AnswersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "answers", abstract: "Check an answers file, or show every key.", subcommands: [Check.self, Keys.self])

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Report every problem of an answers file at once.")
        @Argument(help: "The file.") var file: String
        @OptionGroup var options: AnswersOptions
        @Flag(help: "Print what the file says, with secrets redacted.") var show = false

        func run() async throws {
            let answers = try options.load(file)
            if show { Output.line(answers.redactedEnvironmentText) } else { Output.line("\(file): no problems") }
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
}
