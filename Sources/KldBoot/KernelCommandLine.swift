import KldCore

/// The one place that builds kernel command lines.
public struct KernelCommandLine: Sendable, Hashable, CustomStringConvertible {
    public var words: [String]

    /// For a ZFS root, in the words of the initramfs that reads them.
    ///
    /// - Parameters:
    ///   - dataset: `rpool/ROOT/debian`; blanks are `+` for initramfs-tools (zfs-initramfs README, 2.3).
    ///   - consoles: the last one is `/dev/console`.
    public init(root dataset: String, initramfs: InitramfsKind, consoles: [String], quiet: Bool = false) {
        let escaped = Self.escaped(dataset)
        words =
            switch initramfs {
            case .initramfsTools: ["root=ZFS=\(escaped)", "boot=zfs"]
            case .dracut: ["root=zfs:\(escaped)"]
            // archzfs' hook, 2.3: `zfs=DATASET`.
            case .mkinitcpio: ["zfs=\(escaped)"]
            // mkinitfs 3.11, initramfs-init.
            case .mkinitfs: ["root=ZFS=\(escaped)", "rootfstype=zfs"]
            }
        words += ["rw"] + consoles.map { $0.hasPrefix("ttyS") ? "console=\($0),115200" : "console=\($0)" }
        if quiet { words.append("quiet") }
    }

    public var description: String { words.joined(separator: " ") }
}

/// Who builds the initramfs and reads `root=`.
public enum InitramfsKind: String, Sendable, Hashable, Codable {
    case initramfsTools = "initramfs-tools"
    case dracut, mkinitcpio, mkinitfs
}

extension KernelCommandLine {
    /// The command line of the running kernel, to be carried over into a new image. What a boot loader added to it is left out, and a machine
    /// that was started by its recovery image is not meant to be so again.
    public init(running text: String) {
        let added = ["BOOT_IMAGE=", "initrd="] + Self.loaderWords
        words = text.split(separator: " ").map(String.init).filter { word in !added.contains(where: word.hasPrefix) }
            .map { $0 == Self.recovery ? Self.ordinary : $0 }
    }

    static let ordinary = "boot=zfs"
    private static let recovery = "boot=\(RecoveryImage.method)"

    /// Whether a machine that was started with these words was started by its recovery image.
    package static func isRecovering(_ text: String) -> Bool { text.words.contains(recovery) }

    /// The same for the recovery image. A person stands before it: whatever fails there stays on the screen.
    public var recovering: KernelCommandLine {
        var copy = self
        copy.words = choosing(false).words.filter { !$0.hasPrefix("panic=") }.map { $0 == Self.ordinary ? Self.recovery : $0 }
        return copy
    }

    /// With or without the word that imports the root pool whoever used it last: for a boot image that carries no host id, whose initramfs
    /// makes another one up at every boot. Source: zfs-initramfs `scripts/zfs`, OpenZFS 2.1 to 2.4.
    public func forcingImport(_ force: Bool) -> KernelCommandLine {
        let word = "zfs_force=1"
        var copy = self
        copy.words = words.filter { $0 != word } + (force ? [word] : [])
        return copy
    }
}

extension KernelCommandLine {
    /// A blank would end the word.
    private static func escaped(_ dataset: String) -> String { String(dataset.map { $0 == " " ? "+" : $0 }) }

    private static let roots = ["root=ZFS=", "root=zfs:", "zfs="]

    /// The same for another root dataset, in the words that this one uses.
    public func rooted(at dataset: String) -> KernelCommandLine {
        var copy = self
        copy.words = words.map { word in
            guard let prefix = Self.roots.first(where: word.hasPrefix) else { return word }
            return prefix + Self.escaped(dataset)
        }
        return copy
    }

    /// The dataset that it boots; `nil` where it names none.
    public var root: String? {
        words.lazy.compactMap { word in Self.roots.first(where: word.hasPrefix).map { String(word.dropFirst($0.count)) } }.first
    }

    /// Seconds until a kernel that panicked, or an initramfs that found no root, starts the machine again: what a loader that counts boots
    /// needs to go back by itself. Source: Linux `Documentation/admin-guide/kernel-parameters.txt`; initramfs-tools(7).
    public func restartingAfterPanic(seconds: Int) -> KernelCommandLine {
        var copy = self
        copy.words = words.filter { !$0.hasPrefix("panic=") } + ["panic=\(seconds)"]
        return copy
    }
}
