import KldCore

/// Takes out of a text what nobody else may know: values of names that mean secrets, hashes of passwords, private keys, passwords in addresses.
///
/// It errs on the side of taking out too much. What it cannot know is a secret without a name; so whoever packs texts leaves files that hold
/// some where they are.
enum Redaction {
    static let mark = "<redacted>"

    /// Parts of names, in lower case.
    private static let names = [
        "password", "passwd", "passphrase", "psk", "secret", "token", "api_key", "apikey", "api-key", "private_key", "privatekey",
        "private-key", "presharedkey", "activation_key", "credential", "authorization",
    ]

    /// - Returns: the text, line by line, a private key in one line.
    static func text(_ text: String) -> String {
        var lines: [String] = []
        var insideKey = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if insideKey {
                if line.contains("-----END ") { insideKey = false }
                continue
            }
            if line.contains("-----BEGIN "), line.contains("PRIVATE KEY") {
                insideKey = !line.contains("-----END ")
                lines.append("\(mark): a private key")
                continue
            }
            lines.append(Self.line(line))
        }
        return lines.joined(separator: "\n")
    }

    private static func line(_ line: Substring) -> String {
        // Most lines hold none of the three.
        let bytes = line.utf8
        var result = String(line)
        if bytes.contains(UInt8(ascii: "$")) { result = hashes(result) }
        if line.contains("://") { result = addresses(result) }
        let lower = result.lowercased()
        guard lower.utf8.count == result.utf8.count, names.contains(where: { lower.contains($0) }) else { return result }
        return values(Array(result.utf8), Array(lower.utf8))
    }

    /// Words such as `$y$j9T$…`, `$6$…`. Source: crypt(5), libxcrypt 4.4.
    private static func hashes(_ line: String) -> String {
        let bytes = Array(line.utf8)
        var result: [UInt8] = []
        var index = 0
        func isOfHash(_ byte: UInt8) -> Bool { byte > 0x20 && !"\"':;,|)".utf8.contains(byte) && byte < 0x7f }
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "$") else {
                result.append(bytes[index])
                index += 1
                continue
            }
            let end = bytes[index...].firstIndex { !isOfHash($0) } ?? bytes.count
            let word = bytes[index..<end]
            let dollars = word.count { $0 == UInt8(ascii: "$") }
            if dollars >= 3, word.count >= 13 { result += Array(mark.utf8) } else { result += word }
            index = end
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// `https://user:word@host/` is `https://<redacted>@host/`.
    private static func addresses(_ line: String) -> String {
        var result = ""
        var rest = line[...]
        while let scheme = rest.firstRange(of: "://") {
            result += rest[..<scheme.upperBound]
            rest = rest[scheme.upperBound...]
            let authority = rest.prefix { !" /?#\"'".contains($0) }
            if let at = authority.lastIndex(of: "@") {
                result += mark
                rest = rest[at...]
            }
        }
        return result + rest
    }

    /// What follows a name and `=` or `:`, or a name that begins with `--` and a space.
    private static func values(_ bytes: [UInt8], _ lower: [UInt8]) -> String {
        var result: [UInt8] = []
        var index = 0
        func isOfName(_ byte: UInt8) -> Bool {
            byte >= 0x80 || (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || "_-.".utf8.contains(byte)
        }
        func skip(_ from: Int, _ what: String) -> Int { lower[from...].firstIndex { !what.utf8.contains($0) } ?? lower.count }
        while index < bytes.count {
            guard isOfName(lower[index]) else {
                result.append(bytes[index])
                index += 1
                continue
            }
            let end = lower[index...].firstIndex { !isOfName($0) } ?? lower.count
            let name = String(decoding: lower[index..<end], as: UTF8.self)
            result += bytes[index..<end]
            index = end
            guard names.contains(where: { name.contains($0) }) else { continue }
            // Quotes and spaces may stand on both sides of the sign.
            var after = skip(end, " \t\"'\\")
            if after < lower.count, lower[after] == UInt8(ascii: "=") || lower[after] == UInt8(ascii: ":") {
                after = skip(after + 1, "=: \t\"'\\")
            } else if !name.hasPrefix("--") || after == end {
                continue
            }
            guard after < bytes.count else { continue }
            result += bytes[end..<after]
            result += Array(mark.utf8)
            // A header's value has words; others end with one.
            index =
                name.contains("authorization")
                ? bytes.count : lower[after...].firstIndex { " \t\"',;&".utf8.contains($0) } ?? bytes.count
        }
        return String(decoding: result, as: UTF8.self)
    }
}
