import KldAnswers
import KldCore
import Testing

/// The automation guide's two texts, as it prints them.
@Suite("What the automation guide prints")
struct GuideTests {
    /// The complete reference of an answers file.
    static let file = """
        # ═══════════════════════════════════════════════════════
        # answers.env — kldload unattended install configuration
        # ═══════════════════════════════════════════════════════

        # ── Core ──────────────────────────────────────────────
        KLDLOAD_DISTRO=debian              # centos | debian | ubuntu | fedora | rhel | rocky | arch | alpine
        KLDLOAD_PROFILE=server             # desktop | server | core
        KLDLOAD_DISK=/dev/sda              # Target block device (wiped entirely)
        KLDLOAD_HOSTNAME=web-prod-01       # System hostname
        KLDLOAD_USERNAME=admin             # Non-root admin user (gets passwordless sudo)
        KLDLOAD_PASSWORD=changeme          # Password for admin user
        KLDLOAD_TIMEZONE=America/Vancouver # TZ database name
        KLDLOAD_LOCALE=en_US.UTF-8         # System locale
        KLDLOAD_KEYBOARD_LAYOUT=us         # XKB keyboard layout
        KLDLOAD_KEYBOARD_VARIANT=          # XKB keyboard variant (optional)

        # ── SSH ───────────────────────────────────────────────
        KLDLOAD_SSH_PUBKEY="ssh-ed25519 AAAA... user@host"
        KLDLOAD_ADMIN_SSH_PUBKEY="ssh-ed25519 AAAA... ops@infra"
        KLDLOAD_GENERATE_SSH_KEY=1         # 1 = generate host keys on install

        # ── ZFS ───────────────────────────────────────────────
        KLDLOAD_STORAGE_MODE=zfs           # zfs (only supported mode)
        KLDLOAD_ZFS_TOPOLOGY=single        # single | mirror | raidz1 | mirror-stripe
        KLDLOAD_ZFS_ENCRYPT=0              # 1 = native ZFS encryption (passphrase prompt on boot)
        KLDLOAD_ZFS_DATA_DISKS=            # Additional disks for mirror/raidz (space-separated)
        KLDLOAD_ZFS_SPECIAL_DISKS=         # Special vdev (metadata) disks (space-separated)
        KLDLOAD_ENABLE_ZFS=1               # Always 1 — ZFS is non-optional
        KLDLOAD_FORCE_WIPE=1               # 1 = wipe disk without confirmation

        # ── Networking ────────────────────────────────────────
        KLDLOAD_NET_METHOD=dhcp            # dhcp | static
        KLDLOAD_NET_IFACE=eth0             # Interface for static config
        KLDLOAD_NET_IP=10.0.1.50           # Static IP (required if static)
        KLDLOAD_NET_PREFIX=24              # CIDR prefix
        KLDLOAD_NET_GW=10.0.1.1            # Default gateway (required if static)
        KLDLOAD_NET_DNS=1.1.1.1,8.8.8.8   # DNS servers (comma-separated)

        # ── Features ──────────────────────────────────────────
        KLDLOAD_ENABLE_KVM=1               # 1 = install libvirt + QEMU/KVM
        KLDLOAD_ENABLE_EBPF=1              # 1 = install eBPF tools (bcc, bpftrace)
        KLDLOAD_ENABLE_AI=0                # 1 = install AI/ML stack
        KLDLOAD_NVIDIA_DRIVERS=0           # 1 = install NVIDIA drivers
        KLDLOAD_WIREGUARD=0                # 1 = configure WireGuard interface

        # ── Packages ──────────────────────────────────────────
        KLDLOAD_EXTRA_PACKAGES=            # Additional packages (comma or space separated)
        KLDLOAD_KEEP_DARKSITE=0            # 1 = copy darksite to installed system
        KLDLOAD_CUSTOM_MIRROR_URL=         # Override default package mirror

        # ── Cluster ───────────────────────────────────────────
        KLDLOAD_INFRA_MODE=standalone      # standalone | cluster
        KLDLOAD_CLUSTER_CIDR=              # WireGuard cluster CIDR (e.g., 10.100.0.0/24)
        KLDLOAD_CLUSTER_DOMAIN=infra.local # Cluster DNS domain
        KLDLOAD_CLUSTER_SIZE=16            # Max nodes in cluster
        KLDLOAD_HUB_LAN=                   # Hub LAN interface for cluster

        # ── Export (golden image) ─────────────────────────────
        KLDLOAD_EXPORT_FORMAT=none         # none | qcow2 | vmdk | vhd | ova | raw
        KLDLOAD_EXPORT_SCP_HOST=           # Remote host for SCP upload
        KLDLOAD_EXPORT_SCP_USER=root       # SCP user
        KLDLOAD_EXPORT_SCP_PATH=/root/     # SCP destination path
        KLDLOAD_EXPORT_SCP_KEY=            # Path to SSH private key for SCP
        KLDLOAD_EXPORT_SCP_PASS=           # SSH password for SCP (if no key)

        # ── Distro-specific ───────────────────────────────────
        KLDLOAD_RELEASE=9                  # CentOS/RHEL/Rocky release version
        KLDLOAD_DEBIAN_SUITE=trixie        # Debian suite (trixie, bookworm)
        KLDLOAD_DEBIAN_MIRROR=https://mirror.it.ubc.ca/debian

        # ── Bootloader ────────────────────────────────────────
        KLDLOAD_BOOTLOADER_ID=KLDload     # EFI boot entry name

        """

