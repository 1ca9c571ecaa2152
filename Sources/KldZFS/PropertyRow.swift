public import KldCore

/// Where the value of a property comes from.
public enum PropertySource: Sendable, Hashable {
    case local, received, temporary, `default`
    case inherited(from: String)
    /// A read-only property: there is no source.
    case none
    case unknown(String)

    /// Set on this dataset itself, here or where it was sent from.
    var isOwn: Bool { self == .local || self == .received }

    /// As the fourth column of `zfs get -H`: `local`, `inherited from rpool/ROOT`, `-`.
    init(text: String) {
        switch text {
        case "local": self = .local
        case "received": self = .received
        case "temporary": self = .temporary
        case "default": self = .default
        case "-": self = .none
        default:
            let prefix = "inherited from "
            self = text.hasPrefix(prefix) ? .inherited(from: String(text.dropFirst(prefix.count))) : .unknown(text)
        }
    }
}

/// One property of one dataset or pool.
public struct PropertyRow: Sendable, Hashable {
    public var name: String
    public var property: String
    /// `nil` where the tools print `-`: not set, or not known for this kind of dataset.
    public var value: String?
    public var source: PropertySource

    /// That this dataset is kldload's own: the mark counts only where it is set, not where it is inherited.
    public var marksOwnership: Bool {
        property == KldProperty.owner && value == KldProperty.ownerValue && source.isOwn
    }

    /// Reads `zfs get -Hp -o name,property,value,source` and the same of `zpool`, separated by TAB (OpenZFS 2.4.4):
    /// ```
    /// rpool/ROOT/debian⇥mountpoint⇥/⇥local
    /// ```
    /// A value with a TAB in it, which user properties may have, is put together again.
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(_ output: String) throws(Diagnosis) -> [PropertyRow] {
        var rows: [PropertyRow] = []
        for line in output.lines {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count >= 4, let source = fields.last else { throw .unreadable("zfs get", line) }
            let value = fields[2..<(fields.count - 1)].joined(separator: "\t")
            rows.append(
                PropertyRow(name: fields[0], property: fields[1], value: value == "-" ? nil : value, source: PropertySource(text: source)))
        }
        return rows
    }
}
