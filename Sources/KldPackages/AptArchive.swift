public import KldCore
public import KldExec

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

/// The Debian archive that this machine's apt uses, so that builds fetch from where the operator already does.
public enum HostArchive {
    /// Runs: `apt-get indextargets --format $(ORIGIN)|$(REPO_URI) Created-By: Packages`. Source: apt-get(8), apt 2.6.
    public static let command = Command(
        Tool("apt-get", package: "apt"), ["indextargets", "--format", "$(ORIGIN)|$(SUITE)|$(REPO_URI)", "Created-By: Packages"],
        effect: .reads)

    /// - Returns: the archive's address without a slash at its end; `nil` when apt uses no Debian archive.
    ///
    /// One line, apt 2.6.1: `Debian|stable|http://deb.debian.org/debian/`. The security archive has another path and is left out.
    public static func parse(_ output: String) -> String? {
        for line in output.lines {
            let fields = line.split(separator: "|", omittingEmptySubsequences: false)
            guard fields.count == 3, fields[0] == "Debian" else { continue }
            var uri = String(fields[2])
            while uri.hasSuffix("/") { uri.removeLast() }
            if uri.hasSuffix("/debian") { return uri }
        }
        return nil
    }
}
