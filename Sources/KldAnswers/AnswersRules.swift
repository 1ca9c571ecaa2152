import KldCore

// Rules across keys. Each function looks at one subject; a key with a problem of its own is left out of account.
extension AnswersDraft {
    mutating func checkRules(_ answers: Answers, _ unsupported: (Answers) -> Diagnosis?) {
        checkRequired()
        checkRegion(answers)
        checkDistribution(answers)
        checkSupport(answers, unsupported)
        checkSecrets()
        checkDisks(answers)
        checkNetwork(answers)
        checkExport(answers)
        checkImage(answers)
        checkCluster(answers)
        checkBoot()
    }

    private mutating func checkRequired() {
        for key in AnswerKey.all where key.isRequired {
            guard isSound(key.stem), !isGiven(key.stem) else { continue }
            report(.missingKey, key.stem, "the key has no default and must be given", remedy: "add \(key.name)=…")
        }
    }

    private mutating func checkRegion(_ answers: Answers) {
        guard !reference.acceptsAll, isSound("KEYBOARD_LAYOUT"), let variant = answers.keyboard.variant else { return }
        let variants = reference.keyboards[answers.keyboard.layout] ?? []
        guard !variants.contains(variant) else { return }
        let suggestion = nearest(to: variant, Array(variants))
        let choice = variants.isEmpty ? "remove it: the layout has none" : "choose one of: \(variants.sorted().joined(separator: ", "))"
        report(
            .keyboardVariant, "KEYBOARD_VARIANT", "the layout \(answers.keyboard.layout) has no variant \(shown(variant))",
            remedy: suggestion == nil ? choice : nil, suggestion: suggestion)
    }

    private mutating func checkDistribution(_ answers: Answers) {
        guard isSound("DISTRO"), isGiven("DISTRO") else { return }
        let distro = answers.distro
        let profiles = distro.profiles
        if isSound("PROFILE"), !profiles.contains(answers.profile) {
            report(
                .profile, "PROFILE", "\(distro.rawValue) has no profile \(answers.profile.rawValue)",
                remedy: "choose one of: \(profiles.map(\.rawValue).joined(separator: ", "))")
        }
        for (stem, owners) in Answers.Distro.releaseKeys where isChosen(stem) && !owners.contains(distro) {
            report(.release, stem, "the key has no meaning for \(distro.rawValue)")
        }
        let suites: [Answers.Distro: [String]] = [.debian: ["trixie", "bookworm"], .ubuntu: ["noble", "jammy"]]
        if isSound("DEBIAN_SUITE"), isGiven("DEBIAN_SUITE"), let own = suites[distro], !own.contains(answers.release) {
            report(
                .release, "DEBIAN_SUITE", "\(distro.rawValue) has no suite \(answers.release)",
                remedy: "choose one of: \(own.joined(separator: ", "))")
        }
        if distro == .rhel { checkSubscription(answers) }
    }

    private mutating func checkSupport(_ answers: Answers, _ unsupported: (Answers) -> Diagnosis?) {
        guard isSound("DISTRO", "DEBIAN_SUITE", "DEBIAN_BACKPORTS"), isGiven("DISTRO"),
            !problems.problems.contains(where: { $0.code == .release }), let diagnosis = unsupported(answers)
        else { return }
        let stem = answers.distro == .debian ? answers.backports ? "DEBIAN_BACKPORTS" : "DEBIAN_SUITE" : "DISTRO"
        report(.unsupported, stem, diagnosis.message, remedy: diagnosis.remedies.joined(separator: "; "))
    }

    private mutating func checkSubscription(_ answers: Answers) {
        guard
            isSound(
                "RHEL_USERNAME", "RHEL_PASSWORD", "RHEL_PASSWORD_FILE", "RHEL_ORG", "RHEL_ACTIVATION_KEY", "RHEL_ACTIVATION_KEY_FILE",
                "CUSTOM_MIRROR_URL")
        else { return }
        let account = [isGiven("RHEL_USERNAME"), hasSecret("RHEL_PASSWORD")]
        let key = [isGiven("RHEL_ORG"), hasSecret("RHEL_ACTIVATION_KEY")]
        if account.contains(true), key.contains(true) {
            report(.subscription, "RHEL_USERNAME", "an account and an activation key were both given", remedy: "keep one of the two")
        } else if account == [true, false] || account == [false, true] || key == [true, false] || key == [false, true] {
            report(.subscription, account.contains(true) ? "RHEL_USERNAME" : "RHEL_ORG", "half of the subscription is missing")
        } else if !account.contains(true), !key.contains(true), answers.customMirrorURL == nil {
            report(
                .subscription, "DISTRO", "rhel needs a subscription or a mirror of your own",
                remedy: "give KLDLOAD_RHEL_USERNAME and _PASSWORD, KLDLOAD_RHEL_ORG and _ACTIVATION_KEY, or KLDLOAD_CUSTOM_MIRROR_URL")
        }
    }

    private mutating func checkSecrets() {
        // A password and its hash are the same secret.
        let hashed = ["PASSWORD", "ROOT_PASSWORD"]
        for key in AnswerKey.secrets where !key.stem.hasSuffix("PASSWORD_HASH") {
            let isHashed = hashed.contains(key.stem)
            let ways = (isHashed ? given(secret: key.stem + "_HASH") : []) + given(secret: key.stem)
            guard ways.count > 1 else { continue }
            report(
                .passwordConflict, ways[1], "the same secret is also given by KLDLOAD_\(ways[0])",
                remedy: isHashed ? nil : "keep one of them")
        }
        guard isSound("ZFS_ENCRYPT", "ZFS_PASSPHRASE", "ZFS_PASSPHRASE_FILE") else { return }
        let given = given(secret: "ZFS_PASSPHRASE")
        if flag("ZFS_ENCRYPT"), given.isEmpty {
            report(.passphraseMissing, "ZFS_ENCRYPT", "encryption needs a passphrase")
        } else if !flag("ZFS_ENCRYPT"), let first = given.first {
            report(.passphraseUnused, first, "there is a passphrase and no encryption")
        }
    }

