import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import SystemPackage

/// The EFI system partitions of this machine, and what lies on them.
enum ESP {
    /// Where one may be mounted while the machine runs.
    static let places: [FilePath] = ["/boot/efi", "/efi", "/boot"]

    /// Mount points that hold an `EFI` folder.
    static func mounted(_ context: CheckContext) throws -> [FilePath] {
        try places.filter { try context.files.exists($0.appending("EFI")) }
    }

    /// What the boot loader starts: unified kernel images, or the kernels beside GRUB's menu.
    static func images(_ context: CheckContext, _ root: FilePath) throws -> [FilePath] {
        let folder = root.appending(BootEntry.imageFolder)
        return try context.names(in: folder.string).filter {
            context.startsByGRUB ? BootEntry.isKernel("\(BootEntry.imageFolder)/\($0)") : BootEntry.isImage($0)
        }.map { folder.appending($0) }
    }

    /// Of no environment; none before the first good boot.
    static func recoveryImages(_ context: CheckContext, _ root: FilePath) throws -> [FilePath] {
        let path = root.appending(RecoveryImage.imagePath)
        return try context.exists(path.string) ? [path] : []
    }

    /// What must be the same on every ESP, by its name; an entry's without the boot counter, which belongs to one of them.
    static func files(_ context: CheckContext, _ root: FilePath) throws -> [String: FilePath] {
        var files: [String: FilePath] = [:]
        func add(_ folder: FilePath, _ prefix: String) throws {
            for name in try context.names(in: folder.string) {
                let path = folder.appending(name)
                switch try context.files.status(path)?.kind {
                case .directory?: try add(path, "\(prefix)\(name)/")
                case .file?: files[prefix + withoutCounter(name)] = path
                default: continue
                }
            }
        }
        try add(root.appending("EFI"), "EFI/")
        try add(root.appending(BootEntry.folder), "\(BootEntry.folder)/")
        return files
    }

    /// `kldload-debian-7.2.1+2-1.conf` is `kldload-debian-7.2.1.conf`. Source: Automatic Boot Assessment, systemd 257.
    static func withoutCounter(_ name: String) -> String {
        name.hasSuffix(".conf") ? "\(BootEntry.id(String(name.dropLast(5)))).conf" : name
    }

    /// What two ESPs do not have in common, of their ``files(_:_:)``, sorted; an entry of GRUB's menu is compared without the counter.
    ///
    /// Compared byte by byte: digests of some hundred megabytes take many times as long.
    static func differences(_ context: CheckContext, _ ones: [String: FilePath], _ others: [String: FilePath]) throws -> [String] {
        try Set(ones.keys).union(others.keys).filter { name in
            guard let one = ones[name], let other = others[name] else { return true }
            if name.hasPrefix("\(BootChain.grub.entryFolder)/"), let first = try grubEntry(context, one),
                let second = try grubEntry(context, other)
            {
                return first != second
            }
            return try !context.files.same(one, other)
        }.sorted()
    }

    private static func grubEntry(_ context: CheckContext, _ path: FilePath) throws -> String? {
        guard var entry = BootEntry(fileName: path.lastComponent?.string ?? "", text: try context.text(path.string) ?? "") else {
            return nil
        }
        entry.counter = nil
        return entry.text
    }

    /// Shows an ESP to `body`: where it is mounted, or mounted read-only for as long as `body` runs: the only thing that verify mounts, and
    /// only there.
    /// - Parameter name: of the place; two at a time need two.
    static func look<Result>(
        _ context: CheckContext, at device: BlockDevice, as name: String = "esp", _ body: (FilePath) async throws -> Result
    ) async throws -> Result {
        if let place = device.mountpoint { return try await body(FilePath(place)) }
        return try await context.looking.with(
            at: device.path, as: name, type: "vfat", runner: context.runner, files: context.files, body)
    }
}
