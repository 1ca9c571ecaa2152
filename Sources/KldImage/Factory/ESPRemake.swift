import FoundationEssentials
import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import SystemPackage

/// Makes the ESP of a copy anew, so that nothing of the old file system stays: neither its serial number, nor what lay in free clusters,
/// such as a boot image with the source's host id.
///
/// Boot images are built again from the sealed system; every other file is carried over and compared. The boot loader's random seed is not, nor
/// is the recovery image: a clone makes its own. Entries of other environments go, for the copy has no other, and images that only they need.
struct ESPRemake: Sendable {
    /// The partition, and the root of the system that boots from it.
    var partition: String
    var target: FilePath
    /// The new file system's.
    var serial: UInt32
    var runner: any CommandRunner
    var files: any FileSystem

    private static let mount: FilePath = "/run/kldload/esp"
    private static let stub: FilePath = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
    private static let notKept: Set<String> = [
        "loader/random-seed", RecoveryImage.imagePath, BootChain.systemdBoot.recoveryEntryPath, BootChain.grub.recoveryEntryPath,
    ]

    /// A boot image of the old ESP, as far as a new one needs it.
    struct BootImage: Sendable, Hashable {
        /// Below the ESP.
        var path: String
        var commandLine: KernelCommandLine
        var release: String
    }

    /// What lies on the old ESP.
    struct Content: Sendable, Hashable {
        var kept: [String: [UInt8]] = [:]
        var images: [BootImage] = []
    }

    /// Runs: `blkid`, `mount`, `ukify inspect`; `blkdiscard --zeroout`, `mkfs.vfat`, `ukify build`, `cp`, `cmp`, `umount`; destroys the old ESP.
    /// - Throws: ``Diagnosis`` `image.unreadable-boot-image`, `image.copy-differs`.
    func run() async throws {
        let label = try await label()
        let content = try await mounted(["ro"]) { try await read() }
        try await runner.run(Disk.zero(partition))
        try await runner.run(Disk.makeFAT(partition, label: label, serial: serial))
        try await mounted { try await write(content) }
        // Mounted again, so that it is the disk that is compared, and not what is still in memory.
        try await mounted(["ro"]) { try compare(content) }
        try renameInMountTable()
    }

    private func mounted<Result>(_ options: [String] = [], _ body: () async throws -> Result) async throws -> Result {
        try files.makeDirectory(Self.mount, mode: 0o700)
        try await runner.run(MountCommand.mount(partition, at: Self.mount, type: "vfat", options: options))
        do {
            let result = try await body()
            try await runner.run(MountCommand.unmount(Self.mount))
            return result
        } catch {
            _ = try? await runner.run(MountCommand.unmount(Self.mount))
            throw error
        }
    }

    /// The label: a first boot knows the ESP by it. Runs: `blkid --probe --output value --match-tag LABEL DEVICE`; 2 where there is none.
    private func label() async throws -> String {
        let label = try await runner.run(
            Command(
                Tool("blkid", package: "util-linux"), ["--probe", "--output", "value", "--match-tag", "LABEL", partition], effect: .reads,
                accepting: [0, 2])
        ).output.trimmed
        return label.isEmpty ? "EFI" : label
    }

    private func place(_ path: String) -> FilePath { FilePath("\(Self.mount)/\(path)") }

    private func read() async throws -> Content {
        var content = Content()
        var images: Set<String> = []
        try read("", into: &content, &images)
        let root = try files.dataset(at: target.string)
        if let root { Self.drop(besides: root, from: &content, &images) }
        for path in images.sorted() { content.images.append(try await inspect(path, root)) }
        return content
    }

    /// Takes entries of other environments away; nothing where none is of this one.
    private static func drop(besides root: String, from content: inout Content, _ images: inout Set<String>) {
        let entries = content.kept.compactMap { path, bytes -> (path: String, entry: BootEntry)? in
            guard path.hasPrefix("\(BootEntry.folder)/"), let name = path.split(separator: "/").last else { return nil }
            return BootEntry(fileName: String(name), text: String(decoding: bytes, as: UTF8.self)).map { (path, $0) }
        }
        let needed = Set(entries.filter { $0.entry.dataset == root }.flatMap(\.entry.files))
        guard !needed.isEmpty else { return }
        for (path, entry) in entries where entry.dataset != root {
            content.kept[path] = nil
            images.subtract(Set(entry.files).subtracting(needed))
        }
    }

