/// A number of bytes.
public struct ByteCount: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    public var bytes: UInt64

    public init(_ bytes: UInt64) { self.bytes = bytes }
    public static func mebibytes(_ count: UInt64) -> ByteCount { ByteCount(count << 20) }
    public static func gibibytes(_ count: UInt64) -> ByteCount { ByteCount(count << 30) }

    public static func < (a: ByteCount, b: ByteCount) -> Bool { a.bytes < b.bytes }
    public static func + (a: ByteCount, b: ByteCount) -> ByteCount { ByteCount(a.bytes + b.bytes) }

    public init(from decoder: any Decoder) throws { bytes = try decoder.singleValueContainer().decode(UInt64.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(bytes)
    }

    /// Binary units with one decimal, as `zfs` and `lsblk` print them: `1.5 GiB`.
    public var description: String {
        var value = bytes
        var rest: UInt64 = 0
        for unit in ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
            if value < 1024 || unit == "EiB" {
                return rest == 0 ? "\(value) \(unit)" : "\(value).\(rest * 10 / 1024) \(unit)"
            }
            rest = value & 1023
            value >>= 10
        }
        return "\(bytes) B"
    }
}

/// A secret: never printed, never encoded, compared only on purpose.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let value: String
    public init(_ value: String) { self.value = value }
    /// The secret itself. Each use is a place to review.
    public func reveal() -> String { value }
    public var isEmpty: Bool { value.isEmpty }
    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// The 32-bit number by which ZFS tells whose pool it is: `/etc/hostid`, four bytes in little-endian order.
///
/// Source: zgenhostid(8), spl(4) `spl_hostid`, OpenZFS 2.4. Zero means "none".
public struct HostID: Sendable, Hashable, Codable, CustomStringConvertible {
    public let value: UInt32

    /// - Returns: `nil` for zero, which OpenZFS takes as "no host id".
    public init?(_ value: UInt32) {
        guard value != 0 else { return nil }
        self.value = value
    }

    private init(nonZero value: UInt32) { self.value = value }

    /// Stands for the one that a machine will be given, where a plan is only shown: the letters `kldl`.
    public static let placeholder = HostID(nonZero: 0x6b6c_646c)

    /// One of the four thousand million others.
    public static func random() -> HostID { HostID(nonZero: .random(in: 1 ... .max)) }

    /// Reads eight hexadecimal digits, with or without `0x`.
    public init?(hex text: some StringProtocol) {
        let digits = text.hasPrefix("0x") ? String(text.dropFirst(2)) : String(text)
        guard digits.utf8.count == 8, digits.allSatisfy(\.isHexDigit), let value = UInt32(digits, radix: 16) else { return nil }
        self.init(value)
    }

    /// Reads the content of `/etc/hostid`. - Returns: `nil` unless there are exactly four bytes that are not all zero.
    public init?(fileContent bytes: some Collection<UInt8>) {
        guard bytes.count == 4 else { return nil }
        self.init(bytes.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        guard let id = HostID(try container.decode(UInt32.self, forKey: .value)) else {
            throw DecodingError.dataCorruptedError(forKey: .value, in: container, debugDescription: "zero is no host id")
        }
        self = id
    }

    public var fileContent: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }

    public var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

extension StringProtocol {
    /// Without white space at both ends.
    package var trimmed: String {
        var slice = self[...]
        while let first = slice.first, first.isWhitespace { slice.removeFirst() }
        while let last = slice.last, last.isWhitespace { slice.removeLast() }
        return String(slice)
    }

    /// Non-empty lines.
    package var lines: [String] { Substring(self).split(whereSeparator: \.isNewline).map(String.init) }

    /// Non-empty words.
    package var words: [String] { Substring(self).split(whereSeparator: \.isWhitespace).map(String.init) }
}

extension UInt8 {
    /// A letter or a digit of ASCII.
    package var isASCIIAlphanumeric: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
}

extension String {
    /// The last part of a path, or of a dataset's name.
    package var leaf: String { split(separator: "/").last.map(String.init) ?? self }

    /// Whether it has nothing but letters and digits of ASCII, and these.
    package func isPlain(besides others: String) -> Bool { utf8.allSatisfy { $0.isASCIIAlphanumeric || others.utf8.contains($0) } }
}

/// The number of single-character edits between two words, counting a swap of neighbours as one (optimal string alignment).
package func editDistance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in 1...a.count {
        var row = [i] + [Int](repeating: 0, count: b.count)
        for j in 1...b.count {
            row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { row[j] = min(row[j], beforeLast[j - 2] + 1) }
        }
        (beforeLast, last) = (last, row)
    }
    return last[b.count]
}