    /// The message that asks for an installation over a WebSocket.
    static let message = """
        {
                    "action": "install",
                    "distro": "debian",
                    "disk": "/dev/sda",
                    "hostname": "web-prod-01",
                    "username": "admin",
                    "password": "changeme",
                    "profile": "server",
                    "timezone": "America/Vancouver",
                    "ssh_pubkey": "ssh-ed25519 AAAA... user@host"
                }
        """

    /// What the guide leaves to the reader: it prints no whole key.
    static func withKeys(_ text: String) -> String {
        text.replacing("ssh-ed25519 AAAA... user@host", with: ed25519).replacing("ssh-ed25519 AAAA... ops@infra", with: ed25519)
    }

    static func error(_ text: String) throws -> AnswersError { try #require(throws: AnswersError.self) { try Answers(text) } }

    /// Its keys are cut short, and it says dhcp and gives an address as well: what is meant cannot be told.
    @Test("the file as printed has these problems and this note")
    func printedFile() throws {
        let error = try Self.error(Self.file)
        #expect(
            error.problems.map(\.description) == [
                "line 18: KLDLOAD_SSH_PUBKEY: the key's content is not base64 (answers.ssh-key)",
                "line 19: KLDLOAD_ADMIN_SSH_PUBKEY: the key's content is not base64 (answers.ssh-key)",
                "line 34: KLDLOAD_NET_IP: the key belongs to a static address, and the method is dhcp (answers.network-conflict)",
                "line 36: KLDLOAD_NET_GW: the key belongs to a static address, and the method is dhcp (answers.network-conflict)",
                "line 37: KLDLOAD_NET_DNS: the key belongs to a static address, and the method is dhcp (answers.network-conflict)",
            ])
        #expect(error.notes.map(\.line) == [40])
        #expect(error.notes.map(\.key) == ["KLDLOAD_ENABLE_KVM"])
    }

    @Test("the message as printed has this problem and this note")
    func printedMessage() throws {
        let error = try Self.error(Self.message)
        #expect(
            error.problems.map(\.description) == [
                "line 10: KLDLOAD_SSH_PUBKEY: the key's content is not base64 (answers.ssh-key)"
            ])
        #expect(
            error.notes.map(\.description) == [
                "line 2: action: the key has no effect: answers ask for an installation and nothing else (answers.no-effect)"
            ])
    }

    @Test("with whole keys and one kind of network the file is taken")
    func wholeFile() throws {
        let whole = Self.withKeys(Self.file)
        #expect(problems(whole).map(\.code) == [.networkConflict, .networkConflict, .networkConflict])
        let answers = try Answers(whole.replacing("KLDLOAD_NET_METHOD=dhcp ", with: "KLDLOAD_NET_METHOD=static "))
        #expect(answers.notes.map(\.key) == ["KLDLOAD_ENABLE_KVM"])
        #expect(answers.features.ebpf && answers.forceWipe && answers.sshKeys.root.count == 1)
        guard case .fixed(let network) = answers.network else {
            Issue.record("not a static network")
            return
        }
        #expect(network.address.description == "10.0.1.50/24" && network.dns.count == 2)
    }

    @Test("with a whole key the message is taken")
    func wholeMessage() throws {
        let answers = try Answers(Self.withKeys(Self.message))
        #expect(answers.notes.map(\.key) == ["action"])
        #expect(answers.credentials == .password(Secret("changeme")))
        #expect(answers.timezone == "America/Vancouver" && answers.sshKeys.user.map(\.comment) == ["ops@example"])
    }
}
