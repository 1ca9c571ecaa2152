public import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import SystemPackage

/// The key by which one machine signs its kernel modules and its boot images: made on it, and never part of an image.
///
/// The certificate signs itself, and may do nothing but sign code. It is an authority too (`CA:TRUE`, `keyCertSign`), for kernels that keep
/// their machine keyring to authorities (`INTEGRITY_CA_MACHINE_KEYRING`) refuse modules of others. DKMS finds key and certificate where its
/// own would lie. Source: dkms(8), `mok_signing_key`, 3.2; Linux `security/integrity/Kconfig`, 6.12.
public struct MachineOwnerKey: Sendable, Hashable {
    /// Signing is switched on where this lies: DKMS reads it, and so does kldload.
    public static let configuration = "etc/dkms/framework.conf.d/kldload.conf"
    private static let folder = "var/lib/dkms"
    static let openssl = Tool("openssl")
    private static let sbverify = Tool("sbverify", package: "sbsigntool")

    /// Of the system that the key belongs to.
    public var root: FilePath
    public var key: FilePath { root.appending("\(Self.folder)/mok.key") }
    /// In DER, as firmware and kernel want it.
    public var certificate: FilePath { root.appending("\(Self.folder)/mok.pub") }
    /// The same in PEM, as sbsign(1) wants it.
    public var pem: FilePath { root.appending("\(Self.folder)/mok.pem") }

    public init(root: FilePath = "/") { self.root = root }

    /// Whether this system signs what it boots. - Throws: ``FileError``.
    public func isWanted(_ files: any FileSystem) throws -> Bool { try files.exists(root.appending(Self.configuration)) }

    /// Whether key and certificates are there; one that DKMS made for itself is none of ours. - Throws: ``FileError``.
    public func exists(_ files: any FileSystem) throws -> Bool { try holding(files) == .whole }

    /// What of key and certificate is there.
    public enum Holding: Sendable, Hashable {
        case none, whole
        /// One form of the certificate is lost: it is made of the other one.
        case withoutDER, withoutPEM
        /// The key alone.
        case withoutCertificate
    }

    /// - Throws: ``FileError``.
    public func holding(_ files: any FileSystem) throws -> Holding {
        guard try files.exists(key) else { return .none }
        switch (try files.exists(pem), try files.exists(certificate)) {
        case (true, true): return .whole
        case (true, false): return .withoutDER
        case (false, true): return .withoutPEM
        case (false, false): return .withoutCertificate
        }
    }

    /// The certificate in DER, of whichever form of it is there; `nil` where neither is. - Throws: ``FileError``.
    public func der(_ files: any FileSystem) throws -> [UInt8]? {
        if try files.exists(certificate) { return try files.read(certificate) }
        return try files.exists(pem) ? TrustedKey.der(ofPEM: files.readText(pem)) : nil
    }

    /// Switches DKMS' signing, and ours, on. - Parameter root: of the system.
    public static func configuring(root: FilePath) -> Action {
        .write(
            root.appending(configuration),
            content: .text("# Written by kldload.\nmok_signing_key=/\(folder)/mok.key\nmok_certificate=/\(folder)/mok.pub\n"))
    }

    /// Where key and certificates lie; DKMS' package makes it.
    public var home: FilePath { root.appending(Self.folder) }

    /// Makes key and certificate, RSA of 2048 bits (shim knows no other kind), for ten years.
    ///
    /// Runs: `openssl req -new -x509 -newkey rsa:2048 -noenc …`, `openssl x509 -outform DER …`; changes.
    /// - Parameters:
    ///   - name: of the certificate, as firmware shows it: up to 64 characters.
    ///   - scratch: a folder for the request, which is removed.
    public func creating(name: String, scratch: FilePath = "/run/kldload") -> [Action] {
        let request = scratch.appending("mok.cnf")
        return [
            .write(request, content: .text(Self.request(name))),
            .run(
                Command(
                    Self.openssl,
                    [
                        "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "3650", "-config", request.string,
                        "-keyout", key.string, "-out", pem.string,
                    ], effect: .changes)), .remove(request), derived,
        ]
    }

