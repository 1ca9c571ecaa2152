/// Names of files below a root, with wildcards: what a class of secrets looks like on a disk.
///
/// `etc/ssh/ssh_host_*`: `*` and `?` stand for any characters of one name, a leading dot included (unlike in a shell: a hidden
/// secret is still a secret). `**` stands for any number of folders. A leading `~/` stands for every home. A slash at the end says
/// that a folder is meant, for readers and for canaries; it does not change what is matched.
///
/// Source of the wildcards: glob(7), without character classes, which no target needs.
package struct PathPattern: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    package enum Component: Sendable, Hashable {
        case literal(String)
        case wildcard([UInt8])
        case folders
    }

    package let text: String
    package let isBelowHome: Bool
    package let meansFolder: Bool
    package let components: [Component]

    package init(_ text: String) {
        self.text = text
        isBelowHome = text.hasPrefix("~/")
        meansFolder = text.hasSuffix("/")
        components = text.split(separator: "/").drop { $0 == "~" }.map { name in
            if name == "**" { return .folders }
            return name.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") }
                ? .wildcard(Array(name.utf8)) : .literal(String(name))
        }
    }

    package init(stringLiteral text: String) { self.init(text) }

    package var description: String { text }

    /// The same pattern below one home, itself relative to the root: `~/.netrc` below `home/ann` is `home/ann/.netrc`.
    package func below(home: String) -> PathPattern { PathPattern(home + text.dropFirst(1)) }

    /// Everything directly inside what the pattern names.
    package var inside: PathPattern { PathPattern(text + "/*") }

    /// Whether the pattern names this path, given as names below the root, or a folder that holds it.
    package func covers(_ names: some Collection<String>) -> Bool { covers(names[...], components[...]) }

    private func covers(_ names: some Collection<String>, _ rest: ArraySlice<Component>) -> Bool {
        guard let component = rest.first else { return true }
        if component == .folders {
            var tail = names[...]
            while true {
                if covers(tail, rest.dropFirst()) { return true }
                if tail.isEmpty { return false }
                tail = tail.dropFirst()
            }
        }
        guard let name = names.first, component.matches(name) else { return false }
        return covers(names.dropFirst(), rest.dropFirst())
    }

    /// One path that the pattern matches: where a canary is planted.
    package var sample: String {
        var names = components.map { component in
            switch component {
            case .literal(let name): name
            case .wildcard(let bytes):
                String(decoding: bytes, as: UTF8.self).split(separator: "*", omittingEmptySubsequences: false).joined(separator: "canary")
                    .split(separator: "?", omittingEmptySubsequences: false).joined(separator: "c")
            case .folders: "deep/er"
            }
        }
        if isBelowHome { names.insert("root", at: 0) }
        return names.joined(separator: "/")
    }
}

extension PathPattern.Component {
    package func matches(_ name: String) -> Bool {
        switch self {
        case .literal(let literal): literal == name
        case .wildcard(let pattern): wildcardMatches(pattern, Array(name.utf8))
        case .folders: true
        }
    }
}

/// Greedy matching with one point to fall back to: linear for one star, never exponential.
private func wildcardMatches(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
    var (p, n) = (0, 0)
    var star: (pattern: Int, name: Int)?
    while n < name.count {
        if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
            star = (p, n)
            p += 1
        } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") || pattern[p] == name[n] {
            p += 1
            n += 1
        } else if let last = star {
            star = (last.pattern, last.name + 1)
            p = last.pattern + 1
            n = last.name + 1
        } else {
            return false
        }
    }
    return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
}
