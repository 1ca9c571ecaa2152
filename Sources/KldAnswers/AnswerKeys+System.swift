extension AnswerKey {
    static let featureKeys: [AnswerKey] = [
        AnswerKey(
            "ENABLE_KVM", .features, .bool, default: "1", since: "1.0.3",
            effect: .laterEvenByDefault("virtual machines in other profiles than kvm"),
            "`1` installs libvirt and QEMU. Not with the profile `core`; the profile `kvm` has them."),
        AnswerKey(
            "ENABLE_EBPF", .features, .bool, default: "0", since: "1.0.3",
            "`1` installs bcc, bpftrace and bpftool. Not with the profile `core`. "
                + "Changed in 2.0: the default was `1`; these tools come when they are asked for."),
        AnswerKey(
            "ENABLE_AI", .features, .bool, default: "0", since: "1.0.3", effect: .later("the assistant"),
            "`1` installs the local assistant."),
        AnswerKey(
            "NVIDIA_DRIVERS", .features, .choice(["0", "1", "auto"]), default: "0", since: "1.0.3",
            effect: .later("NVIDIA's drivers"),
            "`1` installs NVIDIA's drivers, `auto` only where such a card is found."),
        AnswerKey(
            "WIREGUARD", .features, .bool, default: "0", since: "1.0.3", effect: .later("WireGuard networks"),
            "`1` makes a WireGuard interface, ready and without peers."),
        AnswerKey(
            "WIREGUARD_PRIVATE_KEY", .features, .wireguardKey, secret: true, since: "1.1.0", effect: .later("WireGuard networks"),
            "The key of that interface; made during the installation when absent."),
        AnswerKey(
            "WIREGUARD_PRESHARED_KEY", .features, .wireguardKey, secret: true, since: "1.1.0", effect: .later("WireGuard networks"),
            "A second, shared key for enrolling in a mesh."),
        AnswerKey(
            "WG0_PORT", .features, .integer(1...65535), default: "51820", since: "1.1.0", effect: .later("WireGuard networks"),
            "UDP port of the enrolment plane."),
        AnswerKey(
            "WG1_PORT", .features, .integer(1...65535), default: "51821", since: "1.1.0", effect: .later("WireGuard networks"),
            "UDP port of the management plane."),
        AnswerKey(
            "WG2_PORT", .features, .integer(1...65535), default: "51822", since: "1.1.0", effect: .later("WireGuard networks"),
            "UDP port of the Kubernetes plane."),
        AnswerKey(
            "WG3_PORT", .features, .integer(1...65535), default: "51823", since: "1.1.0", effect: .later("WireGuard networks"),
            "UDP port of the storage plane."),
        AnswerKey(
            "TEMPLATE", .features, .choice(["kvm", "k8s", "klab", "zfslab", "devops", "ai"]), since: "1.1.0",
            effect: .later("roles at the first boot"),
            "A role on top of the profile, carried out at the first boot."),
        AnswerKey(
            "ENABLE_DEVOPS", .features, .bool, default: "0", since: "1.1.0", effect: .later("the observability stack"),
            "`1` installs the observability stack."),
    ]

    static let packageKeys: [AnswerKey] = [
        AnswerKey("EXTRA_PACKAGES", .packages, .packages, since: "1.0.3", "Further packages to install, separated by spaces or commas."),
        AnswerKey(
            "KEEP_DARKSITE", .packages, .bool, default: "0", since: "1.0.3", effect: .later("mirrors that stay"),
            "`1` keeps the offline mirror on the installed system."),
        AnswerKey(
            "CUSTOM_MIRROR_URL", .packages, .url, since: "1.0.3", aliases: ["MIRROR", "CUSTOM_REPO"],
            "The package mirror to build from, and for the installed machine, instead of `KLDLOAD_DEBIAN_MIRROR`. "
                + "Its signatures are verified all the same."),
        AnswerKey(
            "ALLOW_INTERNET_FALLBACK", .packages, .bool, default: "1", since: "1.1.0", effect: .later("packages from the network"),
            "`0` installs from the offline mirror alone, or says beforehand what it lacks."),
    ]

    static let distributionKeys: [AnswerKey] = [
        AnswerKey(
            "RELEASE", .distribution, .choice(["9", "10"]), default: "9", since: "1.0.3", effect: .later("those distributions"),
            "The release of CentOS Stream, RHEL or Rocky Linux."),
        AnswerKey(
            "DEBIAN_SUITE", .distribution, .choice(["trixie", "bookworm", "noble", "jammy"]), default: "trixie", since: "1.0.3",
            aliases: ["DEBIAN_RELEASE", "SUITE"],
            "The suite: `trixie` or `bookworm` for Debian, `noble` (there the default) or `jammy` for Ubuntu."),
        AnswerKey(
            "DEBIAN_MIRROR", .distribution, .url, default: "https://mirror.it.ubc.ca/debian", since: "1.0.3",
            "The Debian archive to build from, which the installed machine uses as well. "
                + "When absent, the build takes the archive that this machine's apt uses."),
        AnswerKey(
            "DEBIAN_BACKPORTS", .distribution, .bool, default: "0", since: "2.0",
            "`1` takes the kernel and OpenZFS from Debian's backports."),
        AnswerKey(
            "FEDORA_RELEASE", .distribution, .integer(42...99), default: "44", since: "1.1.0", effect: .later("Fedora"),
            "The release of Fedora."),
        AnswerKey(
            "ALPINE_RELEASE", .distribution, .version(2), default: "3.21", since: "1.1.0", effect: .later("Alpine"),
            "The release of Alpine."),
        AnswerKey(
            "FREEBSD_VERSION", .distribution, .version(2), default: "15.0", since: "1.0.3", effect: .later("FreeBSD"),
            "The release of FreeBSD."),
        AnswerKey(
            "OPENBSD_VERSION", .distribution, .version(2), default: "7.8", since: "1.1.0", effect: .later("a distribution that uses it"),
            "Known from older answers; no distribution uses it, so only its default is accepted."),
        AnswerKey(
            "WINDOWS_INDEX", .distribution, .integer(1...99), default: "1", since: "1.1.0", effect: .later("a distribution that uses it"),
            "Known from older answers; no distribution uses it, so only its default is accepted."),
        AnswerKey(
            "RHEL_USERNAME", .distribution, .remoteUser, since: "1.1.0", effect: .later("Red Hat Enterprise Linux"),
            "The account of a Red Hat subscription."),
        AnswerKey(
            "RHEL_PASSWORD", .distribution, .secretText(256), secret: true, since: "1.1.0", effect: .later("Red Hat Enterprise Linux"),
            "The password of that account."),
        AnswerKey(
            "RHEL_ORG", .distribution, .label(64), since: "1.1.0", effect: .later("Red Hat Enterprise Linux"),
            "The organisation of an activation key."),
        AnswerKey(
            "RHEL_ACTIVATION_KEY", .distribution, .secretText(256), secret: true, since: "1.1.0", aliases: ["RHEL_KEY"],
            effect: .later("Red Hat Enterprise Linux"),
            "A Red Hat activation key, instead of an account."),
    ]

    static let bootKeys: [AnswerKey] = [
        AnswerKey(
            "BOOTLOADER", .boot, .choice(Answers.BootLoader.allCases.map(\.rawValue)), default: "systemd-boot", since: "2.0",
            "`systemd-boot` starts one kernel image per boot environment; "
                + "`grub` is the chain of older releases: the distribution's GRUB and kernel, with an initramfs that nobody signs."),
        AnswerKey("BOOTLOADER_ID", .boot, .label(32), default: "KLDload", since: "1.0.3", "The name of the firmware's boot entry."),
        AnswerKey("ZBM_TIMEOUT", .boot, .integer(0...600), default: "10", since: "1.1.0", "Seconds that the boot menu waits."),
        AnswerKey(
            "CONSOLE", .boot, .consoles, default: "tty0 ttyS0", since: "2.0",
            "Consoles of the kernel, separated by spaces; the last one gets the boot messages of services."),
        AnswerKey(
            "ENABLE_SECURE_BOOT", .boot, .bool, default: "1", since: "1.1.0",
            "`1`: the machine makes a key and signs its kernel modules and boot images with it, so that it starts with Secure Boot on."),
        AnswerKey(
            "MOK_PASSWORD", .boot, .mokPassword, secret: true, since: "1.1.0",
            "The password that the firmware's key manager asks once. "
                + "Changed in 2.0: one is made and shown when absent; it was the same everywhere."
        ),
        AnswerKey(
            "MOK_KEY_FILE", .boot, .path, since: "1.1.0",
            "A signing key of your own, in PEM, without a passphrase, with the next key; an image holds none."),
        AnswerKey(
            "MOK_CERT_FILE", .boot, .path, since: "1.1.0", "The certificate of that key, in PEM."),
        AnswerKey(
            "KEEP_NETBOOT", .boot, .bool, default: "0", since: "1.1.0",
            effect: .never("what other machines start from is made out of the ISO, by kldload pxe export"),
            "In older releases `1` kept the live kernel and image on the installed system, to start others over the network."),
    ]
}