    /// Makes what is missing. A key that is there is never made anew: firmware may trust its certificate.
    ///
    /// Runs: what ``creating(name:scratch:)`` runs; `openssl x509 …`; changes.
    /// - Throws: ``Diagnosis`` `trust.certificate-lost`.
    public func completing(_ holding: Holding, name: String) throws(Diagnosis) -> [Action] {
        switch holding {
        case .whole: return []
        case .none: return creating(name: name)
        case .withoutDER: return [derived]
        case .withoutPEM:
            return [
                .run(
                    Command(
                        Self.openssl, ["x509", "-inform", "DER", "-in", certificate.string, "-out", pem.string], effect: .changes))
            ]
        case .withoutCertificate:
            throw Diagnosis(
                "trust.certificate-lost", "\(key) is there, and its certificate is lost; the key was not replaced",
                remedies: [
                    "restore \(pem) from a backup, or from an ESP: openssl x509 -inform DER -in /boot/efi/\(KeyEnrolment.certificateOnESP) -out \(pem); then kldload secure-boot enable",
                    "or move the key away, and have another made: mv \(key) /root/, then kldload secure-boot enable",
                ], exit: .inputMissing)
        }
    }

    /// Looks at somebody's own key and its certificate, before anything depends on them: they belong together, and shim takes what they sign.
    ///
    /// Runs: `openssl pkey -in KEY -passin pass: -pubout`, `openssl x509 -in CERTIFICATE -noout -pubkey`, `openssl x509 -in CERTIFICATE
    /// -noout -text`; reads. Nobody is asked for a passphrase. Source: `Cryptlib` and `verify_eku()` of shim 15.8 to 16.1; x509 of Linux 6.12.
    /// - Throws: ``Diagnosis`` `trust.key-files`.
    public static func requirePair(key: FilePath, certificate: FilePath, runner: any CommandRunner) async throws {
        func read(_ words: [String], _ file: FilePath) async throws -> String {
            let output = try await runner.run(Command(openssl, words, effect: .reads, accepting: Set(0...255)))
            guard output.status == 0 else {
                throw Diagnosis(
                    "trust.key-files", "\(file) cannot be used to sign with",
                    remedies: ["give a key in PEM without a passphrase, and its certificate: openssl pkey -in KEY -out PLAIN"],
                    exit: .inputMissing, causes: output.errors.lines)
            }
            return output.output.trimmed
        }
        let own = try await read(["pkey", "-in", key.string, "-passin", "pass:", "-pubout"], key)
        guard try await read(["x509", "-in", certificate.string, "-noout", "-pubkey"], certificate) == own else {
            throw Diagnosis(
                "trust.key-files", "\(certificate) is the certificate of another key than \(key)",
                remedies: ["look at both: openssl x509 -in CERTIFICATE -noout -text"], exit: .inputMissing)
        }
        let problems = unfit(try await read(["x509", "-in", certificate.string, "-noout", "-text"], certificate))
        guard problems.isEmpty else {
            throw Diagnosis(
                "trust.key-files", "the firmware would not start what the key of \(certificate) signs",
                remedies: [
                    "give an RSA key of 2048 bits with a certificate for signing code, or let the machine make its own: leave both out"
                ],
                exit: .inputMissing, causes: problems)
        }
    }

    /// - Parameter text: what `openssl x509 -text` prints.
    private static func unfit(_ text: String) -> [String] {
        var problems: [String] = []
        let label = "Public-Key: ("
        let bits = text.lines.lazy.map(\.trimmed).first { $0.hasPrefix(label) }.flatMap {
            Int($0.dropFirst(label.count).prefix { $0.isNumber })
        }
        if !text.contains("Public Key Algorithm: rsaEncryption") {
            problems.append("it is no RSA key, and shim knows no other kind")
        } else if let bits, !(2048...4096).contains(bits) {
            problems.append("it has \(bits) bits, where 2048 to 4096 are known to shim and kernel")
        }
        // shim takes such a one for modules alone, never for what it starts itself.
        if text.contains(moduleSigningOnly) { problems.append("its certificate is for kernel modules only (\(moduleSigningOnly))") }
        return problems
    }

