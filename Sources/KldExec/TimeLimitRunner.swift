public import KldCore
import Synchronization

/// A command that did not end in time.
public struct CommandTimeout: Error, Sendable, Equatable, Diagnosable {
    public var command: Command
    public var limit: Duration

    public var diagnosis: Diagnosis {
        Diagnosis(
            "command.timeout", "\(command.tool.name) did not end within \(Int(limit / .seconds(1))) s",
            remedies: ["look at what it waits for: zpool status, dmesg", "run it by hand"],
            causes: ["command: \(command.description.prefix(300))"])
    }
}

/// Gives every command so long, and no longer: one that waits for a suspended pool cannot be ended, not even by SIGKILL, so it is left behind.
///
/// Each command counts for itself; of a pipeline, the whole. What is left behind is told to end, and does when it can.
public struct TimeLimitRunner: CommandRunner {
    private let inner: any CommandRunner
    private let limit: Duration

    public init(_ inner: any CommandRunner, limit: Duration) {
        self.inner = inner
        self.limit = limit
    }

    /// - Throws: ``CommandTimeout``, and what the runner inside throws.
    @discardableResult
    public func run(_ command: Command) async throws -> CommandOutput {
        try await first(command) { [inner] in try await inner.run(command) }
    }

    /// - Throws: ``CommandTimeout`` naming the first command, and what the runner inside throws.
    @discardableResult
    public func run(pipeline: [Command]) async throws -> CommandOutput {
        guard let command = pipeline.first else { return CommandOutput() }
        return try await first(command) { [inner] in try await inner.run(pipeline: pipeline) }
    }

    private func first(_ command: Command, _ body: @escaping @Sendable () async throws -> CommandOutput) async throws -> CommandOutput {
        let race = Race()
        // why tasks of their own: a group would wait for the one that cannot end.
        let work = Task {
            do { race.end(.success(try await body())) } catch { race.end(.failure(error)) }
        }
        let clock = Task { [limit] in
            try await Task.sleep(for: limit)
            race.end(.failure(CommandTimeout(command: command, limit: limit)))
        }
        defer {
            work.cancel()
            clock.cancel()
        }
        return try await withTaskCancellationHandler {
            try await race.result
        } onCancel: {
            race.end(.failure(CancellationError()))
        }
    }
}

/// Whoever ends first decides.
private final class Race: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<CommandOutput, any Error>)
        case ended(Result<CommandOutput, any Error>)
    }
    private let state = Mutex(State.open)

    func end(_ result: Result<CommandOutput, any Error>) {
        let waiting = state.withLock { state -> CheckedContinuation<CommandOutput, any Error>? in
            switch state {
            case .open:
                state = .ended(result)
                return nil
            case .awaited(let continuation):
                state = .ended(result)
                return continuation
            case .ended: return nil
            }
        }
        waiting?.resume(with: result)
    }

    var result: CommandOutput {
        get async throws {
            try await withCheckedThrowingContinuation { continuation in
                let known = state.withLock { state -> Result<CommandOutput, any Error>? in
                    if case .ended(let result) = state { return result }
                    state = .awaited(continuation)
                    return nil
                }
                if let known { continuation.resume(with: known) }
            }
        }
    }
}
