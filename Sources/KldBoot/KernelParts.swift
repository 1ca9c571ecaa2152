public import KldCore
public import KldFiles
public import SystemPackage

/// What GRUB starts for an entry: files of an ESP, which entries share where they are the same, and the kernel's command line.
public struct KernelParts: Sendable, Hashable {
    /// Below the ESP's root.
    public var kernel: String
    /// In the order the kernel unpacks them; GRUB joins them at multiples of four.
    public var initrds: [String]
    public var commandLine: KernelCommandLine

    public init(kernel: String, initrds: [String], commandLine: KernelCommandLine) {
        self.kernel = kernel
        self.initrds = initrds
        self.commandLine = commandLine
    }

    /// - Parameters:
    ///   - kernel, initramfs: numbers that tell files of one release apart that differ in what they hold.
    ///   - hostID: `nil`: the initramfs makes one up.
    public init(release: String, kernel: Int = 1, initramfs: Int = 1, hostID: HostID?, commandLine: KernelCommandLine) {
        self.init(
            kernel: Kind.kernel.path(release, kernel),
            initrds: [Kind.initramfs.path(release, initramfs)] + (hostID.map { [Self.path(of: $0)] } ?? []), commandLine: commandLine)
    }

    public var files: [String] { [kernel] + initrds }

    public enum Kind: String, Sendable, CaseIterable {
        case kernel = "vmlinuz"
        case initramfs = "initrd"

        public func path(_ release: String, _ number: Int) -> String { "\(stem(release)).\(number)" }

        /// The number of a file of this kind and release; `nil` for any other file.
        public func number(of path: String, _ release: String) -> Int? {
            path.hasPrefix(stem(release) + ".") ? Int(path.dropFirst(stem(release).count + 1)) : nil
        }

        private func stem(_ release: String) -> String { "\(BootEntry.imageFolder)/\(rawValue)-\(release)" }
    }

    /// A host id says all that its file holds.
    public static func path(of id: HostID) -> String { "\(BootEntry.imageFolder)/hostid-\(id).cpio" }

    /// Whether a file of ``BootEntry/imageFolder`` is such a part.
    public static func isPart(_ name: String) -> Bool {
        Kind.allCases.contains { name.hasPrefix("\($0.rawValue)-") } || name.hasPrefix("hostid-") && name.hasSuffix(".cpio")
    }

    public static func isPart(path: String) -> Bool {
        path.hasPrefix("\(BootEntry.imageFolder)/") && isPart(String(path.dropFirst(BootEntry.imageFolder.count + 1)))
    }

    /// Whether two files hold the same, read piece by piece. What cannot be read is not the same.
    public static func isSame(_ a: FilePath, _ b: FilePath, _ files: any FileSystem) -> Bool {
        (try? files.same(files.resolve(a), files.resolve(b))) ?? false
    }
}

extension KernelCommandLine {
    /// Words that GRUB's menu adds: whether it counts this start, which entry it started, and from which ESP. systemd-boot says all three in
    /// variables of the firmware. The first two have one name, so that kldload of any version knows the word and takes the last as the id.
    private static let entryWord = "kldload.entry="
    private static let espWord = "kldload.esp="
    static let loaderWords = [entryWord, espWord]

    /// The id of the entry, and the GPT GUID of the ESP, in `/proc/cmdline`; `nil` where another loader started the kernel.
    public static func started(_ text: String) -> (entry: String?, esp: String?) {
        let words = text.split(separator: " ")
        func value(_ prefix: String) -> String? {
            words.last { $0.hasPrefix(prefix) && $0.count > prefix.count }.map { String($0.dropFirst(prefix.count)) }
        }
        return (value(entryWord), value(espWord))
    }

    /// Whether GRUB's menu took a try from the entry, by `/proc/cmdline`: `kldload.entry=+2` says that two are left, `kldload.entry=+` that none
    /// are counted. `nil`: an older menu, or another loader.
    static func counted(_ text: String) -> Bool? {
        let mark = entryWord + "+"
        return text.split(separator: " ").first { $0.hasPrefix(mark) }.map { $0.count > mark.count }
    }
}
