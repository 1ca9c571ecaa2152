import FoundationEssentials
import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// Built things by what went into them: `<root>/<kind>/<key>/…`, each whole or absent, safe for two builders at once.
public struct ArtifactCache: Sendable {
    /// Beside what was built: its digests, as `sha256sum` prints them.
    static let sums = "SHA256SUMS"

    public let root: FilePath
    let runner: any CommandRunner
    let files: any FileSystem
    /// Told once when another builder makes the same thing.
    private let waiting: @Sendable (String) -> Void
    /// Told the kind when something is built, `true` when it begins and `false` when it is whole.
    var building: @Sendable (_ kind: String, _ begins: Bool) -> Void = { _, _ in }
    /// Told what a person should know: that something was not what it should be.
    var noticing: @Sendable (String) -> Void = { _ in }

    /// The most that building a kind takes on the cache's file system. What is there is a fifth to a half of it.
    private static let room: [String: ByteCount] = [
        "modules": .gibibytes(1), "target": .gibibytes(5), "stream": .gibibytes(5), "increment": .gibibytes(5), "template": .gibibytes(5),
        "live": .gibibytes(4),
        "live-image": .gibibytes(2), "mirror": .gibibytes(1),
    ]

    /// The most that building a kind takes where its root file system is put together, before it is packed.
    private static let temporaryRoom: [String: ByteCount] = ["modules": .gibibytes(2), "target": .gibibytes(3), "live": .gibibytes(3)]

    public init(
        root: FilePath, runner: any CommandRunner, files: any FileSystem = LocalFiles(),
        waiting: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.root = root
        self.runner = runner
        self.files = files
        self.waiting = waiting
    }

    /// `$XDG_CACHE_HOME/kldload`, else `~/.cache/kldload`.
    public static func defaultRoot(environment: [String: String]) -> FilePath {
        if let base = environment["XDG_CACHE_HOME"], base.hasPrefix("/") { return FilePath(base).appending("kldload") }
        return FilePath(environment["HOME"] ?? "/root").appending(".cache/kldload")
    }

    /// How the files of an artefact looked when they were last read whole; its time is that of the last use.
    func record(_ kind: String, _ key: String) -> FilePath { root.appending("verified").appending("\(kind)-\(key)") }

    func lock(_ kind: String, _ key: String) -> FilePath { root.appending("locks").appending("\(kind)-\(key)") }

    /// Held while what has this name, or begins with it, is made: two at once would write into one part, and end with one of them refused or
    /// with a file that is both.
    ///
    /// - Parameter waiting: called once when somebody else makes it.
    public func hold(_ output: FilePath, waiting: () -> Void) async throws -> FileLock {
        let folder = output.removingLastComponent()
        let place = ((try? files.resolve(folder)) ?? folder).appending(output.lastComponent?.string ?? "")
        let key = try await key(place.string)
        return try await FileLock.acquire(root.appending("locks/output-\(key)"), waiting: waiting)
    }

    /// Sixteen hexadecimal digits of the inputs' SHA-256.
    public func key(_ inputs: String) async throws -> String {
        let output = try await runner.run(Command(Tool("sha256sum", package: "coreutils"), [], effect: .reads, input: .text(inputs)))
        return String(output.output.prefix(16))
    }

    /// The folder of an artefact; made by `build` when it is not there, or not what was written.
    ///
    /// - Parameter inputs: everything that goes in, as text. It is kept beside the result as `inputs`.
    /// - Throws: whatever `build` throws; then nothing is left.
    public func artifact(_ kind: String, inputs: String, build: (FilePath) async throws -> Void) async throws -> FilePath {
        let key = try await key(inputs)
        let folder = root.appending(kind).appending(key)
        if try await isWhole(folder) { return folder }
        let lock = try await FileLock.acquire(lock(kind, key)) { waiting("\(kind) \(key)") }
        defer { withExtendedLifetime(lock) {} }
        if try await isWhole(folder) { return folder }
        if try files.exists(folder) {
            noticing("\(folder) is not what was written there: building it again")
            try files.remove(folder)
        }
        if let room = Self.room[kind] { try requireRoom(room, for: "building \(kind)") }
        if let room = Self.temporaryRoom[kind] { try requireTemporaryRoom(room, for: "building \(kind)") }
        building(kind, true)
        let partial = root.appending(kind).appending(".\(key).partial")
        try files.remove(partial)
        try files.makeDirectory(partial, mode: .directory)
        do {
            try await build(partial)
            try files.write(inputs, to: partial.appending("inputs"))
            let names = try files.list(partial)
            let sums = try await runner.run(
                Command(Tool("sha256sum", package: "coreutils"), ["--"] + names, effect: .reads, workingDirectory: partial))
            try files.write(sums.output, to: partial.appending(Self.sums))
            try files.rename(partial, to: folder)
        } catch {
            try? files.remove(partial)
            throw error
        }
        building(kind, false)
        return folder
    }

    /// - Throws: ``Diagnosis`` `cache.no-space`, with both numbers.
    func requireRoom(_ needed: ByteCount, for what: String) throws {
        try files.makeDirectory(root, mode: .directory)
        let free = try files.freeSpace(root)
        guard free < needed else { return }
        throw Diagnosis(
            "cache.no-space", "\(what) needs up to \(needed); \(root) has \(free)",
            remedies: [
                "free some space there", "set XDG_CACHE_HOME to a larger file system",
                "what lies in the cache can always be removed: it is built again when it is needed",
            ], exit: .cannotCreate)
    }

    /// - Throws: ``Diagnosis`` `cache.no-temporary-space`, with both numbers.
    func requireTemporaryRoom(_ needed: ByteCount, for what: String, in folder: FilePath = SubprocessRunner.temporaryFolder) throws {
        let free = try files.freeSpace(folder)
        guard free < needed else { return }
        throw Diagnosis(
            "cache.no-temporary-space", "\(what) needs up to \(needed) for temporary files; \(folder) has \(free)",
            remedies: ["free some space there", "set TMPDIR to a folder on a larger file system that every user may enter"],
            exit: .cannotCreate)
    }

    /// Every file is there with the content that was written. What has not been touched since it was last read whole is not read again: a
    /// payload is gigabytes.
    ///
    /// Runs: `stat --format=… FILE…`, `sha256sum --check …`.
    private func isWhole(_ folder: FilePath) async throws -> Bool {
        guard try files.exists(folder.appending(Self.sums)) else { return false }
        let names = try files.list(folder)
        let stamps = try await runner.run(
            Command(
                Tool("stat", package: "coreutils"), ["--format=%n %s %i %.9Y %.9Z", "--"] + names, effect: .reads, workingDirectory: folder)
        ).output
        let record = record(folder.removingLastComponent().lastComponent?.string ?? "", folder.lastComponent?.string ?? "")
        let known = try? files.readText(record)
        let whole = if known == stamps { true } else { try await hasItsContent(folder) }
        // At each use: by its time the cache is pruned.
        if whole { try? files.write(stamps, to: record) }
        return whole
    }

    func hasItsContent(_ folder: FilePath) async throws -> Bool {
        let check = try await runner.run(
            Command(
                Tool("sha256sum", package: "coreutils"), ["--check", "--status", "--strict", Self.sums], effect: .reads,
                accepting: [0, 1], workingDirectory: folder))
        return check.status == 0
    }

    /// The digest of one file of an artefact, from its `SHA256SUMS`.
    public func digest(of name: String, in folder: FilePath) throws -> String? {
        try files.readText(folder.appending(Self.sums)).lines.first { $0.hasSuffix("  \(name)") }.map { String($0.prefix(64)) }
    }
}
