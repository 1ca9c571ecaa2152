import KldCore
import KldExec
import SystemPackage

/// openssl's command lines, good for OpenSSL 3.0 and later. No secret stands in any of them: keys are read and written by path.
///
/// A program and not a library: swift-certificates with swift-crypto brings BoringSSL and ASN.1 into a binary that goes into every image and
/// initramfs (limit 25 MB), and openssl is there already, for the machine owner key. Source: openssl-genpkey(1), openssl-req(1),
/// openssl-x509(1), openssl-verify(1), x509v3_config(5).
enum OpenSSL {
    static let tool = Tool("openssl")

    enum Curve: String {
        case p256 = "P-256"
        case p384 = "P-384"

        /// As strong as the curve.
        var digest: String { self == .p256 ? "-sha256" : "-sha384" }
    }

    /// A private key in PKCS #8. openssl makes its file with mode 0600 from the start.
    ///
    /// Runs: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:CURVE -out FILE`; changes.
    static func createKey(_ curve: Curve, _ file: FilePath) -> Command {
        Command(
            tool, ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:\(curve.rawValue)", "-out", file.string], effect: .changes)
    }

    /// A certificate for a key.
    ///
    /// Runs: `openssl req -new -x509 [-CA ROOT -CAkey KEY] -key FILE … -config /dev/stdin`; changes.
    /// - Parameters:
    ///   - profile: see ``rootProfile(name:)`` and ``leafProfile(_:)``.
    ///   - curve: of the key that signs.
    ///   - signer: certificate and key; `nil`: it signs itself.
    static func certify(
        _ key: FilePath, profile: String, days: Int, serial: SerialNumber, by signer: (certificate: FilePath, key: FilePath)?,
        _ curve: Curve,
        into file: FilePath
    ) -> Command {
        let signing = signer.map { ["-CA", $0.certificate.string, "-CAkey", $0.key.string] } ?? []
        return Command(
            tool,
            ["req", "-new", "-x509"] + signing + [
                "-key", key.string, curve.digest, "-days", "\(days)", "-set_serial", "0x\(serial)", "-config", "/dev/stdin", "-out",
                file.string,
            ], effect: .changes, input: .text(profile))
    }

    /// Authority over leaves alone, and over TLS alone: a verifier refuses code that is signed below it.
    static func rootProfile(name: String) -> String {
        profile(
            name: name,
            [
                "basicConstraints = critical,CA:TRUE,pathlen:0", "keyUsage = critical,keyCertSign,cRLSign",
                "extendedKeyUsage = \(ExtendedKeyUsage.allCases.map(\.rawValue).joined(separator: ","))", "subjectKeyIdentifier = hash",
            ])
    }

    static func leafProfile(_ request: LeafRequest) -> String {
        let names = request.names.enumerated().map { index, name in
            switch name {
            case .dns(let name): "DNS.\(index) = \(name)"
            case .address(let address): "IP.\(index) = \(address)"
            }
        }
        return profile(
            name: request.leaf,
            [
                "basicConstraints = critical,CA:FALSE", "keyUsage = critical,digitalSignature",
                "extendedKeyUsage = \(request.usages.map(\.rawValue).joined(separator: ","))", "subjectKeyIdentifier = hash",
                "authorityKeyIdentifier = keyid", "subjectAltName = @names", "[names]",
            ] + names)
    }

    private static func profile(name: String, _ extensions: [String]) -> String {
        let lines = [
            "[req]", "prompt = no", "distinguished_name = name", "x509_extensions = extensions", "string_mask = utf8only", "[name]",
            "CN = \(name)", "[extensions]",
        ]
        return (lines + extensions).joined(separator: "\n") + "\n"
    }

    /// Runs: `openssl x509 -in FILE -outform DER -out FILE`; changes.
    static func convert(_ certificate: FilePath, toDER file: FilePath) -> Command {
        Command(tool, ["x509", "-in", certificate.string, "-outform", "DER", "-out", file.string], effect: .changes)
    }

    /// Runs: `openssl x509 -in FILE -noout -fingerprint -sha256`; its output goes into a file.
    static func fingerprint(_ certificate: FilePath, into file: FilePath) -> Command {
        Command(tool, ["x509", "-in", certificate.string, "-noout", "-fingerprint", "-sha256"], effect: .changes, outputFile: file)
    }

    /// What ``Certificate/init(openssl:)`` reads. Runs: `openssl x509 -in FILE -noout -subject …`; reads.
    static func describe(_ certificate: FilePath) -> Command {
        Command(
            tool,
            [
                "x509", "-in", certificate.string, "-noout", "-nameopt", "RFC2253", "-dateopt", "iso_8601", "-subject", "-serial",
                "-fingerprint", "-sha256", "-startdate", "-enddate", "-ext", "subjectAltName,extendedKeyUsage",
            ], effect: .reads)
    }

    /// Runs: `openssl verify …`, reads; it ends with 2 when the certificate is not good, and says why on standard error.
    /// - Parameter authority: the only one to trust; `nil`: those that this machine trusts.
    static func verify(_ certificate: FilePath, authority: FilePath? = nil, purpose: String? = nil) -> Command {
        let trust = authority.map { ["-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", $0.string] } ?? []
        return Command(
            tool, ["verify"] + trust + (purpose.map { ["-purpose", $0] } ?? []) + [certificate.string], effect: .reads, accepting: [0, 2])
    }

    /// Runs: `openssl x509 -in FILE -noout -pubkey`; reads.
    static func publicKey(ofCertificate file: FilePath) -> Command {
        Command(tool, ["x509", "-in", file.string, "-noout", "-pubkey"], effect: .reads)
    }

    /// Runs: `openssl pkey -in FILE -pubout`; reads.
    static func publicKey(ofKey file: FilePath) -> Command { Command(tool, ["pkey", "-in", file.string, "-pubout"], effect: .reads) }
}
