import ArgumentParser
import KldCore
import KldImage
import KldPlan
import SystemPackage

struct ISOCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "iso", abstract: "Build the live ISO, which installs by hand or by itself.", subcommands: [Build.self])

    struct Build: AsyncParsableCommand, ReportingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Build the live ISO with what it installs on board.",
            discussion: "Write it to a stick as it is: dd if=kldload.iso of=/dev/sdX bs=4M. What it holds is installed without a network.")
        @Option(help: "The distribution to install.") var distro = "debian"
        @Option(help: "The profiles to carry, separated by commas.") var profile = "server,core"
        @Option(
            help: "Packages that can be added to them without a network, separated by commas, beyond what the answers' own switches add.")
        var withPackages = ""
        @Option(help: "An answers file that the medium carries: by it a machine is installed that finds no other answers.")
        var answers: String?
        @OptionGroup var options: AnswersOptions
        @Option(name: .shortAndLong, help: "The file to write.") var output = "kldload.iso"
        @Flag(help: "Replace a file of that name.") var overwrite = false
        @Option(help: "The package archive to build from; default: the one this machine's apt uses.") var mirror: String?
        @OptionGroup var progress: ProgressOptions
        var form: ProgressOptions.Form { progress.progress }

        func run() async throws {
            let reporter = try Reporter(progress, log: Host.log("iso-build"))
            let answers = try answers.map { try options.load($0) }
            for note in answers.map(ISOBuild.notes) ?? [] { Output.errorLine(note) }
            let names = profile.split(separator: ",").map(String.init)
            let request = ISOBuild.Request(
                payloads: try names.map { try ISOBuild.payload(distro: distro, profile: $0) },
                packages: try ISOBuild.packages(withPackages), answers: answers, output: Host.absolute(output),
                overwrite: overwrite, mirror: mirror, version: Version.number)
            let made = try await PlanEvent.telling("\(request.output)", to: reporter.report) {
                try await ISOBuild(workshop: Host.workshop(reporter), report: reporter.report).run(request)
            }
            Output.line("\(request.output) (\(made.size)), sha256 \(made.digest.hex)")
        }
    }
}
