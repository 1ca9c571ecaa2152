import KldAnswers
import KldCore
import Testing

/// The automation guide's two texts: every key and value as it prints them, in its lines; its remarks are left out.
@Suite("What the automation guide prints")
struct GuideTests {
    /// The complete reference of an answers file.
    static let file = """
        # ═══
        # answers.env
        # ═══

        # ── a part ──
        KLDLOAD_DISTRO=debian              # a remark
        KLDLOAD_PROFILE=server             # a remark
        KLDLOAD_DISK=/dev/sda              # a remark
        KLDLOAD_HOSTNAME=web-prod-01       # a remark
        KLDLOAD_USERNAME=admin             # a remark
        KLDLOAD_PASSWORD=changeme          # a remark
        KLDLOAD_TIMEZONE=America/Vancouver # a remark
        KLDLOAD_LOCALE=en_US.UTF-8         # a remark
        KLDLOAD_KEYBOARD_LAYOUT=us         # a remark
        KLDLOAD_KEYBOARD_VARIANT=          # a remark

        # ── a part ──
        KLDLOAD_SSH_PUBKEY="ssh-ed25519 AAAA... user@host"
        KLDLOAD_ADMIN_SSH_PUBKEY="ssh-ed25519 AAAA... ops@infra"
        KLDLOAD_GENERATE_SSH_KEY=1         # a remark

        # ── a part ──
        KLDLOAD_STORAGE_MODE=zfs           # a remark
        KLDLOAD_ZFS_TOPOLOGY=single        # a remark
        KLDLOAD_ZFS_ENCRYPT=0              # a remark
        KLDLOAD_ZFS_DATA_DISKS=            # a remark
        KLDLOAD_ZFS_SPECIAL_DISKS=         # a remark
        KLDLOAD_ENABLE_ZFS=1               # a remark
        KLDLOAD_FORCE_WIPE=1               # a remark

        # ── a part ──
        KLDLOAD_NET_METHOD=dhcp            # a remark
        KLDLOAD_NET_IFACE=eth0             # a remark
        KLDLOAD_NET_IP=10.0.1.50           # a remark
        KLDLOAD_NET_PREFIX=24              # a remark
        KLDLOAD_NET_GW=10.0.1.1            # a remark
        KLDLOAD_NET_DNS=1.1.1.1,8.8.8.8   # a remark

        # ── a part ──
        KLDLOAD_ENABLE_KVM=1               # a remark
        KLDLOAD_ENABLE_EBPF=1              # a remark
        KLDLOAD_ENABLE_AI=0                # a remark
        KLDLOAD_NVIDIA_DRIVERS=0           # a remark
        KLDLOAD_WIREGUARD=0                # a remark

        # ── a part ──
        KLDLOAD_EXTRA_PACKAGES=            # a remark
        KLDLOAD_KEEP_DARKSITE=0            # a remark
        KLDLOAD_CUSTOM_MIRROR_URL=         # a remark

        # ── a part ──
        KLDLOAD_INFRA_MODE=standalone      # a remark
        KLDLOAD_CLUSTER_CIDR=              # a remark
        KLDLOAD_CLUSTER_DOMAIN=infra.local # a remark
        KLDLOAD_CLUSTER_SIZE=16            # a remark
        KLDLOAD_HUB_LAN=                   # a remark

        # ── a part ──
        KLDLOAD_EXPORT_FORMAT=none         # a remark
        KLDLOAD_EXPORT_SCP_HOST=           # a remark
        KLDLOAD_EXPORT_SCP_USER=root       # a remark
        KLDLOAD_EXPORT_SCP_PATH=/root/     # a remark
        KLDLOAD_EXPORT_SCP_KEY=            # a remark
        KLDLOAD_EXPORT_SCP_PASS=           # a remark

        # ── a part ──
        KLDLOAD_RELEASE=9                  # a remark
        KLDLOAD_DEBIAN_SUITE=trixie        # a remark
        KLDLOAD_DEBIAN_MIRROR=https://mirror.it.ubc.ca/debian

        # ── a part ──
        KLDLOAD_BOOTLOADER_ID=KLDload     # a remark

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
