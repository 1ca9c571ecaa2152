import FoundationEssentials
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

    /// As in JSON: a type and the dataset it is inherited from.
    init(type: String, data: String) {
        switch type {
        case "LOCAL": self = .local
        case "RECEIVED": self = .received
        case "TEMPORARY": self = .temporary
        case "DEFAULT": self = .default
        case "INHERITED": self = .inherited(from: data)
        case "NONE": self = .none
        default: self = .unknown(type)
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

    /// Reads `zfs get -j` and `zpool get -j` (OpenZFS 2.3 and later):
    /// ```
    /// {"output_version":{…},"datasets":{"tank":{"name":"tank",…,"properties":{"mountpoint":{"value":"/tank","source":{"type":"DEFAULT","data":"-"}}}}}}
    /// ```
    /// - Returns: the rows, by dataset and property.
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(json output: String) throws(Diagnosis) -> [PropertyRow] {
        try DatasetTable.parse(json: output).flatMap { entry in
            entry.properties.sorted { $0.key < $1.key }.map {
                PropertyRow(name: entry.name, property: $0.key, value: $0.value, source: entry.sources[$0.key] ?? .none)
            }
        }
    }
}
