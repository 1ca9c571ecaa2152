/// One assignment as it was written.
struct AnswerEntry: Sendable, Hashable {
    var name: String
    var value: String
    /// Counted from 1; `nil` for an override.
    var line: Int?
    /// A member `action` of a JSON object: no key, but what a message says of itself.
    var isAction = false
    var kind = Kind.text
    /// The value could not be read, and is empty here. The key counts as given all the same: its problem is told already.
    var isUnreadable = false

    /// How the value is written. In lines each is a text; in a JSON object it may be another kind.
    enum Kind: Sendable, Hashable { case text, number, bool, list, mixedList }
}

/// Reads `KEY=VALUE` lines. Nothing is evaluated: no variable, no command, no pattern.
///
/// A line is blank, a comment that begins with `#`, or an assignment, before which `export` is tolerated. Values:
/// - without quotes: up to the end of the line or to a `#` after white space; quotes, backticks and `$(` are errors,
/// - `'…'`: every character stands for itself,
/// - `"…"`: `\"`, `\\`, `\$` and `` \` `` stand for the second character; a bare backtick and `$(` are errors.
///
/// Quoted pieces may touch, as `'it'\''s'`, which shells and their quoting helpers write.
struct AnswersTextParser {
    static let longestLine = 65_536
    static let largestFile = 1_048_576

    private(set) var entries: [AnswerEntry] = []
    var problems = ProblemList()

    /// Takes time in proportion to the number of bytes, whatever they are.
    mutating func parse(_ bytes: [UInt8]) {
        guard bytes.count <= AnswersTextParser.largestFile else {
            problems.add(AnswersProblem(.tooLarge, "the file has more than 1 MiB"))
            return
        }
        let content = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes[3...] : bytes[...]
        let isJSON = content.first { !isBlank($0) && $0 != 0x0A && $0 != 0x0D } == UInt8(ascii: "{")
        var rest = content
        var number = 0
        while !rest.isEmpty, !problems.isFull {
            number += 1
            let end = rest.firstIndex(of: 0x0A) ?? rest.endIndex
            var line = rest[..<end]
            rest = rest[end...].dropFirst()
            if line.last == 0x0D { line.removeLast() }
            guard isReadable(line, number) else { continue }
            if !isJSON { parseLine(line, number) }
        }
        guard isJSON, problems.problems.isEmpty else { return }
        var parser = AnswersJSONParser(content)
        parser.parse()
        entries = parser.entries
        if let problem = parser.problem { problems.add(problem) }
    }

    private mutating func isReadable(_ line: ArraySlice<UInt8>, _ number: Int) -> Bool {
        if line.count > AnswersTextParser.longestLine {
            problems.add(AnswersProblem(.lineTooLong, line: number, "the line has \(line.count) bytes, 65536 are allowed"))
        } else if line.contains(0) {
            problems.add(AnswersProblem(.nulByte, line: number, "the line holds a NUL byte"))
        } else if line.contains(where: { $0 >= 0x80 }), String(validating: line, as: UTF8.self) == nil {
            problems.add(AnswersProblem(.notUTF8, line: number, "the line is not UTF-8"))
        } else {
            return true
        }
        return false
    }

    private mutating func parseLine(_ whole: ArraySlice<UInt8>, _ number: Int) {
        var line = whole.drop(while: isBlank)
        if line.isEmpty || line.first == UInt8(ascii: "#") { return }
        let export = Array("export".utf8)
        if line.starts(with: export), let next = line.dropFirst(export.count).first, isBlank(next) {
            line = line.dropFirst(export.count).drop(while: isBlank)
        }
        let name = line.prefix { isAlphanumeric($0) || $0 == UInt8(ascii: "_") }
        let afterName = line[name.endIndex...]
        guard let first = name.first, !isDigit(first), afterName.first == UInt8(ascii: "=") else {
            let spaced = !name.isEmpty && afterName.drop(while: isBlank).first == UInt8(ascii: "=")
            problems.add(
                AnswersProblem(
                    .syntax, line: number,
                    spaced ? "there is white space before the equals sign" : "the line is neither KEY=VALUE nor a comment"))
            return
        }
        let key = string(name.prefix(128))
        do {
            entries.append(AnswerEntry(name: key, value: try AnswerValueText.parse(afterName.dropFirst()), line: number))
        } catch {
            problems.add(AnswersProblem(error.code, line: number, key: key, error.message))
            // Remembered with no value, so that the key does not count as missing.
            entries.append(AnswerEntry(name: key, value: "", line: number, isUnreadable: true))
        }
    }
}

