import Glibc
import KldCore
import Subprocess
import Synchronization
package import SystemPackage

/// Runs commands as real processes of this machine, each in a process group of its own.
///
/// A cancelled task ends the whole group: SIGTERM, then SIGKILL after ``Command/timeToEnd``.
public struct SubprocessRunner: CommandRunner {
    /// Called with each line of standard error as it is printed; of ``Command/tellsOnBoth`` with those of standard output too.
    private let lines: (@Sendable (Command, String) -> Void)?

    public init(lines: (@Sendable (Command, String) -> Void)? = nil) { self.lines = lines }

    @discardableResult
    public func run(_ command: Command) async throws -> CommandOutput {
        let output = try await execute(command, input: nil, output: nil)
        return try check(command, output)
    }

    @discardableResult
    public func run(pipeline: [Command]) async throws -> CommandOutput {
        let ends = try pipeline.dropFirst().map { _ in try Self.pipe() }
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
        // The first that failed by itself is the cause. Those before it lost their reader, those after it saw their input end too early.
        let ended = pipeline.indices.compactMap { index in results[index].map { (pipeline[index], $0) } }
        for (command, output) in ended where !Self.lostItsReader(command, output) { _ = try check(command, output) }
        for (command, output) in ended { _ = try check(command, output) }
        return results[pipeline.count - 1] ?? CommandOutput()
    }

    /// A pipe that no child inherits by accident: it would keep a reader from ever seeing the end of its input.
    private static func pipe() throws -> (readEnd: FileDescriptor, writeEnd: FileDescriptor) {
        let ends = try FileDescriptor.pipe()
        for end in [ends.readEnd, ends.writeEnd] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
        return ends
    }

    /// By SIGPIPE, which a program may also report as its exit status or in words.
    private static func lostItsReader(_ command: Command, _ output: CommandOutput) -> Bool {
        output.status == -SIGPIPE || output.status == 128 + SIGPIPE || output.errors.contains("Broken pipe")
            || output.status == command.statusWithoutReader && output.errors.isEmpty
    }

