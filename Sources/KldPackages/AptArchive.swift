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
    public static func find(files: any FileSystem) -> String? { entries(files).lazy.compactMap(\.archive).first }

    /// The security archive that apt uses beside ``find(files:)``: not every mirror of the one has the other.
    ///
    /// - Returns: its address without a slash at its end; `nil` when apt's sources name none.
    public static func security(files: any FileSystem) -> String? {
        let entries = entries(files)
        let releases = Set(entries.filter { $0.archive != nil }.flatMap(\.suites))
        for entry in entries {
            // That of a derivative is called so too.
            let known = entry.suites.contains { $0.hasSuffix("-security") && releases.contains(String($0.dropLast("-security".count))) }
            if let address = entry.addresses.first(where: { known || $0.hasSuffix("/debian-security") }) { return address }
        }
        return nil
    }

    /// What apt's sources have of Debian. Both styles, as in Debian 13:
    /// ```
    /// deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian trixie main
    /// URIs: http://mirror.example/debian
    /// ```
    /// Source: sources.list(5), apt 3.0. Others offer packages for Debian below a path of that name too; they are not signed by its keys.
    private static func entries(_ files: any FileSystem) -> [Entry] {
        let folder: FilePath = "/etc/apt/sources.list.d"
        let names = ((try? files.list(folder)) ?? []).filter { $0.hasSuffix(".list") || $0.hasSuffix(".sources") }
        let paths: [FilePath] = ["/etc/apt/sources.list"] + names.map { folder.appending($0) }
        return paths.compactMap { try? files.readText($0) }.flatMap { lines($0) + stanzas($0) }.filter {
            $0.components.contains("main") && ($0.key.isEmpty || $0.key.contains("debian-archive"))
        }
    }

    private struct Entry {
        /// Those that are fetched from, without a slash at their end.
        var addresses: [String]
        var suites: [String]
        var components: [String]
        /// What must have signed it; empty: any key that apt trusts.
        var key: String

        init(_ words: [String], suites: [String], components: [String], key: String) {
            addresses = words.filter { $0.hasPrefix("http://") || $0.hasPrefix("https://") }.map { word in
                var address = word
                while address.hasSuffix("/") { address.removeLast() }
                return address
            }
            self.suites = suites
            self.components = components
            self.key = key
        }

        var archive: String? { addresses.first { $0.hasSuffix("/debian") } }
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
            return Entry(
                Array(words.prefix(1)), suites: Array(words.dropFirst().prefix(1)), components: Array(words.dropFirst(2)), key: key)
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
            Entry(
                ($0["uris"] ?? "").words, suites: ($0["suites"] ?? "").words, components: ($0["components"] ?? "").words,
                key: $0["signed-by"] ?? "")
        }
    }
}
