import ArgumentParser
import Glibc
import KldCore
import KldFiles
import KldImage
import KldPlan
import SystemPackage

struct KexportCommand: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "kexport", abstract: "Export a disk as an image.",
        discussion: """
            The words are DISK FORMAT FOLDER, as in: /dev/sda qcow2 /srv/images/. What an option says needs no word.

            Formats: qcow2, vmdk, vhd, ova, raw, separated by commas, or all. The source is refused while it is mounted, part of an imported
            pool, or in use by a virtual machine. Identities and secrets are removed first, on a copy, unless --no-seal is given.
            The name of the images is kldload-DISTRO-PROFILE of what is installed, when kldload installed it and it is sealed; else the
            disk's. --name and KEXPORT_NAME go before it. The log of the run is named when it begins.
            Where no folder and no file is named, the images go to \(KexportRequest.defaultFolder): name one where you are not root.
            """)

    @Argument(help: "The disk, the format and the folder, as far as no option says them.") var words: [String] = []
    @Option(name: .shortAndLong, help: "qcow2, vmdk, vhd, ova, raw, separated by commas, or all.") var format: String?
    @Option(name: .shortAndLong, help: "The file; or the folder: one that is there, or ends with a slash.")
    var output: String?
    @Option(name: .shortAndLong, help: "The images' name.") var name: String?
    @Option(help: "The disk, or image file; default: the one disk with ZFS on root that is not in use.") var disk: String?
    @Flag(inversion: .prefixedNo, exclusivity: .exclusive, help: "Remove identities and secrets first, on a copy.") var seal = true
    @Flag(help: "Replace images of the same name.") var overwrite = false
    @Flag(help: "Say what would be run and change nothing.") var dryRun = false
    @Option(
        help: "How qcow2 is compressed: zlib, which every reader knows, or zstd, which is faster.",
        completion: .list(Qcow2Compression.allCases.map(\.rawValue)),
        transform: { text in
            guard let known = Qcow2Compression(rawValue: text) else { throw ValidationError("zlib or zstd") }
            return known
        })
    var compression: Qcow2Compression = .zlib
    @OptionGroup var progress: ProgressOptions
    var form: ProgressOptions.Form { progress.progress }

    func request(environment: [String: String]) throws -> KexportRequest {
        var request = try KexportRequest(
            words: words, disk: disk, format: format, output: output, name: name, environment: environment,
            isFolder: { [files = LocalFiles()] in (try? files.status(files.resolve($0)))?.kind == .directory })
        request.seal = seal
        request.overwrite = overwrite
        request.compression = compression
        request.dryRun = dryRun
        return request
    }

    func run() async throws {
        let request = try self.request(environment: Host.environment(["KEXPORT_NAME"]))
        let reporter = try Reporter(progress, log: Host.log("kexport"))
        let created = Timestamp(environment: Host.environment(["SOURCE_DATE_EPOCH"]), now: Timestamp(seconds: Int64(time(nil))))
        let manifest = try await PlanEvent.telling(request.dryRun ? "dry run of an export" : "export", to: reporter.report) {
            try await DiskExport(workshop: Host.workshop(reporter), report: reporter.report)
                .run(request, version: Version.number, created: created)
        }
        for output in manifest?.outputs ?? [] { Output.line("\(output.file) (\(output.size))") }
    }
}
