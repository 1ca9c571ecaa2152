/// A host name after RFC 1123: labels of letters, digits and hyphens, 63 bytes at most in all (Linux keeps 64 with the final NUL).
///
/// Kept in lower case, since names are compared without case. Not all digits, so that it cannot be taken for an address.
public struct HostName: Sendable, Hashable, CustomStringConvertible {
    public let value: String

    /// - Returns: `nil` unless the text follows the rules above.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty, bytes.count <= 63, isDomainName(bytes) else { return nil }
        guard let last = bytes.split(separator: UInt8(ascii: ".")).last, !last.allSatisfy(isDigit) else { return nil }
        value = text.lowercased()
    }

    /// For a name known to follow the rules.
    init(unchecked name: String) { value = name }

    /// The part before the first dot.
    public var short: String { String(value.prefix { $0 != "." }) }
    /// The part after the first dot, `nil` for a name of one label.
    public var domain: String? {
        guard let dot = value.firstIndex(of: ".") else { return nil }
        return String(value[value.index(after: dot)...])
    }
    public var description: String { value }
}

/// Labels of 1 to 63 letters, digits and inner hyphens, joined by dots; 253 bytes at most. Source: RFC 1123 section 2.1.
package func isDomainName(_ bytes: [UInt8]) -> Bool {
    guard !bytes.isEmpty, bytes.count <= 253 else { return false }
    return bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { label in
        guard let first = label.first, let last = label.last, label.count <= 63 else { return false }
        return first != UInt8(ascii: "-") && last != UInt8(ascii: "-") && label.allSatisfy { isLetter($0) || isDigit($0) || $0 == 0x2D }
    }
}
