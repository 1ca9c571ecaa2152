public import KldCore
public import KldExec

/// One line of `zfs list -Hp`, or of `zpool list -Hp`, looked at while the output is gone through: a list of ten thousand snapshots is never in
/// memory as ten thousand dictionaries.
///
/// One line (OpenZFS 2.4.4), fields apart by a TAB; names and mount points hold spaces, mount points UTF-8:
/// ```
/// rpool/home/my data⇥filesystem⇥98304⇥/home/jörg
/// ```
public struct ListLine {
    private let columns: [String]
    private let fields: [Substring]

    /// - Returns: an empty text where ZFS printed `-`, and for a column that was not asked for.
    public subscript(column: String) -> Substring {
        guard let index = columns.firstIndex(of: column), fields[index] != "-" else { return "" }
        return fields[index]
    }
    public func text(_ column: String) -> String? {
        let field = self[column]
        return field.isEmpty ? nil : String(field)
    }
    public func number(_ column: String) -> UInt64? { UInt64(self[column]) }
    public func bytes(_ column: String) -> ByteCount? { number(column).map { ByteCount($0) } }

    /// Hands over each line in turn.
    /// - Parameter columns: those given to `-o`, in their order.
    /// - Throws: ``Diagnosis`` `zfs.unreadable`; what `body` throws.
    public static func each(_ output: String, columns: [String], _ body: (ListLine) throws -> Void) throws {
        // why bytes: a mount point may hold U+2028, or begin with a mark that Unicode would join to the TAB before it. It is faster, too.
        var rest = output.utf8[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = rest[..<end]
            rest = rest[rest.index(after: end)...]
            if line.isEmpty { continue }
            let fields = line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false).map { Substring($0) }
            guard fields.count == columns.count else { throw Diagnosis.unreadable("a list", String(Substring(line))) }
            try body(ListLine(columns: columns, fields: fields))
        }
        guard rest.isEmpty else { throw Diagnosis.unreadable("a list", String(Substring(rest))) }
    }
}

extension ZFS {
    /// Several datasets, snapshots or whole trees, in one call.
    ///
    /// - Parameters:
    ///   - names: empty for everything.
    ///   - depth: how far below each of them; `nil` for them alone, or for everything where there are no names.
    ///   - recursive: all the way down; wins over `depth`.
    ///
    /// Runs: `zfs list -Hp [-r | -d N] -t TYPES -o COLUMNS [NAME…]`, reads. Read by ``ListLine``. Source: zfs-list(8), OpenZFS 2.1 to 2.4.
    public static func list(of names: [String], columns: [String], types: [String], depth: Int? = nil, recursive: Bool = false) -> Command {
        let reach: [String] = recursive && !names.isEmpty ? ["-r"] : depth.map { ["-d", String($0)] } ?? []
        return Command(
            tool, ["list", "-Hp"] + reach + ["-t", types.joined(separator: ","), "-o", columns.joined(separator: ",")] + names,
            effect: .reads)
    }
}
