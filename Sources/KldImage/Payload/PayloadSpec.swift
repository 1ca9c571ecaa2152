public import KldAnswers
import KldCore
public import KldDistro
import KldPackages

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
    /// One certain kernel, as `uname -r` prints it; `nil`: the release's newest.
    public var kernel: String?
    /// Where the installed machine gets packages from.
    public var installedMirror: String
    /// Where the build gets them from. It makes no difference to the result, and an image does not tell it.
    public var buildMirror: BuildArchive

    private enum CodingKeys: String, CodingKey {
        case kind, distro, suite, backports, profile, locale, extraPackages, groups, kernel, installedMirror
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            kind: try values.decode(Kind.self, forKey: .kind), distro: try values.decode(String.self, forKey: .distro),
            suite: try values.decode(String.self, forKey: .suite), backports: try values.decode(Bool.self, forKey: .backports),
            profile: try values.decode(String.self, forKey: .profile), locale: try values.decode(String.self, forKey: .locale),
            extraPackages: try values.decode([String].self, forKey: .extraPackages),
            groups: try values.decode([String].self, forKey: .groups),
            buildMirror: "", installedMirror: try values.decode(String.self, forKey: .installedMirror))
        kernel = try values.decodeIfPresent(String.self, forKey: .kernel)
    }

    public init(
        kind: Kind, distro: String, suite: String, backports: Bool, profile: String, locale: String = "en_US.UTF-8",
        extraPackages: [String] = [],
        groups: [String] = [], buildMirror: BuildArchive, installedMirror: String
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
    public init(_ answers: Answers, buildMirror: BuildArchive) {
        self.init(
            kind: .target, distro: answers.distro.rawValue, suite: answers.release, backports: answers.backports,
            profile: answers.profile.rawValue, locale: answers.locale, extraPackages: answers.extraPackages,
            groups: (answers.features.ebpf ? ["ebpf"] : [])
                + (answers.wifi == nil ? [] : ["wifi"]) + (answers.bootloader == .grub ? [ProfileSpec.grubGroup] : []),
            buildMirror: buildMirror,
            installedMirror: answers.customMirrorURL ?? answers.debianMirror)
    }

    /// The live environment: Debian 13.
    /// - Parameter backports: with kernel and OpenZFS from backports, which open pools that Debian 13's own does not.
    public static func live(backports: Bool, buildMirror: BuildArchive, installedMirror: String) -> PayloadSpec {
        PayloadSpec(
            kind: .live, distro: "debian", suite: "trixie", backports: backports, profile: "core", buildMirror: buildMirror,
            installedMirror: installedMirror)
    }

    public var spec: DistroSpec {
        get throws {
            let spec = try DistroSpec.find(distro: distro, suite: suite, backports: backports)
            return kernel.map(spec.with(kernel:)) ?? spec
        }
    }

    /// apt's sources of the build.
    var buildSources: [AptSource] {
        get throws { try spec.sources(mirror: buildMirror.mirror, security: buildMirror.security) }
    }

    /// Every package that is asked for by name; apt adds what they need.
    public var packages: [String] {
        get throws {
            let spec = try spec
            switch kind {
            case .live: return spec.livePackages
            case .target:
                let profile = try ProfileSpec.find(self.profile)
                return
                    (spec.basePackages + spec.kernelPackages + spec.moduleSourcePackages + spec.zfsPackages + spec.bootPackages
                    + profile.packages(for: spec) + groups.flatMap { ProfileSpec.groupPackages($0, for: spec) } + extraPackages)
                    .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
            }
        }
    }
}

/// What a built payload holds: written into the tree as `/usr/lib/kldload/payload.json`.
public struct PayloadInfo: Sendable, Hashable, Codable {
    public static let path = "/usr/lib/kldload/payload.json"
    public static let currentSchema = "payload/2"
    public var schema = PayloadInfo.currentSchema
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