    private func read(_ folder: String, into content: inout Content, _ images: inout Set<String>) throws {
        for name in try files.list(place(folder)) {
            let path = folder.isEmpty ? name : "\(folder)/\(name)"
            if try files.status(place(path))?.kind == .directory {
                try read(path, into: &content, &images)
            } else if Self.isBootImage(name, in: folder) {
                images.insert(path)
            } else if ["initrd", "initramfs"].contains(where: name.lowercased().hasPrefix) {
                throw unreadable(path, "an initramfs that is not part of a unified kernel image: it may hold the source's host id")
            } else if !Self.notKept.contains(path) {
                content.kept[path] = try files.read(place(path))
            }
        }
    }

    /// kldload's own lie beside the loader; whatever else the loader finds by itself is one too.
    private static func isBootImage(_ name: String, in folder: String) -> Bool {
        folder == "EFI/Linux" && name.lowercased().hasSuffix(".efi") || folder == BootEntry.imageFolder && BootEntry.isImage(name)
    }

    /// Runs: `ukify inspect FILE --json=short --section=.cmdline:text --section=.uname:text`. Source: ukify(1), systemd 257.
    /// - Parameter root: the only environment that there is, which an image of kldload's starts then.
    private func inspect(_ path: String, _ root: String?) async throws -> BootImage {
        struct Inspection: Decodable {
            struct Section: Decodable { var text: String? }
            var cmdline: Section?
            var uname: Section?
            enum CodingKeys: String, CodingKey {
                case cmdline = ".cmdline"
                case uname = ".uname"
            }
        }
        let output = try await runner.run(
            Command(
                Tool("ukify", package: "systemd-ukify"),
                // The file follows the verb: options between the two end its parser's list of files.
                ["inspect", place(path).string, "--json=short", "--section=.cmdline:text", "--section=.uname:text"], effect: .reads)
        ).output
        let found = try? JSONDecoder().decode(Inspection.self, from: Data(output.utf8))
        guard let line = found?.cmdline?.text?.trimmed, let release = found?.uname?.text?.trimmed, !release.isEmpty else {
            throw unreadable(path, "it has no command line or no kernel release: .cmdline, .uname")
        }
        guard try files.exists(target.appending("boot/vmlinuz-\(release)")) else {
            throw unreadable(path, "its kernel \(release) is not installed any more")
        }
        var words = KernelCommandLine(running: line)
        if let root, words.words.contains(EnvironmentChoice.word) { words = words.rooted(at: root) }
        return BootImage(path: path, commandLine: words, release: release)
    }

    private func unreadable(_ path: String, _ why: String) -> Diagnosis {
        Diagnosis(
            "image.unreadable-boot-image", "the boot image \(path) of the disk cannot be built again without the identity in it",
            remedies: ["remove it from the ESP of the source if nothing boots it", "export the disk as it is: --no-seal"], exit: .failed,
            causes: [why])
    }

    private func write(_ content: Content) async throws {
        for (path, bytes) in content.kept.sorted(by: { $0.key < $1.key }) { try files.write(bytes, to: place(path), mode: .file) }
        let fresh: FilePath = "/run/kldload/boot.efi"
        for image in content.images {
            try files.makeDirectory(place(image.path).removingLastComponent(), mode: .directory)
            let build = UnifiedKernelImage(
                linux: target.appending("boot/vmlinuz-\(image.release)"),
                initrds: [target.appending("boot/initrd.img-\(image.release)")],
                commandLine: image.commandLine.forcingImport(true), release: image.release,
                osRelease: target.appending("usr/lib/os-release"), stub: Self.stub, output: fresh)
            try await runner.run(build.build)
            let new = place(image.path)
            try await runner.run(FileCommand.copy(fresh, to: new))
            try await runner.run(FileCommand.syncFileSystem(Self.mount))
            try await runner.run(FileCommand.compare(fresh, new))
            try files.remove(fresh)
        }
    }

    private func compare(_ content: Content) throws {
        let different = try content.kept.keys.sorted().filter { path in
            try files.exists(place(path)) ? try files.read(place(path)) != content.kept[path] : true
        }
        guard different.isEmpty else {
            throw Diagnosis(
                "image.copy-differs", "\(different.count) files of the ESP are not what they were after they were copied",
                remedies: ["try again; if it stays, look at the disk under the cache: dmesg"], causes: Array(different.prefix(8)))
        }
    }

    private func renameInMountTable() throws {
        let path = target.appending("etc/fstab")
        guard try files.exists(path) else { return }
        let old = MountTable(try files.readText(path))
        let new = old.namingESP(Disk.fatUUID(serial))
        if new != old { try files.write(new.text, to: path) }
    }
}
