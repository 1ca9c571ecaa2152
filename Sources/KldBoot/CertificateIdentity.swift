public import KldCore

/// By what a signature names its signer: issuer and serial number of a certificate, as they are encoded. Source: RFC 5652, 10.2.4; RFC 5280, 4.1.
public struct CertificateIdentity: Sendable, Hashable {
    public var issuer: [UInt8]
    public var serial: [UInt8]

    /// - Parameter certificate: in DER.
    /// - Throws: ``Diagnosis`` `trust.certificate-malformed`.
    public init(_ certificate: [UInt8]) throws(Diagnosis) {
        guard let whole = Self.element(certificate[...]), let body = Self.element(whole.content) else { throw Self.malformed }
        var fields: [ArraySlice<UInt8>] = []
        var rest = body.content
        while fields.count < 4, let field = Self.element(rest) {
            // The version stands in front, where there is one.
            if field.tag != 0xa0 { fields.append(field.whole) }
            rest = rest[field.whole.endIndex...]
        }
        // Serial number, algorithm, issuer, validity.
        guard fields.count >= 3, fields[0].first == 0x02, fields.dropFirst().allSatisfy({ $0.first == 0x30 }) else { throw Self.malformed }
        serial = Array(fields[0])
        issuer = Array(fields[2])
    }

    /// Whether a signature of PKCS #7 names this signer.
    public func signed(_ signature: [UInt8]) -> Bool { signature.firstRange(of: issuer + serial) != nil }

    private static var malformed: Diagnosis {
        Diagnosis(
            "trust.certificate-malformed", "this is no certificate in DER",
            remedies: ["openssl x509 -in FILE -outform DER -out CERTIFICATE makes one of PEM"], exit: .badAnswers)
    }

    /// The first element of some DER. Source: X.690, 8.1.
    private static func element(
        _ bytes: ArraySlice<UInt8>
    ) -> (tag: UInt8, whole: ArraySlice<UInt8>, content: ArraySlice<UInt8>)? {
        guard bytes.count >= 2 else { return nil }
        let start = bytes.startIndex
        var (length, header) = (Int(bytes[start + 1]), 2)
        if length >= 0x80 {
            let count = length & 0x7f
            guard (1...4).contains(count), bytes.count >= 2 + count else { return nil }
            length = bytes[(start + 2)..<(start + 2 + count)].reduce(0) { $0 << 8 | Int($1) }
            header += count
        }
        guard bytes.count >= header + length else { return nil }
        let end = start + header + length
        return (bytes[start], bytes[start..<end], bytes[(start + header)..<end])
    }
}
