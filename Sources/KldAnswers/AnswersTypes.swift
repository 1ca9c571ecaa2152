public import KldCore
public import SystemPackage

extension Answers {
    /// A distribution by the name that the answers use. Which of them can be installed is known elsewhere.
    public enum Distro: String, Sendable, Hashable, CaseIterable {
        case centos, debian, ubuntu, fedora, rhel, rocky, arch, alpine, nixos, freebsd
    }

    public enum Profile: String, Sendable, Hashable, CaseIterable {
        case desktop, server, core, kvm, ai
    }

    /// How the root vdevs are laid out.
    public enum Topology: String, Sendable, Hashable, CaseIterable {
        case single, mirror, raidz1, raidz2, raidz3
        /// Mirrors of two, striped; the disks pair up in the order given.
        case mirrorStripe = "mirror-stripe"

        /// The fewest disks it can be made of.
        public var minimumDisks: Int {
            switch self {
            case .single: 1
            case .mirror: 2
            case .raidz1: 3
            case .raidz2, .mirrorStripe: 4
            case .raidz3: 5
            }
        }

        /// How many disks any vdev may lose: that of a mirror of `disks` is one less than it has.
        public func toleratedLosses(disks: Int) -> Int {
            switch self {
            case .single: 0
            case .mirror: max(disks - 1, 0)
            case .raidz1, .mirrorStripe: 1
            case .raidz2: 2
            case .raidz3: 3
            }
        }
    }

    public enum BootLoader: String, Sendable, Hashable, CaseIterable {
        case systemdBoot = "systemd-boot"
        case grub
    }

    public enum AfterInstall: String, Sendable, Hashable, CaseIterable {
        case powerOff = "poweroff"
        case reboot
        /// Stay in the live environment: KLDLOAD_NO_AUTO_REBOOT=1.
        case stay
    }

    /// How the administrator logs in at the console.
    public enum Credentials: Sendable, Hashable {
        /// Nothing was said: the password is `admin`, must be changed at the first login, and is not accepted over SSH until then.
        case defaultExpired
        case password(Secret)
        /// In the form of crypt(5), ready for `chpasswd -e`.
        case hash(Secret)
        /// In a file that has not been read; ``Answers/load(_:files:overrides:reference:unsupported:)`` reads it.
        case file(FilePath)
    }

    public enum DiskChoice: Sendable, Hashable {
        case path(FilePath)
        /// The only empty disk of the machine; an error when there is none, or more than one.
        case automatic
    }

    public struct Keyboard: Sendable, Hashable {
        /// XKB names, as in /usr/share/X11/xkb/rules/base.lst.
        public let layout: String
        public let variant: String?
    }

    public struct SSHKeys: Sendable, Hashable {
        public let user: [SSHPublicKey]
        public let root: [SSHPublicKey]
    }

    public enum Network: Sendable, Hashable {
        /// `interface` nil: every wired one.
        case dhcp(interface: String?)
        case fixed(FixedNetwork)
    }

    /// An address set by hand.
    public struct FixedNetwork: Sendable, Hashable {
        /// `nil`: whatever is wired, so a machine with several wired interfaces needs a name here.
        public let interface: String?
        /// Address and prefix.
        public let address: IPNetwork
        public let gateway: IPAddress
        /// May be empty.
        public let dns: [IPAddress]
    }

    public struct MOKFiles: Sendable, Hashable {
        public let key: FilePath
        public let certificate: FilePath
    }

    public struct WiFi: Sendable, Hashable {
        public let ssid: String
        /// `nil`: an open network.
        public let passphrase: Secret?
    }

    public struct Export: Sendable, Hashable {
        public enum Format: String, Sendable, Hashable, CaseIterable, Comparable {
            case qcow2, vmdk, vhd, ova, raw
            public static func < (a: Format, b: Format) -> Bool { a.rawValue < b.rawValue }
        }
        public enum Login: Sendable, Hashable {
            /// What ssh finds by itself.
            case automatic
            case key(FilePath)
            case password(Secret)
        }
        public struct Target: Sendable, Hashable {
            /// What ``path`` has besides letters and digits: scp before OpenSSH 9.0 hands it to a shell.
            package static let pathSigns = "./-_+@=,:"
            public let host: String
            public let user: String
            public let path: String
            public let login: Login
            /// `nil`: what the building user's ssh knows.
            public let knownHosts: FilePath?
        }
        /// Empty: nothing is exported.
        public let formats: Set<Format>
        /// `nil`: where the command that exports puts things.
        public let directory: FilePath?
        public let target: Target?
    }

    public struct Infrastructure: Sendable, Hashable {
        public enum Mode: String, Sendable, Hashable, CaseIterable { case standalone, cluster, join }
        public let mode: Mode
        public let cidr: IPNetwork?
        public let domain: String
        /// The most nodes the cluster may grow to.
        public let size: Int
        public let nodeIndex: Int?
    }

    public struct Features: Sendable, Hashable {
        public let ebpf: Bool
    }
}
