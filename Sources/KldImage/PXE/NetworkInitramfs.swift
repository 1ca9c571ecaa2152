import KldBoot
import KldCore
import KldExec
import KldFiles
import SystemPackage

/// The initramfs of a machine that is started over the network: it brings up a card, fetches the live environment into memory, compares its
/// digest, and starts it.
///
/// Not dracut's `livenet`: that would put systemd-networkd and curl into the initramfs of every medium, starts what it fetched without looking
/// at it, and is twice as long over TFTP. busybox is in the live environment anyway, and has DHCP, HTTP and SHA-256 in one program that needs
/// nothing else. Other disks and cards find their drivers later, in the live environment.
enum NetworkInitramfs {
    static let name = "initrd"

    /// Without these nothing can be started.
    static let needed = ["loop", "squashfs", "overlay", "virtio_net"]
    /// Where they are modules: hosts of USB, for cards and keyboards there, and cards that do not lie in ``folders``.
    static let wanted = [
        "xen_netfront", "virtio_mmio", "xhci_pci", "ehci_pci", "ohci_pci", "uhci_hcd", "usbhid", "hid_generic", "hyperv_keyboard",
    ]
    /// Below `kernel/drivers/net`: wired cards and their parts.
    static let folders = ["ethernet", "phy", "mdio", "pcs", "usb", "hyperv", "vmxnet3", "fjes"]
    /// Kernels take several archives behind one another, and one of all would have to fit into memory twice. Source: Linux
    /// `Documentation/driver-api/early-userspace/buffer-format.rst`, 6.12.
    private static let piece = 16 << 20

    /// Everything but the payload that it depends on.
    static var inputs: String { "netboot/1\n\(start)\(lease)\(needed + wanted + folders)\n" }

    /// Makes it of a live payload's archive: busybox, drivers with their firmware, the two scripts.
    ///
    /// Runs: `tar --extract …`, `xz --decompress` (`zstd`, `gzip`), `cat`, `zstd -9 --single-thread`; changes.
    /// - Parameter folder: for what is extracted; it goes again.
    static func make(
        from payload: PayloadBuilder.Payload, to file: FilePath, folder: FilePath, files: any FileSystem, runner: any CommandRunner
    ) async throws {
        try files.makeDirectory(folder, mode: 0o755)
        let release = "usr/lib/modules/\(payload.info.kernel)"
        let tree = folder.appending(release)
        let indexes = ["modules.dep", "modules.builtin", "modules.alias"]
        try await payload.extract(["./usr/bin/busybox", "./usr/lib/firmware"] + indexes.map { "./\(release)/\($0)" }, into: folder, runner)
        let dependencies = try files.readText(tree.appending("modules.dep"))
        let paths = try modules(dependencies: dependencies, builtin: files.readText(tree.appending("modules.builtin")))
        try await payload.extract(paths.map { "./\(release)/\($0)" }, into: folder, runner)
        let modules = try await KernelModule.decompress(paths.map { tree.pushing(FilePath($0)) }, runner)

        var archive = Pieces(folder: folder.appending("pieces"), files: files)
        archive.add("init", mode: 0o755, Array(start.utf8))
        archive.add("dhcp", mode: 0o755, Array(lease.utf8))
        archive.add("busybox", mode: 0o755, try files.read(folder.appending("usr/bin/busybox")))
        for place in ["bin", "dev", "etc", "proc", "run", "sys", "sysroot", "tmp"] { archive.add(folder: place) }
        // The kernel looks for both below /lib.
        let target = "lib/modules/\(payload.info.kernel)"
        archive.add("\(target)/modules.dep", Array(dependencyIndex(dependencies, of: paths).utf8))
        archive.add("\(target)/modules.alias", Array(aliases(try files.readText(tree.appending("modules.alias")), of: paths).utf8))
        var firmware: Set<String> = []
        for (path, module) in zip(paths, modules) {
            let content = try files.read(module)
            firmware.formUnion(Self.firmware(of: content))
            archive.add("\(target)/\(KernelModule.uncompressed(path))", content)
            try archive.cut(at: piece)
        }
        for name in firmware.sorted() {
            // Most of what a driver names is for cards of a kind that nobody has, and not there.
            for ending in ["", ".xz", ".zst"] {
                guard let content = try? files.read(folder.appending("usr/lib/firmware").pushing(FilePath(name + ending))) else { continue }
                archive.add("lib/firmware/\(name)\(ending)", content)
            }
            try archive.cut(at: piece)
        }
        try archive.cut(at: 0)
        let whole = folder.appending("whole.cpio")
        var join = Command(Tool("cat", package: "coreutils"), archive.written.map(\.string), effect: .changes)
        join.outputFile = whole
        // zstd gives the mode to what it makes of it, and that is served by others.
        join.outputPermissions = [.ownerReadWrite, .groupRead, .otherRead]
        try await runner.run(join)
        // One thread: the same bytes on any number of processors.
        try await runner.run(Command("zstd", ["--quiet", "-9", "--single-thread", whole.string, "-o", file.string], effect: .changes))
        try files.remove(folder)
    }

