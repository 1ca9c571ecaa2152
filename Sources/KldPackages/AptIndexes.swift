import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// What archives offer, seen from this machine by apt in a folder of its own: signed indexes, versions, and what an installation would bring.
/// The machine's own apt is neither read nor changed; a proxy is taken from the environment (`http_proxy`), as mmdebstrap takes it.
///
/// Source: apt-get(8), apt-cache(8), apt-patterns(7), apt 2.6 to 3.0.
public struct AptIndexes: Sendable {
    /// A signed index, as it was when it was read.
    public struct Index: Sendable, Hashable {
        /// `trixie-updates`.
        public var suite: String
        /// `Fri, 20 Nov 2026 02:11:10 UTC`, as the index says.
        public var date: String
        public var sha256: String
    }

    public let folder: FilePath
    private let runner: any CommandRunner
    private let files: any FileSystem

    /// - Parameter folder: for these sources and pins alone; made when it is not there.
    public init(folder: FilePath, runner: any CommandRunner, files: any FileSystem) {
        self.folder = folder
        self.runner = runner
        self.files = files
    }

    private var lists: FilePath { folder.appending("lists") }

    /// Fetches the indexes and checks their signatures. Comes first: the others stand on what it writes.
    ///
    /// - Returns: why those of the last time are used, when the archive cannot be reached now.
    /// - Throws: ``Diagnosis`` `packages.signature`; `packages.unreachable` when there was no last time.
    ///
    /// Runs: `apt-get update`.
    public func refresh(_ sources: [AptSource], pins: [AptPin]) async throws -> String? {
        for part in ["lists/partial", "cache/archives/partial"] { try files.makeDirectory(folder.appending(part), mode: .directory) }
        try files.write(sources.map { $0.line + "\n" }.joined(), to: folder.appending("sources.list"))
        try files.write(pins.map(\.stanza).joined(separator: "\n"), to: folder.appending("preferences"))
        try files.write("", to: folder.appending("status"))
        try files.write(settings.text, to: folder.appending(AptSettings.file))
        do {
            try await runner.run(apt("apt-get", ["-o", "APT::Update::Error-Mode=any", "update"], effect: .changes))
            return nil
        } catch {
            let cause = MmdebstrapError.explain(error)
            guard Diagnosis(of: cause).code == "packages.unreachable", try !indexes().isEmpty else { throw cause }
            return "the package archive cannot be reached; its lists of \(try indexes().map(\.date).max() ?? "before") are used"
        }
    }

    /// The signed indexes that are there: file, suite and date. Reads `lists/*_InRelease`.
    private func indexes() throws -> [(path: FilePath, suite: String, date: String)] {
        guard try files.exists(lists) else { return [] }
        return try files.list(lists).filter { $0.hasSuffix("_InRelease") }.sorted().map { name in
            let path = lists.appending(name)
            let fields = try files.readText(path).lines.prefix(40)
            func field(_ key: String) -> String? { fields.first { $0.hasPrefix("\(key): ") }.map { String($0.dropFirst(key.count + 2)) } }
            return (path, field("Codename") ?? name, field("Date") ?? "")
        }
    }

    /// The signed indexes with their digests. Runs: `sha256sum`, reads.
    public func state() async throws -> [Index] {
        var state: [Index] = []
        for (path, suite, date) in try indexes() {
            let digest = try await runner.run(FileCommand.digest(of: path)).output
            state.append(Index(suite: suite, date: date, sha256: String(digest.prefix(64))))
        }
        return state
    }

    /// The versions that the pins choose, by package; packages that no archive has are missing. Runs: `apt-cache policy NAME…`, reads.
    public func candidates(_ packages: [String]) async throws -> [String: String] {
        Self.candidates(try await runner.run(apt("apt-cache", ["policy"] + packages, effect: .reads)).output)
    }

    /// ```
    /// zfs-dkms:
    ///   Installed: (none)
    ///   Candidate: 2.4.4-1~bpo13+1
    /// ```
    /// Source: apt 3.0.
    static func candidates(_ policy: String) -> [String: String] {
        var name = ""
        var found: [String: String] = [:]
        for line in policy.lines {
            if !line.hasPrefix(" "), line.hasSuffix(":") { name = String(line.dropLast()) }
            let words = line.words
            if words.first == "Candidate:", words.count == 2, words[1] != "(none)" { found[name] = words[1] }
        }
        return found
    }

    /// Every package whose name begins so. Runs: `apt-cache pkgnames PREFIX`, reads.
    public func names(prefix: String) async throws -> [String] {
        try await runner.run(apt("apt-cache", ["pkgnames", prefix], effect: .reads)).output.lines
    }

    /// Name and version of everything that a new tree with these packages would hold, sorted: two equal answers make two equal trees.
    ///
    /// - Throws: ``Diagnosis`` `packages.unknown`, `packages.unmet`.
    ///
    /// Runs: `apt-get --simulate install ?essential apt NAME…`, reads.
    public func closure(_ packages: [String]) async throws -> [String] {
        do {
            let output = try await runner.run(apt("apt-get", ["--simulate", "install", "?essential", "apt"] + packages, effect: .reads))
                .output
            return Self.closure(output)
        } catch { throw MmdebstrapError.explain(error) }
    }

