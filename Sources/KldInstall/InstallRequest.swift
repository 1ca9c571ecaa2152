public import KldAnswers
public import KldCore
public import KldDistro
public import SystemPackage

/// Everything that decides an installation. The planner adds nothing of its own: no clock, no randomness, no look at the machine.
public struct InstallRequest: Sendable, Hashable {
    /// Where the root file system comes from.
    public struct Payload: Sendable, Hashable {
        /// Files, or block devices that hold the same from their first byte.
        public enum Source: Sendable, Hashable {
            /// `rootfs.tar` or `rootfs.tar.zst`.
            case archive(FilePath)
            /// `root.zfs`, a send stream of the boot environment, and `rest.tar` for the other datasets: several times as fast. Where there is
            /// a base, the stream is what the boot environment has beyond that one: see ``IncrementPack``.
            case stream(root: FilePath, onto: FilePath? = nil, rest: FilePath)
        }
        public var source: Source
        public var kernel: String
        public var openZFS: String
        public var additions: Additions?
        /// The locale whose data it has; `nil`: the one of the answers.
        public var locale: String?
        public init(_ source: Source, kernel: String, openZFS: String, additions: Additions? = nil, locale: String? = nil) {
            self.source = source
            self.kernel = kernel
            self.openZFS = openZFS
            self.additions = additions
            self.locale = locale
        }
    }

    /// What must differ between two machines, made by whoever asks.
    public struct Identity: Sendable, Hashable, Codable {
        public var hostID: HostID
        /// One FAT volume id is made from this for each ESP: all ESPs of a machine carry the same, for they are copies.
        public var espSerial: UInt32
        public init(hostID: HostID, espSerial: UInt32) {
            self.hostID = hostID
            self.espSerial = espSerial
        }

        /// Of a sealed image: the same for the same content. Its first boot makes another.
        /// - Parameter digest: sixteen hexadecimal digits or more. - Returns: `nil` when they are none, or all zero.
        public init?(digest: String) {
            guard let id = HostID(hex: digest.prefix(8)), let serial = UInt32(digest.dropFirst(8).prefix(8), radix: 16), serial != 0 else {
                return nil
            }
            self.init(hostID: id, espSerial: serial)
        }

        public static func random() -> Identity { Identity(hostID: .random(), espSerial: .random(in: 1 ... .max)) }

        /// For plans that are only shown: two of them for one machine are equal. No machine gets it.
        public static let placeholder = Identity(hostID: .placeholder, espSerial: 0x6b6c_646c)
    }

    public var answers: Answers
    public var facts: MachineFacts
    public var spec: DistroSpec
    public var profile: ProfileSpec
    public var payload: Payload
    public var identity: Identity
    /// Leave no identity behind: the result is copied, not booted.
    public var sealed: Bool
    public var version: String
    /// The tool that is copied into the target.
    public var executable: FilePath
    public var target: FilePath

    public init(
        answers: Answers, facts: MachineFacts, spec: DistroSpec, profile: ProfileSpec, payload: Payload, identity: Identity,
        sealed: Bool, version: String, executable: FilePath, target: FilePath = "/target"
    ) {
        self.answers = answers
        self.facts = facts
        self.spec = spec
        self.profile = profile
        self.payload = payload
        self.identity = identity
        self.sealed = sealed
        self.version = version
        self.executable = executable
        self.target = target
    }
}
