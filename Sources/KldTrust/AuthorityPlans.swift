public import KldCore
import KldExec
import KldFiles
public import KldPlan
import SystemPackage

extension CertificateAuthority {
    /// `kldload-ca HOST-TIME-RANDOM`: no two roots have one name, so that a verifier cannot take one for the other.
    ///
    /// - Parameter host: the machine's name; at most 28 characters of it count, for a common name has 64.
    public static func rootName(host: String, serial: SerialNumber, now: Timestamp) -> String {
        let name = host.filter { $0.isASCII && ($0.isLetter || $0.isNumber || "-.".contains($0)) }.prefix(28)
        return "kldload-ca \(name.isEmpty ? "machine" : name)-\(now.digits)-\(serial.description.prefix(8))"
    }

    /// Makes a root: P-384, ten years, `CA:TRUE`, no further authorities below it. One that is there is kept as `root.archived.TIME`.
    ///
    /// - Parameters:
    ///   - old: the root in force; the plan destroys what it stands for, and needs an approval that names it.
    ///   - versions: of the root.
    ///   - days: of life, 1 or more.
    public func initialising(
        _ name: String, replacing old: Certificate?, _ versions: Versions, serial: SerialNumber, now: Timestamp, days: Int = rootDays
    ) -> Plan {
        let version = roots.appending("\(serial)")
        let (key, certificate) = (version.appending("private/ca.key"), version.appending("ca.crt"))
        let (der, fingerprint) = (version.appending("ca.der"), version.appending("fingerprint"))
        let make =
            fresh(version, in: roots, without: versions.unused) + [
                .run(OpenSSL.createKey(.p384, key)),
                .run(
                    OpenSSL.certify(
                        key, profile: OpenSSL.rootProfile(name: name), days: days, serial: serial, by: nil, .p384, into: certificate)),
                .run(OpenSSL.convert(certificate, toDER: der)), .run(OpenSSL.fingerprint(certificate, into: fingerprint)),
                .symlink(version.appending("ca.key"), to: "private/ca.key"),
            ] + Self.settled(version, secret: [key], open: [certificate, der, fingerprint])
        let check = AuthorityPerformers.Check(
            certificate: certificate, key: key, authority: certificate, serial: serial, names: [], usages: ExtendedKeyUsage.allCases)
        // The archive comes first: at no instant does nothing point at the old root. A crash right after it leaves the root two names.
        let archive = versions.current.map { [switching(home.appending(Self.archive(versions, now)), to: "roots/\($0)")] } ?? []
        return Plan(
            "a certificate authority: \(name)",
            [
                Phase(
                    "ca", "Certificate authority",
                    [
                        Step("ca.root.make", "Make the root's key and certificate", make, undo: [discarding(version, unless: root)]),
                        Step("ca.root.check", "Check them", [check.action]),
                        Step(
                            "ca.root.publish", old == nil ? "Put them in force" : "Put them in force, keep the old root aside",
                            archive + [switching(root, to: "roots/\(serial)")], destroys: old.map { [$0.name] } ?? []),
                    ])
            ])
    }

    /// A name that none has yet: two roots may be replaced within a second.
    private static func archive(_ versions: Versions, _ time: Timestamp) -> String {
        let name = "root.archived.\(time.digits)"
        return versions.archived.contains(name) ? archive(versions, Timestamp(seconds: time.seconds + 1)) : name
    }

    /// Makes a leaf, with a key of its own each time: P-256. What it holds is checked before anybody can see it.
    ///
    /// - Parameters:
    ///   - authority: the root in force.
    ///   - versions: of the leaf.
    /// - Throws: ``Diagnosis`` `ca.root-ends`.
    public func issuing(
        _ request: LeafRequest, by authority: Certificate, _ versions: Versions, serial: SerialNumber, now: Timestamp
    ) throws(Diagnosis) -> Plan {
        let days = try Self.days(request, authority, now)
        let leaf = request.leaf
        let version = self.versions(leaf).appending("\(serial)")
        let (key, certificate) = (version.appending("private/\(leaf).key"), version.appending("\(leaf).crt"))
        let make =
            fresh(version, in: self.versions(leaf), without: versions.unused) + [
                .write(version.appending(Self.request), content: .bytes(Self.encoded(request))),
                .run(OpenSSL.createKey(.p256, key)),
                .run(
                    OpenSSL.certify(
                        key, profile: OpenSSL.leafProfile(request), days: days, serial: serial, by: (rootCertificate, rootKey), .p384,
                        into: certificate)),
            ] + Self.settled(version, secret: [key], open: [certificate])
        let check = AuthorityPerformers.Check(
            certificate: certificate, key: key, authority: rootCertificate, serial: serial, names: request.names, usages: request.usages)
        let below = "../issued/\(leaf)/current"
        return Plan(
            "a certificate: \(leaf), \(days) days",
            [
                Phase(
                    "ca", "Certificate authority",
                    [
                        Step(
                            "ca.leaf.make", "Make key and certificate of \(leaf)", make, undo: [discarding(version, unless: current(leaf))]),
                        Step("ca.leaf.check", "Check them", [check.action]),
                        // The names lead nowhere, or to the old pair, until the last of these.
                        Step(
                            "ca.leaf.publish", "Put them in force",
                            [
                                switching(self.key(leaf), to: "\(below)/private/\(leaf).key"),
                                switching(self.certificate(leaf), to: "\(below)/\(leaf).crt"),
                                switching(current(leaf), to: "\(serial)"),
                            ]),
                    ])
            ])
    }

    /// Of life, as asked for or as many as the root has left, with an hour to spare. - Throws: ``Diagnosis`` `ca.root-ends`.
    static func days(_ request: LeafRequest, _ authority: Certificate, _ now: Timestamp) throws(Diagnosis) -> Int {
        let left = authority.daysLeft(Timestamp(seconds: now.seconds + 3600))
        guard left >= 1 else {
            throw Diagnosis(
                "ca.root-ends", "the root ends at \(authority.notAfter): it signs nothing any more",
                remedies: ["make another one: kldload ca init --force, then kldload ca renew --all", "if the clock is wrong, set it"],
                exit: .badConfiguration)
        }
        return min(request.days, left)
    }

    /// An empty version; those that nothing points at go.
    private func fresh(_ version: FilePath, in folder: FilePath, without unused: [String]) -> [Action] {
        unused.map { .remove(folder.appending($0)) } + [.makeDirectory(version), .makeDirectory(version.appending("private"), mode: 0o700)]
    }

    /// Readable by those who may, whatever the umask, and on the disk before anything points at it.
    ///
    /// Runs: `chmod 644 FILE…`, `sync FILE… FOLDER…`; changes. Source: chmod(1), sync(1), coreutils 9.1.
    private static func settled(_ version: FilePath, secret: [FilePath], open: [FilePath]) -> [Action] {
        let folders = [version.appending("private"), version, version.removingLastComponent()]
        return [
            .run(FileCommand.setMode("644", open)),
            .run(FileCommand.sync(secret + open + folders)),
        ]
    }

    private func switching(_ link: FilePath, to target: String) -> Action {
        .perform(AuthorityPerformers.link, ["link": link.string, "target": target], effect: .changes)
    }

    private func discarding(_ version: FilePath, unless link: FilePath) -> Action {
        .perform(AuthorityPerformers.discard, ["version": version.string, "link": link.string], effect: .changes)
    }

    private static func encoded(_ request: LeafRequest) -> [UInt8] {
        // Words and one number: there is nothing in it that could not be written.
        Array(((try? SortedJSON.document(request)) ?? "\n").utf8)
    }
}
