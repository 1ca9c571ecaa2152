import FoundationEssentials
import Glibc
import KldCore
import KldExec
import KldFiles
import KldPackages
import KldTestSupport
import SystemPackage
import Testing

enum Here {
    static func has(_ path: String) -> Bool { (try? LocalFiles().status(FilePath(path))) != nil }
    static let root = geteuid() == 0
    /// dnf 4's plugin; dnf 5 holds packages by itself.
    static let dnf =
        ["dnf", "rpmbuild", "createrepo_c"].allSatisfy { has("/usr/bin/\($0)") }
        && (has("/etc/dnf/plugins/versionlock.conf") || has("/usr/bin/dnf5"))
    static let pacman = has("/usr/bin/pacman") && has("/usr/bin/pacman-conf")
    /// Of who runs the tests: an apk may lie anywhere.
    static let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin"
    static let apk = ["apk", "openssl", "truncate"].allSatisfy { SubprocessRunner.find($0, path: path) != nil }
    static let python = SubprocessRunner.find("python3", path: path) != nil
}

/// A system below a folder of a test's own, and an archive beside it. Our commands run with options before theirs that keep the tool in there;
/// tools that have none are refused. `cat` reads below its root.
struct SmallSystem: Sendable {
    typealias Change = PackageTransaction.Change

    var folder: FilePath
    var manager: any PackageManager
    var options: [String: [String]]
    let files = LocalFiles()
    let runner = SubprocessRunner()

    var root: FilePath { folder.appending("root") }
    var archive: FilePath { folder.appending("archive") }

    init(_ folder: FilePath, _ manager: any PackageManager, options: [String: [String]]) throws {
        (self.folder, self.manager, self.options) = (folder, manager, options)
        for name in ["root", "archive", "cache", "empty"] { try files.makeDirectory(folder.appending(name), mode: .directory) }
    }

    @discardableResult
    func run(_ command: Command) async throws -> CommandOutput {
        var command = command
        command.environment["PATH"] = Here.path
        if command.tool.name == "cat" {
            command.arguments = command.arguments.map { "\(root)\($0)" }
            return try await runner.run(command)
        }
        guard let before = options[command.tool.name] else { throw Unscripted(what: command.description) }
        command.arguments = before + command.arguments
        return try await runner.run(command)
    }

    /// What makes the archive.
    func make(_ tool: String, _ arguments: [String], in place: FilePath? = nil) async throws {
        try await runner.run(
            Command(Tool(tool), arguments, effect: .changes, environment: ["PATH": Here.path], workingDirectory: place))
    }

    /// A shell for scripts, which run in there, with what it needs.
    func addShell() async throws {
        let needs = try await runner.run(Command(Tool("ldd"), ["/bin/sh"], effect: .reads)).output.words.filter { $0.hasPrefix("/") }
        try await make("cp", ["--parents", "--dereference", "/bin/sh"] + needs + [root.string])
    }

    /// Lists that are only partly read throw too.
    func refresh() async throws {
        let failures = manager.failures(try await run(manager.refresh))
        if !failures.isEmpty { throw Refused(causes: failures) }
    }

    /// What would change, sorted; what cannot be done throws.
    func preview(_ request: PackageRequest) async throws -> [Change] {
        let output = try await run(manager.preview(request))
        let failures = manager.failures(output)
        if !failures.isEmpty { throw Refused(causes: failures) }
        return manager.transaction(output.output).changes.sorted { $0.name < $1.name }
    }
    struct Refused: Error { var causes: [String] }

    func refusal(_ request: PackageRequest) async throws -> String {
        do {
            _ = try await preview(request)
            return ""
        } catch let refused as Refused { return refused.causes.joined(separator: "\n") } catch let error as CommandError {
            return error.failure.map { manager.reasons($0).joined(separator: "\n") } ?? ""
        }
    }

    func installed() async throws -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: manager.installed(try await run(manager.listInstalled).output).map { ($0.name, $0.version) })
    }

    func held() async throws -> [String] { manager.held(try await run(try #require(manager.listHeld)).output).sorted() }

    func text(_ path: String) throws -> String { try files.readText(root.appending(path)) }
}
