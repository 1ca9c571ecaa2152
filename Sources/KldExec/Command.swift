public import KldCore
public import SystemPackage

/// A program of the outside world, found on PATH.
public struct Tool: Sendable, Hashable, Codable, ExpressibleByStringLiteral {
    public let name: String
    /// The Debian package that brings it, for the remedy when it is missing.
    public let package: String

    public init(_ name: String, package: String? = nil) {
        self.name = name
        self.package = package ?? name
    }
    public init(stringLiteral name: String) { self.init(name) }
}

/// What a command does to the machine it runs on. Dry-run, approval, audit and the assistant's permissions follow from it.
public enum Effect: String, Sendable, Hashable, Codable, Comparable {
    case reads, changes, destroys

    private var rank: Int {
        switch self {
        case .reads: 0
        case .changes: 1
        case .destroys: 2
        }
    }
    public static func < (a: Effect, b: Effect) -> Bool { a.rank < b.rank }
}

/// A command line as a value: comparable, printable, testable. There is no shell behind it.
public struct Command: Sendable, Hashable {
    public enum Input: Sendable, Hashable {
        case none
        case text(String)
        /// Never printed, logged or encoded.
        case secret(Secret)
        case file(FilePath)
    }

    public var tool: Tool
    public var arguments: [String]
    public var effect: Effect
    public var acceptedExitStatuses: Set<Int32>
    public var input: Input
    /// Added to a clean environment (`PATH`, `LC_ALL=C.UTF-8`, `TZ=UTC`, `HOME`).
    public var environment: [String: String]
    /// Standard output goes into this file instead of the result.
    public var outputFile: FilePath?
    /// Of ``outputFile``, where it is made anew. It is its maker's alone: what a command prints may be as secret as what it read.
    public var outputPermissions: FilePermissions = .ownerReadWrite
    /// ``outputFile`` may be a link, as `/dev/stdout` is. Else none is followed: somebody may have put it there for root to overwrite a file.
    public var followsOutputLink = false
    /// Standard output tells a person what happens, as standard error does: both are read line by line in the order in which they come, and
    /// the result has them as its errors.
    public var tellsOnBoth = false
    /// It ends so, and without a word, when nobody reads what it writes any more; `nil`: by SIGPIPE, as most do.
    public var statusWithoutReader: Int32?
    public var workingDirectory: FilePath?
    /// How long it may clear up when it is asked to end (SIGTERM), before it is killed.
    public var timeToEnd: Duration = .seconds(2)

    public init(
        _ tool: Tool, _ arguments: [String], effect: Effect, accepting statuses: Set<Int32> = [0], input: Input = .none,
        environment: [String: String] = [:], outputFile: FilePath? = nil, workingDirectory: FilePath? = nil
    ) {
        self.tool = tool
        self.arguments = arguments
        self.effect = effect
        self.acceptedExitStatuses = statuses
        self.input = input
        self.environment = environment
        self.outputFile = outputFile
        self.workingDirectory = workingDirectory
    }

    /// The same command inside another root. Runs: `chroot ROOT TOOL ARGUMENTS…`.
    public func inside(_ root: FilePath) -> Command {
        var copy = self
        copy.tool = Tool("chroot", package: "coreutils")
        copy.arguments = [root.string, tool.name] + arguments
        return copy
    }
}

extension Command: CustomStringConvertible {
    /// As a person would type it; quotes where a shell would need them.
    public var description: String {
        var text = ([tool.name] + arguments).map(Command.quoted).joined(separator: " ")
        switch input {
        case .none, .text: break
        case .secret: text += " < <redacted>"
        case .file(let path): text += " < \(Command.quoted(path.string))"
        }
        if let outputFile { text += " > \(Command.quoted(outputFile.string))" }
        return text
    }

    package static func quoted(_ word: String) -> String {
        word.isPlain(besides: "_-./:=,@+%^") && !word.isEmpty
            ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}

/// What a command printed and how it ended.
public struct CommandOutput: Sendable, Hashable {
    public var status: Int32
    public var output: String
    public var errors: String

    public init(status: Int32 = 0, output: String = "", errors: String = "") {
        self.status = status
        self.output = output
        self.errors = errors
    }
}

/// Runs commands. The one place where a value becomes a process; decorators wrap it.
public protocol CommandRunner: Sendable {
    /// - Throws: ``CommandError`` when the tool is missing, a signal ended it, or its exit status is not accepted.
    @discardableResult
    func run(_ command: Command) async throws -> CommandOutput

    /// Runs commands with each one's standard output feeding the next. - Returns: what the last one printed.
    @discardableResult
    func run(pipeline: [Command]) async throws -> CommandOutput
}

public enum CommandError: Error, Sendable, Equatable {
    case toolMissing(Tool)
    case failed(Command, CommandOutput)
    case killed(Command, signal: Int32)
    case cannotStart(Command, reason: String)
}

extension CommandError: Diagnosable {
    public var diagnosis: Diagnosis {
        switch self {
        case .toolMissing(let tool):
            Diagnosis(
                "command.tool-missing", "the program \(tool.name) is not installed",
                remedies: ["install it: apt-get install \(tool.package)"], exit: .unavailable)
        case .failed(let command, let output):
            Diagnosis(
                "command.failed", "\(command.tool.name) failed with exit status \(output.status)",
                remedies: ["read what it said, above; the log has all of it"],
                causes: ["command: \(command.description.prefix(300))"] + output.errors.lines.suffix(8))
        case .killed(let command, let signal):
            Diagnosis(
                "command.killed", "\(command.tool.name) was ended by signal \(signal)",
                remedies: ["look for what ended it: dmesg, journalctl"], causes: ["command: \(command)"])
        case .cannotStart(let command, let reason):
            Diagnosis(
                "command.cannot-start", "\(command.tool.name) could not be started", remedies: ["run it by hand to see why"],
                causes: ["command: \(command)", reason])
        }
    }

    /// The exit status and standard error when the command ran and failed: what the modules of each tool read to name the cause.
    package var failure: CommandOutput? {
        if case .failed(_, let output) = self { output } else { nil }
    }
}
