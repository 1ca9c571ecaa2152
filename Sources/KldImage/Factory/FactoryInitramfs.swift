import KldBoot
import KldCore
import KldExec
import KldFiles
import SystemPackage

/// The initramfs of the factory's guest: it knows this one machine, so it needs neither udev nor systemd to find the live image.
///
/// The portable one, which the same live image boots from elsewhere, takes four fifths of the time to the first step of an installation.
enum FactoryInitramfs {
    /// What the guest has, and what mounts the live image; OpenZFS, which loads four times as fast from here: see ``shorten(_:_:)``. Others
    /// of the names are part of the kernel.
    static let modules = ["virtio_pci", "virtio_blk", "squashfs", "overlay", "zfs"]

    /// Started by the kernel. busybox(1), Debian's busybox-static.
    static let start = """
        #!/busybox sh
        # Written by kldload.
        /busybox mount -t proc proc /proc
        /busybox mount -t sysfs sysfs /sys
        /busybox mount -t devtmpfs devtmpfs /dev
        for module in /modules/*; do /busybox insmod "$module"; done
        for disk in /sys/block/vd*; do
            [ "$(/busybox cat "$disk/serial")" = \(FactoryJob.liveSerial) ] && live="/dev/${disk##*/}"
        done
        /busybox mount -t squashfs -o ro "$live" /live
        /busybox mount -t tmpfs tmpfs /changes
        /busybox mkdir /changes/files /changes/work
        /busybox mount -t overlay -o lowerdir=/live,upperdir=/changes/files,workdir=/changes/work overlay /root
        for place in proc sys dev; do /busybox mount -o move "/$place" "/root/$place"; done
        exec /busybox switch_root /root \(SystemFiles.factoryStart.path)

        """

    /// Makes it of a live payload's archive: busybox, the modules, the script above.
    ///
    /// Runs: `tar --extract …`, `xz --decompress`, `zstd`, `gzip` for compressed modules, `objcopy --remove-section=__mcount_loc`.
    /// - Parameter folder: for what is extracted; it goes again.
    static func make(
        from payload: PayloadBuilder.Payload, to file: FilePath, folder: FilePath, files: any FileSystem, runner: any CommandRunner
    ) async throws {
        try files.makeDirectory(folder, mode: 0o755)
        let release = "./usr/lib/modules/\(payload.info.kernel)"
        try await payload.extract(["./usr/bin/busybox", "\(release)/modules.dep", "\(release)/modules.builtin"], into: folder, runner)
        let tree = folder.appending("usr/lib/modules/\(payload.info.kernel)")
        let order = try loadOrder(
            dependencies: files.readText(tree.appending("modules.dep")), builtin: files.readText(tree.appending("modules.builtin")))
        try await payload.extract(order.map { "\(release)/\($0)" }, into: folder, runner)
        var archive = CPIOArchive()
        for place in ["dev", "proc", "sys", "modules", "live", "changes", "root"] { archive.add(directory: place) }
        archive.add(file: "init", mode: 0o755, content: Array(start.utf8))
        archive.add(file: "busybox", mode: 0o755, content: try files.read(folder.appending("usr/bin/busybox")))
        for (index, module) in try await KernelModule.decompress(order.map { tree.appending($0) }, runner).enumerated() {
            try await shorten(module, runner)
            // The shell lists them by name: numbers of one length keep the order.
            archive.add(file: "modules/\(100 + index)-\(module.lastComponent?.string ?? "")", content: try files.read(module))
        }
        try files.write(archive.finished, to: file, mode: .file)
        try files.remove(folder)
    }

    /// The modules' paths below `/lib/modules/RELEASE`, each after those that it needs.
    ///
    /// - Parameters: the text of `modules.dep` and of `modules.builtin`. Source: modules.dep(5), kmod 34; depmod(8).
    /// - Throws: ``Diagnosis`` `live.no-module`.
    static func loadOrder(dependencies: String, builtin: String) throws -> [String] {
        let builtins = Set(builtin.lines.compactMap(KernelModule.name))
        var needs: [String: [String]] = [:]
        for line in dependencies.lines {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard let path = parts.first, let name = KernelModule.name(String(path)) else { continue }
            // The last one is loaded first.
            needs[name] = (parts.count > 1 ? String(parts[1]).words.reversed() : []) + [String(path)]
        }
        var order: [String] = []
        for module in modules where !builtins.contains(module) {
            guard let paths = needs[module] else {
                throw Diagnosis(
                    "live.no-module", "the live environment's kernel has no module \(module)", exit: .bug)
            }
            order += paths.filter { !order.contains($0) }
        }
        return order
    }

    /// Takes the table of traceable functions out of a module. For every entry of it the kernel goes through all symbols of the module: of
    /// the ten seconds that an emulated processor spends on loading OpenZFS it takes six. Nobody traces functions of a factory's guest.
    private static func shorten(_ module: FilePath, _ runner: any CommandRunner) async throws {
        try await runner.run(
            Command(Tool("objcopy", package: "binutils"), ["--remove-section=__mcount_loc", module.string], effect: .changes))
    }
}