    /// Archives of a certain size.
    private struct Pieces {
        let folder: FilePath
        let files: any FileSystem
        private(set) var written: [FilePath] = []
        private var archive = CPIOArchive()
        private var folders: Set<String> = []

        init(folder: FilePath, files: any FileSystem) {
            self.folder = folder
            self.files = files
        }

        mutating func add(folder path: String) {
            let parts = path.split(separator: "/")
            for count in parts.indices.map({ $0 + 1 }) {
                let place = parts.prefix(count).joined(separator: "/")
                if folders.insert(place).inserted { archive.add(directory: place) }
            }
        }

        mutating func add(_ path: String, mode: UInt32 = 0o644, _ content: [UInt8]) {
            add(folder: path.split(separator: "/").dropLast().joined(separator: "/"))
            archive.add(file: path, mode: mode, content: content)
        }

        mutating func cut(at size: Int) throws {
            guard archive.bytes.count > size else { return }
            let file = folder.appending("\(100 + written.count).cpio")
            try files.write(archive.finished, to: file, mode: .file)
            written.append(file)
            archive = CPIOArchive()
        }
    }

    // MARK: Modules

    /// `kernel/a.ko.xz: kernel/b.ko.xz kernel/c.ko.xz`: the module, and what it needs. Source: modules.dep(5), kmod 34.
    private static func lines(_ dependencies: String) -> [(path: String, needs: [String])] {
        dependencies.lines.compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            return parts.first.map { (String($0), parts.count > 1 ? String(parts[1]).words : []) }
        }
    }

    /// Paths below `/lib/modules/RELEASE`, sorted, with those that they need.
    /// - Throws: ``Diagnosis`` `live.no-module`.
    static func modules(dependencies: String, builtin: String) throws -> [String] {
        let builtins = Set(builtin.lines.compactMap(KernelModule.name))
        var chosen: Set<String> = []
        var names: Set<String> = []
        for (path, needs) in lines(dependencies) {
            guard let name = KernelModule.name(path) else { continue }
            let isCard = folders.contains { path.hasPrefix("kernel/drivers/net/\($0)/") }
            guard isCard || needed.contains(name) || wanted.contains(name) else { continue }
            names.insert(name)
            chosen.formUnion([path] + needs)
        }
        if let missing = needed.first(where: { !names.contains($0) && !builtins.contains($0) }) {
            throw Diagnosis("live.no-module", "the live environment's kernel has no module \(missing)", exit: .bug)
        }
        return chosen.sorted()
    }

    /// `modules.dep` of these modules alone, which lie there as they are when decompressed.
    static func dependencyIndex(_ dependencies: String, of paths: [String]) -> String {
        let chosen = Set(paths)
        return lines(dependencies).filter { chosen.contains($0.path) }.map { path, needs in
            ([KernelModule.uncompressed(path) + ":"] + needs.map(KernelModule.uncompressed)).joined(separator: " ") + "\n"
        }.joined()
    }

    /// `modules.alias` of these modules alone. One line: `alias virtio:d00000001v* virtio_net`. Source: depmod(8), kmod 34.
    static func aliases(_ text: String, of paths: [String]) -> String {
        let names = Set(paths.compactMap(KernelModule.name))
        return text.lines.filter { line in line.split(separator: " ").last.map { names.contains(KernelModule.plain(String($0))) } ?? false }
            .joined(separator: "\n") + "\n"
    }

    /// What a module names as firmware that it may ask for: `firmware=rtl_nic/rtl8168g-2.fw` and a zero in its section `.modinfo`.
    /// Source: Linux `include/linux/module.h`, `MODULE_FIRMWARE`, 6.12.
    static func firmware(of module: [UInt8]) -> [String] {
        let mark = Array("firmware=".utf8)
        var names: [String] = []
        module.withUnsafeBufferPointer { bytes in
            PatternSearch([mark]).search(bytes) { _, place in
                let text = String(decoding: bytes[(place + mark.count)...].prefix(200).prefix { $0 != 0 }, as: UTF8.self)
                // A pattern stands for names that nobody knows; nothing leads out of the folder.
                if !text.isEmpty, !text.contains("*"), !text.contains("..") { names.append(text) }
            }
        }
        return names
    }
}
