import FoundationEssentials
public import KldCore

/// One dataset with the properties that were asked for.
public struct DatasetEntry: Sendable, Hashable {
    public var name: String
    /// `filesystem`, `volume`, `snapshot`, `bookmark`; from text only when the column `type` was asked for.
    public var type: String?
    /// Without those that are `-`.
    public var properties: [String: String]
    /// From JSON only.
    public var sources: [String: PropertySource] = [:]

    public subscript(property: String) -> String? { properties[property] }
    public func bytes(_ property: String) -> ByteCount? { properties[property].flatMap { UInt64($0) }.map { ByteCount($0) } }
}

/// Reads lists of datasets.
public enum DatasetTable {
    /// Reads `zfs list -Hp -o COLUMNS`, separated by TAB, names and paths with spaces and UTF-8 as they are (OpenZFS 2.4.4):
    /// ```
    /// rpool/home/jörg⇥98304⇥/home/jörg
    /// ```
    /// - Parameter columns: those given to `-o`, in their order, with `name` among them.
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(_ output: String, columns: [String]) throws(Diagnosis) -> [DatasetEntry] {
        var entries: [DatasetEntry] = []
        // why: only the newline ends a line; a mount point may hold U+2028 and the like.
        for line in output.split(separator: "\n") {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == columns.count, let index = columns.firstIndex(of: "name") else {
                throw .unreadable("zfs list", String(line))
            }
            var properties: [String: String] = [:]
            for (column, field) in zip(columns, fields) where column != "name" && field != "-" { properties[column] = field }
            entries.append(DatasetEntry(name: fields[index], type: properties["type"], properties: properties))
        }
        return entries
    }

    /// Reads `zfs list -j`, and the like of `zfs get`, `zpool get` and `zpool list` (zfs-list(8), OpenZFS 2.4):
    /// ```
    /// {"output_version":{"command":"zfs list","vers_major":0,"vers_minor":1},"datasets":{"pool":{"name":"pool","type":"FILESYSTEM",…
    /// ```
    /// - Returns: the datasets, by name: JSON objects have no order.
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(json output: String) throws(Diagnosis) -> [DatasetEntry] {
        do {
            let document = try JSONDecoder().decode(Document.self, from: Data(output.utf8))
            return (document.datasets ?? document.pools ?? [:]).values.map(\.entry).sorted { $0.name < $1.name }
        } catch { throw .unreadable("zfs -j", "\(error)") }
    }

    private struct Document: Decodable {
        var datasets, pools: [String: Item]?
    }
    private struct Item: Decodable {
        struct Property: Decodable {
            var value: JSONText
            var source: Source?
        }
        struct Source: Decodable { var type, data: String }
        var name: String
        var type: String?
        var properties: [String: Property]?

        var entry: DatasetEntry {
            let known = properties ?? [:]
            return DatasetEntry(
                name: name, type: type?.lowercased(), properties: known.compactMapValues { $0.value.text == "-" ? nil : $0.value.text },
                sources: known.compactMapValues { property in property.source.map { PropertySource(type: $0.type, data: $0.data) } })
        }
    }
}

/// A value that is text, or a number where `--json-int` was asked for.
private struct JSONText: Decodable {
    var text: String
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode(String.self) {
            text = value
        } else if let number = try? container.decode(UInt64.self) {
            text = String(number)
        } else {
            text = String(try container.decode(Int64.self))
        }
    }
}
