import KldCore
import SystemPackage

extension Answers {
    /// The typed form of values. Where one is absent or, before all checks are over, wrong, its default stands in.
    init(_ draft: AnswersDraft) {
        values = draft.resolved
        notes = draft.notes
        distro = Distro(rawValue: draft.text("DISTRO")) ?? .debian
        profile = Profile(rawValue: draft.text("PROFILE")) ?? .server
        release = Answers.release(distro, draft)
        backports = draft.flag("DEBIAN_BACKPORTS")
        debianMirror = Answers.withoutSlash(draft.text("DEBIAN_MIRROR"))
        customMirrorURL = draft.optional("CUSTOM_MIRROR_URL").map(Answers.withoutSlash)
        extraPackages = draft.text("EXTRA_PACKAGES").words

        hostname = HostName(draft.text("HOSTNAME")) ?? .fallback
        timezone = draft.text("TIMEZONE")
        locale = draft.text("LOCALE")
        keyboard = Keyboard(layout: draft.text("KEYBOARD_LAYOUT"), variant: draft.optional("KEYBOARD_VARIANT"))

        username = draft.text("USERNAME")
        credentials = Answers.credentials(draft)
        rootPassword = draft.optional("ROOT_PASSWORD").map { Secret($0) }
        rootPasswordHash = draft.optional("ROOT_PASSWORD_HASH").map { Secret($0) }
        let rootKeys = Answers.keys(draft.text("ADMIN_SSH_PUBKEY"))
        let further = Answers.keys(draft.text("ADMIN_SSH_KEYS")).filter { !rootKeys.contains($0) }
        sshKeys = SSHKeys(user: Answers.keys(draft.text("SSH_PUBKEY")), root: rootKeys + further)
        generateSSHHostKeys = draft.flag("GENERATE_SSH_KEY")

        let diskText = draft.text("DISK")
        disk = diskText == "auto" || diskText.isEmpty ? .automatic : .path(FilePath(diskText))
        dataDisks = draft.text("ZFS_DATA_DISKS").words.map { FilePath($0) }
        specialDisks = draft.text("ZFS_SPECIAL_DISKS").words.map { FilePath($0) }
        topology = Topology(rawValue: draft.text("ZFS_TOPOLOGY")) ?? .single
        poolName = draft.text("ZFS_POOL")
        encrypt = draft.flag("ZFS_ENCRYPT")
        passphrase = draft.optional("ZFS_PASSPHRASE").map { Secret($0) }
        forceWipe = draft.flag("FORCE_WIPE")

        network = Answers.network(draft)
        wifi = draft.optional("WIFI_SSID").map { WiFi(ssid: $0, passphrase: draft.optional("WIFI_PSK").map { Secret($0) }) }

        bootloader = BootLoader(rawValue: draft.text("BOOTLOADER")) ?? .systemdBoot
        bootloaderID = draft.text("BOOTLOADER_ID")
        zbmTimeout = draft.number("ZBM_TIMEOUT")
        secureBoot = draft.flag("ENABLE_SECURE_BOOT")
        mokPassword = draft.optional("MOK_PASSWORD").map { Secret($0) }
        mokFiles = draft.optional("MOK_KEY_FILE").flatMap { key in
            draft.optional("MOK_CERT_FILE").map { MOKFiles(key: FilePath(key), certificate: FilePath($0)) }
        }
        consoles = draft.text("CONSOLE").words

        export = Answers.export(draft)
        infrastructure = Infrastructure(
            mode: Infrastructure.Mode(rawValue: draft.text("INFRA_MODE")) ?? .standalone, cidr: IPNetwork(draft.text("CLUSTER_CIDR")),
            domain: draft.text("CLUSTER_DOMAIN"), size: draft.number("CLUSTER_SIZE"),
            nodeIndex: draft.optional("NODE_INDEX").flatMap { decimal($0.utf8) })
        // The profile `core` is the bare distribution.
        features = Features(ebpf: profile != .core && draft.flag("ENABLE_EBPF"))
        afterInstall = draft.flag("NO_AUTO_REBOOT") ? .stay : AfterInstall(rawValue: draft.text("AFTER_INSTALL")) ?? .powerOff
        diskSize = ByteCount(ValueCheck.size(draft.text("DISK_SIZE")) ?? 8 << 30)
    }

