/// What an installation meant to make: `/etc/kldload/install-manifest.json`, schema `install-manifest/1`.
///
/// The installer writes it last; `kldload verify` compares the machine with it. It holds no secrets, not even hashes of them. A sealed
/// image has one that names no machine, see ``forClones``.
public struct InstallManifest: Sendable, Hashable, Codable {
    public static let path = "/etc/kldload/install-manifest.json"
    /// The answers beside it, for people and scripts: `KEY=VALUE`, without secrets.
    public static let environmentPath = "/etc/kldload/install-manifest.env"
    public static let currentSchema = "install-manifest/1"

    public enum NetworkMethod: String, Sendable, Hashable, Codable {
        case dhcp, `static`, none
        /// Of a newer kldload.
        case unknown
        public init(from decoder: any Decoder) throws {
            self = NetworkMethod(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .unknown
        }
    }

    public struct Network: Sendable, Hashable, Codable {
        public var method: NetworkMethod
        /// The interface's name; `nil` for every wired one.
        public var iface: String?
        /// With prefix length: `192.0.2.10/24`.
        public var address: String?
        public var gateway: String?
        public var nameServers: [String]?

        public init(
            _ method: NetworkMethod, iface: String? = nil, address: String? = nil, gateway: String? = nil, nameServers: [String]? = nil
        ) {
            self.method = method
            self.iface = iface
            self.address = address
            self.gateway = gateway
            self.nameServers = nameServers
        }
    }

    /// How the admin user gets in for the first time.
    public enum Credentials: String, Sendable, Hashable, Codable {
        /// The password `admin`, expired: it must be changed at the first login.
        case defaultExpired = "default-expired"
        case password, hash
        /// No password at all: keys only, or a sealed image.
        case locked
    }

    public enum SSHPolicy: String, Sendable, Hashable, Codable {
        /// Keys only.
        case keys
        /// Passwords are accepted too.
        case password
        /// Passwords are refused until the default one has been changed.
        case afterPasswordChange = "after-password-change"
        /// No SSH server was asked for.
        case none
    }

    public var schema: String
    public var kldloadVersion: String
    public var distro: String
    /// `trixie`, or the release number where there are no code names.
    public var suite: String
    public var profile: String
    public var hostname: String
    public var username: String
    public var pool: String
    public var bootEnvironment: String
    /// `single`, `mirror`, `raidz1`, `raidz2`, `raidz3`, `mirror-stripe`.
    public var topology: String
    /// Stable names, `/dev/disk/by-id/…`, of the disks with a root vdev.
    public var disks: [String]
    public var specialDisks: [String]?
    public var encrypted: Bool
    public var network: Network
    public var timezone: String
    public var locale: String
    public var keyboard: String
    public var sshPolicy: SSHPolicy
    /// Packages that no upgrade may touch by itself: kernel, ZFS, boot loader.
    public var heldPackages: [String]
    /// Units that must be enabled, and active where they stay up.
    public var units: [String]
    /// Eight hexadecimal digits; `nil` in a sealed image, where first boot makes one.
    public var hostID: String?
    /// Whether the system came from a sealed image: then host id, name, addresses and keys are each machine's own.
    public var sealed: Bool
    public var credentials: Credentials
    /// `systemd-boot` or `grub`.
    public var bootLoader: String?
    /// sysctl settings of the profile.
    public var sysctl: [String: String]?

    public init(
        kldloadVersion: String, distro: String, suite: String, profile: String, hostname: String, username: String, pool: String,
        bootEnvironment: String, topology: String, disks: [String], specialDisks: [String]? = nil, encrypted: Bool, network: Network,
        timezone: String, locale: String, keyboard: String, sshPolicy: SSHPolicy, heldPackages: [String], units: [String],
        hostID: HostID?, sealed: Bool, credentials: Credentials, bootLoader: String? = nil, sysctl: [String: String]? = nil
    ) {
        schema = InstallManifest.currentSchema
        self.kldloadVersion = kldloadVersion
        self.distro = distro
        self.suite = suite
        self.profile = profile
        self.hostname = hostname
        self.username = username
        self.pool = pool
        self.bootEnvironment = bootEnvironment
        self.topology = topology
        self.disks = disks
        self.specialDisks = specialDisks
        self.encrypted = encrypted
        self.network = network
        self.timezone = timezone
        self.locale = locale
        self.keyboard = keyboard
        self.sshPolicy = sshPolicy
        self.heldPackages = heldPackages
        self.units = units
        self.hostID = hostID?.description
        self.sealed = sealed
        self.credentials = credentials
        self.bootLoader = bootLoader
        self.sysctl = sysctl
    }

    /// What every clone of a sealed image has in common: no disk, host id, name, address or password.
    public var forClones: InstallManifest {
        var copy = self
        copy.hostname = "localhost"
        (copy.disks, copy.specialDisks, copy.hostID) = ([], nil, nil)
        copy.network = Network(network.method == .none ? .none : .dhcp)
        copy.credentials = .locked
        copy.sshPolicy = sshPolicy == .none ? .none : .password
        copy.sealed = true
        return copy
    }
}
