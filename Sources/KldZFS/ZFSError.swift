public import KldCore
public import KldExec

/// What the ZFS tools complain about, told from their words on standard error.
///
/// Source: `libzfs_error_description()`, `do_import()`, `libzfs_error_init()` and `zfs_crypto_*` of OpenZFS 2.4.4; the phrases are the same
/// since 2.0 unless noted. The tools run in the C locale, so there are no translations.
public enum ZFSError: Error, Sendable, Hashable {
    case moduleNotLoaded
    case noSuchPool(String)
    case noSuchDataset(String)
    case poolExists(String)
    case datasetExists(String)
    case poolBusy(String)
    case datasetBusy(String)
    /// The pool was last used under another host id and was not exported. `hostID` as printed: hexadecimal, no leading zeros.
    case foreignHost(pool: String, host: String, hostID: String)
    /// Another machine has it open now, or might (multihost).
    case activeElsewhere(pool: String)
    /// `device` is empty where OpenZFS does not name it.
    case deviceInUse(device: String, by: String)
    case permissionDenied
    case keyNotLoaded(String)
    case wrongKey(String)
    case outOfSpace(String)
    /// The pool uses features that this OpenZFS does not have, or a property names an unknown one.
    case unsupportedFeature(String)
    case mismatchedReplication(String)
    case missingDevices(String)
    case hasChildren(String)
    case hasClones(String)
    case readOnly(String)
    case suspended(String)

    /// - Parameter errors: the standard error of `zfs` or `zpool`, and standard output too for `import`, which lists features there.
    /// - Returns: `nil` for anything not known.
    public init?(_ errors: String) {
        let text = errors
        /// The name between the first pair of quotes of the first line that has some.
        var quoted: String {
            guard let open = text.firstIndex(of: "'") else { return "" }
            let rest = text[text.index(after: open)...]
            return rest.firstIndex(of: "'").map { String(rest[..<$0]) } ?? ""
        }
        func has(_ phrase: String) -> Bool { text.contains(phrase) }
        func after(_ phrase: String, until stops: Set<Character>) -> String {
            guard let range = text.firstRange(of: phrase) else { return "" }
            return String(text[range.upperBound...].prefix { !stops.contains($0) && !$0.isNewline })
        }

        if has("The ZFS modules are not loaded") || has("The ZFS modules cannot be auto-loaded") || has("/dev/zfs and /proc/self/mounts") {
            self = .moduleNotLoaded
        } else if has("previously in use from another system") {
            self = .foreignHost(
                pool: quoted, host: after("Last accessed by ", until: [" ", "("]), hostID: after("hostid=", until: [")"]))
        } else if has("pool is imported on") || has("pool has the multihost property on") || has("currently imported by another system") {
            self = .activeElsewhere(pool: quoted)
        } else if has("is part of active pool") || has("is part of potentially active pool") || has("is part of exported pool") {
            self = .deviceInUse(device: ZFSError.firstPath(in: text), by: "the pool " + after("pool '", until: ["'"]))
        } else if has("is in use and contains") || has("contains a filesystem of type") || has("is currently mounted on") {
            self = .deviceInUse(device: ZFSError.firstPath(in: text), by: ZFSError.detail(in: text))
        } else if has("one or more devices are already in use") || has("one or more vdevs refer to the same device") {
            self = .deviceInUse(device: "", by: "another pool or program")
        } else if has("mismatched replication level") || has("contains devices of different sizes") {
            self = .mismatchedReplication(ZFSError.detail(in: text))
        } else if has("Incorrect key provided") {
            self = .wrongKey(quoted)
        } else if has("Key must be loaded") || has("encryption key not loaded") || has("Key not loaded") {
            self = .keyNotLoaded(quoted)
        } else if has("unsupported version or feature") || has("feature(s) not supported by this system") || has("property 'feature@") {
            self = .unsupportedFeature(quoted)
        } else if has("pool I/O is currently suspended") {
            self = .suspended(quoted)
        } else if has("out of space") || has("No space left on device") {
            self = .outOfSpace(quoted)
        } else if has("no such pool or dataset") || has("no such pool available") || has("no such pool") {
            self = .noSuchPool(quoted)
        } else if has("dataset does not exist") || has("could not find any snapshots to destroy") {
            self = .noSuchDataset(quoted)
        } else if has("pool already exists") || has("a pool with that name already exists") || has("pool or dataset exists") {
            self = .poolExists(quoted)
        } else if has("dataset already exists") {
            self = .datasetExists(quoted)
        } else if has("has dependent clones") {
            self = .hasClones(quoted)
        } else if has("has children") || has("filesystem has children") || has("volume has children") {
            self = .hasChildren(quoted)
        } else if has("pool is busy") || has("pool or dataset is busy") || has("pool export in progress") {
            self = .poolBusy(quoted)
        } else if has("dataset is busy") || has("target is busy") {
            self = .datasetBusy(quoted)
        } else if has("devices below are missing or corrupted") || has("one or more devices is currently unavailable") {
            self = .missingDevices(quoted)
        } else if has("pool is read-only") || has("dataset is read-only") {
            self = .readOnly(quoted)
        } else if has("permission denied") || has("Permission denied") || has("must be superuser") {
            self = .permissionDenied
        } else {
            return nil
        }
    }

