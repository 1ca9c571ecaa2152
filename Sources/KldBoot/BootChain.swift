/// What stands between shim and the kernel. Everything that the two chains have in common asks for neither.
public enum BootChain: String, Sendable, Hashable, Codable {
    /// shim → systemd-boot → one image that holds kernel, initramfs and command line.
    case systemdBoot = "systemd-boot"
    /// shim → the distribution's own GRUB → its own kernel, with an initramfs and a command line that nobody signs.
    case grub

    /// What the recovery image was made of, and for systemd-boot its entry; below the ESP's root. GRUB's menu looks for the image itself.
    public var recoveryEntryPath: String {
        switch self {
        case .systemdBoot: RecoveryImage.entryPath
        case .grub: "\(BootEntry.imageFolder)/recovery.conf"
        }
    }

    /// Where its entries lie, below the ESP's root.
    public var entryFolder: String {
        switch self {
        case .systemdBoot: BootEntry.folder
        case .grub: GrubMenu.folder
        }
    }
}
