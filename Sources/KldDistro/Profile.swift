import KldCore

/// What a machine is for: the packages and settings on top of a distribution's base.
public struct ProfileSpec: Sendable, Hashable {
    public var id: String
    public var title: String
    /// Whether the tools have names of their own on PATH, and sanoid has a policy.
    public var tools: Bool
    /// Whether the pool has datasets for virtual machines.
    public var virtualMachines = false
    /// Kernel parameters, in the order written.
    public var sysctl: [(name: String, value: String)]

    public static func == (a: ProfileSpec, b: ProfileSpec) -> Bool { a.id == b.id }
    public func hash(into hasher: inout Hasher) { hasher.combine(id) }

    /// Package names of the profile in a distribution's own words.
    public func packages(for spec: DistroSpec) -> [String] {
        let more: [String]
        switch (id, spec.id) {
        case ("server", "debian"): more = []
        case ("ai", "debian"): more = Self.debianAssistant
        case ("kvm", "debian"): more = Self.debianVirtualization
        case ("desktop", "debian"): more = Self.debianDesktop
        // core: the firmware would make a compressed image 70 MB larger than the 450 MB that it may have.
        default: return []
        }
        return (Self.debianServer + (spec.suite == "bookworm" ? [] : Self.debianNewer) + spec.firmwarePackages + more)
            .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// The group of the GRUB chain.
    public static let grubGroup = "grub"

    /// Packages of an option that the answers switch on.
    public static func groupPackages(_ group: String, for spec: DistroSpec) -> [String] {
        switch (group, spec.id) {
        case (grubGroup, _): spec.grubPackages
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

    /// What a machine may need beyond any profile: all that the answers switch on, and the firmware that core leaves out. A medium that
    /// installs without a network carries it.
    public static func optionalPackages(for spec: DistroSpec) -> [String] {
        (["ebpf", "wifi", grubGroup].flatMap { groupPackages($0, for: spec) } + spec.firmwarePackages)
            .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
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

    /// Reads text in screenshots for the assistant. Not on a server: with its dependencies 44 packages, 25 MB of graphics libraries.
    private static let debianAssistant = ["tesseract-ocr", "tesseract-ocr-eng"]

    /// Tools that Debian has since trixie.
    private static let debianNewer = ["eza", "fastfetch"]

    /// Debian's names for the tools that the release notes promise on a server.
    ///
    /// Left out of their lists, with what it costs:
    /// - `nginx`, `novnc`, `python3-websockify`, `python3-websockets`: parts of the old web console. Debian's nginx listens on port 80 once it is
    ///   installed. kldload's own front door takes their place.
    /// - `kexec-tools`: a kernel started by kexec is not verified; lockdown refuses it.
    /// - fonts, 180 of them: some 150 MB, and a terminal draws with the fonts of the machine that one sits at. The desktop has them.
    /// - `fwupd`: 20 MB and a timer that asks the vendors' server every day; the desktop has it.
    /// - `zram-generator`: swap in memory is a choice about memory, and nobody made it.
    /// - `awscli`: 150 MB. `KLDLOAD_EXTRA_PACKAGES=awscli` brings it.
    /// - `mandoc`: `man-db` reads the same pages. `perl` modules of sanoid: its package brings them.
    private static let debianServer = [
        // shell and files
        "bash-completion", "vim", "tmux", "jq", "curl", "wget", "rsync", "tree", "ncdu", "fzf", "bat", "fd-find", "ripgrep", "zoxide",
        "man-db", "file", "xz-utils", "lz4", "unzip", "cron", "logrotate",
        // network
        "bind9-dnsutils", "nftables", "wireguard-tools", "ethtool", "tcpdump", "iftop", "nethogs", "socat", "net-tools", "traceroute",
        "sshfs", "libnss3-tools",
        // hardware and guests
        "qemu-guest-agent", "qemu-utils", "open-vm-tools", "nvme-cli", "pciutils", "usbutils", "smartmontools", "parted",
        // watching
        "htop", "iotop", "lsof", "strace", "sysstat",
        // ZFS: policy and replication
        "sanoid", "pv", "lzop", "mbuffer",
        // containers, automation
        "podman", "ansible-core",
    ]
}
