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

    static func read(_ files: any FileSystem) -> LoaderChoice {
        func text(_ name: String) -> String? {
            EFIVariable.text(name, of: .loader, files).flatMap { $0.isEmpty ? nil : $0.lowercased() }
        }
        return LoaderChoice(once: text(EFIVariable.oneShot), always: text(EFIVariable.always))
    }

    /// The loader compares whole names, with a counter where there is one.
    static func fits(_ entry: BootEntry, _ name: String) -> Bool { entry.fileName.lowercased() == name }
}
