public import KldCore

/// The name of an exported image, without a suffix: safe as a file name, as a member of a tar, in XML and in a URL.
///
/// Letters, digits, `.`, `_`, `+` and `-`; begins with a letter or digit; 1 to ``limit`` bytes.
public struct ExportName: Sendable, Hashable, Codable, CustomStringConvertible {
    /// USTAR holds names of 100 bytes; `-disk1.vmdk` is the longest thing appended to one.
    public static let limit = 80

    public let text: String

    /// Replaces every run of other characters by one `-`, drops `.` and `-` at the ends, and cuts at ``limit`` bytes.
    /// - Throws: ``Diagnosis`` `image.name` when nothing is left.
    public init(sanitising text: some StringProtocol) throws(Diagnosis) {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if Self.isAllowed(byte) { bytes.append(byte) } else if bytes.last != UInt8(ascii: "-") { bytes.append(UInt8(ascii: "-")) }
        }
        let loose = { (byte: UInt8) in byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-") }
        let body = bytes.drop { loose($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "+") }.prefix(Self.limit)
        let end = body.lastIndex { !loose($0) }.map { $0 + 1 } ?? body.startIndex
        self.text = String(decoding: body[body.startIndex..<max(end, body.startIndex)], as: UTF8.self)
        guard !self.text.isEmpty else {
            throw Diagnosis(
                "image.name", "'\(text)' cannot name an image", remedies: ["use letters, digits, '.', '_', '+' and '-'"], exit: .usage)
        }
    }

    /// `kldload-<distro>-<profile>`, as the seeds print it: `kldload-debian-server`.
    /// - Throws: ``Diagnosis`` `image.name`.
    public init(distro: String, profile: String) throws(Diagnosis) { try self.init(sanitising: "kldload-\(distro)-\(profile)") }

    /// `KEXPORT_NAME` when it is set and not empty, else `kldload-<distro>-<profile>`.
    /// - Throws: ``Diagnosis`` `image.name`.
    public init(environment: [String: String], distro: String, profile: String) throws(Diagnosis) {
        if let name = environment["KEXPORT_NAME"], !name.trimmed.isEmpty {
            try self.init(sanitising: name)
        } else {
            try self.init(distro: distro, profile: profile)
        }
    }

    public var description: String { text }

    public init(from decoder: any Decoder) throws {
        try self.init(sanitising: try decoder.singleValueContainer().decode(String.self))
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        byte.isASCIIAlphanumeric || "._+-".utf8.contains(byte)
    }
}
