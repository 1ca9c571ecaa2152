public import KldExec
import KldCore

/// Keeps packages at their version until a person moves them: kernel, OpenZFS and boot loader move together or not at all.
public enum PackageHold {
    public struct Package: Sendable, Hashable {
        public var name: String
        /// As the package manager writes it.
        public var version: String
        public init(_ name: String, version: String) {
            self.name = name
            self.version = version
        }
    }

    /// The command that holds installed packages; `nil` for pacman, which has none: see ``pacman(_:in:)``.
    ///
    /// **Runs:** `apt-mark hold NAME…`; `dnf versionlock add NAME…`, of dnf 4's plugin versionlock or dnf 5 itself;
    /// `zypper --non-interactive addlock NAME…`; `apk add NAME=VERSION…`, which writes the version into `/etc/apk/world`. All change.
    /// **Source:** apt-mark(8) 2.6 to 3.0, dnf-versionlock(8) 4.3, dnf5-versionlock(8) 5.4, zypper(8) 1.14, apk-add(8) 2.14 and 3.0.
    public static func command(_ family: PackageFamily, _ packages: [Package]) -> Command? {
        let names = packages.map(\.name)
        switch family {
        case .apt: return Command(Tool("apt-mark", package: "apt"), ["hold"] + names, effect: .changes)
        case .dnf: return Command(Tool("dnf"), ["versionlock", "add"] + names, effect: .changes)
        case .zypper: return Command(Tool("zypper"), ["--non-interactive", "addlock"] + names, effect: .changes)
        case .apk:
            return Command(Tool("apk", package: "apk-tools"), ["add"] + packages.map { "\($0.name)=\($0.version)" }, effect: .changes)
        case .pacman: return nil
        }
    }

    /// `/etc/pacman.conf` with exactly these packages held by kldload; what else it says stays. Lines of `IgnorePkg` add up.
    ///
    /// **Source:** pacman.conf(5) 6.0 and 7.0, `IgnorePkg`, in the section `[options]`.
    /// - Returns: `nil` when the file has no such section.
    public static func pacman(_ names: [String], in text: String) -> String? {
        // A line of its own: a remark behind names would be read as names.
        let mark = "# held by kldload:"
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if let old = lines.firstIndex(of: mark) { lines.removeSubrange(old...min(old + 1, lines.count - 1)) }
        guard let section = lines.firstIndex(where: { $0.trimmed == "[options]" }) else { return nil }
        if !names.isEmpty { lines.insert(contentsOf: [mark, "IgnorePkg = \(names.joined(separator: " "))"], at: section + 1) }
        return lines.joined(separator: "\n")
    }
}
