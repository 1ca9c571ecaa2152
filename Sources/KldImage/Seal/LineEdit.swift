/// A change to single lines of a configuration file. Works on bytes: these files need not be UTF-8.
package enum LineEdit: Sendable, Hashable {
    /// Drops lines that begin with one of these, after blanks.
    case dropPrefixes([String])
    /// Drops lines whose first word is one of these.
    case dropFirstWords([String])
    /// Drops `key = value` lines with these keys.
    case dropKeys([String])
    /// Drops lines that begin with this word in the first column, with their continuation lines, which begin with a blank.
    case dropRecords(String)
    /// Puts another line in the place of every `key = value` line with this key.
    case replaceKey(String, with: String)
    /// Drops lines that are nothing but 32 hexadecimal digits.
    case dropMachineIDs
    /// Locks every account of a colon-separated table: shadow(5), gshadow(5).
    case lockPasswords
    /// A hash, or nothing, in the second field of passwd(5) becomes `x`: the password is in shadow(5), where it is locked.
    case shadowPasswords

    package var text: String {
        func list(_ words: [String]) -> String { words.map { "`\($0)`" }.joined(separator: ", ") }
        return switch self {
        case .dropPrefixes(let words): "drop lines beginning with \(list(words))"
        case .dropFirstWords(let words): "drop lines whose first word is \(list(words))"
        case .dropKeys(let words): "drop the settings \(list(words))"
        case .dropRecords(let word): "drop the \(list([word])) records"
        case .replaceKey(let key, let line): "`\(key)` becomes `\(line)`"
        case .dropMachineIDs: "drop lines that are a machine id"
        case .lockPasswords: "every password becomes `!`"
        case .shadowPasswords: "a password becomes `x`"
        }
    }

    /// - Returns: the new content, and how many lines are different or gone.
    package func applied(to content: [UInt8]) -> (content: [UInt8], changes: Int) {
        var result: [UInt8] = []
        result.reserveCapacity(content.count)
        var changes = 0
        var dropping = false
        var rest = content[...]
        while let first = rest.first {
            let line = Array(rest.prefix { $0 != newline })
            let end = rest.dropFirst(line.count).prefix(1)
            rest = rest.dropFirst(line.count + end.count)
            var kept: [UInt8]? = line
            if case .dropRecords = self {
                dropping = isBlank(first) ? dropping : drops(line)
                if dropping { kept = nil }
            } else {
                kept = drops(line) ? nil : rewritten(line)
            }
            if kept != line { changes += 1 }
            if let kept { result += kept + end }
        }
        return changes == 0 ? (content, 0) : (result, changes)
    }

    private func drops(_ line: [UInt8]) -> Bool {
        let text = line[...].drop(while: isBlank)
        switch self {
        case .dropPrefixes(let prefixes): return prefixes.contains { text.starts(with: $0.utf8) }
        case .dropFirstWords(let words): return words.contains { text.prefix { !isBlank($0) }.elementsEqual($0.utf8) }
        case .dropKeys(let keys): return key(of: text).map { key in keys.contains { key.elementsEqual($0.utf8) } } ?? false
        case .dropRecords(let word): return line.prefix { !isBlank($0) }.elementsEqual(word.utf8)
        case .dropMachineIDs: return text.count == 32 && text.allSatisfy(isHexadecimal)
        case .replaceKey, .lockPasswords, .shadowPasswords: return false
        }
    }

    private func rewritten(_ line: [UInt8]) -> [UInt8] {
        switch self {
        case .replaceKey(let name, let replacement):
            let text = line[...].drop(while: isBlank)
            return key(of: text)?.elementsEqual(name.utf8) == true ? Array(replacement.utf8) : line
        case .lockPasswords: return locked(line)
        case .shadowPasswords: return shadowed(line)
        default: return line
        }
    }

    /// The name before `=`, without the blanks around it.
    private func key(of text: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let equals = text.firstIndex(of: UInt8(ascii: "=")) else { return nil }
        var key = text[..<equals]
        while let last = key.last, isBlank(last) { key.removeLast() }
        return key
    }

    /// A hash behind `!` is still a hash, and an empty field is a login without a password: both become `!`. `*` and `!*` hold nothing.
    ///
    /// A last change on day 0 means "change the password at the next login" and would refuse a login by key as well, although there is
    /// no password left to change: it becomes empty. Source: shadow(5), pam_unix(8) account management.
    private func locked(_ line: [UInt8]) -> [UInt8] {
        var fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard fields.count > 1, !line.starts(with: "#".utf8) else { return line }
        let harmless = ["!", "*", "!!", "!*"].contains { fields[1].elementsEqual($0.utf8) }
        if !harmless { fields[1] = [UInt8(ascii: "!")] }
        // shadow(5) has nine fields and gshadow(5) four, where the third is a list of names.
        if fields.count == 9, fields[2].elementsEqual("0".utf8) { fields[2] = [] }
        return Array(fields.joined(separator: [UInt8(ascii: ":")]))
    }

    private func shadowed(_ line: [UInt8]) -> [UInt8] {
        var fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard fields.count == 7, !["x", "*", "!"].contains(where: { fields[1].elementsEqual($0.utf8) }) else { return line }
        fields[1] = [UInt8(ascii: "x")]
        return Array(fields.joined(separator: [UInt8(ascii: ":")]))
    }
}

private let newline = UInt8(ascii: "\n")

private func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

private func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): true
    default: false
    }
}