/// What follows the equals sign.
enum AnswerValueText {
    struct Fault: Error {
        var code: AnswersProblem.Code
        var message: String
    }

    static func parse(_ bytes: ArraySlice<UInt8>) throws(Fault) -> String {
        let value = bytes.drop(while: isBlank)
        guard let first = value.first else { return "" }
        if first == UInt8(ascii: "#"), value.startIndex > bytes.startIndex { return "" }
        let result = first == UInt8(ascii: "'") || first == UInt8(ascii: "\"") ? try quoted(value) : try plain(value)
        if result.contains(where: { isControl($0) && $0 != 0x09 }) {
            throw Fault(code: .controlCharacter, message: "the value holds a control character")
        }
        return string(result)
    }

    private static func plain(_ bytes: ArraySlice<UInt8>) throws(Fault) -> [UInt8] {
        var end = bytes.startIndex
        var previous: UInt8 = 0
        for index in bytes.indices {
            let byte = bytes[index]
            if byte == UInt8(ascii: "#"), isBlank(previous) { break }
            if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                throw Fault(code: .quoteInside, message: "a quote stands inside a value that does not begin with one")
            }
            try refuseEvaluation(byte, after: previous)
            if !isBlank(byte) { end = index + 1 }
            previous = byte
        }
        return Array(bytes[bytes.startIndex..<end])
    }

    private static func quoted(_ bytes: ArraySlice<UInt8>) throws(Fault) -> [UInt8] {
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.first {
            switch byte {
            case UInt8(ascii: "'"):
                guard let end = rest.dropFirst().firstIndex(of: byte) else { throw unterminated }
                result += rest[(rest.startIndex + 1)..<end]
                rest = rest[(end + 1)...]
            case UInt8(ascii: "\""):
                rest = try doubleQuoted(rest.dropFirst(), into: &result)
            case UInt8(ascii: "\\") where rest.dropFirst().first == UInt8(ascii: "'"):
                result.append(UInt8(ascii: "'"))
                rest = rest.dropFirst(2)
            default:
                let tail = rest.drop(while: isBlank)
                if tail.isEmpty || (isBlank(byte) && tail.first == UInt8(ascii: "#")) { return result }
                throw Fault(code: .textAfterQuote, message: "something follows the closing quote")
            }
        }
        return result
    }

    /// - Returns: what follows the closing quote.
    private static func doubleQuoted(_ bytes: ArraySlice<UInt8>, into result: inout [UInt8]) throws(Fault) -> ArraySlice<UInt8> {
        var index = bytes.startIndex
        var previous: UInt8 = 0
        while index < bytes.endIndex {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") { return bytes[(index + 1)...] }
            if byte == UInt8(ascii: "\\"), index + 1 < bytes.endIndex, "\"\\$`".utf8.contains(bytes[index + 1]) {
                result.append(bytes[index + 1])
                index += 2
                previous = 0
                continue
            }
            try refuseEvaluation(byte, after: previous)
            result.append(byte)
            previous = byte
            index += 1
        }
        throw unterminated
    }

    private static let unterminated = Fault(code: .unterminatedQuote, message: "the quote is not closed on this line")

    /// A person who writes these expects a command to run; taking them as text would surprise, running them would be worse.
    private static func refuseEvaluation(_ byte: UInt8, after previous: UInt8) throws(Fault) {
        if byte == UInt8(ascii: "`") || (byte == UInt8(ascii: "(") && previous == UInt8(ascii: "$")) {
            throw Fault(code: .evaluation, message: "the value asks for a command to be run, and answers are never evaluated")
        }
    }

    /// The shortest of the three forms that ``parse(_:)`` and every shell read back as `value`, which holds no line break.
    static func written(_ value: String) -> String {
        let bytes = value.utf8
        if bytes.allSatisfy({ isAlphanumeric($0) || "_-./:=,@+%".utf8.contains($0) }) { return value }
        if !bytes.contains(UInt8(ascii: "'")) { return "'\(value)'" }
        var text: [UInt8] = [UInt8(ascii: "\"")]
        for byte in bytes {
            if "\"\\$`".utf8.contains(byte) { text.append(UInt8(ascii: "\\")) }
            text.append(byte)
        }
        return string(text + [UInt8(ascii: "\"")])
    }
}
