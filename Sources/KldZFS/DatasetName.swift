import KldCore

/// The full name of a file system or volume: `rpool/ROOT/debian`.
public struct DatasetName: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    public let text: String

    /// - Throws: ``NameError``, `zfs.name.dataset`.
    public init(_ text: String) throws(NameError) {
        do { try NameRules.check(dataset: text) } catch { throw NameError(.dataset, text, error) }
        self.text = text
    }

    init(of pool: PoolName) { text = pool.text }

    public init(from decoder: any Decoder) throws { try self.init(decoder.singleValueContainer().decode(String.self)) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    public static func < (a: DatasetName, b: DatasetName) -> Bool { a.text < b.text }
    public var description: String { text }

    /// The dataset below this one. - Parameter path: one part or several, `var/lib`.
    /// - Throws: ``NameError``, `zfs.name.dataset`.
    public func appending(_ path: String) throws(NameError) -> DatasetName { try DatasetName("\(text)/\(path)") }

    /// The name of the pool that holds it.
    public var pool: String { String(text.prefix { $0 != "/" }) }
    /// The last part.
    public var leaf: String { text.leaf }
    /// - Returns: `nil` for a pool's root dataset.
    public var parent: DatasetName? {
        guard let slash = text.lastIndex(of: "/") else { return nil }
        // A part of a valid name is valid.
        return try? DatasetName(String(text[..<slash]))
    }
    /// Whether this is `other` or below it.
    public func isWithin(_ other: DatasetName) -> Bool { self == other || text.hasPrefix(other.text + "/") }
}
