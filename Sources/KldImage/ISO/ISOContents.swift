import KldCore
import SystemPackage

/// What lies on the live ISO, and how it starts: shim → the distribution's signed GRUB → its signed kernel.
///
/// Nothing between firmware and kernel is ours, so it starts with Secure Boot on.
enum ISOContents {
    static let volume = "KLDLOAD"
    static let kernel = "live/vmlinuz"
    static let initrd = "live/initrd"
    /// What the live environment says of itself, packages and bill of materials among it.
    static let live = "kldload/live"
    static let menu = "boot/grub/grub.cfg"
    /// By this file Debian's GRUB for optical media finds its own. Source: `debian/build-efi-images`, grub2 2.12.
    static let marker = ".disk/info"

    /// Programs in the live payload, and their names on the medium's ESP. `gcdx64` is the GRUB that looks for a medium, not for a disk's menu.
    static let programs = [
        (source: "usr/lib/shim/shimx64.efi.signed", target: "EFI/BOOT/BOOTX64.EFI"),
        (source: "usr/lib/shim/mmx64.efi.signed", target: "EFI/BOOT/mmx64.efi"),
        (source: "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed", target: "EFI/BOOT/grubx64.efi"),
        (source: LiveMedium.certificate, target: LiveMedium.certificateOnESP),
    ]

    /// What a machine starts from over the network, as `kldload pxe export` finds it: `grubnetx64` is the GRUB that looks for its menu where it
    /// came from. Source: `debian/build-efi-images`, grub2 2.12.
    static let netbootInitrd = "netboot/initrd"
    static let netboot = [
        (source: "usr/lib/shim/shimx64.efi.signed", target: "netboot/shimx64.efi"),
        (source: "usr/lib/shim/mmx64.efi.signed", target: "netboot/mmx64.efi"),
        (source: "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed", target: "netboot/grubx64.efi"),
    ]

    /// Which payload each of the others is carried as an increment on, by folder: the one with the smallest stream of its release and channel.
    /// In whichever order they are named, the same.
    static func bases(_ payloads: [(folder: String, channel: String, size: ByteCount)]) -> [String: String] {
        var smallest: [String: (folder: String, channel: String, size: ByteCount)] = [:]
        for payload in payloads {
            guard let known = smallest[payload.channel], (known.size, known.folder) <= (payload.size, payload.folder) else {
                smallest[payload.channel] = payload
                continue
            }
        }
        return payloads.reduce(into: [:]) { bases, payload in
            if let base = smallest[payload.channel]?.folder, base != payload.folder { bases[payload.folder] = base }
        }
    }

    /// Media that are slow to appear are waited for. Source: dracut.cmdline(7), dracut 106.
    private static let root = "root=live:LABEL=\(volume) rd.live.image rd.live.overlay.overlayfs=1 rootdelay=30 rd.retry=120"
    static let consoles = "console=ttyS0,115200 console=tty0"

    /// Who looks at a medium or a machine wants neither disks wiped nor the power off.
    private static let installsNothing = "kldload.autoinstall=0"

    /// A line of the menu: its name, what it is for, and more words for the kernel.
    static let entries: [(name: String, words: String)] = [
        ("kldload: live environment and installer", "quiet loglevel=4"),
        // Whatever answers there are, on the medium, a seed volume or the live environment.
        ("Live environment, installs nothing", "quiet loglevel=4 \(installsNothing)"), ("Safe graphics", "nomodeset"),
        // A controller or a port that misbehaves: no USB attached SCSI, no sleeping ports, no ACPI tricks of firmware.
        ("Maximum compatibility", "nomodeset modprobe.blacklist=uas usbcore.autosuspend=-1 pcie_aspm=off iommu=soft"),
        ("Troubleshooting: a shell before the live environment is mounted", "rd.shell rd.break=pre-mount loglevel=7 \(installsNothing)"),
    ]

    /// Source: GRUB manual 2.12, "Writing full configuration files directly".
    static func grub() -> String {
        let entries = entries.map { name, words in
            """
            menuentry '\(name)' {
                linux /\(kernel) \(root) \(consoles) \(words)
                initrd /\(initrd)
            }

            """
        }
        return """
            # Written by kldload.
            set timeout=5
            set default=0

            \(entries.joined(separator: "\n"))
            menuentry 'Check this medium' {
                linux /\(kernel) \(root) \(consoles) rd.live.check loglevel=4 \(installsNothing)
                initrd /\(initrd)
            }

            menuentry 'Secure Boot: enrol the key of this medium from a disk (\(LiveMedium.certificateOnESP))' {
                chainloader $cmdpath/mmx64.efi
            }

            menuentry 'Firmware settings' {
                fwsetup
            }

            """
    }
}