    private static let moduleSigningOnly = "1.3.6.1.4.1.2312.16.1.2"

    /// Takes somebody's own key, in PEM, with its certificate. - Throws in the plan: openssl says what is wrong with a file.
    ///
    /// Runs: `openssl pkey -in KEY -passin pass: -out …`, `openssl x509 …`; changes.
    public func adopting(key: FilePath, certificate: FilePath) -> [Action] {
        [
            .run(Command(Self.openssl, ["pkey", "-in", key.string, "-passin", "pass:", "-out", self.key.string], effect: .changes)),
            .run(FileCommand.setMode("600", [self.key])),
            .run(Command(Self.openssl, ["x509", "-in", certificate.string, "-out", pem.string], effect: .changes)), derived,
        ]
    }

    private var derived: Action {
        .run(Command(Self.openssl, ["x509", "-in", pem.string, "-outform", "DER", "-out", certificate.string], effect: .changes))
    }

    /// Source: openssl-req(1), x509v3_config(5), OpenSSL 3.0 and 3.5.
    static func request(_ name: String) -> String {
        """
        [req]
        prompt = no
        distinguished_name = name
        x509_extensions = extensions
        string_mask = utf8only
        [name]
        CN = \(name)
        [extensions]
        basicConstraints = critical,CA:TRUE
        keyUsage = critical,digitalSignature,keyCertSign
        extendedKeyUsage = codeSigning
        subjectKeyIdentifier = hash
        authorityKeyIdentifier = keyid

        """
    }

    /// Signs an EFI program in place, and verifies that.
    ///
    /// Runs: `sbsign --key KEY --cert PEM --output FILE FILE`, changes; `sbverify --cert PEM FILE`, reads. Source: sbsign(1), sbsigntool 0.9.4.
    public func signing(_ program: FilePath) -> [Action] {
        [
            .run(
                Command(
                    Tool("sbsign", package: "sbsigntool"),
                    ["--key", key.string, "--cert", pem.string, "--output", program.string, program.string], effect: .changes)),
            .run(verifying(program)),
        ]
    }

    /// Who signed an EFI program; the exit status is 1 where nobody did. Runs: `sbverify --list FILE`, reads. Source: sbverify(1), sbsigntool 0.9.4.
    public static func listing(_ program: FilePath) -> Command {
        Command(sbverify, ["--list", program.string], effect: .reads, accepting: [0, 1])
    }

    /// Whether an EFI program is what somebody signed, whoever that is; read by ``isChanged(_:)``.
    ///
    /// Runs: `sbverify FILE`, reads. One that is cut off is not for it: it crashes. Source: sbverify(1), sbsigntool 0.9.4.
    public static func checking(_ program: FilePath) -> Command {
        Command(sbverify, [program.string], effect: .reads, accepting: [0, 1])
    }

    /// The exit status does not tell: it is 1 also for a signature that does not bring its signer's certificate, as Debian's do not.
    public static func isChanged(_ checked: CommandOutput) -> Bool {
        (checked.output + checked.errors).contains("Hash doesn't match image")
    }

    /// Whether the key signed an EFI program as it is now; the exit status is 1 where it did not.
    ///
    /// Runs: `sbverify --cert PEM FILE`, reads. Source: sbverify(1), sbsigntool 0.9.4.
    /// - Parameter other: another key's certificate, in PEM.
    public func verifying(_ program: FilePath, by other: FilePath? = nil, accepting: Set<Int32> = [0]) -> Command {
        Command(Self.sbverify, ["--cert", (other ?? pem).string, program.string], effect: .reads, accepting: accepting)
    }

    /// - Throws: ``Diagnosis`` `trust.certificate-malformed`; ``FileError``.
    public func identity(_ files: any FileSystem) throws -> CertificateIdentity { try CertificateIdentity(files.read(certificate)) }
}
