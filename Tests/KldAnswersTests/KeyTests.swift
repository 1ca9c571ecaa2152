import KldAnswers
import Testing

@Suite struct Keys {
    @Test(arguments: [
        ("KLDLOAD_DISKS=/dev/sdb", "KLDLOAD_DISK"),
        ("KLDLOAD_TIMEZNOE=UTC", "KLDLOAD_TIMEZONE"),
        ("KLDLOAD_PASSPHRASE=x", "KLDLOAD_ZFS_PASSPHRASE"),
        ("kldload_timezone=UTC", "KLDLOAD_TIMEZONE"),
        ("TIMEZONE=UTC", "KLDLOAD_TIMEZONE"),
        ("KLDOAD_TIMEZONE=UTC", "KLDLOAD_TIMEZONE"), ("KLDLOAD_DNS=1.1.1.1", "KLDLOAD_NET_DNS"), ("KLDLOAD_USER=ops", "KLDLOAD_USERNAME"),
        ("KLDLOAD_IP=10.0.0.5", "KLDLOAD_NET_IP"), ("KLDLOAD_HOST=web", "KLDLOAD_HOSTNAME"), ("KLDLOAD_POOL=tank", "KLDLOAD_ZFS_POOL"),
        ("KLDLOAD_KEYBOARD=de", "KLDLOAD_KEYBOARD_LAYOUT"), ("KLDLOAD_NETWORK_DNS=1.1.1.1", "KLDLOAD_NET_DNS"),
        ("KLDLOAD_SIZE=8G", "KLDLOAD_DISK_SIZE"), ("KLDLOAD_ENCRYPT=1", "KLDLOAD_ZFS_ENCRYPT"),
    ])
    func anUnknownKeyNamesTheNearest(line: String, nearest: String) {
        let found = problems(threeLines + line)
        #expect(found.map(\.code) == [.unknownKey])
        #expect(found.first?.remedy == "did you mean \(nearest)?")
        #expect(found.first?.suggestion == nearest)
        #expect(found.first?.line == 4)
    }

    @Test func everyUnknownKeyNamesTheNearest() {
        let found = problems(threeLines + String(repeating: "KLDLOAD_TIMEZNOE=UTC\nKLDLOAD_DISKS=/dev/sdb\n", count: 40))
        #expect(found.compactMap(\.line) == Array(4...83))
        #expect(found.compactMap(\.suggestion) == (4...83).map { $0.isMultiple(of: 2) ? "KLDLOAD_TIMEZONE" : "KLDLOAD_DISK" })
    }

    @Test func aKeyLikeNoOtherGetsNoSuggestion() {
        #expect(problems(threeLines + "KLDLOAD_QQQQQQQQ=1").first?.remedy == AnswersProblem.Code.unknownKey.remedy)
    }

    @Test func repeatedKeysAreRefusedAlsoByAlias() {
        #expect(codes("KLDLOAD_DISK=/dev/sdb") == [.repeatedKey])
        #expect(codes("KLDLOAD_DEBIAN_SUITE=trixie", "KLDLOAD_SUITE=trixie") == [.repeatedKey])
        #expect(codes("KLDLOAD_TIMEZONE=", "KLDLOAD_TIMEZONE=UTC") == [.repeatedKey])
    }

    @Test(arguments: ["KLDLOAD_SUITE", "KLDLOAD_DEBIAN_RELEASE", "KLDLOAD_DEBIAN_SUITE"])
    func aliasesMeanTheSameKey(name: String) throws {
        let answers = try answers("\(name)=bookworm")
        #expect(answers.release == "bookworm")
        #expect(answers[name] == "bookworm")
        #expect(answers.environmentText.contains("KLDLOAD_DEBIAN_SUITE=bookworm"))
    }

    @Test func theOtherNameOfTheGatewayWorks() throws {
        let answers = try answers("KLDLOAD_NET_METHOD=static", "KLDLOAD_NET_IP=10.0.1.50", "KLDLOAD_NET_GATEWAY=10.0.1.1")
        #expect(answers["KLDLOAD_NET_GW"] == "10.0.1.1")
    }

    @Test func diskAndDistributionAreRequired() {
        #expect(problems("").map(\.key) == ["KLDLOAD_DISTRO", "KLDLOAD_DISK"])
        #expect(problems("KLDLOAD_DISTRO=debian\nKLDLOAD_DISK=\n").map(\.code) == [.missingKey])
    }

