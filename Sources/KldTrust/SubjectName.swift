public import KldAnswers
public import KldCore

/// A name or an address that a certificate is good for. Source: RFC 5280, 4.2.1.6; RFC 6125, 6.4.3; RFC 9525, 6.3.
public enum SubjectName: Sendable, Hashable, CustomStringConvertible {
    /// In lower case; a wildcard stands for one whole label, the first.
    case dns(String)
    case address(IPAddress)

    /// - Throws: ``Diagnosis`` `ca.dns-idn` with letters outside ASCII, `ca.dns-address` for an address, `ca.dns-wildcard` for a star that is
    ///   not the whole first label or has fewer than two labels behind it, `ca.dns-name` for all else that is no host name.
    public init(dns text: String) throws(Diagnosis) {
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
            throw Diagnosis(
                "ca.dns-idn", "'\(text)' has letters outside ASCII",
                remedies: ["write it as DNS knows it, xn--…: idn2 '\(text)' prints that"], exit: .usage)
        }
        guard IPAddress(text) == nil else {
            throw Diagnosis("ca.dns-address", "'\(text)' is an address", remedies: ["--ip \(text)"], exit: .usage)
        }
        let name = text.lowercased()
        let base = name.hasPrefix("*.") ? String(name.dropFirst(2)) : name
        // No verifier lets a star stand for a part of a label, or for every name of a top-level domain.
        guard !base.contains("*"), base == name || base.contains(".") else {
            throw Diagnosis(
                "ca.dns-wildcard", "'\(text)': a star is the whole first label, with at least two behind it",
                remedies: ["*.example.org"], exit: .usage)
        }
        guard isDomainName(Array(base.utf8)), name.utf8.count <= 253, base.split(separator: ".").last?.contains(where: \.isLetter) == true
        else {
            throw Diagnosis(
                "ca.dns-name", "'\(text)' is no host name",
                remedies: ["labels of letters, digits and inner hyphens, joined by dots, not all digits: web.example.org"], exit: .usage)
        }
        self = .dns(name)
    }

    /// - Throws: ``Diagnosis`` `ca.address` for what is no address, has a prefix or a zone, or is `0.0.0.0` or `::`.
    public init(address text: String) throws(Diagnosis) {
        guard let address = IPAddress(text), address.number != 0 else {
            throw Diagnosis(
                "ca.address", "'\(text)' is no address of a host",
                remedies: ["10.0.1.5 or fd00::5, without a prefix and without a zone"], exit: .usage)
        }
        self = .address(address)
    }

    /// `DNS:web.example.org`, `IP:10.0.1.5`.
    public var description: String {
        switch self {
        case .dns(let name): "DNS:\(name)"
        case .address(let address): "IP:\(address)"
        }
    }
}
