/// The answers and settings that an image was built from, without any secret: there is no way to put one in.
public struct BuildInputs: Sendable, Hashable, Codable {
    public let values: [String: String]

    /// Words in a key that mark its value as secret or as a way to one.
    private static let secretWords = ["PASS", "SECRET", "TOKEN", "HASH", "KEY", "PSK", "CREDENTIAL", "PRIVATE", "AUTH", "LICENSE"]

    /// Keeps what may be read by everybody who gets the image.
    ///
    /// Dropped: empty values; keys with a word that marks a secret; values that hold a private key; user and password within an URL.
    /// What a new answer's name does not give away, the caller drops before: the definition of answers knows best.
    public init(_ answers: [String: String]) {
        values = answers.filter { key, value in
            let upper = key.uppercased()
            return !value.isEmpty && !Self.secretWords.contains { upper.contains($0) } && !value.contains("PRIVATE KEY")
                && !Self.hasUserInURL(value)
        }
    }

    private static func hasUserInURL(_ value: String) -> Bool {
        value.split(whereSeparator: \.isWhitespace).contains { word in
            guard let scheme = word.firstRange(of: "://") else { return false }
            return word[scheme.upperBound...].prefix { $0 != "/" }.contains("@")
        }
    }

    public init(from decoder: any Decoder) throws { self.init(try decoder.singleValueContainer().decode([String: String].self)) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(values)
    }
}