    @Test func aWrongValueIsNotAlsoMissing() {
        #expect(problems("KLDLOAD_DISTRO=debian\nKLDLOAD_DISK='/dev/sda\n").map(\.code) == [.unterminatedQuote])
        #expect(problems("KLDLOAD_DISTRO=debian\nKLDLOAD_DISK=sda\n").map(\.code) == [.disk])
    }

    @Test func overridesReplaceTheFile() throws {
        let answers = try answers("KLDLOAD_TIMEZONE=nowhere", overrides: ["KLDLOAD_TIMEZONE=UTC", "KLDLOAD_HOSTNAME=other"])
        #expect(answers.timezone == "UTC")
        #expect(answers.hostname.value == "other")
    }

    @Test func overridesAreCheckedLikeLines() {
        #expect(problems(threeLines, overrides: ["KLDLOAD_TIMEZONE"]).map(\.code) == [.badOverride])
        #expect(problems(threeLines, overrides: ["=x"]).map(\.code) == [.badOverride])
        #expect(problems(threeLines, overrides: ["KLDLOAD_TIMEZNE=UTC"]).map(\.code) == [.unknownKey])
        #expect(problems(threeLines, overrides: ["KLDLOAD_LOCALE=x", "KLDLOAD_LOCALE=y"]).map(\.code) == [.locale, .repeatedKey])
    }

    @Test func overridesAreTakenLiterally() throws {
        #expect(try answers(overrides: ["KLDLOAD_WIFI_SSID='$(x)' # y"]).wifi?.ssid == "'$(x)' # y")
    }

    @Test func namesAndAliasesAreUnique() {
        let names = AnswerKey.all.flatMap { [$0.name] + $0.aliases }
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { $0.hasPrefix("KLDLOAD_") })
    }

    @Test func everyKeyHasHelpInSentences() {
        for key in AnswerKey.all {
            #expect(key.help.hasSuffix("."), "\(key.name)")
        }
    }

    @Test func everySecretMayLieInAFile() {
        for key in AnswerKey.all where key.isSecret {
            let file = AnswerKey.named(key.name + "_FILE")
            #expect(file?.type == .path && file?.isSecret == false && file?.effect == key.effect, "\(key.name)")
            for alias in key.aliases { #expect(AnswerKey.named(alias + "_FILE") == file, "\(alias)") }
        }
    }

    @Test(arguments: AnswerKey.all.filter { !$0.defaultValue.isEmpty }.map(\.name))
    func everyDefaultPassesItsOwnCheck(name: String) throws {
        let key = try #require(AnswerKey.named(name))
        #expect(problems(threeLines, overrides: ["\(name)=\(key.defaultValue)"]) == [])
    }

    /// The guide's complete listing, with what it leaves to the reader filled in.
    @Test func everyKeyOfTheGuideIsKnown() {
        let guide = [
            "DISTRO", "PROFILE", "DISK", "HOSTNAME", "USERNAME", "PASSWORD", "TIMEZONE", "LOCALE", "KEYBOARD_LAYOUT", "KEYBOARD_VARIANT",
            "SSH_PUBKEY", "ADMIN_SSH_PUBKEY", "GENERATE_SSH_KEY", "STORAGE_MODE", "ZFS_TOPOLOGY", "ZFS_ENCRYPT", "ZFS_DATA_DISKS",
            "ZFS_SPECIAL_DISKS", "ENABLE_ZFS", "FORCE_WIPE", "NET_METHOD", "NET_IFACE", "NET_IP", "NET_PREFIX", "NET_GW", "NET_DNS",
            "ENABLE_KVM", "ENABLE_EBPF", "ENABLE_AI", "NVIDIA_DRIVERS", "WIREGUARD", "EXTRA_PACKAGES", "KEEP_DARKSITE", "CUSTOM_MIRROR_URL",
            "INFRA_MODE", "CLUSTER_CIDR", "CLUSTER_DOMAIN", "CLUSTER_SIZE", "HUB_LAN", "EXPORT_FORMAT", "EXPORT_SCP_HOST",
            "EXPORT_SCP_USER",
            "EXPORT_SCP_PATH", "EXPORT_SCP_KEY", "EXPORT_SCP_PASS", "RELEASE", "DEBIAN_SUITE", "DEBIAN_MIRROR", "BOOTLOADER_ID",
        ]
        for stem in guide { #expect(AnswerKey.named("KLDLOAD_" + stem) != nil, "\(stem)") }
    }
}
