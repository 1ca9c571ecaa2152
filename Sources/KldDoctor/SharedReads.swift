import KldExec
import Synchronization

/// Runs each command that reads once, however many ask for it, and whenever they do.
final class SharedReads: Sendable {
    private let runner: any CommandRunner
    private let answers = Mutex<[Command: Task<CommandOutput, any Error>]>([:])

    init(_ runner: any CommandRunner) { self.runner = runner }

    func run(_ command: Command) async throws -> CommandOutput {
        let answer = answers.withLock { answers in
            if let known = answers[command] { return known }
            // why a task of its own: it belongs to all that ask, not to the one who was first.
            let new = Task { [runner] in try await runner.run(command) }
            answers[command] = new
            return new
        }
        return try await withTaskCancellationHandler {
            try await answer.value
        } onCancel: {
            answer.cancel()
        }
    }
}
