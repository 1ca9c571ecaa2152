import KldCore
public import KldExec
import KldFiles
public import SystemPackage

/// Runs commands, and appends what those that change something said to a log.
public struct LoggingRunner: CommandRunner {
    private let inner: any CommandRunner
    private let file: FilePath

    public init(_ inner: any CommandRunner, file: FilePath) {
        self.inner = inner
        self.file = file
    }

    public func run(_ command: Command) async throws -> CommandOutput {
        guard command.effect != .reads else { return try await inner.run(command) }
        do {
            let output = try await inner.run(command)
            append(command, output)
            return output
        } catch let error as CommandError {
            if let output = error.failure { append(command, output) }
            throw error
        }
    }

    public func run(pipeline: [Command]) async throws -> CommandOutput { try await inner.run(pipeline: pipeline) }

    /// A log that cannot be written keeps nobody from working.
    private func append(_ command: Command, _ output: CommandOutput) {
        let said = (output.output.lines + output.errors.lines).map { "  \($0)\n" }.joined()
        let text = "\(command)\n\(said)" + (output.status == 0 ? "" : "  exit status \(output.status)\n")
        try? LocalFiles().makeDirectory(file.removingLastComponent(), mode: .directory)
        let opened = try? FileDescriptor.open(
            file, .writeOnly, options: [.append, .create, .closeOnExec], permissions: [.ownerReadWrite, .groupRead])
        guard let opened else { return }
        _ = try? opened.closeAfter { try opened.writeAll(text.utf8) }
    }
}
