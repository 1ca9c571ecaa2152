import KldBlock
import KldBoot
import FoundationEssentials
public import KldCore
public import KldExec
public import KldFiles
import KldZFS
import SystemPackage

/// What checks may look at: commands, files, and what the installation meant to make.
public struct CheckContext: Sendable {
    public let runner: any CommandRunner
    public let files: any FileSystem
    /// `nil` where there is none: on a machine that kldload did not install. A clone has that of its sealed image.
    public let manifest: InstallManifest?
    /// Why there is no manifest; for the reasons of skipped checks.
    public let manifestProblem: String?
    /// `nil`: not known, and whatever depends on it is skipped.
    public let now: Timestamp?
    /// How an ESP that is not mounted is looked at.
    var looking = TemporaryMount()
    /// What checks of one report ask in common.
    private let reads: SharedReads

    public init(
        runner: any CommandRunner, files: any FileSystem, manifest: InstallManifest?, manifestProblem: String? = nil, now: Timestamp? = nil
    ) {
        self.runner = runner
        self.files = files
        self.manifest = manifest
        self.manifestProblem = manifestProblem
        self.now = now
        reads = SharedReads(runner)
    }

    /// The same with nothing known yet: each report asks the machine anew.
    var fresh: CheckContext {
        var fresh = CheckContext(runner: runner, files: files, manifest: manifest, manifestProblem: manifestProblem, now: now)
        fresh.looking = looking
        return fresh
    }

    /// Whether GRUB starts the kernel, and no image holds it.
    var startsByGRUB: Bool { manifest?.bootLoader == BootChain.grub.rawValue }

    /// Reads the manifest from its place.
    public init(runner: any CommandRunner, files: any FileSystem, now: Timestamp? = nil) {
        var manifest: InstallManifest?
        var problem: String?
        do {
            manifest = try JSONDecoder().decode(InstallManifest.self, from: Data(try files.read(FilePath(InstallManifest.path))))
            if let schema = manifest?.schema, schema != InstallManifest.currentSchema {
                (manifest, problem) = (nil, "the install manifest has the schema \(schema), which this version does not know")
            }
        } catch let error as FileError {
            problem = error == .missing(FilePath(InstallManifest.path)) ? "there is no install manifest" : error.diagnosis.message
        } catch {
            problem = "the install manifest cannot be read: \(error)"
        }
        self.init(runner: runner, files: files, manifest: manifest, manifestProblem: problem, now: now)
    }

    var whyNoManifest: String { manifestProblem ?? "there is no install manifest" }
    var withoutManifest: CheckOutcome { .skip(whyNoManifest) }

    /// The trimmed content of a text file; `nil` when there is none.
    func text(_ path: String) throws -> String? {
        do { return try files.readText(try files.resolve(FilePath(path))) } catch FileError.missing { return nil }
    }

    /// Names in a folder; none when there is no such folder.
    func names(in path: String) throws -> [String] {
        do { return try files.list(FilePath(path)) } catch FileError.missing { return [] }
    }

    func exists(_ path: String) throws -> Bool { try files.exists(FilePath(path)) }

    /// Runs a command that reads, once in a report: whoever asks the same gets the same answer. What is asked of a place where one thing is
    /// mounted after the other goes to ``runner``.
    func read(_ command: Command) async throws -> CommandOutput { try await reads.run(command) }

    /// - Parameter accepting: more exit statuses than 0, where they mean something.
    func read(_ tool: Tool, _ words: [String], accepting statuses: Set<Int32> = [0]) async throws -> CommandOutput {
        try await read(Command(tool, words, effect: .reads, accepting: statuses))
    }

    /// What is mounted at the root.
    ///
    /// Runs: `findmnt --noheadings --output FSTYPE,SOURCE --target /`, reads. findmnt(8), util-linux 2.41:
    /// ```
    /// zfs    rpool/ROOT/debian
    /// ```
    func rootDataset() async throws -> String? {
        let output = try await read(Tool("findmnt", package: "util-linux"), ["--noheadings", "--output", "FSTYPE,SOURCE", "--target", "/"])
        guard let line = output.output.lines.first, line.hasPrefix("zfs") else { return nil }
        return line.dropFirst(3).trimmed
    }

    /// The pool of the running root file system; of the manifest when that is not ZFS.
    func pool() async throws -> PoolName? {
        let name = try await rootDataset().map { String($0.prefix { $0 != "/" }) } ?? manifest?.pool
        return try name.map { try PoolName($0) }
    }
}

/// Said by checks that have no pool to look at.
let noPool = CheckOutcome.fail(
    expected: "a root file system on ZFS", actual: "the root file system is not on ZFS",
    remedy: "boot the installed system, not a rescue one")
