import Glibc
public import KldCore
import Subprocess
public import SystemPackage

/// Runs commands as real processes of this machine, each in a process group of its own.
///
/// A cancelled task ends the whole group: SIGTERM, then SIGKILL after two seconds.
public struct SubprocessRunner: CommandRunner {
    /// Called with each line of standard error as it is printed.
    private let lines: (@Sendable (Command, String) -> Void)?

    public init(lines: (@Sendable (Command, String) -> Void)? = nil) { self.lines = lines }

    public func run(_ command: Command) async throws -> CommandOutput {
        let output = try await execute(command, input: nil, output: nil)
        return try check(command, output)
    }

    public func run(pipeline: [Command]) async throws -> CommandOutput {
        var ends: [(readEnd: FileDescriptor, writeEnd: FileDescriptor)] = []
        for _ in pipeline.dropFirst() { ends.append(try FileDescriptor.pipe()) }
        // Our own copies must not leak into the children, or no reader ever sees the end of its input.
        for end in ends {
            _ = fcntl(end.readEnd.rawValue, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end.writeEnd.rawValue, F_SETFD, FD_CLOEXEC)
        }
        let results = try await withThrowingTaskGroup(of: (Int, CommandOutput).self) { group in
            for (index, command) in pipeline.enumerated() {
                let input = index > 0 ? ends[index - 1].readEnd : nil
                let output = index < ends.count ? ends[index].writeEnd : nil
                group.addTask {
                    defer {
                        try? input?.close()
                        try? output?.close()
                    }
                    return (index, try await execute(command, input: input, output: output))
                }
            }
            var results: [Int: CommandOutput] = [:]
            for try await (index, output) in group { results[index] = output }
            return results
        }
        // The first failure upstream is the cause; SIGPIPE of the others is its consequence. So judge the last first.
        for index in pipeline.indices.reversed() {
            if let output = results[index] { _ = try check(pipeline[index], output) }
        }
        return results[pipeline.count - 1] ?? CommandOutput()
    }

    private func check(_ command: Command, _ output: CommandOutput) throws -> CommandOutput {
        if output.status < 0 { throw CommandError.killed(command, signal: -output.status) }
        guard command.acceptedExitStatuses.contains(output.status) else { throw CommandError.failed(command, output) }
        return output
    }

    private func execute(_ command: Command, input: FileDescriptor?, output: FileDescriptor?) async throws -> CommandOutput {
        var environment = [
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "HOME": getenv("HOME").map { String(cString: $0) } ?? "/", "DEBIAN_FRONTEND": "noninteractive",
        ]
        for name in ["http_proxy", "https_proxy", "no_proxy", "XDG_RUNTIME_DIR", "TMPDIR", "SSL_CERT_FILE"] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        environment.merge(command.environment) { $1 }
        guard let executable = Self.find(command.tool.name, path: environment["PATH"] ?? "") else {
            throw CommandError.toolMissing(command.tool)
        }
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(2))]
        let configuration = Subprocess.Configuration(
            executable: .path(executable), arguments: Arguments(command.arguments),
            environment: .custom(Dictionary(uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0.key), $0.value) })),
            workingDirectory: command.workingDirectory, platformOptions: options)
        do {
            return try await launch(configuration, command: command, input: input, output: output)
        } catch let error as SubprocessError {
            throw CommandError.cannotStart(command, reason: "\(error)")
        }
    }

    private func launch(
        _ configuration: Subprocess.Configuration, command: Command, input: FileDescriptor?, output: FileDescriptor?
    ) async throws -> CommandOutput {
        // Standard input is always a descriptor or a text; standard output a descriptor or a string: four shapes, one result.
        let file: FileDescriptor? =
            if case .file(let path) = command.input { try FileDescriptor.open(path, .readOnly, options: .closeOnExec) } else { input }
        let sink: FileDescriptor? =
            if let path = command.outputFile {
                try FileDescriptor.open(
                    path, .writeOnly, options: [.create, .truncate, .closeOnExec], permissions: [.ownerReadWrite, .groupRead, .otherRead])
            } else { output }
        defer {
            if case .file = command.input { try? file?.close() }
            if command.outputFile != nil { try? sink?.close() }
        }
        let text: String =
            switch command.input {
            case .text(let text): text
            case .secret(let secret): secret.reveal()
            case .none, .file: ""
            }
        let limit = 64 << 20
        let lines = lines
        // Standard error is read as it comes: a person watches it, and a log keeps it.
        @Sendable func errors(_ sequence: SubprocessOutputSequence) async throws -> String {
            var text = ""
            for try await line in sequence.strings() {
                lines?(command, line.trimmed)
                text += line.trimmed + "\n"
                if text.utf8.count > 1 << 20 { text = String(text.suffix(1 << 19)) }
            }
            return text
        }
        switch (file, sink) {
        case (let file?, let sink?):
            let result = try await Subprocess.run(
                configuration, input: .fileDescriptor(file, closeAfterSpawningProcess: false),
                output: .fileDescriptor(sink, closeAfterSpawningProcess: false), error: .sequence
            ) { try await errors($0.standardError) }
            return finish(result, "")
        case (let file?, nil):
            let result = try await Subprocess.run(
                configuration, input: .fileDescriptor(file, closeAfterSpawningProcess: false), output: .string(limit: limit), error: .sequence
            ) { try await errors($0.standardError) }
            return finish(result, result.standardOutput)
        case (nil, let sink?):
            let result = try await Subprocess.run(
                configuration, input: .string(text), output: .fileDescriptor(sink, closeAfterSpawningProcess: false), error: .sequence
            ) { try await errors($0.standardError) }
            return finish(result, "")
        case (nil, nil):
            let result = try await Subprocess.run(configuration, input: .string(text), output: .string(limit: limit), error: .sequence) {
                try await errors($0.standardError)
            }
            return finish(result, result.standardOutput)
        }
    }

    private func finish<Output: OutputProtocol, Errors: ErrorOutputProtocol>(
        _ result: ExecutionResult<String, Output, Errors>, _ output: String
    ) -> CommandOutput {
        // The group's leader is gone; a grandchild that ignored SIGTERM is not.
        kill(-result.processIdentifier.value, SIGKILL)
        let status: Int32 =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let signal): -signal
            }
        return CommandOutput(status: status, output: output, errors: result.closureResult)
    }

    /// The first executable file of that name on PATH, or the name itself when it is a path.
    package static func find(_ name: String, path: String) -> FilePath? {
        if name.contains("/") { return access(name, X_OK) == 0 ? FilePath(name) : nil }
        for directory in path.split(separator: ":") {
            let candidate = "\(directory)/\(name)"
            if access(candidate, X_OK) == 0 { return FilePath(candidate) }
        }
        return nil
    }
}