    /// Where commands are looked for, whatever this process was started with.
    package static let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// Where commands put what is too large for memory, in which `/tmp` often lies: `TMPDIR`, else `/var/tmp`. Source: systemd,
    /// "Using /tmp/ and /var/tmp/ Safely".
    package static var temporaryFolder: FilePath { FilePath(getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp") }

    private func check(_ command: Command, _ output: CommandOutput) throws -> CommandOutput {
        if command.acceptedExitStatuses.contains(output.status) { return output }
        // What a command says when it is ended from here is not its own failure.
        if Task.isCancelled { throw CancellationError() }
        if output.status < 0 { throw CommandError.killed(command, signal: -output.status) }
        throw CommandError.failed(command, output)
    }

    private func execute(_ command: Command, input: FileDescriptor?, output: FileDescriptor?) async throws -> CommandOutput {
        var environment = [
            "PATH": Self.searchPath, "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "HOME": getenv("HOME").map { String(cString: $0) } ?? "/", "DEBIAN_FRONTEND": "noninteractive",
            "TMPDIR": Self.temporaryFolder.string,
        ]
        for name in ["http_proxy", "https_proxy", "no_proxy", "XDG_RUNTIME_DIR", "SSL_CERT_FILE"] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        environment.merge(command.environment) { $1 }
        guard let executable = Self.find(command.tool.name, path: environment["PATH"] ?? "") else {
            throw CommandError.toolMissing(command.tool)
        }
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: command.timeToEnd)]
        let configuration = Subprocess.Configuration(
            executable: .path(executable), arguments: Arguments(command.arguments),
            environment: .custom(Dictionary(uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0.key), $0.value) })),
            workingDirectory: command.workingDirectory, platformOptions: options)
        do {
            return try await launch(configuration, command: command, input: input, output: output)
        } catch let error as SubprocessError {
            if Task.isCancelled { throw CancellationError() }
            throw CommandError.cannotStart(command, reason: "\(error)")
        }
    }

    private func launch(
        _ configuration: Subprocess.Configuration, command: Command, input: FileDescriptor?, output: FileDescriptor?
    ) async throws -> CommandOutput {
        let own = try OwnFiles(command, input: input)
        defer { own.close() }
        let sink = own.output ?? output
        let group = ProcessGroup()
        // The group's leader is gone by then; a grandchild that ignored SIGTERM is not.
        defer { group.end() }
        // Standard error is read as it comes: a person watches it, and a log keeps it.
        let lines = lines
        @Sendable func errors(_ process: ProcessIdentifier, _ sequence: SubprocessOutputSequence) async throws -> String {
            group.lead(process)
            // A task of its own, which goes on when this one is cancelled: a command that is asked to end says so, and who has nobody to say
            // it to is ended by SIGPIPE in the middle of clearing up.
            return try await Task {
                var text = ""
                for try await line in sequence.strings(bufferingPolicy: .unbounded) {
                    lines?(command, line.trimmed)
                    text += line.trimmed + "\n"
                    if text.utf8.count > 1 << 20 { text = String(text.suffix(1 << 19)) }
                }
                return text
            }.value
        }
        // why not `.string(text)` as input: Subprocess 1.0.2 ends the whole program when a child does not read it.
        @Sendable func write(_ bytes: [UInt8], _ writer: StandardInputWriter) async {
            _ = try? await writer.write(bytes)
            try? await writer.finish()
        }
        // Standard input is a descriptor or a text, standard output a descriptor or a string: four shapes, one result.
        let limit = 64 << 20
        switch (own.content, sink) {
        case (nil, let sink?):
            let result = try await Subprocess.run(
                configuration, input: .fileDescriptor(own.input, closeAfterSpawningProcess: false),
                output: .fileDescriptor(sink, closeAfterSpawningProcess: false), error: .sequence
            ) { try await errors($0.processIdentifier, $0.standardError) }
            return finish(result, "")
        case (nil, nil) where command.tellsOnBoth:
            let result = try await Subprocess.run(
                configuration, input: .fileDescriptor(own.input, closeAfterSpawningProcess: false), output: .sequence,
                error: .combinedWithOutput
            ) { try await errors($0.processIdentifier, $0.standardOutput) }
            return finish(result, "")
        case (nil, nil):
            let result = try await Subprocess.run(
                configuration, input: .fileDescriptor(own.input, closeAfterSpawningProcess: false), output: .string(limit: limit),
                error: .sequence
            ) { try await errors($0.processIdentifier, $0.standardError) }
            return finish(result, result.standardOutput)
        case (let content?, let sink?):
            let result = try await Subprocess.run(
                configuration, input: .inputWriter, output: .fileDescriptor(sink, closeAfterSpawningProcess: false), error: .sequence
            ) { process in
                async let written: Void = write(content, process.standardInputWriter)
                let text = try await errors(process.processIdentifier, process.standardError)
                await written
                return text
            }
            return finish(result, "")
        case (let content?, nil):
            let result = try await Subprocess.run(configuration, input: .inputWriter, output: .string(limit: limit), error: .sequence) {
                process in
                async let written: Void = write(content, process.standardInputWriter)
                let text = try await errors(process.processIdentifier, process.standardError)
                await written
                return text
            }
            return finish(result, result.standardOutput)
        }
    }

    private func finish<Output: OutputProtocol, Errors: ErrorOutputProtocol>(
        _ result: ExecutionResult<String, Output, Errors>, _ output: String
    ) -> CommandOutput {
        let status: Int32 =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let signal): -signal
            }
        return CommandOutput(status: status, output: output, errors: result.closureResult)
    }

    /// The first executable file of that name on PATH, or the name itself when it is a path.
    package static func find(_ name: String, path: String) -> FilePath? {
        if name.contains("/") { return isProgram(name) ? FilePath(name) : nil }
        return path.split(separator: ":").lazy.map { "\($0)/\(name)" }.first(where: isProgram).map { FilePath($0) }
    }

    private static func isProgram(_ path: String) -> Bool {
        var information = stat()
        // A folder may be "executed" too.
        return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }
}

/// What a command reads and writes besides the pipes around it.
private struct OwnFiles {
    /// Standard input, where it is no text.
    let input: FileDescriptor
    let content: [UInt8]?
    private(set) var output: FileDescriptor?
    private let opened: Bool

    /// - Parameter pipe: the standard output of the command before this one; it wins over what the command says.
    /// - Throws: ``CommandError/cannotStart(_:reason:)`` with the file that cannot be opened.
    init(_ command: Command, input pipe: FileDescriptor?) throws(CommandError) {
        func open(_ path: FilePath, _ body: (FilePath) throws -> FileDescriptor) throws(CommandError) -> FileDescriptor {
            do { return try body(path) } catch { throw .cannotStart(command, reason: "\(path): \(error)") }
        }
        var path: FilePath = "/dev/null"
        switch command.input {
        case .text(let text) where pipe == nil: content = Array(text.utf8)
        case .secret(let secret) where pipe == nil: content = Array(secret.reveal().utf8)
        case .file(let file):
            path = file
            content = nil
        default: content = nil
        }
        opened = pipe == nil
        if let pipe { input = pipe } else { input = try open(path) { try FileDescriptor.open($0, .readOnly, options: .closeOnExec) } }
        guard let path = command.outputFile else { return }
        var options: FileDescriptor.OpenOptions = [.create, .truncate, .closeOnExec]
        if !command.followsOutputLink { options.insert(.noFollow) }
        do {
            output = try open(path) {
                try FileDescriptor.open($0, .writeOnly, options: options, permissions: command.outputPermissions)
            }
        } catch {
            close()
            throw error
        }
    }

    func close() {
        if opened { try? input.close() }
        try? output?.close()
    }
}

/// The processes of one command.
private final class ProcessGroup: Sendable {
    private let leader = Mutex<pid_t?>(nil)

    func lead(_ process: ProcessIdentifier) { leader.withLock { $0 = process.value } }
    func end() {
        if let leader = leader.withLock({ $0 }) { kill(-leader, SIGKILL) }
    }
}
