import KldCore
public import KldExec
public import KldFiles
public import KldPlan
import SystemPackage

/// Where a distribution keeps the authorities that its machines trust: a folder for the administrator's own, and a program that makes
/// bundles of them.
///
/// Source: update-ca-certificates(8), Debian's ca-certificates 20230311, and Alpine's program of that name; update-ca-trust(8) of Fedora and
/// Arch Linux.
struct TrustStore: Sendable, Hashable {
    /// Something that only this kind of system has.
    var mark: FilePath
    var folder: FilePath
    var update: Command

    static let all: [TrustStore] = {
        let extract = Command(Tool("update-ca-trust", package: "ca-certificates"), [], effect: .changes)
        let anchors: [FilePath] = ["/etc/pki/ca-trust/source/anchors", "/etc/ca-certificates/trust-source/anchors"]
        // Of programs the folder tells nothing: /usr/local is often a file system of its own, and empty.
        let programs: [FilePath] = ["/usr/sbin/update-ca-certificates", "/usr/bin/update-ca-certificates"]
        return anchors.map { TrustStore(mark: $0, folder: $0, update: extract) }
            + programs.map {
                TrustStore(
                    mark: $0, folder: "/usr/local/share/ca-certificates",
                    update: Command(Tool("update-ca-certificates", package: "ca-certificates"), [], effect: .changes))
            }
    }()

    static let prefix = "kldload-ca-"

    /// - Throws: ``Diagnosis`` `ca.no-trust-store`; ``FileError``.
    static func find(_ files: any FileSystem) throws -> TrustStore {
        guard let store = try all.first(where: { try files.exists($0.mark) }) else {
            throw Diagnosis(
                "ca.no-trust-store", "this system has no place for authorities that it trusts",
                remedies: ["install it: apt-get install ca-certificates"], exit: .unavailable)
        }
        return store
    }

    /// Each root has a file name of its own: update-ca-certificates links by name, and passes over a name whose content has changed.
    func anchor(_ root: Certificate) -> FilePath { folder.appending("\(Self.prefix)\(root.serial.prefix(16)).crt") }
}

extension CertificateAuthority {
    /// Has this machine trust the root, and no earlier one of its own. Empty when it does already.
    ///
    /// Runs: `update-ca-certificates` or `update-ca-trust`; changes. `openssl verify`, reads.
    /// - Throws: ``Diagnosis`` `ca.no-root`, `ca.no-trust-store`; in the plan `ca.not-trusted`; ``CommandError``; ``FileError``.
    public func trusting(runner: any CommandRunner, files: any FileSystem) async throws -> Plan {
        let root = try await root(runner: runner, files: files)
        let store = try TrustStore.find(files)
        let (anchor, content) = (store.anchor(root), try files.read(rootCertificate))
        let before = try files.exists(anchor) ? files.read(anchor) : nil
        let others = try files.exists(store.folder) ? files.list(store.folder) : []
        let old = others.filter { $0.hasPrefix(TrustStore.prefix) && $0 != anchor.lastComponent?.string }.map { store.folder.appending($0) }
        if old.isEmpty, before == content, try await isTrusted(runner: runner) { return Plan("this machine trusts the root already", []) }
        let undo: Action = before.map { Action.write(anchor, content: .bytes($0)) } ?? .remove(anchor)
        var steps = [
            Step(
                "ca.trust", "Have this machine trust the root", [.write(anchor, content: .bytes(content)), .run(store.update)],
                undo: [undo, .run(store.update)]),
            Step(
                "ca.trust.check", "See whether it does",
                [.perform(AuthorityPerformers.trusted, ["certificate": rootCertificate.string], effect: .reads)]),
        ]
        if !old.isEmpty {
            // Only now: the machine trusts both for a moment, and never none.
            let kept = try old.map { Action.write($0, content: .bytes(try files.read($0))) }
            steps.append(
                Step(
                    "ca.trust.forget", "Have it trust no earlier root", old.map { Action.remove($0) } + [.run(store.update)],
                    undo: kept + [.run(store.update)]))
        }
        return Plan("trust \(root.name)", [Phase("ca", "Certificate authority", steps)])
    }
}