    private static func firstPath(in text: String) -> String {
        text.words.first { $0.hasPrefix("/") }.map { String($0.drop(while: { $0 == "'" }).prefix { $0 != ":" && $0 != "'" }) } ?? ""
    }

    /// The line that tells more, without the advice to use `-f`.
    private static func detail(in text: String) -> String {
        text.lines.first { !$0.hasPrefix("invalid vdev specification") && !$0.hasPrefix("use '-f'") && !$0.hasPrefix("cannot ") }?.trimmed
            ?? ""
    }

    /// The known ZFS error in what a command left behind; anything else as it came.
    public static func explaining(_ error: any Error) -> any Error {
        guard let failure = error as? CommandError, case .failed(let command, let output) = failure,
            isZFS(command), let known = ZFSError(output.errors + "\n" + output.output)
        else { return error }
        return ZFSFailure(known, command: command, output: output)
    }

    /// What a command that failed said on standard error, whether or not its error has been explained since; `nil` for any other error.
    package static func said(_ error: any Error) -> String? {
        ((error as? ZFSFailure)?.output ?? (error as? CommandError)?.failure)?.errors
    }

    private static func isZFS(_ command: Command) -> Bool {
        let names: Set<String> = ["zfs", "zpool"]
        // `chroot ROOT zfs …` too.
        return names.contains(command.tool.name) || (command.arguments.count > 1 && names.contains(command.arguments[1]))
    }
}

/// A ``ZFSError`` together with the command that met it.
public struct ZFSFailure: Error, Sendable, Hashable, Diagnosable {
    public var error: ZFSError
    public var command: Command
    public var output: CommandOutput

    public init(_ error: ZFSError, command: Command, output: CommandOutput) {
        self.error = error
        self.command = command
        self.output = output
    }

    public var diagnosis: Diagnosis {
        var diagnosis = error.diagnosis
        diagnosis.causes += ["command: \(command)"] + output.errors.lines.suffix(8)
        return diagnosis
    }
}

/// Names the cause when a ZFS command of the wrapped runner fails.
public struct ZFSExplainingRunner: CommandRunner {
    private let runner: any CommandRunner
    public init(_ runner: any CommandRunner) { self.runner = runner }

    @discardableResult
    public func run(_ command: Command) async throws -> CommandOutput {
        do { return try await runner.run(command) } catch { throw ZFSError.explaining(error) }
    }
    @discardableResult
    public func run(pipeline: [Command]) async throws -> CommandOutput {
        do { return try await runner.run(pipeline: pipeline) } catch { throw ZFSError.explaining(error) }
    }
}
