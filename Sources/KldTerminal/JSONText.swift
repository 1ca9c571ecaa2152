/// A document that is written as JSON: for lists of many thousand rows, and without an encoder for each kind of row.
public enum JSONText: Sendable {
    case text(String)
    case number(UInt64)
    case flag(Bool)
    /// `null`: not known, or none.
    case none
    case list([JSONText])
    /// Members in the order in which they are written.
    case object([(String, JSONText)])

    public static func optional(_ text: String?) -> JSONText { text.map { .text($0) } ?? .none }
    public static func optional(_ number: UInt64?) -> JSONText { number.map { .number($0) } ?? .none }
    public static func texts(_ list: some Sequence<String>) -> JSONText { .list(list.map { .text($0) }) }

    /// Indented by one space, without a newline at its end.
    public var rendered: String {
        var text = ""
        write(into: &text, depth: 0)
        return text
    }

    private func write(into output: inout String, depth: Int) {
        switch self {
        case .text(let text): Self.quote(text, into: &output)
        case .number(let number): output += String(number)
        case .flag(let flag): output += flag ? "true" : "false"
        case .none: output += "null"
        case .list(let items): Self.write(items, "[", "]", into: &output, depth) { $0.write(into: &$1, depth: depth + 1) }
        case .object(let members):
            Self.write(members, "{", "}", into: &output, depth) { member, output in
                Self.quote(member.0, into: &output)
                output += ": "
                member.1.write(into: &output, depth: depth + 1)
            }
        }
    }

    private static func write<Item>(
        _ items: [Item], _ open: String, _ close: String, into output: inout String, _ depth: Int, _ body: (Item, inout String) -> Void
    ) {
        output += open
        for (index, item) in items.enumerated() {
            output += (index == 0 ? "\n" : ",\n") + String(repeating: " ", count: depth + 1)
            body(item, &output)
        }
        if !items.isEmpty { output += "\n" + String(repeating: " ", count: depth) }
        output += close
    }

    /// Source: RFC 8259, section 7.
    private static func quote(_ text: String, into output: inout String) {
        output += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\t": output += "\\t"
            case "\r": output += "\\r"
            case "\u{0}"..."\u{1f}":
                let digits = String(scalar.value, radix: 16)
                output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: output.unicodeScalars.append(scalar)
            }
        }
        output += "\""
    }
}
