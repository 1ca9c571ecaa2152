import KldCore
public import KldExec
public import KldFiles
import KldSSH
public import SystemPackage

/// Copies finished files to another machine over ssh: each under `.NAME.partial`, and when all are there, all get their names.
public struct ScpUpload: Sendable {
    private let destination: ScpDestination
    private let runner: any CommandRunner
    private let files: any FileSystem
    private let scratch: FilePath

    /// - Parameter scratch: a private folder that does not exist yet, absolute, on a tmpfs if possible (`/run/kldload/upload-1`): a
    ///   password lies there, 0600, while the upload runs. What is made of it is removed in any case.
    public init(to destination: ScpDestination, runner: any CommandRunner, files: any FileSystem, scratch: FilePath) {
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
    /// - Throws: ``Diagnosis`` `image.upload-host-unknown`, `image.upload-host-changed`, `image.upload-denied`, `image.upload-name`;
    ///   ``CommandError``; ``FileError``.
    @discardableResult
    public func upload(_ paths: [FilePath], report: @Sendable (Int) -> Void = { _ in }) async throws -> [String] {
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
        return names.map { ScpCommands(destination).remote($0) }
    }

    /// Tells before long work whether an upload could begin: logs in, writes an empty file into the folder, and removes it.
    /// - Parameter name: of what will be uploaded; the file is `.NAME.trial.partial`.
    /// - Throws: as ``upload(_:report:)``.
    public func tryOut(_ name: ExportName) async throws {
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
        diagnosis.remedies.append(ScpCommands(destination).byHand(paths).description)
        return diagnosis
    }

    /// Runs what connects, and tidies up after it.
    /// - Parameter names: of the files whose partials go when that fails.
    private func connecting(
        for names: [String], needsScratch: Bool = false, _ work: (ScpCommands) async throws -> Void
    ) async throws {
        var commands = ScpCommands(destination)
        var password: Secret?
        if case .password(let word) = destination.credential { password = word }
        let makes = needsScratch || password != nil
        if makes { try makeScratch() }
        defer { if makes { try? files.remove(scratch) } }
        if let password { commands.askPass = try prepareAskPass(password) }
        do { try await work(commands) } catch {
            let cause = translated(error)
            if !(cause is Diagnosis) {
                // Best effort: the connection may be what failed. Cancelled work still has to clean up, hence a task of its own.
                let (runner, command) = (runner, commands.removePartials(names))
                _ = await Task { try? await runner.run(command) }.value  // why: it must run although this task is cancelled
            }
            if Task.isCancelled { throw CancellationError() }
            throw cause
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

    /// Names the cause of a failed connection.
    private func translated(_ error: any Error) -> any Error {
        guard let text = (error as? CommandError)?.failure?.errors else { return error }
        let name = destination.knownName
        switch SSHProblem(text) {
        case .hostChanged:
            return Diagnosis(
                "image.upload-host-changed", "\(name) shows another host key than the one that is known",
                remedies: [
                    "find out why before anything else: somebody may be in between",
                    "if the server was reinstalled: ssh-keygen -R '\(name)', then learn the new key as for an unknown host",
                ], exit: .failed)
        case .hostUnknown:
            let file = destination.knownHosts?.string ?? "known_hosts"
            return Diagnosis(
                "image.upload-host-unknown", "the host key of \(name) is not known, and unknown keys are not accepted",
                remedies: [
                    "ssh-keyscan -p \(destination.port) \(destination.host) > \(file).new",
                    "compare ssh-keygen -lf \(file).new with ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the server itself",
                    "if they are equal, append it to \(file) and set KLDLOAD_EXPORT_SCP_KNOWN_HOSTS to that file",
                ], exit: .failed)
        case .denied:
            return Diagnosis(
                "image.upload-denied", "\(destination.account) does not let us in",
                remedies: ["check KLDLOAD_EXPORT_SCP_USER and KLDLOAD_EXPORT_SCP_KEY or KLDLOAD_EXPORT_SCP_PASS"], exit: .failed,
                causes: Array(text.lines.suffix(2)))
        case .unreachable, nil: return error
        }
    }
}
