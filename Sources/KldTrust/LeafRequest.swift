import KldAnswers
public import KldCore

/// What a certificate is for. The root of TLS signs nothing else: no code, no mail.
public enum ExtendedKeyUsage: String, Sendable, Hashable, CaseIterable, Codable {
    case serverAuth, clientAuth

    /// As openssl-x509(1) prints it.
    var title: String { self == .serverAuth ? "TLS Web Server Authentication" : "TLS Web Client Authentication" }
    /// As openssl-verify(1) asks for it.
    var purpose: String { self == .serverAuth ? "sslserver" : "sslclient" }

    /// Reads `serverAuth,clientAuth`. - Throws: ``Diagnosis`` `ca.eku`.
    public static func list(_ text: String) throws(Diagnosis) -> [ExtendedKeyUsage] {
        var usages: [ExtendedKeyUsage] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let usage = ExtendedKeyUsage(rawValue: String(word)) else {
                throw Diagnosis(
                    "ca.eku", "'\(word)' is no use of a certificate that this authority gives",
                    remedies: ["--eku serverAuth,clientAuth, or one of them", "code is signed by another key: kldload secure-boot"],
                    exit: .usage)
            }
            if !usages.contains(usage) { usages.append(usage) }
        }
        return usages
    }
}

/// What a leaf is to hold: kept beside it, so that it can be issued again.
public struct LeafRequest: Sendable, Hashable {
    public static let defaultDays = 90
    public static let allowedDays = 1...3650

    /// Its name in this authority, and the subject's common name.
    public let leaf: String
    /// At least one, each once.
    public let names: [SubjectName]
    public let usages: [ExtendedKeyUsage]
    /// Of life, as asked for; the root may not have as many left.
    public let days: Int

    /// - Parameters:
    ///   - leaf: 1 to 64 of letters, digits and `. _ -`, the first a letter or a digit.
    ///   - days: 1 to 3650.
    /// - Throws: ``Diagnosis`` `ca.leaf-name`, `ca.no-names`, `ca.days`, and those of ``SubjectName``.
    public init(leaf: String, dns: [String], addresses: [String], usages: [ExtendedKeyUsage], days: Int) throws(Diagnosis) {
        try Self.check(leaf)
        var names: [SubjectName] = []
        for text in dns { names.append(try SubjectName(dns: text)) }
        for text in addresses { names.append(try SubjectName(address: text)) }
        guard !names.isEmpty else {
            throw Diagnosis(
                "ca.no-names", "a certificate for no name and no address is good for nothing",
                remedies: ["--dns web.example.org, --ip 10.0.1.5, each as often as needed"], exit: .usage)
        }
        guard Self.allowedDays.contains(days) else {
            throw Diagnosis("ca.days", "a certificate cannot live for \(days) days", remedies: ["1 to 3650"], exit: .usage)
        }
        self.leaf = leaf
        self.names = names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        self.usages = usages
        self.days = days
    }

    /// - Throws: ``Diagnosis`` `ca.leaf-name`.
    public static func check(_ leaf: String) throws(Diagnosis) {
        guard leaf.utf8.count <= 64, leaf.utf8.first.map(isAlphanumeric) == true,
            leaf.utf8.allSatisfy({ isAlphanumeric($0) || "._-".utf8.contains($0) })
        else {
            throw Diagnosis(
                "ca.leaf-name", "'\(leaf)' cannot name a certificate",
                remedies: ["1 to 64 letters, digits and . _ -, the first a letter or a digit: web"], exit: .usage)
        }
    }
}

extension LeafRequest: Codable {
    enum CodingKeys: String, CodingKey { case leaf, dns, ip, usages, days }

    /// Checks as the command line does.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        try self.init(
            leaf: values.decode(String.self, forKey: .leaf), dns: values.decode([String].self, forKey: .dns),
            addresses: values.decode([String].self, forKey: .ip), usages: values.decode([ExtendedKeyUsage].self, forKey: .usages),
            days: values.decode(Int.self, forKey: .days))
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(leaf, forKey: .leaf)
        try values.encode(names.compactMap { if case .dns(let name) = $0 { name } else { nil } }, forKey: .dns)
        try values.encode(names.compactMap { if case .address(let address) = $0 { "\(address)" } else { nil } }, forKey: .ip)
        try values.encode(usages, forKey: .usages)
        try values.encode(days, forKey: .days)
    }
}
