public import KldCore
public import KldExec
public import KldFiles

/// `kldload-ca info`: the root and every leaf, and whether they hold.
public struct AuthorityReport: Sendable, Hashable, Codable {
    public struct Entry: Sendable, Hashable, Codable {
        /// A leaf's name; `root`.
        public var name: String
        /// `nil`: it cannot be read.
        public var certificate: Certificate?
        /// Whole days; negative when it has ended.
        public var daysLeft: Int?
        /// The chain to the root does, now.
        public var verifies: Bool
        /// Why it does not.
        public var problem: String?
        /// Less than a third of its life is left, or it does not verify: `kldload-ca renew --all` issues a leaf again.
        public var isDue: Bool

        init(_ name: String, _ certificate: Certificate?, problem: String?, now: Timestamp) {
            self.name = name
            self.certificate = certificate
            self.problem = problem
            daysLeft = certificate?.daysLeft(now)
            verifies = problem == nil
            isDue = !verifies || certificate?.isDue(now) != false
        }
    }

    public var root: Entry
    /// By what openssl trusts on this machine.
    public var trusted: Bool
    public var leaves: [Entry]

    /// Everything verifies.
    public var isSound: Bool { ([root] + leaves).allSatisfy(\.verifies) }

    /// Runs: `openssl x509` and `openssl verify` for each certificate; reads. Needs no privilege.
    /// - Throws: ``Diagnosis`` `ca.no-root`, `ca.certificate-unreadable` for the root; ``CommandError``; ``FileError``.
    public static func gather(
        _ authority: CertificateAuthority, now: Timestamp, runner: any CommandRunner, files: any FileSystem
    ) async throws -> AuthorityReport {
        let root = try await authority.root(runner: runner, files: files)
        let problem = try await Certificate.problem(
            OpenSSL.verify(authority.rootCertificate, authority: authority.rootCertificate), runner: runner)
        var report = AuthorityReport(
            root: Entry("root", root, problem: problem, now: now),
            trusted: try await authority.isTrusted(runner: runner), leaves: [])
        for leaf in try authority.leaves(files) {
            report.leaves.append(try await entry(leaf, authority, now: now, runner: runner))
        }
        return report
    }

    /// One leaf. - Throws: ``CommandError``.
    public static func entry(
        _ leaf: String, _ authority: CertificateAuthority, now: Timestamp, runner: any CommandRunner
    ) async throws -> Entry {
        let file = authority.certificate(leaf)
        let found: Certificate
        do { found = try await Certificate.read(file, runner: runner) } catch let error as Diagnosis {
            return Entry(leaf, nil, problem: error.message, now: now)
        }
        let verify = OpenSSL.verify(file, authority: authority.rootCertificate)
        let problem = try await Certificate.problem(verify, runner: runner)
        return Entry(leaf, found, problem: problem, now: now)
    }
}

extension CertificateAuthority {
    /// Whether openssl on this machine trusts the root. Runs: `openssl verify FILE`; reads. - Throws: ``CommandError``.
    func isTrusted(runner: any CommandRunner) async throws -> Bool {
        try await Certificate.problem(OpenSSL.verify(rootCertificate), runner: runner) == nil
    }
}
