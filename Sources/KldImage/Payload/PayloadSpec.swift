public import KldAnswers
public import KldCore
public import KldDistro

/// What a root file system is built from. Two equal specs, on the same state of the mirror, give the same bytes.
public struct PayloadSpec: Sendable, Hashable, Codable {
    public enum Kind: String, Sendable, Hashable, Codable {
        /// The system that is installed.
        case target
        /// The system that installs it, and rescues it later.
        case live
    }

    public var kind: Kind
    public var distro: String
    public var suite: String
    public var backports: Bool
    public var profile: String
    public var locale: String
    public var extraPackages: [String]
    /// Optional package groups that the answers switch on.
    public var groups: [String]
    /// Where the packages come from, for the build and for the installed machine afterwards.
    public var buildMirror: String
    public var installedMirror: String

    public init(
        kind: Kind, distro: String, suite: String, backports: Bool, profile: String, locale: String = "en_US.UTF-8",
        extraPackages: [String] = [],
        groups: [String] = [], buildMirror: String, installedMirror: String
    ) {
        self.kind = kind
        self.distro = distro
        self.suite = suite
        self.backports = backports
        self.profile = profile
        self.locale = locale
        self.extraPackages = extraPackages.sorted()
        self.groups = groups.sorted()
        self.buildMirror = buildMirror
        self.installedMirror = installedMirror
    }

    /// The payload that the answers need.
    public init(_ answers: Answers, buildMirror: String) {
        self.init(
            kind: .target, distro: answers.distro.rawValue, suite: answers.release, backports: answers.backports,
            profile: answers.profile.rawValue, locale: answers.locale, extraPackages: answers.extraPackages,
            groups: answers.isGiven("KLDLOAD_ENABLE_EBPF") && answers.features.ebpf ? ["ebpf"] : [], buildMirror: buildMirror,
            installedMirror: answers.customMirrorURL ?? answers.debianMirror)
    }

    /// The live environment: Debian 13 with kernel and OpenZFS from backports.
    public static func live(buildMirror: String, installedMirror: String) -> PayloadSpec {
        PayloadSpec(
            kind: .live, distro: "debian", suite: "trixie", backports: true, profile: "core", buildMirror: buildMirror,
            installedMirror: installedMirror)
    }

    public var spec: DistroSpec { get throws { try DistroSpec.find(distro: distro, suite: suite, backports: backports) } }

    /// Every package that is asked for by name; apt adds what they need.
    public var packages: [String] {
        get throws {
            let spec = try spec
            switch kind {
            case .live: return spec.livePackages
            case .target:
                let profile = ProfileSpec.all.first { $0.id == self.profile }
                return
                    (spec.basePackages + spec.kernelPackages + spec.moduleSourcePackages + spec.zfsPackages + spec.bootPackages
                    + (profile?.packages(for: spec) ?? []) + groups.flatMap { ProfileSpec.groupPackages($0, for: spec) } + extraPackages)
                    .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
            }
        }
    }
}

/// What a built payload holds: written into the tree as `/usr/lib/kldload/payload.json`.
public struct PayloadInfo: Sendable, Hashable, Codable {
    public static let path = "/usr/lib/kldload/payload.json"
    public var schema = "payload/1"
    public var spec: PayloadSpec
    /// The kernel release that boots: the highest with image, modules, OpenZFS module and initramfs.
    public var kernel: String
    public var openZFS: String
    public var packageCount: Int

    public init(spec: PayloadSpec, kernel: String, openZFS: String, packageCount: Int) {
        self.spec = spec
        self.kernel = kernel
        self.openZFS = openZFS
        self.packageCount = packageCount
    }
}
