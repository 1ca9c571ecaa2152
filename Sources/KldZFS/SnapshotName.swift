import KldCore

/// The full name of a snapshot: `rpool/ROOT/debian@install`.
public struct SnapshotName: Sendable, Hashable, Codable, CustomStringConvertible {
    public let dataset: DatasetName
    /// What follows the `@`.
    public let label: String

    /// - Throws: ``NameError``, `zfs.name.snapshot`; the length is that of the full name.
    public init(_ dataset: DatasetName, _ label: String) throws(NameError) {
        let full = "\(dataset.text)@\(label)"
        do { try NameRules.check(component: label) } catch { throw NameError(.snapshot, full, error) }
        guard full.utf8.count <= NameRules.longest else {
            throw NameError(.snapshot, full, .tooLong(bytes: full.utf8.count, most: NameRules.longest))
        }
        self.dataset = dataset
        self.label = label
    }

    /// - Throws: ``NameError``, `zfs.name.snapshot` or `zfs.name.dataset`.
    public init(_ text: String) throws(NameError) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw NameError(.snapshot, text, .delimiters) }
        try self.init(DatasetName(String(parts[0])), String(parts[1]))
    }

    public init(from decoder: any Decoder) throws { try self.init(decoder.singleValueContainer().decode(String.self)) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    public var description: String { "\(dataset.text)@\(label)" }
}
