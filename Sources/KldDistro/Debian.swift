import KldCore
import KldBoot
import KldPackages

extension DistroSpec {
    /// The release that the answers ask for.
    /// - Throws: ``Diagnosis`` `distro.unsupported` when there is no data for it.
    public static func find(distro: String, suite: String, backports: Bool) throws -> DistroSpec {
        switch (distro, suite, backports) {
        case ("debian", "trixie", false): return .debian13
        case ("debian", "trixie", true): return .debian13Backports
        case ("debian", "bookworm", false): return .debian12
        default:
            throw Diagnosis(
                "distro.unsupported", "\(distro) \(suite)\(backports ? " with backports" : "") cannot be installed by this version",
                remedies: ["supported: \(DistroSpec.supported)"], exit: .badAnswers)
        }
    }

    public static var all: [DistroSpec] { [.debian12, .debian13, .debian13Backports] }

    /// Debian 12: kernel 6.1, OpenZFS 2.1.
    public static var debian12: DistroSpec {
        var spec = debian(suite: "bookworm", title: "Debian 12 (bookworm)", compatibility: "openzfs-2.1-linux")
        // bookworm has neither a signed systemd-boot nor ukify.
        spec.bootPackages = ["shim-signed", "systemd-boot-efi", "efibootmgr", "mokutil", "sbsigntool", "binutils"]
        spec.efi.systemdBoot = "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
        spec.containerStorage = "zfs"
        spec.quirks.append(
            Quirk(
                "debian-12-overlayfs", since: "2026-11",
                "podman's overlayfs does not work on ZFS, and podman's own services fail", source: "OpenZFS 2.2 release notes: overlayfs"))
        spec.quirks.append(
            Quirk(
                "debian-12-unsigned-systemd-boot", since: "2026-11",
                "systemd-boot 252 is not signed by Debian; Secure Boot needs our signature on it",
                source: "packages systemd-boot-efi 252.39-1~deb12u2"))
        return spec
    }

    /// Debian 13: kernel 6.12, OpenZFS 2.3.
    public static var debian13: DistroSpec {
        var spec = debian(suite: "trixie", title: "Debian 13 (trixie)", compatibility: "openzfs-2.3-linux")
        // In Debian 12 these zones, US/Eastern among them, are part of tzdata; the answers accept them for every release.
        spec.basePackages.append("tzdata-legacy")
        // Before Debian 13 procps brought these: ping for everybody, protected links.
        spec.basePackages.append("linux-sysctl-defaults")
        spec.firmwarePackages.append("firmware-intel-misc")
        // Microcode is left out: it would be a third of the initramfs, for the minutes that an installation takes. So is the firmware of wireless
        // cards, 70 MB: nothing configures one here.
        spec.livePackages = liveDebian + spec.firmwarePackages.filter { $0 != "intel-microcode" }
        return spec
    }

    /// Debian 13 with kernel 7.2 and OpenZFS 2.4 from backports.
    public static var debian13Backports: DistroSpec {
        var spec = debian13
        spec.title = "Debian 13 (trixie), kernel and OpenZFS from backports"
        spec.compatibility = "openzfs-2.4-linux"
        spec.backports = true
        guard case .apt(var suites, _, let keyring) = spec.packaging else { return spec }
        suites.append(AptSuite("debian", "trixie-backports", components))
        // Fewer sources than these leave dependencies that cannot be resolved.
        let pin = AptPin(
            sources: ["zfs-linux", "linux", "linux-signed-amd64", "linux-base", "dkms", "pahole"], release: "trixie-backports",
            priority: 990)
        spec.packaging = .apt(suites: suites, pins: [pin], keyring: keyring)
        return spec
    }

    /// The installer's needs, then the rescue tools that the release notes promise.
    private static let liveDebian = [
        "linux-image-amd64", "zfsutils-linux", "dracut", "dracut-live", "kmod", "login", "busybox-static", "systemd-sysv", "udev", "dbus",
        "systemd-resolved",
        "openssh-server", "iproute2", "iputils-ping", "less", "nano", "vim-tiny", "ca-certificates", "procps",
        "systemd-ukify", "systemd-boot-efi", "systemd-boot-efi-amd64-signed", "shim-signed", "grub-efi-amd64-signed", "mokutil",
        "sbsigntool",
        "efibootmgr",
        "gdisk", "parted", "dosfstools", "mtools", "util-linux-extra", "fdisk", "zstd", "lz4", "xz-utils", "cpio", "keyutils",
        "e2fsprogs", "xfsprogs", "btrfs-progs", "ntfs-3g", "exfatprogs", "mdadm", "lvm2", "cryptsetup-bin", "testdisk", "gddrescue",
        "fsarchiver", "smartmontools", "nvme-cli", "hdparm", "pciutils", "usbutils", "dmidecode", "lshw", "ethtool", "tcpdump", "tmux",
        "rsync", "curl", "jq", "attr", "acl", "qemu-utils", "kbd", "console-setup", "locales", "debian-archive-keyring", "mmdebstrap",
        "arch-install-scripts", "isomd5sum",
    ]

