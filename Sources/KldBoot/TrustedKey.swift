import FoundationEssentials
import KldCore
public import KldFiles

/// A certificate whose signatures the firmware takes, and the kernel after it.
public struct TrustedKey: Sendable, Hashable {
    public var identity: CertificateIdentity
    /// In DER.
    public var certificate: [UInt8]

    /// - Returns: `nil` for what is no certificate.
    public init?(certificate: [UInt8]) {
        guard let identity = try? CertificateIdentity(certificate) else { return nil }
        self.identity = identity
        self.certificate = certificate
    }

    /// Source: RFC 7468, 5.
    public var pem: String {
        var (lines, rest) = (["-----BEGIN CERTIFICATE-----"], Data(certificate).base64EncodedString()[...])
        while !rest.isEmpty {
            lines.append(String(rest.prefix(64)))
            rest = rest.dropFirst(64)
        }
        return (lines + ["-----END CERTIFICATE-----"]).map { $0 + "\n" }.joined()
    }

    /// - Returns: `nil` where the text holds none.
    static func der(ofPEM text: String) -> [UInt8]? {
        let lines = text.lines.map(\.trimmed)
        guard let start = lines.firstIndex(of: "-----BEGIN CERTIFICATE-----"), let end = lines.firstIndex(of: "-----END CERTIFICATE-----"),
            start < end
        else { return nil }
        return Data(base64Encoded: lines[(start + 1)..<end].joined()).map { Array($0) }
    }

    /// Every one: of shim's lists, and of the firmware's own.
    public static func all(_ files: any FileSystem) -> [TrustedKey] {
        KeyEnrolment.lists(files).flatMap { certificates(in: $0) }.compactMap { TrustedKey(certificate: $0) }
    }

    /// `EFI_CERT_X509_GUID`, a5c059a1-94e4-4aa7-87b5-ab155c2bf072, as it lies in memory.
    private static let x509: [UInt8] = [
        0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72,
    ]

    /// Of a series of `EFI_SIGNATURE_LIST`: type, size of the list, of its header and of each signature, which begins with its owner's number.
    /// Source: UEFI 2.10, 32.4.1.
    static func certificates(in value: [UInt8]) -> [[UInt8]] {
        func number(_ place: Int) -> Int { value[place..<(place + 4)].reversed().reduce(0) { $0 << 8 | Int($1) } }
        var (found, start): ([[UInt8]], Int) = ([], 0)
        while start + 28 <= value.count {
            let (size, header, each) = (number(start + 16), number(start + 20), number(start + 24))
            let end = start + size
            guard size >= 28 + header, end <= value.count, each > 16 else { break }
            var place = start + 28 + header
            while Array(value[start..<(start + 16)]) == x509, place + each <= end {
                found.append(Array(value[(place + 16)..<(place + each)]))
                place += each
            }
            start = end
        }
        return found
    }
}
