import ArgumentParser
import KldCore
import KldDoctor
import KldExec
import KldFiles
import SystemPackage

/// `kldload debug-bundle`, `kldload-debug-bundle`.
struct DebugBundleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "debug-bundle",
        abstract: "Pack what somebody needs who is to find out what is wrong with this machine; no secret is in it.",
        discussion: """
            Where the root pool is suspended, nothing can be written to it: --out /run. Read it before you give it away: names of hosts, \
            users, datasets and disks are in it.
            """, aliases: [AppletName.debugBundle.rawValue])
    @Option(help: ArgumentHelp("Where the archive is put.", valueName: "folder")) var out = "/root"
    @Flag(name: .shortAndLong, help: "Say nothing but the archive's name.") var quiet = false
    @Flag(help: "Print what would be asked, and write nothing.") var dryRun = false

    func run() async throws {
        if dryRun {
            for line in DebugBundle.contents { Output.line(line) }
            return
        }
        try Host.needRoot(
            Diagnosis(
                "bundle.not-root", "only root can see all that goes into it", remedies: ["sudo kldload debug-bundle"], exit: .needsRoot))
        let (runner, files) = (SubprocessRunner(), LocalFiles())
        let bundle = DebugBundle(
            host: (try? files.readText("/proc/sys/kernel/hostname"))?.trimmed ?? "host", now: .current, version: Version.number,
            runner: runner)
        let folder = Host.absolute(out)
        let scratch = folder.appending(".\(bundle.name)")
        try files.makeDirectory(scratch, mode: 0o700)
        defer { try? files.remove(scratch) }
        let limited = TimeLimitRunner(runner, limit: DebugBundle.limit)
        let report = try await Doctor.run(
            CheckContext(runner: limited, files: files, now: .current), checks: Check.everything)
        let archive = scratch.appending("\(bundle.name).tar")
        let file = try FileDescriptor.open(
            archive, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec], permissions: [.ownerReadWrite])
        try await bundle.pack(
            doctor: try DoctorDocument(report).json, report: { if !quiet { Output.errorLine("kldload: \($0)") } },
            into: { try file.writeAll($0) })
        try file.close()
        // The packed one has the mode of this one.
        try await runner.run(Command("gzip", ["--no-name", archive.string], effect: .changes))
        let final = folder.appending("\(bundle.name).tar.gz")
        try files.rename(scratch.appending("\(bundle.name).tar.gz"), to: final)
        Output.line(final.string)
    }
}