    private mutating func checkBoot() {
        if isSound("MOK_KEY_FILE", "MOK_CERT_FILE"), isGiven("MOK_KEY_FILE") != isGiven("MOK_CERT_FILE") {
            report(
                .moduleKey, isGiven("MOK_KEY_FILE") ? "MOK_KEY_FILE" : "MOK_CERT_FILE", "a module-signing key needs both its files")
        }
        if flag("NO_AUTO_REBOOT"), isGiven("AFTER_INSTALL") {
            report(.afterInstall, "AFTER_INSTALL", "KLDLOAD_NO_AUTO_REBOOT=1 says to stay, this says to leave")
        }
    }

    private mutating func checkExport(_ answers: Answers) {
        guard isSound("EXPORT_FORMAT", "EXPORT_SCP_HOST") else { return }
        if answers.export.target == nil {
            for stem in [
                "EXPORT_SCP_KEY", "EXPORT_SCP_PASS", "EXPORT_SCP_PASS_FILE", "EXPORT_SCP_USER", "EXPORT_SCP_PATH", "EXPORT_SCP_KNOWN_HOSTS",
            ] where isChosen(stem) {
                report(.exportTarget, stem, "there is no KLDLOAD_EXPORT_SCP_HOST to copy to")
            }
        } else if answers.export.formats.isEmpty {
            report(.exportTarget, "EXPORT_SCP_HOST", "nothing is exported, so nothing can be copied")
        }
        if isGiven("EXPORT_SCP_KEY"), let password = given(secret: "EXPORT_SCP_PASS").first {
            report(.exportLogin, password, "KLDLOAD_EXPORT_SCP_KEY is given too")
        }
    }

    /// What no image can be made with, nor sent to: said here, and not when an hour's build begins.
    private mutating func checkImage(_ answers: Answers) {
        let profile = answers.profile.rawValue
        if isSound("DISK_SIZE", "PROFILE"), isGiven("DISK_SIZE"), let least = ProfileSize.all[profile]?.disk, answers.diskSize < least {
            report(
                .size, "DISK_SIZE", "an image of \(answers.diskSize) is too small: the profile \(profile) needs \(least)",
                remedy: "write \(least.bytes >> 30)G or more, or choose another profile")
        }
        if isSound("EXPORT_SCP_PATH"), !text("EXPORT_SCP_PATH").isPlain(besides: Answers.Export.Target.pathSigns) {
            report(
                .path, "EXPORT_SCP_PATH", "the path holds a character that a shell there may take for its own",
                remedy: "use letters, digits and \(Answers.Export.Target.pathSigns) only")
        }
    }

    private mutating func checkCluster(_ answers: Answers) {
        guard isSound("INFRA_MODE", "CLUSTER_CIDR", "CLUSTER_SIZE", "NODE_INDEX") else { return }
        let cluster = answers.infrastructure
        if cluster.mode == .standalone {
            for stem in ["CLUSTER_CIDR", "HUB_LAN"] where isGiven(stem) {
                report(.cluster, stem, "the machine stands alone", remedy: "set KLDLOAD_INFRA_MODE=cluster or join, or remove the key")
            }
            return
        }
        guard let cidr = cluster.cidr else {
            if cluster.mode == .cluster { report(.cluster, "INFRA_MODE", "a cluster needs a network", remedy: "add KLDLOAD_CLUSTER_CIDR") }
            return
        }
        let needed = UInt128(max(cluster.size, cluster.nodeIndex ?? 0))
        if cidr.hostCount < needed {
            report(.cluster, "CLUSTER_CIDR", "\(cidr) has room for \(cidr.hostCount) nodes, \(needed) are wanted")
        }
    }
}

extension Answers.Distro {
    /// The profiles that can be had. Source: the distributions' state in release 1.1.0.
    public var profiles: [Answers.Profile] {
        switch self {
        case .alpine: [.core]
        case .nixos, .freebsd: [.server, .core]
        case .centos, .debian, .ubuntu, .fedora, .rhel, .rocky, .arch: Answers.Profile.allCases
        }
    }

    /// Keys that mean something for some distributions only. `DEBIAN_SUITE` is checked by its value.
    static let releaseKeys: [(stem: String, owners: [Answers.Distro])] = [
        ("RELEASE", [.centos, .rhel, .rocky]),
        ("DEBIAN_SUITE", [.debian, .ubuntu]),
        ("DEBIAN_MIRROR", [.debian]),
        ("DEBIAN_BACKPORTS", [.debian]),
        ("FEDORA_RELEASE", [.fedora]),
        ("ALPINE_RELEASE", [.alpine]),
        ("FREEBSD_VERSION", [.freebsd]),
        ("OPENBSD_VERSION", []),
        ("WINDOWS_INDEX", []),
        ("RHEL_USERNAME", [.rhel]),
        ("RHEL_PASSWORD", [.rhel]),
        ("RHEL_ORG", [.rhel]),
        ("RHEL_ACTIVATION_KEY", [.rhel]),
    ]
}
