import KldBoot
import KldFiles

/// What systemd-boot was told to start, whatever the order of its entries says: names of files below `loader/entries`, in lower case.
///
/// Source: The Boot Loader Interface, uapi-group.org; systemd-boot(7), systemd 257: the key `d`, `bootctl set-default`, `set-oneshot`.
public struct LoaderChoice: Sendable, Hashable {
    /// `LoaderEntryOneShot`: at the next start.
    public var once: String?
    /// `LoaderEntryDefault`: at every start; it counts before `loader.conf`.
    public var always: String?

    public init(once: String? = nil, always: String? = nil) {
        self.once = once
        self.always = always
    }

    /// - Parameter entries: of a machine that does not run: its disks may have come into another one, whose firmware means none of them.
    static func read(_ files: any FileSystem, _ entries: [BootEntry]? = nil) -> LoaderChoice {
        func text(_ name: String) -> String? {
            EFIVariable.text(name, of: .loader, files).flatMap { $0.isEmpty ? nil : $0.lowercased() }
        }
        func known(_ name: String) -> Bool { entries.map { $0.contains { fits($0, name) } } ?? true }
        return LoaderChoice(
            once: text(EFIVariable.oneShot).flatMap { known($0) ? $0 : nil },
            always: text(EFIVariable.always).flatMap { known($0) ? $0 : nil })
    }

    /// The loader compares whole names, with a counter where there is one.
    static func fits(_ entry: BootEntry, _ name: String) -> Bool { entry.fileName.lowercased() == name }
}
