import FoundationEssentials

/// One line of an `authorized_keys` file without options: type, key in base64, comment.
public struct SSHPublicKey: Sendable, Hashable, CustomStringConvertible {
    /// `ssh-ed25519`, `ssh-rsa`, …
    public let type: String
    public let base64: String
    public let comment: String

    /// The whole line, as it goes into `authorized_keys`.
    public var line: String { comment.isEmpty ? "\(type) \(base64)" : "\(type) \(base64) \(comment)" }
    public var description: String { line }

    public enum Fault: Error, Sendable, Equatable {
        /// The text is, or names, a private key.
        case privateKey
        /// Fewer than two words.
        case incomplete
        /// The first word is not a type that OpenSSH accepts today.
        case type(String)
        case base64
        /// The key itself says another type than the first word, or is cut short.
        case content
        /// RSA below 2048 bits.
        case weak(bits: Int)
    }

    /// Source: sshd(8) AUTHORIZED_KEYS FILE FORMAT, RFC 4253 section 6.6, RFC 5656, RFC 8709; OpenSSH 10.
    ///
    /// - Throws: ``Fault``.
    public init(_ text: String) throws(Fault) {
        if text.contains("PRIVATE KEY") || text.contains("openssh-key-v1") { throw .privateKey }
        let words = text.split(orAt: 0x20)
        guard words.count >= 2 else { throw .incomplete }
        let layout = SSHPublicKey.layouts[words[0]]
        guard let layout else { throw .type(words[0]) }
        guard words[1].utf8.count <= 16_384, let blob = Data(base64Encoded: words[1]) else { throw .base64 }
        guard let fields = SSHPublicKey.fields(Array(blob)), fields.count == layout.count + 1, string(fields[0]) == words[0] else {
            throw .content
        }
        for (field, length) in zip(fields.dropFirst(), layout) {
            if let length, field.count != length { throw .content }
            if field.isEmpty { throw .content }
        }
        if words[0] == "ssh-rsa" {
            let modulus = fields[2].drop { $0 == 0 }
            guard let top = modulus.first else { throw .content }
            let bits = modulus.count * 8 - top.leadingZeroBitCount
            if bits < 2048 { throw .weak(bits: bits) }
        }
        type = words[0]
        base64 = words[1]
        comment = words.dropFirst(2).joined(separator: " ")
    }

    /// The fields after the type's own name, with their lengths in bytes where fixed.
    private static let layouts: [String: [Int?]] = [
        "ssh-ed25519": [32],
        "ssh-rsa": [nil, nil],
        "ecdsa-sha2-nistp256": [8, 65],
        "ecdsa-sha2-nistp384": [8, 97],
        "ecdsa-sha2-nistp521": [8, 133],
        "sk-ssh-ed25519@openssh.com": [32, nil],
        "sk-ecdsa-sha2-nistp256@openssh.com": [8, 65, nil],
    ]

    public static var types: [String] { layouts.keys.sorted() }

    /// Strings with a length in four bytes before each, as SSH packs them; `nil` when one runs over the end.
    private static func fields(_ blob: [UInt8]) -> [[UInt8]]? {
        var fields: [[UInt8]] = []
        var rest = blob[...]
        while !rest.isEmpty {
            guard rest.count >= 4, fields.count < 8 else { return nil }
            let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard length <= rest.count else { return nil }
            fields.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return fields
    }
}
