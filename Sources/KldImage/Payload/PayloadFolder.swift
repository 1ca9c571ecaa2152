import KldCore
public import KldExec
public import KldFiles
public import KldInstall
public import SystemPackage

/// A folder that holds a payload, as a medium carries it, a server gave it, or a build left it.
public struct PayloadFolder: Sendable {
    static let root = "root.zfs"
    /// In place of ``root``: what the boot environment has beyond another payload's. Of another name, so that nobody takes it for a whole one.
    static let increment = "increment.zfs"
    static let rest = "rest.tar"

    private let folder: FilePath
    /// The top of the medium that it lies on, and what that says of itself.
    private let medium: (top: FilePath, list: MediumList)?

    /// Where the folder lies three below a folder with ``MediumList``, that is the medium, wherever it is mounted.
    /// - Throws: ``Diagnosis`` `medium.list-unreadable`; ``FileError``.
    public init(_ folder: FilePath, files: any FileSystem) throws {
        self.folder = folder
        let top = folder.removingLastComponent().removingLastComponent().removingLastComponent()
        let list = top.pushing(FilePath(MediumList.path))
        guard folder.removingLastComponent() == top.pushing(FilePath(LiveMedium.payloadFolder)), try files.exists(list) else {
            medium = nil
            return
        }
        medium = (top, try MediumList(text: files.readText(list)))
    }

    /// Its name on the medium: `kldload/payloads/debian-trixie-core`.
    private var name: String { "\(LiveMedium.payloadFolder)/\(folder.lastComponent?.string ?? "")" }

    /// Where the root file system comes from.
    ///
    /// - Parameter elsewhere: the files are still to be fetched.
    /// - Throws: ``Diagnosis`` `medium.base-missing`, `install.base-unknown`, `install.payload-incomplete`; ``FileError``.
    public func source(elsewhere: Bool = false, files: any FileSystem) throws -> InstallRequest.Payload.Source {
        let source = try meant(elsewhere, files)
        // Of a medium all of it is read and compared later.
        let missing = try elsewhere || medium != nil ? [] : Self.parts(of: source).filter { (try files.status($0)?.size.bytes ?? 0) == 0 }
        guard missing.isEmpty else {
            throw Diagnosis(
                "install.payload-incomplete", "\(folder) lacks what is to be installed; nothing was changed",
                remedies: ["copy the whole folder again", "or leave --payload out: the medium's own is taken"], exit: .inputMissing,
                causes: missing.map { "\($0) is missing or empty" })
        }
        return source
    }

    /// The files that are installed.
    private static func parts(of source: InstallRequest.Payload.Source) -> [FilePath] {
        switch source {
        case .archive(let archive): [archive]
        case .stream(let root, let base, let rest): [base, root, rest].compactMap { $0 }
        }
    }

    private func meant(_ elsewhere: Bool, _ files: any FileSystem) throws -> InstallRequest.Payload.Source {
        let (root, rest, increment) = (folder.appending(Self.root), folder.appending(Self.rest), folder.appending(Self.increment))
        if let medium, let base = try medium.list.base(of: "\(name)/\(Self.increment)") {
            let file = medium.top.pushing(FilePath(base.path))
            guard try elsewhere || files.exists(file) else { throw MediumList.missing(base.path, of: "\(name)/\(Self.increment)") }
            return .stream(root: increment, onto: file, rest: rest)
        }
        if try elsewhere || files.exists(root) { return .stream(root: root, rest: rest) }
        guard try !files.exists(increment) else {
            throw Diagnosis(
                "install.base-unknown", "\(folder) holds only what its system has beyond another one, and nothing says which",
                remedies: [
                    "mount the whole ISO, and name the folder there: --payload FOLDER/\(name)", "or start this machine from the ISO",
                ], exit: .inputMissing)
        }
        let compressed = folder.appending("rootfs.tar.zst")
        return .archive(try files.exists(compressed) ? compressed : folder.appending("rootfs.tar"))
    }

