public import KldCore
public import SystemPackage

/// What a person wants installed: the checked content of an `answers.env`.
///
/// A value of this type has passed every check of this module, so the installer need not check again. It is made by
/// ``init(_:source:overrides:reference:unsupported:)`` or ``load(_:files:overrides:reference:unsupported:)``; two are equal when they
/// say the same.
public struct Answers: Sendable, Hashable {
    /// Every key that was given, under its canonical name without prefix, in its canonical spelling. Holds secrets in clear.
    let values: [String: String]
    /// What was given and has no effect in this version, code `answers.no-effect`, or should be thought over; no part of equality.
    public let notes: [AnswersProblem]

    public let distro: Distro
    public let profile: Profile
    /// The release as the distribution names it: `trixie`, `noble`, `9`, `44`, `3.21`; `rolling` where there are none.
    public let release: String
    /// Kernel and OpenZFS from backports.
    public let backports: Bool
    /// The Debian archive to install from, without a slash at its end.
    public let debianMirror: String
    public let customMirrorURL: String?
    public let extraPackages: [String]

    public let hostname: HostName
    public let timezone: String
    public let locale: String
    public let keyboard: Keyboard

    /// The administrator's name; may use sudo without a password.
    public let username: String
    public let credentials: Credentials
    public let rootPassword: Secret?
    /// In the form of crypt(5). When this and ``rootPassword`` are `nil`, root has no password.
    public let rootPasswordHash: Secret?
    public let sshKeys: SSHKeys
    /// Make SSH host keys while installing; otherwise they are made at the first boot.
    public let generateSSHHostKeys: Bool

    public let disk: DiskChoice
    /// Disks of the root vdevs beyond ``disk``, in the order given.
    public let dataDisks: [FilePath]
    public let specialDisks: [FilePath]
    public let topology: Topology
    public let poolName: String
    public let encrypt: Bool
    /// `nil` without encryption, or while it still lies in the file named by KLDLOAD_ZFS_PASSPHRASE_FILE.
    public let passphrase: Secret?
    /// Whether the answers approve wiping what is on the disks they name: true only where `KLDLOAD_FORCE_WIPE=1` is written.
    public let forceWipe: Bool

    public let network: Network
    public let wifi: WiFi?

    public let bootloader: BootLoader
    /// The name of the firmware's boot entry.
    public let bootloaderID: String
    /// Seconds that the boot menu waits.
    public let zbmTimeout: Int
    public let secureBoot: Bool
    /// What the firmware's key manager will ask for; `nil`: one is made.
    public let mokPassword: Secret?
    /// A key of one's own to sign with, and its certificate.
    public let mokFiles: MOKFiles?
    /// Devices for `console=` on the kernel's command line; the last one becomes /dev/console.
    public let consoles: [String]

    public let export: Export
    public let infrastructure: Infrastructure
    public let features: Features
    public let afterInstall: AfterInstall
    /// The size of the image that the factory makes; a real disk has its own.
    public let diskSize: ByteCount

    /// The disks that form the root vdevs by path: ``disk`` where it is a path, then ``dataDisks``.
    public var rootDisks: [FilePath] {
        if case .path(let path) = disk { [path] + dataDisks } else { dataDisks }
    }

    /// Every disk that the answers name, each of which will be wiped.
    public var allDisks: [FilePath] { rootDisks + specialDisks }

    /// The text of any key, given or by default.
    ///
    /// - Parameter key: a name from ``AnswerKey/all`` or one of its aliases.
    /// - Returns: `nil` for an unknown key, and for one that was not given and has no default.
    public subscript(key: String) -> String? {
        guard let known = AnswerKey.named(key) else { return nil }
        if let value = values[known.stem] { return value }
        return known.defaultValue.isEmpty ? nil : known.defaultValue
    }

    /// Whether the key stands in the answers, as opposed to having its default.
    public func isGiven(_ key: String) -> Bool {
        AnswerKey.named(key).map { values[$0.stem] != nil } ?? false
    }

    /// Keys that were given and matter to images only: said in vain where a machine is installed. Not by line: an override has none.
    public var imageNotes: [AnswersProblem] {
        AnswerKey.all.filter { key in
            key.group == .export && (values[key.stem] ?? key.defaultValue) != key.defaultValue
        }.map { key in
            AnswersProblem(
                .noEffect, key: key.name, "the key has no effect on a machine that is installed: it is for kldload image build",
                remedy: "remove it, or build an image: kldload image build")
        }
    }

    public static func == (a: Answers, b: Answers) -> Bool { a.values == b.values }
    public func hash(into hasher: inout Hasher) { hasher.combine(values) }
}

extension Answers: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { redactedEnvironmentText }
    public var debugDescription: String { redactedEnvironmentText }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
