/// Answers while they are being checked: canonical values, where they stand, and what is wrong so far.
struct AnswersDraft {
    private(set) var values: [String: String] = [:]
    private var lines: [String: Int] = [:]
    /// Keys that were given and have a problem already, so that rules do not report its consequences.
    private var faulty: Set<String> = []
    private var seen: Set<String> = []
    private var suggestionsLeft = 20
    var problems: ProblemList
    private let check: ValueCheck

    init(entries: [AnswerEntry], overrides: [String], problems: ProblemList, reference: AnswersReference) {
        self.problems = problems
        check = ValueCheck(reference: reference)
        let replacing = readOverrides(overrides)
        let replaced = Set(replacing.compactMap { AnswerKey.named($0.name)?.name })
        for entry in entries where !self.problems.isFull { add(entry, unless: replaced) }
        seen = []
        for entry in replacing where !self.problems.isFull { add(entry, unless: []) }
    }

    /// Without checks, for values that have passed them.
    init(valid values: [String: String]) {
        self.values = values
        problems = ProblemList()
        check = ValueCheck(reference: .builtIn)
    }

    private mutating func readOverrides(_ overrides: [String]) -> [AnswerEntry] {
        var entries: [AnswerEntry] = []
        for (index, override) in overrides.enumerated() {
            guard let equals = override.firstIndex(of: "="), equals != override.startIndex else {
                // Without the text: a secret may have slipped in.
                problems.add(AnswersProblem(.badOverride, "override \(index + 1) is not KEY=VALUE"))
                continue
            }
            let value = String(override[override.index(after: equals)...])
            entries.append(AnswerEntry(name: String(override[..<equals]), value: value, line: nil))
        }
        return entries
    }

    private mutating func add(_ entry: AnswerEntry, unless replaced: Set<String>) {
        guard let key = AnswerKey.named(entry.name) else {
            reportUnknown(entry)
            return
        }
        guard seen.insert(key.name).inserted else {
            let first = lines[key.name].map { " in line \($0)" } ?? ""
            let alias = entry.name == key.name ? "" : ", as \(key.name)"
            problems.add(AnswersProblem(.repeatedKey, line: entry.line, key: entry.name, "the key was given already\(first)\(alias)"))
            return
        }
        lines[key.name] = entry.line
        if replaced.contains(key.name) { return }
        values[key.name] = nil
        faulty.remove(key.name)
        if entry.value == AnswerEntry.unreadable {
            faulty.insert(key.name)
            return
        }
        // An empty value means the default, as if the line were not there.
        if entry.value.isEmpty { return }
        do {
            let value = try check.canonical(entry.value, of: key)
            if !value.isEmpty { values[key.name] = value }
        } catch {
            faulty.insert(key.name)
            problems.add(AnswersProblem(error.code, line: entry.line, key: entry.name, error.message, remedy: error.remedy))
        }
    }

    private mutating func reportUnknown(_ entry: AnswerEntry) {
        var suggestion: String?
        if suggestionsLeft > 0 {
            suggestionsLeft -= 1
            suggestion = AnswersDraft.nearestKey(to: entry.name)
        }
        problems.add(
            AnswersProblem(
                .unknownKey, line: entry.line, key: String(entry.name.prefix(64)), "there is no such key",
                remedy: suggestion.map { "did you mean \($0)?" }))
    }

    /// The known key that `name` most likely stands for; the prefix that all share does not count.
    static func nearestKey(to name: String) -> String? {
        let upper = name.uppercased()
        let stem = upper.hasPrefix("KLDLOAD_") ? String(upper.dropFirst(8)) : upper
        if AnswerKey.named("KLDLOAD_" + stem) != nil { return "KLDLOAD_" + stem }
        if let word = nearest(to: stem, stems) { return "KLDLOAD_" + word }
        return nearest(to: upper, AnswerKey.all.map(\.name))
    }

    private static let stems = AnswerKey.all.flatMap { [$0.name] + $0.aliases }.map { String($0.dropFirst(8)) }
}

// What rules ask. Names are without the prefix that all keys share.
extension AnswersDraft {
    func isGiven(_ stem: String) -> Bool { values["KLDLOAD_" + stem] != nil }

    /// Given, and not merely its default written down: the reference listing may stay in a file without contradicting the rest.
    func isChosen(_ stem: String) -> Bool {
        guard let value = values["KLDLOAD_" + stem] else { return false }
        return value != AnswerKey.named("KLDLOAD_" + stem)?.defaultValue
    }

    /// The value in canonical spelling or the default, which may be empty.
    func text(_ stem: String) -> String {
        values["KLDLOAD_" + stem] ?? AnswerKey.named("KLDLOAD_" + stem)?.defaultValue ?? ""
    }

    /// The value, `nil` when neither given nor defaulted.
    func optional(_ stem: String) -> String? {
        let value = text(stem)
        return value.isEmpty ? nil : value
    }

    func flag(_ stem: String) -> Bool { text(stem) == "1" }
    func number(_ stem: String) -> Int { decimal(text(stem).utf8) ?? 0 }

    /// Whether no key of these has a problem of its own.
    func isSound(_ stems: String...) -> Bool { stems.allSatisfy { !faulty.contains("KLDLOAD_" + $0) } }

    mutating func report(_ code: AnswersProblem.Code, _ stem: String, _ message: String, remedy: String? = nil) {
        let name = "KLDLOAD_" + stem
        problems.add(AnswersProblem(code, line: lines[name], key: name, message, remedy: remedy))
    }
}