    /// Compressed sizes, Debian 13: microcode 12.8 MB; miscellaneous 4.2; Realtek 2.8; QLogic 2.1; Broadcom 1.7 and 0.2; NetXen 1.3; Cavium 0.7;
    /// Myricom 0.3. Left out: Netronome (144 MB unpacked), graphics (21 MB), wireless (64 MB: the group `wifi` brings it).
    private static let debianFirmware = [
        "intel-microcode", "firmware-linux-free", "firmware-misc-nonfree", "firmware-realtek", "firmware-bnx2", "firmware-bnx2x",
        "firmware-qlogic", "firmware-netxen", "firmware-cavium", "firmware-myricom",
    ]

    /// OpenZFS lies in contrib, microcode and firmware in non-free-firmware.
    private static let components = ["main", "contrib", "non-free-firmware"]

    private static func debian(suite: String, title: String, compatibility: String) -> DistroSpec {
        DistroSpec(
            id: "debian", suite: suite, title: title, backports: false,
            packaging: .apt(
                suites: [
                    AptSuite("debian", suite, components), AptSuite("debian", "\(suite)-updates", components),
                    AptSuite("debian-security", "\(suite)-security", components),
                ], pins: [], keyring: "/usr/share/keyrings/debian-archive-keyring.gpg"),
            kernelPackages: ["linux-image-amd64"],
            kernel: DistroSpec.KernelNaming(
                image: "linux-image-", headers: "linux-headers-", flavour: "-amd64", otherFlavours: ["-cloud-amd64", "-rt-amd64"]),
            moduleSourcePackages: ["zfs-dkms"],
            headerPackages: ["linux-headers-amd64"],
            zfsPackages: ["zfsutils-linux", "zfs-initramfs", "zfs-zed"],
            bootPackages: [
                "shim-signed", "systemd-boot-efi", "systemd-boot-efi-amd64-signed", "systemd-ukify", "efibootmgr", "mokutil",
                "sbsigntool",
            ],
            basePackages: [
                "systemd-sysv", "udev", "dbus", "kmod", "systemd-resolved", "systemd-timesyncd", "openssh-server", "sudo",
                "ca-certificates",
                "locales", "tzdata", "console-setup", "keyboard-configuration", "kbd", "iproute2", "iputils-ping", "netbase", "less",
                "nano", "vim-tiny", "cloud-init", "gdisk", "fdisk", "dosfstools", "zstd", "debian-archive-keyring", "libpam-systemd",
                "procps",
                "e2fsprogs",
                // Essential no longer, since Debian 13: without the first nobody can log in at a console.
                "login", "init",
                // 0.3 MB. Intel's is among the firmware: it cannot be compressed, and lies in /usr, in /boot and in each boot image.
                "amd64-microcode",
            ],
            firmwarePackages: debianFirmware, livePackages: [],
            heldPackages: [
                "linux-image-*", "linux-headers-*", "zfs-dkms", "zfsutils-linux", "zfs-initramfs", "zfs-zed", "shim-signed*",
                "systemd-boot-efi*", "mokutil",
            ],
            grubPackages: ["grub-efi-amd64-signed"], grubHeldPackages: ["grub-efi-amd64*", "grub-common", "grub2-common"],
            initramfs: .initramfsTools,
            efi: EFIPrograms(
                shim: "usr/lib/shim/shimx64.efi.signed", mokManager: "usr/lib/shim/mmx64.efi.signed",
                fallback: "usr/lib/shim/fbx64.efi.signed",
                systemdBoot: "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed", stub: "usr/lib/systemd/boot/efi/linuxx64.efi.stub",
                grub: .init(program: "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", configuration: "EFI/debian/grub.cfg")),
            compatibility: compatibility, adminGroup: "sudo",
            units: [
                .ssh: "ssh.service", .network: "systemd-networkd.service", .resolver: "systemd-resolved.service",
                .timeSync: "systemd-timesyncd.service", .cron: "cron.service", .zed: "zfs-zed.service",
            ],
            quirks: [])
    }
}