    /// Reads all that will be installed, and compares it with what the medium says that it carries. Of a folder elsewhere its `SHA256SUMS` says
    /// that, as a build left it; without one nobody does, and nothing is read.
    ///
    /// Runs: `sha256sum FILE`, reads.
    /// - Parameters:
    ///   - mirror: the medium's, by its folder below the top, where packages of it are installed too: ``LiveMedium/mirror(_:)``.
    ///   - say: told how much will be read.
    /// - Throws: ``Diagnosis`` `medium.damaged`, `install.payload-damaged`.
    public func verify(
        _ source: InstallRequest.Payload.Source, mirror: String? = nil, runner: any CommandRunner, files: any FileSystem,
        say: (String) -> Void
    ) async throws {
        guard let medium else { return try await verifyCopy(source, runner, files, say) }
        guard case .stream = source else { return }
        let streams = Self.parts(of: source).compactMap { file in
            var path = file
            return path.removePrefix(medium.top) ? medium.list(path.string) : nil
        }
        let parts = streams + (mirror.map { medium.list.files(in: $0) } ?? [])
        say("reading \(ByteCount(parts.reduce(0) { $0 + $1.size.bytes })) of this medium before anything is changed")
        for part in parts {
            if let problem = try await Self.problem(of: medium.top.pushing(FilePath(part.path)), part, runner, files) {
                let isBase = part.path.hasPrefix(LiveMedium.payloadFolder + "/") && !part.path.hasPrefix(name + "/")
                let user = isBase ? ", on which \(name) builds," : ""
                throw Diagnosis(
                    "medium.damaged", "\(part.path)\(user) is not what this medium says that it carries; nothing was changed",
                    remedies: [
                        "write the ISO to another stick, and compare it first: sha256sum --check kldload.iso.sha256",
                        "or start this machine again, and choose: Check this medium",
                    ], exit: .inputMissing, causes: [problem])
            }
        }
    }

    private func verifyCopy(
        _ source: InstallRequest.Payload.Source, _ runner: any CommandRunner, _ files: any FileSystem, _ say: (String) -> Void
    ) async throws {
        guard let sums = try sums(files) else { return }
        let listed = Self.parts(of: source).compactMap { file in
            file.lastComponent.flatMap { sums[$0.string] }.map { (file: file, digest: $0) }
        }
        guard !listed.isEmpty else { return }
        let bytes = try listed.reduce(UInt64(0)) { try $0 + (files.status($1.file)?.size.bytes ?? 0) }
        say("reading \(ByteCount(bytes)) of \(folder) before anything is changed")
        for part in listed {
            if let problem = try await Self.problem(of: part.file, part.digest, runner) { throw damaged(part.file, problem) }
        }
    }

    /// What `SHA256SUMS` says of the folder's files, by name; `nil` where there is none. It is copied in part as easily as they are.
    ///
    /// - Throws: ``Diagnosis`` `install.payload-damaged`; ``FileError``.
    private func sums(_ files: any FileSystem) throws -> [String: FileDigest]? {
        let list = folder.appending(ArtifactCache.sums)
        guard try files.exists(list) else { return nil }
        let text = String(decoding: try files.read(list), as: UTF8.self)
        guard text.last == "\n" else { throw damaged(list, "it is cut off") }
        var sums: [String: FileDigest] = [:]
        // `8f434346…e1c6  root.zfs`, coreutils 9.7; of `--binary` with a star.
        for line in text.lines {
            guard let digest = FileDigest(hex: line.prefix(64)), ["  ", " *"].contains(line.dropFirst(64).prefix(2)) else {
                throw damaged(list, "this line is none of sha256sum's: \(line)")
            }
            sums[String(line.dropFirst(66))] = digest
        }
        return sums
    }

    private func damaged(_ file: FilePath, _ cause: String) -> Diagnosis {
        Diagnosis(
            "install.payload-damaged", "\(file) is not what was built; nothing was changed",
            remedies: ["copy the whole folder again", "or leave --payload out: the medium's own is taken"], exit: .inputMissing,
            causes: [cause])
    }

    /// In words; `nil` when a file is what it should be.
    private static func problem(
        of file: FilePath, _ expected: MediumList.File, _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws -> String? {
        guard let size = try files.status(file)?.size else { return "it is not there" }
        guard size == expected.size else { return "it has \(size.bytes) bytes, not \(expected.size.bytes)" }
        return try await problem(of: file, expected.digest, runner)
    }

    /// Likewise, of its content.
    private static func problem(of file: FilePath, _ expected: FileDigest, _ runner: any CommandRunner) async throws -> String? {
        var command = FileCommand.digest(of: file)
        // What cannot be read is damaged too.
        command.acceptedExitStatuses = [0, 1]
        let answer = try await runner.run(command)
        guard answer.status == 0 else { return answer.errors.lines.first ?? "it cannot be read" }
        let digest = try SHA256Sum.parse(answer.output)
        return digest == expected ? nil : "its sha256 is \(digest.hex), not \(expected.hex)"
    }
}
