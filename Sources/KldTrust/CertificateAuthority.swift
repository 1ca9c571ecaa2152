import FoundationEssentials
import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// The authority by which one machine vouches for its own TLS services: a root, and leaves that it signs.
///
/// Whatever changes is a version: a folder, made and checked under a name of its own (`roots/SERIAL`, `issued/LEAF/SERIAL`) while nothing
/// points at it. One rename(2) of one symbolic link (`root`, `issued/LEAF/current`) makes it the one in force, so key and certificate change
/// in the same instant: before it both names lead to the old pair, after it both to the new one, and no third state can be seen or left by a
/// crash. The version before stays until the next change, for who has followed the link already.
public struct CertificateAuthority: Sendable, Hashable {
    /// Ten years.
    public static let rootDays = 3650

    public let home: FilePath
    public let lockFile: FilePath

    public init(home: FilePath = "/etc/kldload/ca", lockFile: FilePath = "/run/kldload/ca.lock") {
        self.home = home
        self.lockFile = lockFile
    }

    /// A link to the version in force.
    var root: FilePath { home.appending("root") }
    var roots: FilePath { home.appending("roots") }
    /// Everybody may read it.
    public var rootCertificate: FilePath { root.appending("ca.crt") }
    var rootKey: FilePath { root.appending("ca.key") }
    private var issued: FilePath { home.appending("issued") }

    /// Where services find a leaf's key, root's alone.
    public func key(_ leaf: String) -> FilePath { home.appending("leaves/\(leaf).key") }
    /// Where services find a leaf's certificate.
    public func certificate(_ leaf: String) -> FilePath { home.appending("leaves/\(leaf).crt") }
    func versions(_ leaf: String) -> FilePath { issued.appending(leaf) }
    func current(_ leaf: String) -> FilePath { versions(leaf).appending("current") }
    static let request = "request.json"

    /// The only one at work until the value goes away. - Parameter waiting: called once when somebody else is.
    /// - Throws: ``FileError``; `CancellationError`.
    public func lock(waiting: () -> Void) async throws -> FileLock { try await FileLock.acquire(lockFile, waiting: waiting) }

    // MARK: what is there

    /// The root in force. - Returns: `nil` before there is one.
    /// - Throws: ``Diagnosis`` `ca.certificate-unreadable`; ``CommandError``; ``FileError``.
    public func rootIfAny(runner: any CommandRunner, files: any FileSystem) async throws -> Certificate? {
        try files.exists(root) ? await Certificate.read(rootCertificate, runner: runner) : nil
    }

    /// - Throws: ``Diagnosis`` `ca.no-root`, and what ``rootIfAny(runner:files:)`` throws.
    public func root(runner: any CommandRunner, files: any FileSystem) async throws -> Certificate {
        guard let found = try await rootIfAny(runner: runner, files: files) else {
            throw Diagnosis(
                "ca.no-root", "this machine has no certificate authority yet", remedies: ["kldload ca init"], exit: .badConfiguration)
        }
        return found
    }

    /// The names of all leaves, sorted. - Throws: ``FileError``.
    public func leaves(_ files: any FileSystem) throws -> [String] {
        guard try files.exists(issued) else { return [] }
        return try files.folders(in: issued).filter { try files.exists(current($0)) }.sorted()
    }

    /// What a leaf was issued for. - Throws: ``Diagnosis`` `ca.leaf-name`, `ca.no-leaf`, `ca.request-unreadable`; ``FileError``.
    public func request(_ leaf: String, _ files: any FileSystem) throws -> LeafRequest {
        try LeafRequest.check(leaf)
        guard try files.exists(current(leaf)) else {
            let known = try leaves(files)
            throw Diagnosis(
                "ca.no-leaf", "no certificate is called \(leaf)",
                remedies: [known.isEmpty ? "kldload ca issue \(leaf) --dns NAME" : "one of: \(known.joined(separator: ", "))"],
                exit: .inputMissing)
        }
        let file = current(leaf).appending(Self.request)
        do {
            let request = try JSONDecoder().decode(LeafRequest.self, from: Data(files.read(file)))
            if request.leaf == leaf { return request }
        } catch is DecodingError {} catch is Diagnosis {}
        throw Diagnosis(
            "ca.request-unreadable", "\(file) does not say what \(leaf) is for",
            remedies: ["issue it again, with its names: kldload ca issue \(leaf) --dns NAME"], exit: .badConfiguration)
    }

    /// Versions of one thing, as far as a plan has to know them.
    public struct Versions: Sendable, Hashable {
        /// The one in force.
        public var current: String?
        /// Those that nothing points at: superseded, or never finished.
        public var unused: [String]
        /// Links to what was replaced and is kept: `root.archived.20261129080721`.
        public var archived: [String]
    }

    /// - Throws: ``FileError``.
    public func rootVersions(_ files: any FileSystem) throws -> Versions {
        let archived = try files.exists(home) ? files.list(home).filter { $0.hasPrefix("root.archived.") } : []
        return try versions(in: roots, current: root, archived: archived, files)
    }

    /// - Throws: ``FileError``.
    public func leafVersions(_ leaf: String, _ files: any FileSystem) throws -> Versions {
        try versions(in: versions(leaf), current: current(leaf), archived: [], files)
    }

    private func versions(in folder: FilePath, current link: FilePath, archived: [String], _ files: any FileSystem) throws -> Versions {
        func target(_ link: FilePath) throws -> String? {
            try files.exists(link) ? FilePath(files.readLink(link)).lastComponent?.string : nil
        }
        let current = try target(link)
        let used = Set(try archived.compactMap { try target(home.appending($0)) } + [current].compactMap { $0 })
        let all = try files.exists(folder) ? files.folders(in: folder) : []
        return Versions(current: current, unused: all.filter { !used.contains($0) }, archived: archived)
    }
}
