public import KldBoot
public import KldCore
public import KldPackages
public import SystemPackage

/// A distribution release as data. Call sites ask for what they need; they never compare names.
public struct DistroSpec: Sendable, Hashable {
    /// `debian`.
    public var id: String
    /// `trixie`.
    public var suite: String
    /// For people: `Debian 13 (trixie), kernel and OpenZFS from backports`.
    public var title: String
    public var backports: Bool

    // Packages
    public var packaging: Packaging
    /// The packages that follow the release's newest kernel.
    public var kernelPackages: [String]
    public var kernel: KernelNaming
    /// The module's source and its build system; the first one's `META` says which kernels it supports.
    public var moduleSourcePackages: [String]
    /// Installed last: their arrival starts the build of every module that is not there yet.
    public var headerPackages: [String]
    public var zfsPackages: [String]
    public var bootPackages: [String]
    public var basePackages: [String]
    /// Firmware of storage and wired network cards, and processors' microcode where it is large: what a machine of metal needs and a virtual one
    /// does not. See ``ProfileSpec/packages(for:)`` for who gets it.
    public var firmwarePackages: [String] = []
    /// What the live environment holds when this release is its base; empty when it cannot be one.
    public var livePackages: [String]
    /// Package names that must not move by themselves; `*` at the end matches the rest.
    public var heldPackages: [String]
    /// What the GRUB chain needs beside ``bootPackages``, and what is held with it.
    public var grubPackages: [String] = []
    public var grubHeldPackages: [String] = []

    // Mechanisms
    public var initramfs: InitramfsKind
    public var efi: EFIPrograms
    /// A value of `compatibility=` that the release's OpenZFS reads (zpool-features(7)).
    public var compatibility: String
    /// The group whose members may use sudo.
    public var adminGroup: String
    public var units: [UnitRole: String]
    /// The storage driver of podman where its own choice, overlayfs, does not work on ZFS; `nil` where it does.
    public var containerStorage: String?
    /// Numbered, dated, sourced deviations.
    public var quirks: [Quirk]

    public enum Packaging: Sendable, Hashable {
        case apt(suites: [AptSuite], pins: [AptPin], keyring: String)
        case dnf(release: String, repositories: [RPMRepository])
        case zypper(release: String, repositories: [RPMRepository])
        case pacman(repositories: [PacmanRepository])
        case apk(repositories: [APKRepository])

        public var family: PackageFamily {
            switch self {
            case .apt: .apt
            case .dnf: .dnf
            case .zypper: .zypper
            case .pacman: .pacman
            case .apk: .apk
            }
        }
    }

    /// What a part that knows only some families or mechanisms throws: never a half-made system.
    /// - Parameter part: `packages by dnf`, `an initramfs by mkinitfs`.
    public func unsupported(_ part: String) -> Diagnosis {
        Diagnosis(
            "distro.unsupported", "\(title) needs \(part), which this version cannot make",
            remedies: ["supported: \(Self.supported)"], exit: .badAnswers)
    }

    static let supported = "debian trixie, debian trixie with KLDLOAD_DEBIAN_BACKPORTS=1, debian bookworm"

    /// A suite below an archive: `debian` or `debian-security`.
    public struct AptSuite: Sendable, Hashable {
        public var archive: String
        public var name: String
        public var components: [String]
        public init(_ archive: String, _ name: String, _ components: [String]) {
            self.archive = archive
            self.name = name
            self.components = components
        }
    }

    public enum UnitRole: String, Sendable, Hashable, CaseIterable { case ssh, network, resolver, timeSync, cron, zed }

    public struct Quirk: Sendable, Hashable {
        public var id: String
        public var since: String
        public var text: String
        public var source: String
        public init(_ id: String, since: String, _ text: String, source: String) {
            self.id = id
            self.since = since
            self.text = text
            self.source = source
        }
    }

    /// Package names that must not move by themselves on a machine that starts by this chain.
    public func held(with chain: BootChain) -> [String] { heldPackages + (chain == .grub ? grubHeldPackages : []) }

    /// The same release with one certain kernel instead of its newest.
    /// - Parameter release: as `uname -r` prints it: `6.12.107+deb13-amd64`.
    public func with(kernel release: String) -> DistroSpec {
        var copy = self
        copy.livePackages = livePackages.map { kernelPackages.contains($0) ? "\(kernel.image)\(release)" : $0 }
        copy.kernelPackages = ["\(kernel.image)\(release)"]
        copy.headerPackages = ["\(kernel.headers)\(release)"]
        return copy
    }

    /// Where PAM's rules for accounts stand that every service includes; `nil`: not known of this family.
    /// Source: pam-auth-update(8), Debian's Linux-PAM 1.5.2 and 1.7.
    public var accountRules: String? {
        if case .apt = packaging { "/etc/pam.d/common-account" } else { nil }
    }

    /// Names of the packages of one kernel: a prefix, then its release.
    public struct KernelNaming: Sendable, Hashable {
        public var image: String
        public var headers: String
        /// The flavour at the end of a release, with its hyphen; flavours that end in it too.
        public var flavour: String
        public var otherFlavours: [String]
        public init(image: String, headers: String, flavour: String, otherFlavours: [String]) {
            self.image = image
            self.headers = headers
            self.flavour = flavour
            self.otherFlavours = otherFlavours
        }
    }

    /// The parts of a release's archives that lie in a folder.
    /// - Parameters:
    ///   - folder: as the apt that reads it sees it.
    ///   - state: see ``OfflineMirror/state``.
    /// - Throws: ``Diagnosis`` `distro.unsupported` for another family than apt.
    public func offlineMirror(in folder: FilePath, state: FilePath, status: FilePath? = nil) throws -> OfflineMirror {
        guard case .apt(_, let pins, _) = packaging else { throw unsupported("packages by \(packaging.family.rawValue)") }
        return OfflineMirror(sources: try sources(mirror: "file:\(folder)/debian"), pins: pins, state: state, status: status)
    }

    /// apt's sources on a mirror.
    /// - Parameters:
    ///   - mirror: the archive's address, ending in `/debian`.
    ///   - security: the security archive's; `nil`: the mirror's sibling.
    /// - Throws: ``Diagnosis`` `distro.unsupported` for another family.
    public func sources(mirror: String, security: String? = nil) throws -> [AptSource] {
        guard case .apt(let suites, _, let keyring) = packaging else { throw unsupported("packages by \(packaging.family.rawValue)") }
        return suites.map { suite in
            let base = mirror.hasSuffix("/debian") ? String(mirror.dropLast("/debian".count)) : mirror
            return AptSource(
                uri: suite.archive == "debian" ? mirror : security ?? "\(base)/\(suite.archive)", suite: suite.name,
                components: suite.components, keyring: keyring)
        }
    }
}
