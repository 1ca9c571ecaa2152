import KldCore

extension ValueCheck {
    static func bool(_ value: String) throws(ValueFault) -> String {
        if value == "0" || value == "1" { return value }
        let meant: String? =
            switch value.lowercased() {
            case "yes", "true", "on", "y": "1"
            case "no", "false", "off", "n": "0"
            default: nil
            }
        throw ValueFault(.bool, "\(shown(value)) is neither 0 nor 1", remedy: meant.map { "write \($0)" }, suggestion: meant)
    }

    static func integer(_ value: String, _ range: ClosedRange<Int>) throws(ValueFault) -> String {
        guard let number = decimal(value.utf8), range.contains(number) else {
            throw ValueFault(.number, "\(shown(value)) is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return String(number)
    }

    static func choice(_ value: String, _ allowed: [String]) throws(ValueFault) -> String {
        if allowed.contains(value) { return value }
        throw ValueFault(
            .choice, "\(shown(value)) is not one of: \(allowed.joined(separator: ", "))", suggestion: nearest(to: value, allowed))
    }

    static func choices(_ value: String, _ allowed: [String], _ alone: [String]) throws(ValueFault) -> String {
        let words = value.split(orAt: 0x2C)
        if words.count == 1, alone.contains(words[0]) { return words[0] }
        for word in words where !allowed.contains(word) {
            if alone.contains(word) { throw ValueFault(.choice, "\(word) stands by itself only", remedy: "remove the others, or \(word)") }
            _ = try choice(word, allowed + alone)
        }
        // The order of a set carries no meaning.
        return allowed.filter { words.contains($0) }.joined(separator: ",")
    }

    static func packages(_ value: String) throws(ValueFault) -> String {
        let names = value.split(orAt: 0x2C)
        for name in names {
            let bytes = Array(name.utf8)
            // A leading hyphen would be an option to the package manager.
            guard let first = bytes.first, isAlphanumeric(first) || first == UInt8(ascii: "@"), bytes.count <= 128,
                bytes.allSatisfy({ isAlphanumeric($0) || ".+_:@~=^-".utf8.contains($0) })
            else { throw ValueFault(.package, "\(shown(name)) cannot be the name of a package") }
        }
        return names.joined(separator: " ")
    }

    static func consoles(_ value: String) throws(ValueFault) -> String {
        let names = value.split(orAt: 0x20)
        guard names.count <= 8 else { throw ValueFault(.console, "\(names.count) consoles were given, 8 are allowed") }
        for name in names {
            let parts = name.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            let device = parts[0]
            guard let first = device.first, isLetter(first), device.count <= 15, device.allSatisfy(isAlphanumeric), parts.count <= 2,
                parts.dropFirst().allSatisfy({ !$0.isEmpty && $0.count <= 12 && $0.allSatisfy(isAlphanumeric) })
            else { throw ValueFault(.console, "\(shown(name)) is not a console") }
        }
        return names.joined(separator: " ")
    }

    static func label(_ value: String, _ limit: Int) throws(ValueFault) -> String {
        let bytes = value.utf8
        guard let first = bytes.first, isAlphanumeric(first), bytes.count <= limit,
            bytes.allSatisfy({ isAlphanumeric($0) || "._-".utf8.contains($0) })
        else {
            throw ValueFault(
                .label, "\(shown(value)) is not a name of letters, digits, dots, underscores and hyphens, \(limit) at most")
        }
        return value
    }

    static func version(_ value: String, _ limit: Int) throws(ValueFault) -> String {
        let parts = value.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count <= limit, parts.allSatisfy({ $0.count <= 6 && decimal($0) != nil }) else {
            throw ValueFault(.version, "\(shown(value)) is not a version such as \(limit == 1 ? "9" : "3.21")")
        }
        return value
    }
}
