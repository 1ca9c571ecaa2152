import KldCore
package import KldExec
package import KldFiles
import KldSSH
package import SystemPackage

/// Copies finished files to another machine over ssh: each under `.NAME.partial`, and when all are there, all get their names.
package struct ScpUpload: Sendable {
    private let destination: ScpDestination
    private let runner: any CommandRunner
    private let files: any FileSystem
    private let scratch: FilePath

    /// - Parameter scratch: a private folder that does not exist yet, absolute, on a tmpfs if possible (`/run/kldload/upload-1`): a
    ///   password lies there, 0600, while the upload runs. What is made of it is removed in any case.
    package init(to destination: ScpDestination, runner: any CommandRunner, files: any FileSystem, scratch: FilePath) {
        self.destination = destination
        self.runner = runner
        self.files = files
        self.scratch = scratch
    }

    /// Uploads.
    /// - Parameters:
    ///   - paths: the image before its check file and its manifest: they get their names in this order.
    ///   - report: the number of files that are there.
    /// - Returns: their paths on the other machine.
    /// - Throws: ``Diagnosis`` `image.upload-name`, and of ``SSHProblem`` where the connection failed; ``CommandError``; ``FileError``.
    @discardableResult
    package func upload(_ paths: [FilePath], report: @Sendable (Int) -> Void = { _ in }) async throws -> [String] {
        let named = try paths.map { path in
            guard let name = path.lastComponent?.string, (try? ExportName(sanitising: name).text) == name else {
                throw Diagnosis(
                    "image.upload-name", "\(path) has a name that cannot be uploaded",
                    remedies: ["use a name of letters, digits, dots, hyphens and underscores"], exit: .usage)
            }
            return (path: path, name: name)
        }
        if named.isEmpty { return [] }
        let names = named.map(\.name)
        try await connecting(for: names) { commands in
            for (index, file) in named.enumerated() {
                try await runner.run(commands.copy(file.path, name: file.name))
                report(index + 1)
            }
            try await runner.run(commands.rename(names))
        }
        return names.map { destination.commands().remote($0) }
    }

    /// Tells before long work whether an upload could begin: logs in, writes an empty file into the folder, and removes it.
    /// - Parameter name: of what will be uploaded; the file is `.NAME.trial.partial`.
    /// - Throws: as ``upload(_:report:)``.
    package func tryOut(_ name: ExportName) async throws {
        let trial = "\(name.text).trial"
        try await connecting(for: [trial], needsScratch: true) { commands in
            let file = scratch.appending("empty")
            try files.write("", to: file)
            try await runner.run(commands.copy(file, name: trial))
            try await runner.run(commands.removePartials([trial]))
        }
    }

    /// An error with what uploads the files later: they are whole, and another build would only find that their names are taken.
    package func telling(_ error: any Error, of paths: [FilePath]) -> any Error {
        if error is CancellationError { return error }
        var diagnosis = Diagnosis(of: error)
        diagnosis.remedies.append("the images are whole, and need no other build; when the cause is gone, upload them:")
        diagnosis.remedies.append(destination.commands().byHand(paths).description)
        return diagnosis
    }

    /// Runs what connects, and tidies up after it.
    /// - Parameter names: of the files whose partials go when that fails.
    private func connecting(
        for names: [String], needsScratch: Bool = false, _ work: (ScpCommands) async throws -> Void
    ) async throws {
        let makes = needsScratch || destination.password != nil
        if makes { try makeScratch() }
        defer { if makes { try? files.remove(scratch) } }
        let commands = destination.commands(helper: try destination.password.map(prepareAskPass))
        do { try await work(commands) } catch {
            let problem = (error as? CommandError)?.failure.flatMap { SSHProblem($0.errors) }
            if problem == nil || problem == .unreachable {
                // Best effort: the connection may be what failed. Cancelled work still has to clean up, hence a task of its own.
                let (runner, command) = (runner, commands.removePartials(names))
                _ = await Task { try? await runner.run(command) }.value  // why: it must run although this task is cancelled
            }
            if Task.isCancelled { throw CancellationError() }
            throw Self.explained(error, of: destination)
        }
    }

    private func makeScratch() throws {
        if try files.exists(scratch) { throw FileError.other(scratch, action: "make", reason: "it exists already") }
        try files.makeDirectory(scratch, mode: 0o700)
    }

    private func prepareAskPass(_ password: Secret) throws -> FilePath {
        guard scratch.isAbsolute, !scratch.string.contains("'") else {
            throw Diagnosis("image.upload-scratch", "\(scratch) cannot hold the password's helper", exit: .bug)
        }
        let secret = scratch.appending("secret")
        try files.write(Array((password.reveal() + "\n").utf8), to: secret, mode: .secret)
        let helper = scratch.appending("askpass")
        try files.write(AskPass.helper(secret: secret), to: helper, mode: 0o700)
        return helper
    }

    /// Names the cause of a failed connection, with the answers that mend it.
    private static func explained(_ error: any Error, of destination: ScpDestination) -> any Error {
        guard let errors = (error as? CommandError)?.failure?.errors, let problem = SSHProblem(errors) else { return error }
        var told = problem.diagnosis(of: destination.account, errors: errors)
        switch problem {
        case .denied: told.remedies = ["check KLDLOAD_EXPORT_SCP_USER and KLDLOAD_EXPORT_SCP_KEY or KLDLOAD_EXPORT_SCP_PASS"]
        case .hostUnknown where destination.account.knownHosts == nil:
            told.remedies.append("or put it into a file of its own, and name that: KLDLOAD_EXPORT_SCP_KNOWN_HOSTS")
        case .hostUnknown, .hostChanged, .unreachable: break
        }
        return told
    }
}
