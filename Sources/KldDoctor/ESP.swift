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
        guard name.hasSuffix(".conf"), let plus = name.lastIndex(of: "+") else { return name }
        let counter = name[name.index(after: plus)...].dropLast(5)
        let parts = counter.split(separator: "-", omittingEmptySubsequences: false)
        let digits = parts.allSatisfy { !$0.isEmpty && $0.allSatisfy { ("0"..."9").contains($0) } }
        return digits && parts.count <= 2 ? "\(name[..<plus]).conf" : name
    }

    /// Runs: `sha256sum FILES`, reads. - Returns: digests in the order of the paths.
    static func digests(_ context: CheckContext, _ paths: [FilePath]) async throws -> [String] {
        guard !paths.isEmpty else { return [] }
        // Not shared: another ESP may be mounted at the same place later.
        let output = try await context.runner.run(
            Command(Tool("sha256sum", package: "coreutils"), paths.map(\.string), effect: .reads))
        return output.output.lines.map { String($0.prefix { $0 != " " }) }
    }

    /// Digests of such files; of an entry of GRUB's menu its text without the counter.
    static func contents(_ context: CheckContext, _ files: [String: FilePath]) async throws -> [String: String] {
        var contents: [String: String] = [:]
        for (name, path) in files where name.hasPrefix("\(BootChain.grub.entryFolder)/") {
            guard var entry = BootEntry(fileName: path.lastComponent?.string ?? "", text: try context.text(path.string) ?? "") else {
                continue
            }
            entry.counter = nil
            contents[name] = entry.text
        }
        let others = files.filter { contents[$0.key] == nil }.sorted { $0.key < $1.key }
        for (file, sum) in zip(others, try await digests(context, others.map(\.value))) { contents[file.key] = sum }
        return contents
    }

    /// Shows an ESP to `body`: where it is mounted, or mounted read-only for as long as `body` runs: the only thing that verify changes, and
    /// only there.
    static func look<Result>(
        _ context: CheckContext, at device: BlockDevice, _ body: (FilePath) async throws -> Result
    ) async throws -> Result {
        if let place = device.mountpoint { return try await body(FilePath(place)) }
        return try await context.looking.with(
            at: device.path, as: "esp", type: "vfat", runner: context.runner, files: context.files, body)
    }
}
