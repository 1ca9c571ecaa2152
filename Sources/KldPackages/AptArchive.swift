import KldCore
public import KldFiles
import SystemPackage

/// One line of apt's sources: an archive, a suite, its components.
public struct AptSource: Sendable, Hashable, Codable {
    public var uri: String
    public var suite: String
    public var components: [String]
    /// The keyring that must have signed it, below the root of the system that uses it.
    public var keyring: String

    public init(uri: String, suite: String, components: [String], keyring: String) {
        self.uri = uri
        self.suite = suite
        self.components = components
        self.keyring = keyring
    }

    /// One-line style, for mmdebstrap. Source: sources.list(5), apt 3.0.
    public var line: String { "deb [signed-by=\(keyring)] \(uri) \(suite) \(components.joined(separator: " "))" }

    /// A deb822 stanza, for `/etc/apt/sources.list.d/*.sources`.
    public var stanza: String {
        "Types: deb\nURIs: \(uri)\nSuites: \(suite)\nComponents: \(components.joined(separator: " "))\nSigned-By: \(keyring)\n"
    }
}

/// Which packages come from which release. Source: apt_preferences(5), apt 3.0.
public struct AptPin: Sendable, Hashable, Codable {
    /// Source package names; every binary package of theirs follows.
    public var sources: [String]
    public var release: String
    public var priority: Int

    public init(sources: [String], release: String, priority: Int) {
        self.sources = sources
        self.release = release
        self.priority = priority
    }

    public var stanza: String {
        "Package: \(sources.map { "src:\($0)" }.joined(separator: " "))\nPin: release n=\(release)\nPin-Priority: \(priority)\n"
    }
}

/// The Debian archive that this machine's apt is configured with, so that builds fetch from where the operator already does.
public enum HostArchive {
    /// Reads `/etc/apt/sources.list` and `/etc/apt/sources.list.d`, in apt's order. Works before the first `apt-get update`.
    ///
    /// - Returns: the archive's address without a slash at its end; `nil` when apt uses no Debian archive.
    public static func find(files: any FileSystem) -> String? {
        let folder: FilePath = "/etc/apt/sources.list.d"
        let names = ((try? files.list(folder)) ?? []).filter { $0.hasSuffix(".list") || $0.hasSuffix(".sources") }
        return (["/etc/apt/sources.list"] + names.map { folder.appending($0) }).lazy.compactMap { try? files.readText($0) }.compactMap(
            parse
        ).first
    }

    /// Both styles, as in Debian 13:
    /// ```
    /// deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian trixie main
    /// URIs: http://mirror.example/debian
    /// ```
    /// Source: sources.list(5), apt 3.0. Others offer packages for Debian below a path of that name too; they are not signed by its keys.
    static func parse(_ text: String) -> String? {
        for entry in lines(text) + stanzas(text) where entry.components.contains("main") {
            guard entry.key.isEmpty || entry.key.contains("debian-archive") else { continue }
            for word in entry.addresses where word.hasPrefix("http://") || word.hasPrefix("https://") {
                var address = word
                while address.hasSuffix("/") { address.removeLast() }
                if address.hasSuffix("/debian") { return address }
            }
        }
        return nil
    }

    private struct Entry {
        var addresses: [String]
        var components: [String]
        /// What must have signed it; empty: any key that apt trusts.
        var key: String
    }

    private static func lines(_ text: String) -> [Entry] {
        text.lines.compactMap { line in
            // A comment may follow at the end of a line.
            var words = (line.split(separator: "#", omittingEmptySubsequences: false).first ?? "").words
            guard words.first == "deb" else { return nil }
            words.removeFirst()
            var options: [String] = []
            if words.first?.hasPrefix("[") == true {
                guard let end = words.firstIndex(where: { $0.hasSuffix("]") }) else { return nil }
                options = words[...end].map { String($0.drop { $0 == "[" }.prefix { $0 != "]" }) }
                words.removeSubrange(...end)
            }
            let key = options.first { $0.lowercased().hasPrefix("signed-by=") }.map { String($0.dropFirst("signed-by=".count)) } ?? ""
            return Entry(addresses: Array(words.prefix(1)), components: Array(words.dropFirst(2)), key: key)
        }
    }

    private static func stanzas(_ text: String) -> [Entry] {
        var stanzas: [[String: String]] = [[:]]
        var field = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) where !line.hasPrefix("#") {
            if line.trimmed.isEmpty {
                stanzas.append([:])
            } else if line.first?.isWhitespace == true {
                stanzas[stanzas.count - 1][field, default: ""] += " " + line.trimmed
            } else if let colon = line.firstIndex(of: ":") {
                field = line[..<colon].lowercased()
                stanzas[stanzas.count - 1][field] = line[line.index(after: colon)...].trimmed
            }
        }
        return stanzas.filter { ($0["types"] ?? "").words.contains("deb") && $0["enabled"]?.lowercased() != "no" }.map {
            Entry(addresses: ($0["uris"] ?? "").words, components: ($0["components"] ?? "").words, key: $0["signed-by"] ?? "")
        }
    }
}
