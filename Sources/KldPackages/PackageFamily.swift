/// The families of package managers that kldload has words for.
public enum PackageFamily: String, Sendable, Hashable, Codable, CaseIterable { case apt, dnf, pacman, apk, zypper }

/// A repository of dnf or zypper. Source: dnf.conf(5) 5.2, zypper(8) 1.14.
public struct RPMRepository: Sendable, Hashable, Codable {
    public var id: String
    public var title: String
    /// With the manager's own variables: `https://mirror.example/linux/releases/$releasever/Everything/$basearch/os/`.
    public var address: String
    /// Files below `/etc/pki/rpm-gpg` that must have signed the packages.
    public var keys: [String]
    /// Whether the index is signed too. Fedora signs packages only.
    public var signedIndex: Bool

    public init(id: String, title: String, address: String, keys: [String], signedIndex: Bool) {
        self.id = id
        self.title = title
        self.address = address
        self.keys = keys
        self.signedIndex = signedIndex
    }

    /// For `/etc/yum.repos.d/*.repo` and `/etc/zypp/repos.d/*.repo`. Signatures are always checked.
    public var stanza: String {
        """
        [\(id)]
        name=\(title)
        baseurl=\(address)
        enabled=1
        gpgcheck=1
        repo_gpgcheck=\(signedIndex ? 1 : 0)
        gpgkey=\(keys.map { "file://\($0)" }.joined(separator: " "))

        """
    }
}

/// A repository of pacman. Source: pacman.conf(5) 7.0.
public struct PacmanRepository: Sendable, Hashable, Codable {
    public var name: String
    public var servers: [String]
    /// Fingerprints that are signed locally before the first use; empty for what the distribution's own keyring holds.
    public var keys: [String]

    public init(name: String, servers: [String], keys: [String] = []) {
        self.name = name
        self.servers = servers
        self.keys = keys
    }

    /// A section of `/etc/pacman.conf`. Packages must be signed; a database may be unsigned, as Arch's own are.
    public var stanza: String {
        "[\(name)]\nSigLevel = Required DatabaseOptional\n" + servers.map { "Server = \($0)\n" }.joined()
    }
}

/// A repository of apk. Its index must be signed by a key in `/etc/apk/keys`. Source: apk-repositories(5), apk-tools 2.14.
public struct APKRepository: Sendable, Hashable, Codable {
    /// With the release: `https://mirror.example/alpine/v3.21/main`.
    public var address: String
    /// Only packages that name it are taken from it: `@edge`.
    public var tag: String?

    public init(address: String, tag: String? = nil) {
        self.address = address
        self.tag = tag
    }

    /// A line of `/etc/apk/repositories`.
    public var line: String { (tag.map { "@\($0) " } ?? "") + address }
}