    /// What an installation of these would fetch, on a system where dpkg knows of other packages already.
    ///
    /// - Parameter status: dpkg's list of what is installed there.
    /// - Throws: ``Diagnosis`` `packages.unknown`, `packages.unmet`; `packages.uris` when the answer is not understood.
    ///
    /// Runs: `apt-get -y --print-uris install -- NAME…`, reads.
    public func downloads(_ packages: [String], status: FilePath) async throws -> [AptDownload] {
        let options = ["-o", "Dir::State::status=\(status)", "-o", "Acquire::ForceHash=SHA256"]
        do {
            let command = apt("apt-get", options + ["-y", "--print-uris", "install", "--"] + packages, effect: .reads)
            return try await runner.run(command).output.lines.filter { $0.hasPrefix("'") }.map { line in
                guard let download = AptDownload(line: line) else {
                    throw Diagnosis(
                        "packages.uris", "apt-get names a package in a way that is not understood", exit: .bug, causes: [line])
                }
                return download
            }
        } catch { throw MmdebstrapError.explain(error) }
    }

    /// The indexes as a mirror has them: signed ones as they were fetched, and the compressed lists that they name.
    ///
    /// Reads `lists/*_InRelease`.
    public func published(_ sources: [AptSource]) throws -> (signed: [(source: AptSource, file: FilePath)], lists: [AptDownload]) {
        let indexes = try indexes()
        var (signed, lists): ([(source: AptSource, file: FilePath)], [AptDownload]) = ([], [])
        for source in sources {
            guard let index = indexes.first(where: { $0.suite == source.suite }) else {
                throw Diagnosis(
                    "packages.no-index", "the signed index of \(source.suite) is not among apt's lists", remedies: ["try again"],
                    exit: .unavailable)
            }
            signed.append((source, index.path))
            lists += Self.lists(source, in: try files.readText(index.path))
        }
        return (signed, lists)
    }

    /// A line of the part `SHA256:` of an index. Source: Debian 13's.
    /// ```
    ///  be3d7d96a040eda0505c1808cccc67f183bbc05dff0842c50f88e6c396557412  9679304 main/binary-amd64/Packages.xz
    /// ```
    static func lists(_ source: AptSource, in release: String) -> [AptDownload] {
        let wanted = Set(source.components.map { "\($0)/binary-amd64/Packages.xz" })
        return release.lines.compactMap { line in
            let words = line.words
            guard line.hasPrefix(" "), words.count == 3, words[0].utf8.count == 64, let size = UInt64(words[1]), wanted.contains(words[2])
            else { return nil }
            return AptDownload(uri: "\(source.uri)/dists/\(source.suite)/\(words[2])", size: ByteCount(size), sha256: words[0])
        }
    }

    /// Fetches files of the archive, each looked at whole before it gets its name.
    ///
    /// - Parameter wanted: the files with the names that they get. Lists are fetched by their digest, for their names are those of today's.
    /// - Throws: ``Diagnosis`` `packages.unreachable`.
    ///
    /// Runs: `/usr/lib/apt/apt-helper download-file URI FILE SHA256:DIGEST …`, changes. Source: `apt-helper --help`, apt 2.6 to 3.0.
    public func fetch(_ wanted: [(download: AptDownload, file: FilePath)]) async throws {
        guard !wanted.isEmpty else { return }
        let words = wanted.flatMap { download, file in [Self.address(download), file.string, "SHA256:\(download.sha256)"] }
        do {
            try await runner.run(apt("/usr/lib/apt/apt-helper", ["download-file"] + words, effect: .changes))
        } catch { throw MmdebstrapError.explain(error) }
    }

    /// Source: Debian's repository format, "Acquire-By-Hash"; Debian's archives have it since 2016.
    static func address(_ download: AptDownload) -> String {
        guard download.uri.hasSuffix("/Packages.xz"), let slash = download.uri.lastIndex(of: "/") else { return download.uri }
        return "\(download.uri[..<slash])/by-hash/SHA256/\(download.sha256)"
    }

    /// `Inst linux-base (4.17~bpo13+1 Debian Backports:stable-backports [all])`. Source: apt 3.0.
    static func closure(_ simulation: String) -> [String] {
        simulation.lines.compactMap { line in
            let words = line.words
            guard words.count > 2, words[0] == "Inst", words[2].hasPrefix("(") else { return nil }
            return "\(words[1]) \(words[2].dropFirst())"
        }.sorted()
    }

    /// One file of a package's content, without installing it; `path` may hold `*`.
    ///
    /// Runs: `apt-get download NAME=VERSION`, `dpkg-deb --fsys-tarfile FILE | tar --extract --to-stdout --wildcards PATH`.
    public func file(_ path: String, of package: String, version: String) async throws -> String {
        let place = folder.appending("packages")
        try files.makeDirectory(place, mode: .directory)
        let stem = "\(package)_\(version.replacing(":", with: "%3a"))_"
        if try !files.list(place).contains(where: { $0.hasPrefix(stem) }) {
            var download = apt("apt-get", ["download", "\(package)=\(version)"], effect: .changes)
            download.workingDirectory = place
            do { try await runner.run(download) } catch { throw MmdebstrapError.explain(error) }
        }
        guard let name = try files.list(place).first(where: { $0.hasPrefix(stem) }) else {
            throw Diagnosis(
                "packages.download", "apt-get did not bring \(package) \(version)",
                remedies: ["try again: the archive may be in the middle of a change"], exit: .unavailable)
        }
        return try await runner.run(pipeline: [
            Command(Tool("dpkg-deb", package: "dpkg"), ["--fsys-tarfile", place.appending(name).string], effect: .reads),
            Command("tar", ["--extract", "--to-stdout", "--wildcards", path], effect: .reads),
        ]).output
    }

    private var settings: AptSettings {
        AptSettings(
            folder: folder,
            more: [
                ("Acquire::Retries", "1"), ("Acquire::http::Timeout", "20"), ("Acquire::https::Timeout", "20"),
                ("Dir::State::status", "\(folder)/status"),
            ])
    }

    private func apt(_ tool: String, _ words: [String], effect: Effect) -> Command {
        Command(Tool(tool, package: "apt"), words, effect: effect, environment: settings.environment)
    }
}
