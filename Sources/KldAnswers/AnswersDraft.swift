import KldCore
import KldFiles

/// Answers while they are being checked: canonical values, where they stand, and what is wrong so far.
struct AnswersDraft {
    /// What is written.
    private(set) var values: [String: String] = [:]
    /// The same with each secret in the place of the key that names its file, as far as it was read.
    var resolved: [String: String] = [:]
    private var lines: [String: Int] = [:]
    /// Keys that were given and have a problem already, so that rules do not report its consequences.
    private var faulty: Set<String> = []
    private var seen: Set<String> = []
    var problems: ProblemList
    private var check: ValueCheck
    /// What is no key of ours and is taken all the same, each with the note that it has no effect. Values are not kept.
    private var foreign: [AnswersProblem] = []

    /// The names that this release has.
    var reference: AnswersReference { check.reference }

    /// - Parameter files: where files of secrets are read; `nil`: they are left alone.
    init(
        entries: [AnswerEntry], overrides: [String], problems: ProblemList, reference: AnswersReference, secretsIn files: (any FileSystem)?
    ) {
        self.problems = problems
        check = ValueCheck(reference: reference)
        let replacing = readOverrides(overrides)
        check = ValueCheck(reference: reference.of(AnswersDraft.release(in: entries + replacing)))
        let replaced = Set(replacing.compactMap { AnswerKey.named($0.name)?.stem })
        for entry in entries where !self.problems.isFull { add(entry, unless: replaced) }
        seen = []
        for entry in replacing where !self.problems.isFull { add(entry, unless: []) }
        resolved = values
        if let files { readSecrets(from: files) }
    }

    /// What the file says in vain, by line.
    var notes: [AnswersProblem] {
        let found = values.compactMap { stem, value -> (rank: Int, note: AnswersProblem)? in
            guard let rank = AnswerKey.ranks[stem] else { return nil }
            let key = AnswerKey.all[rank]
            guard let reason = key.effect.reason else { return nil }
            var subject = "the key"
            var remedy: String?
            switch key.effect {
            case .later where value == key.defaultValue, .never where value == key.defaultValue: return nil
            case .never: remedy = "remove it"
            case .laterFor(let without, _):
                guard without.contains(value) else { return nil }
                subject = "the value \(value)"
            default: break
            }
            return (rank, AnswersDraft.note(subject, reason, line: lines[stem], key: key.name, remedy: remedy))
        }
        let others = (foreign + [leftOut, hardToType, withoutNames].compactMap { $0 }).map { (rank: Int.max, note: $0) }
        return (found + others).sorted { ($0.note.line ?? .max, $0.rank) < ($1.note.line ?? .max, $1.rank) }.map(\.note)
    }

    /// What the profile leaves out although it is asked for; `ENABLE_KVM`, its like, has a note whatever the profile.
    private var leftOut: AnswersProblem? {
        guard text("PROFILE") == Answers.Profile.core.rawValue, flag("ENABLE_EBPF") else { return nil }
        return AnswersProblem(
            .noEffect, line: lines["ENABLE_EBPF"], key: AnswerKey.prefix + "ENABLE_EBPF",
            "the key has no effect with the profile core, which is the distribution and nothing else",
            remedy: "choose another KLDLOAD_PROFILE, or name the packages in KLDLOAD_EXTRA_PACKAGES")
    }

    /// The prompt knows no input methods and no dead keys of a desktop, only the letters of the keyboard that the answers name.
    private var hardToType: AnswersProblem? {
        guard let passphrase = optional("ZFS_PASSPHRASE"), !passphrase.utf8.allSatisfy({ $0 < 0x80 }),
            let stem = given(secret: "ZFS_PASSPHRASE").first
        else { return nil }
        return AnswersProblem(
            .hardToType, line: lines[stem], key: AnswerKey.prefix + stem,
            "the passphrase has letters beyond ASCII, and the prompt at boot takes what the keyboard \(text("KEYBOARD_LAYOUT")) types",
            remedy: "make sure that this keyboard has them, or choose a passphrase of ASCII")
    }

