public import KldCore

/// One dataset with the properties that were asked for.
public struct DatasetEntry: Sendable, Hashable {
    public var name: String
    /// `filesystem`, `volume`, `snapshot`, `bookmark`; from text only when the column `type` was asked for.
    public var type: String?
    /// Without those that are `-`.
    public var properties: [String: String]

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
}
