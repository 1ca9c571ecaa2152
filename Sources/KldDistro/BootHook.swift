import KldBoot
import KldPackages

/// A file by which whatever changes kernels, OpenZFS, shim and boot loader has what boots follow at once: before it ends, for whoever restarts
/// the machine right away. The path unit `kldload-boot-refresh` is for what nobody tells.
public struct BootHook: Sendable, Hashable {
    /// Absolute, on the machine.
    public var path: String
    public var text: String
    /// It is run, and so must be executable; else it is read.
    public var isScript: Bool

    static let command = "/usr/lib/kldload/kldload boot refresh --hook"

    init(_ path: String, _ text: String, isScript: Bool = false) {
        self.path = path
        self.text = text
        self.isScript = isScript
    }
}

extension DistroSpec {
    /// What is written onto a machine of this release. What a family has no such file for, the path unit sees.
    ///
    /// apt's have run; the others are written from the manuals, and read by the tools where these are at hand.
    public var bootHooks: [BootHook] {
        switch (packaging.family, initramfs) {
        case (.apt, .initramfsTools): BootHook.debian(made: "/etc/initramfs/post-update.d")
        case (.apt, _): BootHook.debian(made: "/etc/kernel/postinst.d")
        case (.dnf, _): [.kernelInstall] + BootHook.dnf(heldPackages + grubHeldPackages)
        case (.pacman, _): [.kernelInstall, .pacman(heldPackages + grubHeldPackages, efi.all)]
        case (.zypper, _): [.kernelInstall]
        case (.apk, _): []
        }
    }
}

extension BootHook {
    /// Called with a release, or with nothing.
    /// - Parameter folder: of what is called when a kernel has its initramfs.
    /// Source: kernel-postinst hooks of Debian, `run-parts /etc/kernel/postinst.d`; initramfs-tools(7), `/etc/initramfs/post-update.d`.
    static func debian(made folder: String) -> [BootHook] {
        [folder, "/etc/kernel/postrm.d"].map {
            BootHook(
                "\($0)/zz-kldload",
                """
                #!/bin/sh
                # Written by kldload: what boots follows the kernel and its initramfs.
                [ -x /usr/lib/kldload/kldload ] || exit 0
                exec \(command) >&2

                """, isScript: true)
        }
    }

    /// Behind the plugins that make the initramfs (`50-dracut.install`) and put kernels into place (`90-loaderentry.install`).
    ///
    /// Source: kernel-install(8), systemd 252 to 257: called with `add` or `remove`. Who ends with 77 ends the whole as if it had gone well, and
    /// that is what kldload's tools end with where they are not root.
    static let kernelInstall = BootHook(
        "/etc/kernel/install.d/95-kldload.install",
        """
        #!/bin/sh
        # Written by kldload: what boots follows the kernels that are there.
        case "$1" in
            add | remove) ;;
            *) exit 0 ;;
        esac
        [ -x /usr/lib/kldload/kldload ] || exit 0
        \(command) >&2 || exit 1

        """, isScript: true)

    /// For dnf 5 and for dnf 4, each of which reads its own: what a transaction leaves behind, when all scripts of packages have run. However many
    /// packages fit, one and the same command is run once.
    ///
    /// Of dnf 5 package `libdnf5-plugin-actions` reads it, of dnf 4 `python3-dnf-plugin-post-transaction-actions`. dnf 5 reads what the command
    /// prints on standard output: it prints nothing there.
    /// Source: libdnf5-actions(8) 5.2, run with 5.4.6, `callback:filter:direction:options:command`; dnf-post-transaction-actions(8) 4.3,
    /// `filter:state:command`.
    static func dnf(_ packages: [String]) -> [BootHook] {
        let remark = "# Written by kldload: what boots follows kernel, OpenZFS, shim and boot loader.\n"
        return [
            BootHook(
                "/etc/dnf/libdnf5-plugins/actions.d/kldload.actions",
                remark + packages.map { "post_transaction:\($0):::\(command)\n" }.joined()),
            BootHook(
                "/etc/dnf/plugins/post-transaction-actions.d/kldload.action",
                remark + packages.map { "\($0):any:\(command)\n" }.joined()),
        ]
    }

    /// Behind the hooks that build modules (`70-dkms-install`) and initramfs (`90-mkinitcpio-install`): they run in the order of their names.
    ///
    /// Source: alpm-hooks(5), pacman 6.0 to 7.0; targets are patterns, those of paths without the first slash.
    /// - Parameter programs: paths of what firmware starts, below the root: systemd-boot comes in the package of systemd.
    static func pacman(_ packages: [String], _ programs: [String]) -> BootHook {
        func trigger(_ type: String, _ targets: [String]) -> String {
            "[Trigger]\nOperation = Install\nOperation = Upgrade\nOperation = Remove\nType = \(type)\n"
                + targets.map { "Target = \($0)\n" }.joined() + "\n"
        }
        return BootHook(
            "/etc/pacman.d/hooks/zz-kldload.hook",
            "# Written by kldload: what boots follows kernel, OpenZFS, shim and boot loader.\n"
                + trigger("Package", packages) + trigger("Path", ["usr/lib/modules/*/vmlinuz"] + programs)
                + "[Action]\nDescription = Staging what boots\nWhen = PostTransaction\nExec = \(command)\n")
    }
}
