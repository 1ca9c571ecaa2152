import KldCore

/// One line of the boot menu: which environment, with which kernel, and how many more times it may be tried.
///
/// A file of its own on every ESP, small enough to be replaced as a whole: choosing another environment moves no kernel.
/// Source: Boot Loader Specification, type #1; Automatic Boot Assessment; systemd-boot(7), systemd 252 to 257.
public struct BootEntry: Sendable, Hashable {
    /// Boots left, and boots that did not end well. The loader writes them into the file's name: `+3`, `+2-1`, `+1-2`, `+0-3`.
    public struct Counter: Sendable, Hashable {
        public var left: Int
        public var done: Int
        public init(left: Int, done: Int = 0) {
            self.left = left
            self.done = done
        }

        /// Reads what stands behind the plus sign; `nil`: no counter.
        init?(_ text: some StringProtocol) {
            let numbers = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard (1...2).contains(numbers.count), let left = numbers[0], let done = numbers.count == 2 ? numbers[1] : 0 else { return nil }
            self.init(left: left, done: done)
        }

        var suffix: String { done == 0 && left > 0 ? "+\(left)" : "+\(left)-\(done)" }
    }

    /// Below the ESP's root.
    public static let folder = "loader/entries"
    public static let imageFolder = "EFI/\(ESPLayout.vendor)"
    /// What loader.conf names as the default: the first of kldload's entries, in the loader's order, that may still be tried.
    public static let pattern = "kldload-*"
    /// How often a new environment is tried before the loader goes back.
    public static let tries = 3
    /// Activations are this far apart, so that a new kernel of an environment that is not chosen fits in between.
    public static let orderStep = 100
    /// How long a panic stays on the screen.
    public static let panicSeconds = 15

    /// The full name: `rpool/ROOT/debian`.
    public var dataset: String
    public var release: String
    /// Counts what was built for one environment and kernel: a new build lies beside the old one until it has proved itself.
    public var generation: Int
    /// The entry with the highest is booted; 0 is started by hand only.
    public var order: Int
    /// `nil`: it has proved itself, or is not on trial.
    public var counter: Counter?
    /// To be booted once, whatever becomes of it.
    public var once: Bool
    /// What a person reads in the menu.
    public var title: String
    /// What GRUB starts; `nil`: an image, which holds all of it.
    public var parts: KernelParts?
    /// Another entry's image, below the ESP's root, that starts this one too: see ``EnvironmentChoice``. `nil`: it has its own.
    public var sharedImage: String?

    public init(
        dataset: String, release: String, generation: Int = 1, order: Int, counter: Counter? = nil, once: Bool = false,
        title: String? = nil,
        parts: KernelParts? = nil, sharedImage: String? = nil
    ) {
        self.dataset = dataset
        self.release = release
        self.generation = generation
        self.order = order
        self.counter = counter
        self.once = once
        self.title = title ?? Self.title(dataset, release)
        self.parts = parts
        self.sharedImage = sharedImage
    }

    static func title(_ dataset: String, _ release: String) -> String { "\(dataset.leaf) (Linux \(release))" }

