import ArgumentParser
import Glibc
import KldCore
import KldImage
import KldPlan
import SystemPackage

/// `kexport` takes the words of every release, so it reads them itself.
struct KexportCommand: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "kexport", abstract: "Export a disk as an image.",
        usage: """
            kexport DISK FORMAT [FOLDER]
            kexport [--format FORMAT] [--output FILE] [--name NAME] [--no-seal] [--overwrite] [--dry-run]
                    [--compression zlib|zstd] [--progress auto|plain|json|none] [DISK]
            """,
        discussion: """
            Formats: qcow2, vmdk, vhd, ova, raw, separated by commas, or all. The source is refused while it is mounted, part of an imported
            pool, or in use by a virtual machine. Identities and secrets are removed first, on a copy, unless --no-seal is given.
            The name of the images is kldload-DISTRO-PROFILE of what is installed, when kldload installed it and it is sealed; else the
            disk's. --name and KEXPORT_NAME go before it. The log of the run is named when it begins.
            """)

    @Argument(parsing: .captureForPassthrough, help: "Disk, format and folder, or options.") var words: [String] = []

    var form: ProgressOptions.Form {
        (try? KexportArguments.parse(words)).flatMap { ProgressOptions.Form(rawValue: $0.progress.rawValue) } ?? .auto
    }

    func run() async throws {
        if words.contains("--help") || words.contains("-h") { throw CleanExit.helpRequest(self) }
        let request = try KexportArguments.parse(words, environment: Host.environment(["KEXPORT_NAME"]))
        let reporter = try Reporter(
            ProgressOptions.parse(["--progress", request.progress.rawValue]),
            log: Host.log("kexport"))
        let created = Timestamp(environment: Host.environment(["SOURCE_DATE_EPOCH"]), now: Timestamp(seconds: Int64(time(nil))))
        let manifest = try await PlanEvent.telling(request.dryRun ? "dry run of an export" : "export", to: reporter.report) {
            try await DiskExport(workshop: Host.workshop(reporter), report: reporter.report)
                .run(request, version: Version.number, created: created)
        }
        for output in manifest?.outputs ?? [] { Output.line("\(output.file) (\(output.size))") }
    }
}
