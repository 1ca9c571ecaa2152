import Glibc
import KldCore
import KldExec
import KldFiles
import KldImage
import KldInstall
import KldPlan
import Synchronization
import SystemPackage

/// The machine that a command runs on.
enum Host {
    static func environment(_ names: [String]) -> [String: String] {
        names.reduce(into: [:]) { result, name in if let value = getenv(name) { result[name] = String(cString: value) } }
    }

    static func absolute(_ path: String) -> FilePath {
        let given = FilePath(path)
        if given.isAbsolute { return given.lexicallyNormalized() }
        guard let folder = getcwd(nil, 0) else { return given }
        defer { free(folder) }
        return FilePath(String(cString: folder)).pushing(given).lexicallyNormalized()
    }

    static var columns: Int {
        var size = winsize()
        return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    /// Somebody can be asked.
    static var isAttended: Bool { isatty(STDIN_FILENO) == 1 }

    /// Those that are given, and one for each disk whose name is typed here. - Parameter machine: a program reads what is printed.
    static func approvals(for plan: Plan, given: [WipeApproval], machine: Bool = false) async throws -> [WipeApproval] {
        try await WipePrompt.approvals(
            for: plan, given: given, terminal: isAttended, machine: machine, show: { Output.errorLine($0) }, ask: { try await ask($0) })
    }

    /// Asks for a line on the terminal. - Returns: `nil` at the end of the input.
    static func ask(_ question: String) async throws -> String? {
        Output.error(question)
        return try await WipePrompt.line(from: .standardInput)
    }

    /// Shows a plan, or does it; what it does, on standard error.
    static func apply(
        _ plan: Plan, approvals: [WipeApproval] = [], dryRun: Bool, runner: any CommandRunner, performers: [String: Performer]
    ) async throws {
        if plan.steps.isEmpty { return }
        if dryRun {
            Output.line(plan.text())
            return
        }
        try await PlanRunner(runner: runner, files: LocalFiles(), performers: performers) { event in
            if event.kind == .stepStarted || event.kind == .stepFailed { Output.errorLine("kldload: \(event.message)") }
        }.apply(plan, approvals: approvals)
    }

    /// Asks for a line on the terminal, which does not show it. - Returns: `nil` at the end of the input.
    static func secret(_ question: String) async throws -> String? {
        Output.error(question)
        var shown = termios()
        guard tcgetattr(STDIN_FILENO, &shown) == 0 else { return try await WipePrompt.line(from: .standardInput) }
        var hidden = shown
        hidden.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown)
            Output.errorLine("")
        }
        return try await WipePrompt.line(from: .standardInput)
    }

    static var isRoot: Bool { geteuid() == 0 }

    /// - Parameter refusal: what everybody else is told.
    static func needRoot(_ refusal: @autoclosure () -> Diagnosis) throws(Diagnosis) {
        guard isRoot else { throw refusal() }
    }

    static let executable: FilePath = (try? LocalFiles().resolve("/proc/self/exe")) ?? "/usr/lib/kldload/kldload"

    static var cacheRoot: FilePath { ArtifactCache.defaultRoot(environment: environment(["HOME", "XDG_CACHE_HOME"])) }

    /// The log of one run, which no other run has: several may begin within a second.
    static func log(_ command: String) -> FilePath { cacheRoot.appending("logs/\(command)-\(time(nil))-\(getpid()).jsonl") }

    /// For a look at it; builds make their own, which tells what it waits for.
    static var cache: ArtifactCache { ArtifactCache(root: cacheRoot, runner: SubprocessRunner()) }

    /// Keeps what commands print in the log of the command that runs.
    static var tellingRunner: SubprocessRunner { SubprocessRunner { _, line in Reporter.output(line) } }

    static func workshop(_ reporter: Reporter) -> Workshop {
        let report = reporter.report
        let runner = tellingRunner
        let cache = ArtifactCache(
            root: cacheRoot, runner: runner, waiting: { report(PlanEvent(.line, message: "waiting for another build of \($0)")) })
        return Workshop(cache: cache, runner: runner, executable: executable, root: isRoot)
    }
}

/// A value behind a lock.
final class Locked<Value: Sendable>: Sendable {
    private let value: Mutex<Value>
    init(_ value: Value) { self.value = Mutex(value) }
    func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        value.withLock { body(&$0) }
    }
}
