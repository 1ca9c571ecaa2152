import Foundation
import KldAnswers
import KldCore
import Testing

/// Keeps `docs/errors.md` true: every diagnosis in the sources has its row there, with the exit status that it ends with.
@Suite("The list of errors")
struct ErrorsDocumentTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    struct Entry: Hashable {
        var code: String
        var message: String
        var exit: KldCore.ExitStatus
        var remedies: [String]
        /// Some are computed.
        var hasRemedies: Bool
    }

    /// One call `Diagnosis("code", "message", remedies: […], exit: .status, …)` as it stands in a source.
    static func entry(_ call: Substring) -> Entry? {
        var strings: [(text: String, depth: Int, place: Int)] = []
        var plain = ""
        var depth = 0
        var rest = call
        while let character = rest.first {
            rest.removeFirst()
            switch character {
            case "(", "[": depth += 1
            case ")", "]": depth -= 1
            case "\"": strings.append((literal(&rest), depth, plain.count))
            default: break
            }
            plain.append(character)
            if depth == 0 { break }
        }
        let top = strings.filter { $0.depth == 1 }.map(\.text)
        guard top.count >= 2, top[0].wholeMatch(of: /[a-z][a-z0-9-]*(\.[a-z0-9-]+)+/) != nil else { return nil }
        let exit =
            plain.firstMatch(of: /exit:\s*\.([A-Za-z]+)/).flatMap { match in KldCore.ExitStatus.allCases.first { "\($0)" == match.output.1 }
            }
        func place(_ label: String) -> Int {
            plain.firstRange(of: label).map { plain.distance(from: plain.startIndex, to: $0.lowerBound) } ?? .max
        }
        let (remedies, causes) = (place("remedies:"), place("causes:"))
        let told = strings.filter { $0.depth == 2 && $0.place > remedies && ($0.place < causes || causes < remedies) }
        return Entry(code: top[0], message: top[1], exit: exit ?? .failed, remedies: told.map(\.text), hasRemedies: remedies < .max)
    }

    /// Reads to the end of a string literal; what is interpolated becomes `…`.
    static func literal(_ rest: inout Substring) -> String {
        var text = ""
        while let character = rest.first {
            rest.removeFirst()
            if character == "\"" { break }
            guard character == "\\", let next = rest.first else {
                text.append(character)
                continue
            }
            rest.removeFirst()
            guard next == "(" else {
                text.append(next == "n" ? " " : next)
                continue
            }
            var depth = 1
            while depth > 0, let inner = rest.first {
                rest.removeFirst()
                if inner == "(" { depth += 1 }
                if inner == ")" { depth -= 1 }
                if inner == "\"" { _ = literal(&rest) }
            }
            text += "…"
        }
        return text
    }

    static func entries() throws -> [Entry] {
        let sources = root.appending(path: "Sources")
        let names = try FileManager.default.subpathsOfDirectory(atPath: sources.path())
            .filter { $0.hasSuffix(".swift") && !$0.hasPrefix("kldload-systemtests") && !$0.hasPrefix("KldTestSupport") }
        var found: Set<Entry> = []
        for name in names.sorted() {
            let text = try String(contentsOf: sources.appending(path: name), encoding: .utf8)
            for range in text.ranges(of: "Diagnosis(") {
                if let entry = entry(text[text.index(before: range.upperBound)...]) { found.insert(entry) }
            }
        }
        return found.sorted { ($0.code, $0.message, $0.remedies.joined()) < ($1.code, $1.message, $1.remedies.joined()) }
    }

    static func document(_ entries: [Entry]) -> String {
        func cell(_ text: String) -> String { text.replacing("|", with: "\\|") }
        var lines = [
            "# Errors", "",
            "Made from the sources; `swift test` compares. Every tool prints an error as `error[CODE]: what happened`, then causes, then remedies.",
            "`…` stands for a name or a number. Problems of an answers file have codes of their own, which `kldload answers check` prints: see",
            "[answers.md](answers.md).", "",
            "| exit status | means |", "|---|---|",
        ]
        let meanings: [KldCore.ExitStatus: String] = [
            .done: "done", .failed: "it failed", .problemsFound: "checks ran and found problems", .usage: "the command line is wrong",
            .badAnswers: "the answers, or what they name, are wrong; nothing was touched", .inputMissing: "an input is not there",
            .unavailable: "a program or a service that is needed is not there", .bug: "a mistake of kldload: please report it",
            .cannotCreate: "an output cannot be written", .tryAgain: "somebody else is doing this now; try again later",
            .needsRoot: "root is needed", .badConfiguration: "this machine is not set up for it",
            .interrupted: "interrupted; what was begun has been cleaned up",
        ]
        lines += KldCore.ExitStatus.allCases.map { "| \($0.rawValue) | \(meanings[$0] ?? "") |" }
        lines += ["", "| code | exit | what happened | remedies |", "|---|---|---|---|"]
        lines += entries.map { entry in
            "| `\(entry.code)` | \(entry.exit.rawValue) | \(cell(entry.message)) | \(cell(entry.remedies.joined(separator: "; "))) |"
        }
        return lines.joined(separator: "\n") + "\n"
    }

    @Test("docs/errors.md is what the sources say (KLDLOAD_RECORD=1 writes it)")
    func document() throws {
        let entries = try Self.entries()
        #expect(entries.count > 100)
        let text = Self.document(entries)
        let file = Self.root.appending(path: "docs/errors.md")
        if ProcessInfo.processInfo.environment["KLDLOAD_RECORD"] != nil { try text.write(to: file, atomically: true, encoding: .utf8) }
        #expect(try String(contentsOf: file, encoding: .utf8) == text)
    }

    @Test("an error that a person can meet names a remedy, or says what is wrong with the tool itself")
    func remedies() throws {
        let silent = try Self.entries().filter { !$0.hasRemedies && $0.exit != .bug && $0.exit != .interrupted }
        #expect(silent.map(\.code) == [])
    }

    @Test("one code has one exit status")
    func statuses() throws {
        let all = Dictionary(grouping: try Self.entries(), by: \.code)
        let several = all.filter { Set($0.value.map(\.exit)).count > 1 }.keys.sorted()
        #expect(several == [])
    }
}
