import KldCore
public import SystemPackage

/// One boot image starts every environment that has its kernel and its initramfs: a script of the initramfs asks the loader which entry was
/// chosen. So an environment that is cloned from the running one needs an entry, and no image of its own.
///
/// The choice is the menu's, whose files nobody signs; so it is without this, and it chooses among the environments of one pool.
public enum EnvironmentChoice {
    /// On the command line: `root=` names the environment that the image was made for, and starts where the loader says nothing.
    public static let word = "kldload.environment=selected"
    /// What the script leaves where it followed the loader: the environment's name. An initramfs without it must not be shared.
    public static let followed: FilePath = "/run/kldload/environment"

    /// Loaders tell ids in lower case. systemd 252 to 257.
    public static func isPossible(_ environment: String) -> Bool {
        environment.isPlain(besides: marks) && environment == environment.lowercased()
    }

    private static let marks = "._+~-"
    /// The same for tr(1), which takes a hyphen at the end as itself.
    public static let range = "a-z0-9\(marks)"
}

extension KernelCommandLine {
    /// With or without ``EnvironmentChoice``; without it for an initramfs of another builder, whose scripts are not ours, and for a name that the
    /// loader does not tell as it is.
    public func choosing(_ chooses: Bool) -> KernelCommandLine {
        var copy = self
        let possible = words.contains(Self.ordinary) && root.map { EnvironmentChoice.isPossible($0.leaf) } ?? false
        copy.words = words.filter { $0 != EnvironmentChoice.word } + (chooses && possible ? [EnvironmentChoice.word] : [])
        return copy
    }

    /// Whether an image with these words starts what one with `wanted` would, if the loader has chosen that.
    public func starts(_ wanted: KernelCommandLine) -> Bool {
        if self == wanted { return true }
        func place(_ root: String?) -> Substring? { root.flatMap { root in root.lastIndex(of: "/").map { root[..<$0] } } }
        guard words.contains(EnvironmentChoice.word), let root = wanted.root, place(root) == place(self.root) else { return false }
        return rooted(at: root) == wanted
    }
}
