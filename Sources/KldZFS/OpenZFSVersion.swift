import KldCore
public import KldExec

/// A release of OpenZFS. Distribution and release-candidate suffixes are kept for people, and ignored in comparisons.
public struct OpenZFSVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let major: Int
    public let minor: Int
    public let patch: Int
    /// As it was read: `2.4.4-1~bpo13+1`.
    public let text: String

    public init(_ major: Int, _ minor: Int, _ patch: Int = 0) {
        self.major = major
        self.minor = minor
        self.patch = patch
        text = "\(major).\(minor).\(patch)"
    }

    /// Reads `2.4.4`, `2.4.4-1~bpo13+1`, `v2.3.0-rc1`, `zfs-2.1.11-1`, `zfs-kmod-2.4.4-1`, `2.2.99-1_gabcdef`; the content of
    /// `/sys/module/zfs/version` is of the second form.
    public init?(_ input: some StringProtocol) {
        var rest = input.trimmed[...]
        for prefix in ["zfs-kmod-", "zfs-", "v"] where rest.hasPrefix(prefix) { rest = rest.dropFirst(prefix.count) }
        let digits = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
        let numbers = digits.split(separator: ".").map { Int($0) }
        guard numbers.count >= 2, let major = numbers[0], let minor = numbers[1] else { return nil }
        self.major = major
        self.minor = minor
        patch = numbers.count > 2 ? numbers[2] ?? 0 : 0
        text = String(rest)
    }

    public static func == (a: OpenZFSVersion, b: OpenZFSVersion) -> Bool { a.key == b.key }
    public static func < (a: OpenZFSVersion, b: OpenZFSVersion) -> Bool { a.key < b.key }
    public func hash(into hasher: inout Hasher) {
        hasher.combine(major)
        hasher.combine(minor)
        hasher.combine(patch)
    }
    private var key: (Int, Int, Int) { (major, minor, patch) }

    public var description: String { text }

    /// `zfs list -j`, `zfs get -j`, `zpool status -j`, `zpool list -j`, `zpool get -j`. Source: release notes of OpenZFS 2.3.0.
    public var hasJSON: Bool { self >= OpenZFSVersion(2, 3) }
}

/// The versions of the tools and of the loaded module; they may differ after an upgrade without a reboot.
public struct OpenZFSVersions: Sendable, Hashable {
    public var tools: OpenZFSVersion?
    public var module: OpenZFSVersion?
    public init(tools: OpenZFSVersion? = nil, module: OpenZFSVersion? = nil) {
        self.tools = tools
        self.module = module
    }

    /// Those of this machine. Runs: `zfs --version`, reads. - Throws: what the runner throws.
    public static func read(_ runner: any CommandRunner) async throws -> OpenZFSVersions {
        parse(try await runner.run(ZFS.version()).output)
    }

    /// Reads `zfs --version`, two lines (OpenZFS 2.4.4, Debian):
    /// ```
    /// zfs-2.4.4-1~bpo13+1
    /// zfs-kmod-2.4.4-1~bpo13+1
    /// ```
    /// The second is missing while the module is not loaded.
    public static func parse(_ output: String) -> OpenZFSVersions {
        var versions = OpenZFSVersions()
        for line in output.lines {
            if line.hasPrefix("zfs-kmod-") {
                versions.module = OpenZFSVersion(line)
            } else if line.hasPrefix("zfs-") {
                versions.tools = OpenZFSVersion(line)
            }
        }
        return versions
    }
}
