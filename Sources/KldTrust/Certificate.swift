import KldAnswers
public import KldCore
public import KldExec
public import SystemPackage

/// A serial number of 128 random bits: no two authorities, and no two of their certificates, need to agree on the next one.
public struct SerialNumber: Sendable, Hashable, CustomStringConvertible {
    private let value: UInt128

    public static func random() -> SerialNumber { SerialNumber(value: .random(in: 1 ... .max)) }

    private init(value: UInt128) { self.value = value }

    /// 32 hexadecimal digits, in lower case.
    public var description: String { Self.padded(String(value, radix: 16)) }

    /// A number as openssl prints it: whole bytes, without zeros in front.
    static func padded(_ digits: some StringProtocol) -> String {
        String(repeating: "0", count: max(0, 32 - digits.count)) + digits.lowercased()
    }
}

/// What stands in a certificate.
public struct Certificate: Sendable, Hashable, Codable {
    /// `CN=web`. Source: RFC 2253.
    public var subject: String
    /// Hexadecimal digits in lower case, at least 32.
    public var serial: String
    /// SHA-256 of the whole certificate: bytes in hexadecimal, with colons.
    public var fingerprint: String
    public var notBefore: Timestamp
    public var notAfter: Timestamp
    /// `DNS:web.example.org`, `IP:10.0.1.5`.
    public var names: [String]
    /// `serverAuth`, `clientAuth`; others as openssl calls them.
    public var usages: [String]

    /// The common name, where the subject is nothing else.
    public var name: String { subject.hasPrefix("CN=") ? String(subject.dropFirst(3)) : subject }

    /// Runs: `openssl x509 -in FILE -noout …`; reads. - Throws: ``Diagnosis`` `ca.certificate-unreadable`; ``CommandError``.
    public static func read(_ file: FilePath, runner: any CommandRunner) async throws -> Certificate {
        let output: CommandOutput
        do { output = try await runner.run(OpenSSL.describe(file)) } catch let error as CommandError {
            guard let failure = error.failure else { throw error }
            throw unreadable(file, failure.errors.lines)
        }
        guard let found = Certificate(openssl: output.output) else { throw unreadable(file, output.output.lines) }
        return found
    }

    /// Reads what ``OpenSSL/describe(_:)`` prints. OpenSSL 3.0.19:
    /// ```
    /// subject=CN=web
    /// serial=80AB12CD00000000000000000000FF01
    /// sha256 Fingerprint=0C:28:F0:…
    /// notBefore=2026-11-29 07:03:14Z
    /// notAfter=2027-02-27 07:03:14Z
    /// X509v3 Extended Key Usage:
    ///     TLS Web Server Authentication, TLS Web Client Authentication
    /// X509v3 Subject Alternative Name:
    ///     DNS:a.example.org, IP Address:FD00:0:0:0:0:0:0:1
    /// ```
    init?(openssl text: String) {
        var values: [String: String] = [:]
        var lists: [String: [String]] = [:]
        var list: String?
        for line in text.lines {
            if line.first == " ", let list {
                lists[list] = line.trimmed.split(separator: ",").map(\.trimmed)
            } else if line.hasPrefix("X509v3 ") {
                list = line.split(separator: ":").first.map { $0.dropFirst(7).trimmed }
            } else if let sign = line.firstIndex(of: "=") {
                values[line[..<sign].lowercased()] = String(line[line.index(after: sign)...])
            }
        }
        func time(_ key: String) -> Timestamp? { values[key].flatMap { Timestamp($0.replacing(" ", with: "T")) } }
        guard let subject = values["subject"], let serial = values["serial"], let fingerprint = values["sha256 fingerprint"],
            let notBefore = time("notbefore"), let notAfter = time("notafter")
        else { return nil }
        self.subject = subject
        self.serial = SerialNumber.padded(serial)
        self.fingerprint = fingerprint
        self.notBefore = notBefore
        self.notAfter = notAfter
        names = (lists["Subject Alternative Name"] ?? []).map { name in
            let address = name.hasPrefix("IP Address:") ? IPAddress(String(name.dropFirst(11))) : nil
            return address.map { SubjectName.address($0).description } ?? name
        }
        usages = (lists["Extended Key Usage"] ?? []).map { title in
            ExtendedKeyUsage.allCases.first { $0.title == title }?.rawValue ?? title
        }
    }

    private static func unreadable(_ file: FilePath, _ causes: [String]) -> Diagnosis {
        Diagnosis(
            "ca.certificate-unreadable", "\(file) is no certificate that openssl can read",
            remedies: ["bring it back from a backup or a snapshot", "a leaf: issue it again, kldload ca issue"],
            causes: Array(causes.prefix(3)))
    }

    /// Whole days until it ends; negative after that.
    public func daysLeft(_ now: Timestamp) -> Int { Int(((Double(notAfter.seconds - now.seconds)) / 86_400).rounded(.down)) }

    /// Less than a third of its life is left.
    public func isDue(_ now: Timestamp) -> Bool {
        (notAfter.seconds - now.seconds) * 3 < notAfter.seconds - notBefore.seconds
    }

    /// Why a certificate is not good; `nil`: it is.
    ///
    /// Runs: `openssl verify …`; reads. It says `error 10 at 0 depth lookup: certificate has expired` (OpenSSL 3.0.19).
    static func problem(_ command: Command, runner: any CommandRunner) async throws -> String? {
        let output = try await runner.run(command)
        if output.status == 0 { return nil }
        let line = output.errors.lines.first { $0.contains(" lookup: ") }
        return line?.split(separator: ": ").last.map(String.init) ?? output.errors.trimmed
    }
}