    /// No DHCP server tells a name server then, and Debian's resolver has none of its own to fall back to.
    /// Source: resolved.conf(5), `FallbackDNS=`, systemd 252 to 257.
    private var withoutNames: AnswersProblem? {
        guard text("NET_METHOD") == "static", isSound("NET_DNS"), !isGiven("NET_DNS") else { return nil }
        return AnswersProblem(
            .noNameServer, key: AnswerKey.prefix + "NET_DNS",
            "with a static address and no name server the machine resolves no names: apt finds no archive by its name")
    }

    private static func note(_ subject: String, _ reason: String, line: Int?, key: String, remedy: String? = nil) -> AnswersProblem {
        AnswersProblem(.noEffect, line: line, key: key, "\(subject) has no effect in this version: \(reason)", remedy: remedy)
    }

    /// Looked for before anything is checked: it may stand below what depends on it.
    private static func release(in entries: [AnswerEntry]) -> String {
        func value(_ stem: String) -> String {
            let given = entries.last { AnswerKey.named($0.name)?.stem == stem }?.value ?? ""
            return given.isEmpty ? defaults[stem] ?? "" : given
        }
        return "\(value("DISTRO")) \(value("DEBIAN_SUITE"))"
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
        if entry.isAction {
            addAction(entry)
            return
        }
        guard let key = AnswerKey.named(entry.name) else {
            if !AnswerKey.isForeign(entry.name) {
                reportUnknown(entry)
            } else if !entry.value.isEmpty, foreign.count < ProblemList.limit {
                let reason = AnswerEffect.waits(for: AnswerKey.foreignWaitsFor)
                foreign.append(AnswersDraft.note("the key", reason, line: entry.line, key: String(entry.name.prefix(64))))
            }
            return
        }
        guard seen.insert(key.stem).inserted else {
            let first = lines[key.stem].map { " in line \($0)" } ?? ""
            let alias = entry.name == key.name ? "" : ", as \(key.name)"
            problems.add(AnswersProblem(.repeatedKey, line: entry.line, key: entry.name, "the key was given already\(first)\(alias)"))
            return
        }
        lines[key.stem] = entry.line
        if replaced.contains(key.stem) { return }
        values[key.stem] = nil
        faulty.remove(key.stem)
        if entry.isUnreadable {
            faulty.insert(key.stem)
            return
        }
        do throws(ValueFault) {
            try key.type.check(entry.kind)
            // An empty value means the default, as if the line were not there.
            if entry.value.isEmpty { return }
            let value = try check.canonical(entry.value, of: key)
            // Whatever form it came in, an installer reads it as one line.
            let bytes = Answers.line(key, AnswerValueText.written(value)).utf8.count
            guard bytes <= AnswersTextParser.longestLine else {
                throw ValueFault(
                    .text, "the value has \(bytes) bytes when it stands on one line, \(AnswersTextParser.longestLine) are allowed")
            }
            if !value.isEmpty { values[key.stem] = value }
        } catch {
            faulty.insert(key.stem)
            refuse(entry, error)
        }
    }

    /// The message of older releases says what it asks for. Answers ask for an installation and cannot ask for anything else.
    private mutating func addAction(_ entry: AnswerEntry) {
        guard seen.insert(entry.name).inserted else {
            problems.add(AnswersProblem(.repeatedKey, line: entry.line, key: entry.name, "the key was given already"))
            return
        }
        do {
            try AnswerType.choice([AnswersJSONParser.install]).check(entry.kind)
            _ = try ValueCheck.choice(entry.value, [AnswersJSONParser.install])
            foreign.append(
                AnswersProblem(
                    .noEffect, line: entry.line, key: entry.name, "the key has no effect: answers ask for an installation and nothing else",
                    remedy: "nothing is to do"))
        } catch {
            refuse(entry, error)
        }
    }

    private mutating func refuse(_ entry: AnswerEntry, _ fault: ValueFault) {
        problems.add(
            AnswersProblem(
                fault.code, line: entry.line, key: entry.name, fault.message, remedy: fault.remedy, suggestion: fault.suggestion))
    }

