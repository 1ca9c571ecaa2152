import KldCore

/// What a machine is for: the packages and settings on top of a distribution's base.
public struct ProfileSpec: Sendable, Hashable {
    public var id: String
    public var title: String
    /// Whether the k* tools are on PATH, and the snapshot and doctor units are enabled.
    public var tools: Bool
    /// Whether the pool has datasets for virtual machines.
    public var virtualMachines = false
    /// Kernel parameters, in the order written.
    public var sysctl: [(name: String, value: String)]

    public static func == (a: ProfileSpec, b: ProfileSpec) -> Bool { a.id == b.id }
    public func hash(into hasher: inout Hasher) { hasher.combine(id) }

    /// Package names of the profile in a distribution's own words.
    public func packages(for spec: DistroSpec) -> [String] {
        switch (id, spec.id) {
        case ("server", "debian"), ("ai", "debian"): Self.debianServer
        case ("kvm", "debian"): Self.debianServer + Self.debianVirtualization
        case ("desktop", "debian"): Self.debianServer + Self.debianDesktop
        default: []
        }
    }

    /// Packages of an option that the answers switch on.
    public static func groupPackages(_ group: String, for spec: DistroSpec) -> [String] {
        switch (group, spec.id) {
        case ("ebpf", "debian"): ["bpftrace", "bpfcc-tools", "bpftool"]
        // The cards that are common in laptops and small servers: Intel, Realtek, Atheros, MediaTek, Broadcom.
        case ("wifi", "debian"):
            [
                "wpasupplicant", "wireless-regdb", "firmware-iwlwifi", "firmware-realtek", "firmware-atheros", "firmware-misc-nonfree",
                "firmware-brcm80211",
            ]
        default: []
        }
    }

    public static let all: [ProfileSpec] = [core, server, kvm, desktop, ai]

    /// - Throws: ``Diagnosis`` `profile.unknown`.
    public static func find(_ id: String) throws -> ProfileSpec {
        guard let profile = all.first(where: { $0.id == id }) else {
            throw Diagnosis(
                "profile.unknown", "there is no profile \(id)", remedies: ["one of: \(all.map(\.id).joined(separator: ", "))"],
                exit: .badAnswers)
        }
        return profile
    }

    /// ZFS on root, SSH, network: the stock distribution and nothing else.
    public static let core = ProfileSpec(id: "core", title: "ZFS on root, SSH and network", tools: false, sysctl: [])

    /// core and the tools for running a server.
    public static let server = ProfileSpec(
        id: "server", title: "core, operator tools, snapshots, containers", tools: true, sysctl: serverSysctl)

    /// server and virtual machines on ZFS.
    public static let kvm = ProfileSpec(
        id: "kvm", title: "server, virtual machines on ZFS", tools: true, virtualMachines: true,
        sysctl: serverSysctl.filter { !["vm.swappiness", "vm.dirty_ratio", "vm.dirty_background_ratio"].contains($0.name) } + [
            ("vm.swappiness", "1"), ("vm.vfs_cache_pressure", "50"), ("vm.dirty_ratio", "10"), ("vm.dirty_background_ratio", "5"),
            ("net.ipv4.ip_forward", "1"),
        ])

    public static let desktop = ProfileSpec(
        id: "desktop", title: "server, GNOME and its applications", tools: true, sysctl: serverSysctl)

    /// server, to which the assistant is added when the machine runs: Debian has no package of it.
    public static let ai = ProfileSpec(id: "ai", title: "server, for the assistant", tools: true, sysctl: serverSysctl)

    private static var serverSysctl: [(name: String, value: String)] {
        [
            ("vm.swappiness", "10"), ("vm.dirty_ratio", "15"), ("vm.dirty_background_ratio", "5"),
            ("fs.inotify.max_user_watches", "524288"), ("fs.inotify.max_user_instances", "512"),
            ("net.core.rmem_max", "16777216"), ("net.core.wmem_max", "16777216"),
            ("net.core.rmem_default", "262144"), ("net.core.wmem_default", "262144"),
            ("net.ipv4.tcp_rmem", "4096 262144 16777216"), ("net.ipv4.tcp_wmem", "4096 262144 16777216"),
            ("net.core.netdev_max_backlog", "5000"), ("net.ipv4.tcp_max_syn_backlog", "4096"),
        ]
    }

    private static let debianVirtualization = [
        "qemu-system-x86", "qemu-utils", "libvirt-daemon-system", "libvirt-clients", "virtinst", "ovmf", "swtpm", "swtpm-tools",
        "dnsmasq-base", "xorriso", "cloud-image-utils",
    ]

    /// LightDM: GDM 48 of Debian 13 does not start on every card that the release notes name.
    private static let debianDesktop = [
        "gnome-shell", "gnome-session", "gnome-control-center", "gnome-settings-daemon", "lightdm", "nautilus", "gnome-terminal",
        "gnome-tweaks", "file-roller", "gnome-keyring", "fonts-noto-core", "fonts-dejavu", "fonts-liberation", "firefox-esr",
        "mesa-vulkan-drivers", "mesa-va-drivers", "pipewire", "wireplumber", "pipewire-pulse", "xdg-desktop-portal-gnome", "cups",
        "sane-utils", "bluez", "fwupd", "powertop", "brightnessctl",
    ]

    /// Debian's names for the tools that the release notes promise on a server.
    private static let debianServer = [
        // shell and files
        "bash-completion", "vim", "tmux", "jq", "curl", "wget", "rsync", "tree", "ncdu", "fzf", "bat", "fd-find", "ripgrep", "man-db",
        "file",
        "xz-utils", "lz4", "unzip", "cron", "logrotate",
        // network
        "bind9-dnsutils", "nftables", "wireguard-tools", "ethtool", "tcpdump", "iftop", "nethogs", "socat", "net-tools", "traceroute",
        // hardware and guests
        "qemu-guest-agent", "nvme-cli", "pciutils", "usbutils", "smartmontools", "parted",
        // watching
        "htop", "iotop", "lsof", "strace", "sysstat",
        // ZFS: policy and replication
        "sanoid", "pv", "lzop", "mbuffer",
        // containers
        "podman",
    ]
}
