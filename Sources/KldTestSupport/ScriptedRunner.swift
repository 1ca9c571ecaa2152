public import KldExec
import Synchronization

/// A runner that refuses every command it was not told about, and remembers what it was asked.
public final class ScriptedRunner: CommandRunner {
    public typealias Answer = @Sendable (Command) throws -> CommandOutput?
    private let answers: [Answer]
    private let seen = Mutex<[Command]>([])

    /// - Parameter answers: asked in order; the first that does not return `nil` answers.
    public init(_ answers: [Answer]) { self.answers = answers }

    /// Exact command lines and what they print.
    public convenience init(_ table: [String: String]) {
        self.init([{ table[$0.description].map { CommandOutput(output: $0) } }])
    }

    /// Accepts everything, prints nothing.
    public static var accepting: ScriptedRunner { ScriptedRunner([{ _ in CommandOutput() }]) }

    public var commands: [Command] { seen.withLock { $0 } }

    public func run(_ command: Command) async throws -> CommandOutput {
        seen.withLock { $0.append(command) }
        for answer in answers {
            if let output = try answer(command) {
                guard command.acceptedExitStatuses.contains(output.status) else { throw CommandError.failed(command, output) }
                return output
            }
        }
        throw Unscripted(what: command.description)
    }

    public func run(pipeline: [Command]) async throws -> CommandOutput {
        var last = CommandOutput()
        for command in pipeline { last = try await run(command) }
        return last
    }
}

/// Something a test did not script.
public struct Unscripted: Error, CustomStringConvertible {
    public var what: String
    public init(what: String) { self.what = what }
    public var description: String { "unscripted: \(what)" }
}
