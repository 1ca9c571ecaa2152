import KldBoot
import KldCore
import KldExec
import KldFiles
import KldZFS
import SystemPackage

extension BootTarget {
    /// What a kernel has to do with the files that GRUB starts: environments share them, so each gets the name of one on an ESP that holds the
    /// same, or a name that nobody has.
    ///
    /// ESPs that are not mounted are mounted read-only for a moment.
    func separated(
        _ kernel: Kernel, _ system: BootSystem, runner: any CommandRunner, files: any FileSystem
    ) async throws -> Kernel {
        let (release, id) = (kernel.release, system.hostID)
        let sources: [(kind: KernelParts.Kind, file: FilePath)] = [(.kernel, linux(release)), (.initramfs, initramfs(release))]
        var present: [String: Set<String>] = [:]
        for (index, esp) in system.esps.enumerated() where !esp.images.isEmpty {
            present[esp.device] = try await BootSystem.looking(at: esp.device, esp.mount, index, runner: runner, files: files) { place in
                var same: Set<String> = []
                for path in esp.images.keys {
                    let held = place.appending(path)
                    let source = sources.first { $0.kind.number(of: path, release) != nil }
                    if let source, KernelParts.isSame(source.file, held, files) { same.insert(path) }
                    if let id, path == KernelParts.path(of: id), (try? files.read(held)) == InitramfsSupplement.hostID(id) {
                        same.insert(path)
                    }
                }
                return same
            }
        }
        func number(_ kind: KernelParts.Kind) -> Int {
            func numbers(_ paths: some Sequence<String>) -> [Int] { paths.compactMap { kind.number(of: $0, release) } }
            return numbers(present.values.joined()).max() ?? (numbers(system.esps.flatMap(\.images.keys)).max() ?? 0) + 1
        }
        let parts = KernelParts(
            release: release, kernel: number(.kernel), initramfs: number(.initramfs), hostID: id, commandLine: commandLine(system))
        var sizes = id.map { [KernelParts.path(of: $0): ByteCount(UInt64(InitramfsSupplement.hostID($0).count))] } ?? [:]
        for (source, path) in zip(sources, parts.files) { sizes[path] = try files.status(files.resolve(source.file))?.size }
        var kernel = kernel
        let found = Kernel.Parts(parts: parts, sizes: sizes, present: present)
        kernel.parts = found
        for esp in system.esps where found.lacking(on: esp.device).isEmpty {
            let own = esp.entries.filter { $0.dataset == environment.text && $0.release == release && $0.parts == parts }
            if !own.isEmpty { kernel.matching[esp.device] = Set(own.map(\.id)) }
        }
        return kernel
    }
}
