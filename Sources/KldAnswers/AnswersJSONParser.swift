/// Reads answers from a JSON object of strings, numbers, booleans, nulls and lists of those.
///
/// A reader of our own, since Foundation's drops the first of two equal keys and knows no lines. Objects inside objects are refused,
/// so nothing here recurses. Source: RFC 8259.
struct AnswersJSONParser {
    private(set) var entries: [AnswerEntry] = []
    private(set) var problem: AnswersProblem?
    private var rest: ArraySlice<UInt8>
    private var line = 1

    /// - Parameter bytes: valid UTF-8 without a byte-order mark.
    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    private struct Fault: Error { var message: String }

    /// The member with which a message of older releases says what it asks for, and the one value that answers can have there.
    static let action = "action"
    static let install = "install"

    /// Stops at the first mistake: what follows it cannot be told apart.
    mutating func parse() {
        do {
            try object()
        } catch {
            problem = AnswersProblem(.json, line: line, error.message)
        }
    }

    private mutating func object() throws(Fault) {
        try expect(UInt8(ascii: "{"), "an opening brace")
        skipSpace()
        if !take(UInt8(ascii: "}")) {
            repeat {
                skipSpace()
                let keyLine = line
                let name = try text()
                try expect(UInt8(ascii: ":"), "a colon")
                let known = AnswerKey.fullNames[name] ?? String(name.prefix(128))
                let isKeyList = AnswerKey.named(known)?.type == .sshKeys
                let given = try value(listSeparator: isKeyList ? ";" : " ")
                entries.append(
                    AnswerEntry(
                        name: known, value: given.text, line: keyLine, isAction: name == AnswersJSONParser.action, kind: given.kind))
                skipSpace()
            } while take(UInt8(ascii: ","))
            try expect(UInt8(ascii: "}"), "a comma or a closing brace")
        }
        skipSpace()
        guard rest.isEmpty else { throw Fault(message: "something follows the object") }
    }

    private typealias Value = (text: String, kind: AnswerEntry.Kind)

    private mutating func value(listSeparator: String) throws(Fault) -> Value {
        skipSpace()
        guard take(UInt8(ascii: "[")) else { return try scalar() }
        skipSpace()
        if take(UInt8(ascii: "]")) { return ("", .list) }
        var items: [String] = []
        var kind = AnswerEntry.Kind.list
        repeat {
            skipSpace()
            let item = try scalar()
            items.append(item.text)
            if item.kind != .text { kind = .mixedList }
            skipSpace()
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"), "a comma or a closing bracket")
        return (items.joined(separator: listSeparator), kind)
    }

    /// What is null counts as an empty text.
    private mutating func scalar() throws(Fault) -> Value {
        switch rest.first {
        case UInt8(ascii: "\""): return (try text(), .text)
        case UInt8(ascii: "{"), UInt8(ascii: "["): throw Fault(message: "a value is an object or a list of lists")
        default: break
        }
        let word = rest.prefix { isAlphanumeric($0) || "+-.".utf8.contains($0) }
        rest = rest[word.endIndex...]
        switch string(word.prefix(64)) {
        case "true": return ("1", .bool)
        case "false": return ("0", .bool)
        case "null": return ("", .text)
        case let number:
            guard word.count <= 64, AnswersJSONParser.isNumber(word) else { throw Fault(message: "a value is missing or malformed") }
            return (number, .number)
        }
    }

    private static func isNumber(_ bytes: ArraySlice<UInt8>) -> Bool {
        var rest = bytes
        if rest.first == UInt8(ascii: "-") { rest.removeFirst() }
        func digits() -> Int {
            let run = rest.prefix(while: isDigit)
            rest = rest[run.endIndex...]
            return run.count
        }
        let leadingZero = rest.first == 0x30
        let whole = digits()
        guard whole > 0, whole == 1 || !leadingZero else { return false }
        if rest.first == UInt8(ascii: ".") {
            rest.removeFirst()
            guard digits() > 0 else { return false }
        }
        if let exponent = rest.first, exponent | 0x20 == UInt8(ascii: "e") {
            rest.removeFirst()
            if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest.removeFirst() }
            guard digits() > 0 else { return false }
        }
        return rest.isEmpty
    }

    private mutating func text() throws(Fault) -> String {
        try expect(UInt8(ascii: "\""), "a string")
        var result: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return string(result)
            case 0..<0x20: throw Fault(message: "a string holds a control character")
            case UInt8(ascii: "\\"): try escape(into: &result)
            default: result.append(byte)
            }
        }
        throw Fault(message: "a string is not closed")
    }

    private mutating func escape(into result: inout [UInt8]) throws(Fault) {
        switch rest.popFirst() {
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "r"): result.append(0x0D)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0C)
        case let byte? where "\"\\/".utf8.contains(byte): result.append(byte)
        case UInt8(ascii: "u"):
            var units = [try codeUnit()]
            if UTF16.isLeadSurrogate(units[0]), rest.popFirst() == UInt8(ascii: "\\"), rest.popFirst() == UInt8(ascii: "u") {
                units.append(try codeUnit())
            }
            guard let decoded = String(validating: units, as: UTF16.self) else {
                throw Fault(message: "a string holds half of a surrogate pair")
            }
            result += Array(decoded.utf8)
        default: throw Fault(message: "a string holds an unknown escape")
        }
    }

    private mutating func codeUnit() throws(Fault) -> UInt16 {
        let digits = rest.prefix(4)
        guard digits.count == 4, digits.allSatisfy(isHex), let unit = UInt16(string(digits), radix: 16) else {
            throw Fault(message: "a string holds a malformed \\u escape")
        }
        rest = rest.dropFirst(4)
        return unit
    }

    private mutating func skipSpace() {
        while let byte = rest.first, isBlank(byte) || byte == 0x0A || byte == 0x0D {
            if byte == 0x0A { line += 1 }
            rest = rest.dropFirst()
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard rest.first == byte else { return false }
        rest = rest.dropFirst()
        return true
    }

    private mutating func expect(_ byte: UInt8, _ what: String) throws(Fault) {
        skipSpace()
        guard take(byte) else { throw Fault(message: "\(what) is missing") }
    }
}

extension AnswerType {
    /// What a value may be in a JSON object. What the schema says follows from the same types.
    var kinds: [AnswerEntry.Kind] {
        switch self {
        case .bool: [.text, .number, .bool]
        case .integer, .choice, .version: [.text, .number]
        case .choices, .disks, .ipAddresses, .packages, .consoles, .sshKeys: [.text, .list]
        default: [.text]
        }
    }

    /// - Throws: ``ValueFault``, without the value: it may be a secret.
    func check(_ kind: AnswerEntry.Kind) throws(ValueFault) {
        guard !kinds.contains(kind) else { return }
        throw ValueFault(
            .wrongType, "the value is \(kind.title), and has to be \(kinds.map(\.title).joined(separator: " or "))",
            remedy: kinds.contains(.list) ? nil : "write it as a string, in double quotes")
    }
}

extension AnswerEntry.Kind {
    fileprivate var title: String {
        switch self {
        case .text: "a string"
        case .number: "a number"
        case .bool: "true or false"
        case .list: "a list of strings"
        case .mixedList: "a list of something else than strings"
        }
    }
}
