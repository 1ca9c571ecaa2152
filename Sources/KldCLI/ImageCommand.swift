import ArgumentParser
import FoundationEssentials
import Glibc
import KldAnswers
import KldCore
import KldDoctor
import KldImage
import KldPlan
import KldTerminal
import SystemPackage

struct ImageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Build and verify disk images.", subcommands: [Build.self, Verify.self])

    struct Build: AsyncParsableCommand, ReportingCommand {
        static let configuration = CommandConfiguration(abstract: "Build sealed images from an answers file.")
        @Argument(help: "The answers file.") var file: String
        @OptionGroup var options: AnswersOptions
        @Option(help: "qcow2, vmdk, vhd, ova, raw, separated by commas, or all.") var format: String?
        @Option(name: .shortAndLong, help: "The folder for the images; default: KLDLOAD_EXPORT_DIR, else out.") var output: String?
        @Option(help: "The images' name; default kldload-DISTRO-PROFILE.") var name: String?
        @Flag(help: "Replace images of the same name.") var overwrite = false
        @Option(help: "The package archive to build from; default: the one this machine's apt uses.") var mirror: String?
        @OptionGroup var progress: ProgressOptions
        var form: ProgressOptions.Form { progress.progress }

        func run() async throws {
            let answers = try options.load(file)
            let wanted = format ?? answers.export.formats.sorted().map(\.rawValue).joined(separator: ",")
            let environment = name.map { ["KEXPORT_NAME": $0] } ?? Host.environment(["KEXPORT_NAME"])
            let request = ImageBuild.Request(
                answers: answers, formats: try ExportFormat.parse(wanted.isEmpty ? "qcow2" : wanted),
                folder: output.map(Host.absolute) ?? answers.export.directory ?? Host.absolute("out"),
                name: try ExportName(environment: environment, distro: answers.distro.rawValue, profile: answers.profile.rawValue),
                overwrite: overwrite, version: Version.number, mirror: mirror,
                created: Timestamp(environment: Host.environment(["SOURCE_DATE_EPOCH"]), now: Timestamp(seconds: Int64(time(nil)))))
            let reporter = try Reporter(progress, log: Host.log("image-build"))
            let manifest = try await ImageBuild(workshop: Host.workshop(reporter), report: reporter.report).run(request)
            if progress.progress == .json {
                Output.line(try manifest.json())
            } else {
                for output in manifest.outputs { Output.line("\(request.folder.appending(output.file)) (\(output.size))") }
            }
        }
    }

    struct Verify: AsyncParsableCommand, ReportingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Boot an image, untouched, and run the checks inside; then cut the power, and boot what it has become.")
        @Argument(help: "The image: qcow2, vmdk, vhd, ova or raw.") var file: String
        @Flag(help: "Only its first boot.") var once = false
        @Option(help: "table or json.") var format = TableFormat.table
        @OptionGroup var progress: ProgressOptions
        var form: ProgressOptions.Form { progress.progress }

        func run() async throws {
            let reporter = try Reporter(progress, log: Host.log("image-verify"))
            let image = Host.absolute(file)
            let report = try await PlanEvent.telling("verify \(image)", to: reporter.report) {
                try await ImageVerification(workshop: Host.workshop(reporter), report: reporter.report).run(image, once: once)
            }
            Output.line(format == .json ? try report.json : report.text)
            if report.summary.fail > 0 { throw ExitCode(ExitStatus.problemsFound.rawValue) }
        }
    }
}

enum TableFormat: String, ExpressibleByArgument, CaseIterable { case table, json }

/// How every long command shows how far it is.
struct ProgressOptions: ParsableArguments {
    enum Form: String, ExpressibleByArgument, CaseIterable { case auto, plain, json, none }
    @Option(help: "auto, plain, json (one event a line on standard error) or none.") var progress = Form.auto
}
