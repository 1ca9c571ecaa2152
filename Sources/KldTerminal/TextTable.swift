/// A table for people: columns as wide as what stands in them, two spaces apart.
public struct TextTable: Sendable {
    public enum Alignment: Sendable, Hashable { case left, right }
    private var columns: [(title: String, alignment: Alignment)]
    private var rows: [[String]] = []

    /// - Parameter columns: titles, and on which side what stands below them lines up.
    public init(_ columns: [(String, Alignment)]) { self.columns = columns.map { (title: $0.0, alignment: $0.1) } }

    public mutating func add(_ row: [String]) { rows.append(row) }

    public var text: String {
        let all = [columns.map(\.title)] + rows
        let widths = columns.indices.map { column in all.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return all.map { row in
            let cells = row.enumerated().map { index, cell in
                let space = String(repeating: " ", count: widths[index] - cell.count)
                return columns[index].alignment == .right ? space + cell : cell + space
            }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}