    public var environment: String { dataset.leaf }
    /// The loader's name for it, without the counter and `.conf`. The generation stands last, so that no release looks like a counter.
    public var id: String { "kldload-\(environment)-\(release).\(generation)" }
    /// An id without the counter that may follow it, as files of the loader's menu have it.
    public static func id(_ name: String) -> String {
        guard let plus = name.lastIndex(of: "+"), Counter(name[plus...].dropFirst()) != nil else { return name }
        return String(name[..<plus])
    }
    public var fileName: String { parts == nil ? "\(id)\(counter?.suffix ?? "").conf" : "\(id)\(GrubMenu.suffix)" }
    /// Whether it is the same entry, of the same files, wherever it stands in the order.
    public func starts(the other: BootEntry) -> Bool { id == other.id && parts == other.parts && imagePath == other.imagePath }
    /// Below the ESP's root.
    public var path: String { "\((parts == nil ? BootChain.systemdBoot : .grub).entryFolder)/\(fileName)" }
    /// What must lie on an ESP beside the entry, below its root; the program that the loader starts comes first.
    public var files: [String] { parts?.files ?? [imagePath] }
    public var imagePath: String { sharedImage ?? ownImage }
    private var ownImage: String { "\(Self.imageFolder)/\(id).efi" }
    /// Whether a file of ``imageFolder`` is a boot image: shim and the loader lie there too.
    public static func isImage(_ name: String) -> Bool { name.hasPrefix("kldload-") && name.hasSuffix(".efi") && !name.contains("/") }
    /// Whether a file of a ``BootChain/entryFolder`` is read by a loader: what was to become one is not. FAT tells no capital letters.
    public static func isInMenu(_ name: String) -> Bool { [".conf", GrubMenu.suffix].contains { name.lowercased().hasSuffix($0) } }
    private static func isImage(below path: String) -> Bool {
        path.hasPrefix("\(imageFolder)/") && isImage(String(path.dropFirst(imageFolder.count + 1)))
    }
    /// Whether firmware or shim looks at the signature of a file, by its path below the ESP's root: of an image, or of a kernel.
    public static func isProgram(_ path: String) -> Bool { path.hasSuffix(".efi") || isKernel(path) }
    public static func isKernel(_ path: String) -> Bool { path.hasPrefix("\(imageFolder)/\(KernelParts.Kind.kernel.rawValue)-") }
    /// It may not be tried any more.
    public var isExhausted: Bool { counter?.left == 0 }
    /// It started well, and is what the machine falls back to.
    public var isProven: Bool { counter == nil && !once }

    /// The file's content. What only kldload reads stands in comments.
    public var text: String {
        if let parts { return block(parts) }
        return """
            # Written by kldload: kbe(8) changes it.
            # kldload-dataset \(dataset)
            # kldload-release \(release)
            # kldload-generation \(generation)
            # kldload-once \(once ? "yes" : "no")
            title \(title)
            sort-key kldload
            version \(order)
            architecture x64
            efi /\(imagePath)

            """
    }

    /// Reads an entry of kldload's; `nil` for anybody else's.
    public init?(fileName: String, text: String) {
        if fileName.hasSuffix(GrubMenu.suffix) {
            self.init(fileName: fileName, block: text)
            return
        }
        guard fileName.hasPrefix("kldload-"), fileName.hasSuffix(".conf") else { return nil }
        var values: [String: String] = [:]
        for line in text.lines {
            let plain = line.hasPrefix("# ") ? String(line.dropFirst(2)) : line
            guard let end = plain.firstIndex(of: " ") else { continue }
            values[String(plain[..<end])] = plain[end...].trimmed
        }
        guard let dataset = values["kldload-dataset"], let release = values["kldload-release"],
            let generation = values["kldload-generation"].flatMap({ Int($0) }), let order = values["version"].flatMap({ Int($0) })
        else { return nil }
        self.init(
            dataset: dataset, release: release, generation: generation, order: order, once: values["kldload-once"] == "yes",
            title: values["title"])
        if let image = values["efi"].map({ String($0.dropFirst()) }), image != ownImage, Self.isImage(below: image) { sharedImage = image }
        let stem = String(fileName.dropLast(5))
        guard stem != id else { return }
        guard stem.hasPrefix("\(id)+"), let counter = Counter(stem.dropFirst(id.count + 1)) else { return nil }
        self.counter = counter
    }

    /// The loader's order: what may not be tried any more comes last; then the highest order, then the greater name.
    /// Source: `boot_entry_compare()`, systemd 257.
    public static func precedes(_ a: BootEntry, _ b: BootEntry) -> Bool {
        if a.isExhausted != b.isExhausted { return b.isExhausted }
        return a.order != b.order ? a.order > b.order : a.id > b.id
    }
}
