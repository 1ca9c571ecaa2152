import Foundation
import KldAnswers
import KldCore
import KldImage
import KldZFS
import Testing

@testable import KldCLI

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
        // The code is the whole first argument, not one of two or a part of it.
        guard plain.prefixMatch(of: /\(\s*",\s/) != nil, top.count >= 2,
            top[0].wholeMatch(of: /[a-z][a-z0-9-]*(\.[a-z0-9-]+)+/) != nil
        else { return nil }
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

    /// The sources of what a person can meet, by their paths.
    static func sources() throws -> [(path: String, text: String)] {
        let sources = root.appending(path: "Sources")
        let names = try FileManager.default.subpathsOfDirectory(atPath: sources.path())
            .filter { $0.hasSuffix(".swift") && !$0.hasPrefix("kldload-systemtests") && !$0.hasPrefix("KldTestSupport") }
        return try names.sorted().map { ($0, try String(contentsOf: sources.appending(path: $0), encoding: .utf8)) }
    }

    /// Every call that makes a diagnosis, from its parenthesis on. `Diagnosis(of:)` is none: it passes on what another has made.
    static func calls(_ text: String) -> [Substring] {
        // Inside the type the initialiser has another name.
        let names = ["Diagnosis("] + (text.contains("extension Diagnosis") ? ["self.init("] : [])
        return names.flatMap { text.ranges(of: $0) }.map { text[text.index(before: $0.upperBound)...] }
            .filter { $0.prefixMatch(of: /\(\s*of:/) == nil }
    }

    static func entries() throws -> [Entry] {
        var found = Set(unread.flatMap(\.rows))
        for (_, text) in try sources() { found.formUnion(calls(text).compactMap { entry($0) }) }
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

    @Test("a call whose code is no literal stands in the list of those, and nothing else does")
    func unreadCalls() throws {
        var found: [String: Int] = [:]
        for (path, text) in try Self.sources() {
            let count = Self.calls(text).filter { Self.entry($0) == nil }.count
            if count > 0 { found[path] = count }
        }
        #expect(found == Dictionary(Self.unread.map { ($0.path, $0.calls) }, uniquingKeysWith: +))
    }

    @Test(
        "a code that is computed is not read", arguments: [#"(code ?? "a.b", "text")"#, #"(x ? "a.b" : "c.d", "text")"#, #"("a.b", text)"#])
    func computed(call: String) {
        #expect(Self.entry(call[...]) == nil)
    }

    @Test("rows that are written by hand have the messages of their sources")
    func messages() throws {
        for place in Self.unread {
            guard let helper = place.helper else { continue }
            let source = try Self.sources().first { $0.path == place.path }
            let text = try #require(source).text
            let found = text.ranges(of: helper + "(\"").map { range in
                var rest = text[range.upperBound...]
                return Self.literal(&rest)
            }
            #expect(Set(found) == Set(place.rows.map(\.message)), "\(place.path)")
        }
    }

    @Test("rows that are written by hand are what the calls make")
    func rows() throws {
        struct Unknown: Error {}
        let answers = try #require(throws: AnswersError.self) { try Answers("") }
        let usage = try #require(throws: Diagnosis.self) { try KexportRequest(words: ["/dev/sda", "raw", "/a", "/b"]) }
        let network = try #require(throws: Diagnosis.self) { try RecoveryNetwork { $0 == "method" ? "static" : "" } }
        let names = [NameError.Subject.pool, .dataset, .snapshot].map { NameError($0, "", .empty).diagnosis }
        let made = [answers.diagnosis, usage, network, Diagnosis(of: CancellationError()), Diagnosis(of: Unknown())] + names
        for diagnosis in made {
            let rows = Self.unread.flatMap(\.rows).filter { $0.code == diagnosis.code && Self.fits(diagnosis.message, $0.message) }
            #expect(rows.map(\.exit) == [diagnosis.exit], "\(diagnosis.code)")
            // Those of answers are the ones of its problems.
            if diagnosis.code != answers.diagnosis.code { #expect(rows.map(\.remedies) == [diagnosis.remedies], "\(diagnosis.code)") }
        }
        #expect(Set(made.map(\.code)) == Set(Self.unread.flatMap(\.rows).map(\.code)))
    }

    /// - Parameter pattern: with `…` for what stands between.
    static func fits(_ text: String, _ pattern: String) -> Bool {
        let parts = pattern.split(separator: "…", omittingEmptySubsequences: false)
        var rest = text[...]
        for (index, part) in parts.enumerated() where !part.isEmpty {
            guard let range = rest.firstRange(of: part), index > 0 || range.lowerBound == rest.startIndex else { return false }
            rest = rest[range.upperBound...]
        }
        return rest.isEmpty || parts.last?.isEmpty == true
    }
}

/// Codes that no literal spells where the diagnosis is made: their rows are written here.
extension ErrorsDocumentTests {
    struct Place {
        var path: String
        /// How many calls of that source are not read.
        var calls: Int
        /// The function of that source that is given the message, where one is.
        var helper: String?
        var rows: [Entry]
    }

    static func row(_ code: String, _ message: String, _ exit: KldCore.ExitStatus, _ remedies: String...) -> Entry {
        Entry(code: code, message: message, exit: exit, remedies: remedies, hasRemedies: !remedies.isEmpty)
    }

    private static let kexport =
        "kldload kexport [DISK] FORMAT [FOLDER], or kldload kexport [DISK] --format FORMAT --output FILE; kldload kexport --help"
    private static let name = "use letters, digits and - _ . : only, beginning with a letter"

    static let unread: [Place] = [
        Place(
            path: "KldAnswers/AnswersError.swift", calls: 1,
            rows: [row("answers.invalid", "… has … problems", .badAnswers, "those of its problems, which are printed with their codes")]),
        Place(
            path: "KldCLI/RecoveryConsole.swift", calls: 1, helper: "refused",
            rows: [
                row("recovery.network", "an address looks like 192.0.2.10/24", .badAnswers, "or use DHCP"),
                row("recovery.network", "a gateway looks like 192.0.2.1", .badAnswers, "or use DHCP"),
            ]),
        Place(
            path: "KldCore/Diagnosis.swift", calls: 2,
            rows: [
                row("interrupted", "interrupted; what was begun has been cleaned up", .interrupted),
                row("internal", "unexpected error: …", .bug, "report this as a defect of kldload, with the log"),
            ]),
        Place(
            path: "KldImage/Export/KexportRequest+Words.swift", calls: 1, helper: "usage",
            rows: [
                row("image.usage", "the place for the output is empty", .usage, kexport),
                row("image.usage", "the place for the output is given twice", .usage, kexport),
                row("image.usage", "too many words: …", .usage, kexport),
                row("image.usage", "… is not a path", .usage, "a disk is named by its path: /dev/…", kexport),
            ]),
        Place(
            path: "KldZFS/NameRules.swift", calls: 1,
            rows: ["pool", "dataset", "snapshot"].map { row("zfs.name.\($0)", "'…' cannot be the name of a \($0): …", .usage, name) }),
    ]
}