    /// Each has its suggestion: there are no more of them than the list of problems takes.
    private mutating func reportUnknown(_ entry: AnswerEntry) {
        problems.add(
            AnswersProblem(
                .unknownKey, line: entry.line, key: String(entry.name.prefix(64)), "there is no such key",
                suggestion: AnswersDraft.nearestKey(to: entry.name)))
    }

    /// The known key that `name` most likely stands for. The prefix that all share does not count, and may be missing or misspelt.
    static func nearestKey(to name: String) -> String? {
        let upper = name.uppercased()
        let stem = upper.hasPrefix(AnswerKey.prefix) ? String(upper.dropFirst(AnswerKey.prefix.count)) : upper
        if AnswerKey.named(AnswerKey.prefix + stem) != nil { return AnswerKey.prefix + stem }
        // A first word may not belong there.
        let words = [stem] + (stem.firstIndex(of: "_").map { [String(stem[stem.index(after: $0)...])] } ?? [])
        return words.lazy.compactMap(nearestStem).first.map { AnswerKey.prefix + $0 }
    }

    /// One letter wrong; a part that is left out, as PASSPHRASE for ZFS_PASSPHRASE, USER for USERNAME: of several the shortest; more letters wrong.
    private static func nearestStem(to word: String) -> String? {
        guard word.utf8.count <= 64 else { return nil }
        func whole() -> String? {
            let part = Array(word.utf8)
            return stems.filter { $0.hasSuffix("_" + word) || (part.count > 2 && holds(Array($0.utf8), part)) }.min {
                $0.utf8.count < $1.utf8.count
            }
        }
        return nearest(to: word, stems, most: 1) ?? whole() ?? nearest(to: word, stems)
    }

    /// The library's search for a string takes thirty times as long, for which every mistake in a file would wait.
    private static func holds(_ text: [UInt8], _ part: [UInt8]) -> Bool {
        text.count >= part.count && (0...(text.count - part.count)).contains { text[$0...].starts(with: part) }
    }

    private static let stems = AnswerKey.all.flatMap { [$0.name] + $0.aliases }.map { String($0.dropFirst(AnswerKey.prefix.count)) }
    private static let defaults = Dictionary(uniqueKeysWithValues: AnswerKey.all.map { ($0.stem, $0.defaultValue) })
}

// What rules ask. Names are without the prefix that all keys share. Given or chosen is what is written: a secret in a file is given by the
// key that names the file, and has its value under its own key.
extension AnswersDraft {
    func isGiven(_ stem: String) -> Bool { values[stem] != nil }

    /// Given, and not merely its default written down: the reference listing may stay in a file without contradicting the rest.
    func isChosen(_ stem: String) -> Bool {
        guard let value = values[stem] else { return false }
        return value != AnswersDraft.defaults[stem]
    }

    /// The value in canonical spelling or the default, which may be empty.
    func text(_ stem: String) -> String {
        resolved[stem] ?? AnswersDraft.defaults[stem] ?? ""
    }

    /// The value, `nil` when neither given nor defaulted.
    func optional(_ stem: String) -> String? {
        let value = text(stem)
        return value.isEmpty ? nil : value
    }

    /// The keys through which a secret is given: itself, and the one that names its file.
    func given(secret stem: String) -> [String] {
        [stem, stem + AnswerKey.fileSuffix].filter { isGiven($0) }
    }

    func hasSecret(_ stem: String) -> Bool { !given(secret: stem).isEmpty }

    func flag(_ stem: String) -> Bool { text(stem) == "1" }
    func number(_ stem: String) -> Int { decimal(text(stem).utf8) ?? 0 }

    /// Whether no key of these has a problem of its own.
    func isSound(_ stems: String...) -> Bool { stems.allSatisfy { !faulty.contains($0) } }

    mutating func report(
        _ code: AnswersProblem.Code, _ stem: String, _ message: String, remedy: String? = nil, suggestion: String? = nil
    ) {
        problems.add(
            AnswersProblem(code, line: lines[stem], key: AnswerKey.prefix + stem, message, remedy: remedy, suggestion: suggestion))
    }
}