    private static func release(_ distro: Distro, _ draft: AnswersDraft) -> String {
        switch distro {
        case .debian: draft.text("DEBIAN_SUITE")
        case .ubuntu: draft.isGiven("DEBIAN_SUITE") ? draft.text("DEBIAN_SUITE") : "noble"
        case .centos, .rhel, .rocky: draft.text("RELEASE")
        case .fedora: draft.text("FEDORA_RELEASE")
        case .alpine: draft.text("ALPINE_RELEASE")
        case .freebsd: draft.text("FREEBSD_VERSION")
        case .arch, .nixos: "rolling"
        }
    }

    private static func withoutSlash(_ url: String) -> String {
        var url = url
        while url.hasSuffix("/") { url.removeLast() }
        return url
    }

    private static func credentials(_ draft: AnswersDraft) -> Credentials {
        if let hash = draft.optional("PASSWORD_HASH") { return .hash(Secret(hash)) }
        // The password that everybody knows is the default one, even when written down.
        if let password = draft.optional("PASSWORD"), password != "admin" { return .password(Secret(password)) }
        if let path = draft.optional("PASSWORD_FILE") ?? draft.optional("PASSWORD_HASH_FILE") { return .file(FilePath(path)) }
        return .defaultExpired
    }

    private static func keys(_ text: String) -> [SSHPublicKey] {
        text.split(separator: ";").compactMap { try? SSHPublicKey(String($0)) }
    }

    private static func network(_ draft: AnswersDraft) -> Network {
        let interface = draft.optional("NET_IFACE")
        guard draft.text("NET_METHOD") == "static", let address = address(draft), let gateway = IPAddress(draft.text("NET_GW")) else {
            return .dhcp(interface: interface)
        }
        let dns = draft.text("NET_DNS").split(orAt: 0x2C).compactMap { IPAddress($0) }
        return .fixed(FixedNetwork(interface: interface, address: address, gateway: gateway, dns: dns))
    }

    /// The static address; a prefix written behind it wins over the default, and with IPv6 the default is 64.
    static func address(_ draft: AnswersDraft) -> IPNetwork? {
        let text = draft.text("NET_IP")
        if let network = IPNetwork(text) { return network }
        guard let address = IPAddress(text) else { return nil }
        let prefix = address.family == .v6 && !draft.isGiven("NET_PREFIX") ? 64 : draft.number("NET_PREFIX")
        return IPNetwork(address, prefix: prefix)
    }

    private static func export(_ draft: AnswersDraft) -> Export {
        let text = draft.text("EXPORT_FORMAT")
        let formats = text == "all" ? Export.Format.allCases : text.split(orAt: 0x2C).compactMap { Export.Format(rawValue: $0) }
        let login: Export.Login =
            if let key = draft.optional("EXPORT_SCP_KEY") {
                .key(FilePath(key))
            } else if let password = draft.optional("EXPORT_SCP_PASS") {
                .password(Secret(password))
            } else {
                .automatic
            }
        let target = draft.optional("EXPORT_SCP_HOST").map {
            Export.Target(
                host: $0, user: draft.text("EXPORT_SCP_USER"), path: draft.text("EXPORT_SCP_PATH"), login: login,
                knownHosts: draft.optional("EXPORT_SCP_KNOWN_HOSTS").map { FilePath($0) })
        }
        return Export(formats: Set(formats), directory: draft.optional("EXPORT_DIR").map { FilePath($0) }, target: target)
    }
}

extension HostName {
    /// Stands in while a wrong name is being reported.
    fileprivate static let fallback = HostName(unchecked: "kldload-node")
}
