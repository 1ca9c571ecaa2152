import KldCore

/// The name of a pool that ZFS accepts for a new pool.
public struct PoolName: Sendable, Hashable, Codable, CustomStringConvertible {
    public let text: String

    /// - Throws: ``NameError``, `zfs.name.pool`.
    public init(_ text: String) throws(NameError) {
        do { try NameRules.check(pool: text) } catch { throw NameError(.pool, text, error) }
        self.text = text
    }

    public init(from decoder: any Decoder) throws { try self.init(decoder.singleValueContainer().decode(String.self)) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    public var description: String { text }

    /// The pool's root dataset.
    public var dataset: DatasetName { DatasetName(of: self) }
}
