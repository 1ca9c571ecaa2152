import KldBlock
import KldBoot
import KldDistro
import KldCore
public import KldExec
public import KldFiles
import KldInstall
public import KldZFS
import SystemPackage

extension BootSystem {
    /// How much of its environments is read. Two thousand snapshots take ZFS a hundred times as long as two hundred environments.
    public enum Detail: Int, Sendable, Comparable {
        case environments
        /// Also ``BootEnvironment/snapshots``.
        case snapshots
        /// Also ``BootEnvironment/owned``; without it nothing is kldload's own, and nothing can be destroyed.
        case owners
        public static func < (a: Detail, b: Detail) -> Bool { a.rawValue < b.rawValue }
    }

    /// Reads the running machine, with a fixed number of commands, however many environments and snapshots there are.
    ///
    /// Runs: `lsblk`, `zpool list`, `zfs list -t filesystem[,snapshot] -r POOL/ROOT`; for the owners `zfs get -r -t filesystem` of the
    /// mark; reads. ESPs that are not mounted are mounted read-only for a moment.
    /// - Parameters:
    ///   - visiting: the root is one that somebody is in with chroot(8): what runs is another kernel, started by other words.
    /// - Throws: ``Diagnosis`` `be.no-zfs-root`; `boot.esp-damaged` where there are ESPs, and none of them can be read; `boot.esp-busy`.
    public static func gather(
        _ detail: Detail = .environments, visiting: Bool = false, runner: any CommandRunner, files: any FileSystem
    ) async throws -> BootSystem {
        let dataset = try running(files)
        guard let top = dataset.parent else { throw noRoot }
        // They do not need each other.
        async let listing = runner.run(ZFS.list(top, columns: columns, types: types(detail)))
        guard let root = try await RunningRoot.gather(runner: runner, files: files) else { throw noRoot }
        let pool = try PoolName(root.pool)
        let chain = try Installation.read(files)?.chain ?? .systemdBoot
        let output = try await listing.output
        let release = visiting ? "" : try KernelRelease.running(files)
        let owned = detail == .owners ? try await marked(below: top, runner) : []
        let rows = try DatasetTable.parse(output, columns: columns)
        let (esps, damaged) = try await readESPs(of: root, chain, visiting: visiting, runner: runner, files: files)
        let words =
            visiting
            ? try await commandLine(of: dataset, on: esps, runner: runner, files: files)
            : KernelCommandLine(running: try files.readText("/proc/cmdline").trimmed)
        var system = BootSystem(
            chain: chain, pool: pool, running: dataset, release: release, hostID: hostID(files, visiting: visiting),
            commandLine: words,
            bootfs: root.bootfs,
            environments: try environments(rows, top: top, mounts: files.mounts(), owned: owned, altroot: visiting ? root.altroot : nil),
            esps: esps,
            builder: try BootImageBuilder.find(files), signing: try signing(files),
            secureBoot: SecureBoot.firmware(files) == .enforcing, enrolment: try enrolment(files), trusted: TrustedKey.all(files),
            selected: visiting ? nil : selected(files),
            followed: visiting ? false : try followed(files) == dataset.leaf, damaged: damaged,
            wasCounted: visiting ? nil : BootCount.isCounted(files))
        if chain == .systemdBoot { system.told = .read(files, visiting ? system.entries : nil) }
        system.isVisited = visiting
        system.pinned = try PinnedKernels.read(files)
        system.unfinished = try unfinished(rows, top: top)
        return system
    }

    /// The dataset of the environment that runs: what is mounted at `/`.
    ///
    /// - Throws: ``Diagnosis`` `be.no-zfs-root`.
    public static func running(_ files: any FileSystem) throws -> DatasetName {
        guard let root = try files.rootDataset() else { throw noRoot }
        return root
    }

    /// As the pool knows the machine: inside one that does not run, by the id under which whoever helps has imported its pool.
    private static func hostID(_ files: any FileSystem, visiting: Bool) -> HostID? {
        if visiting, let adopted = KernelHostID.current(files) { return adopted }
        return (try? files.read("/etc/hostid")).flatMap { HostID(fileContent: $0) }
    }

    /// What an environment is started with, by the newest image that boots it; else by another environment's; else as the installer would say.
    private static func commandLine(
        of dataset: DatasetName, on esps: [ESP], runner: any CommandRunner, files: any FileSystem
    ) async throws -> KernelCommandLine {
        for own in [true, false] {
            for (index, esp) in esps.enumerated() {
                let entries = esp.entries.sorted { $0.order > $1.order }.filter { ($0.dataset == dataset.text) == own }
                if let parts = entries.lazy.compactMap(\.parts).first { return parts.commandLine }
                let found = try await looking(at: esp.device, esp.mount, index, runner: runner, files: files) { place in
                    entries.lazy.compactMap { try? UnifiedKernelImage.commandLine(of: place.appending($0.imagePath), files) }.first
                }
                if let found { return found }
            }
        }
        let installed = try Installation.read(files)
        return KernelCommandLine(
            root: dataset.text, initramfs: installed?.spec.initramfs ?? .initramfsTools,
            consoles: installed?.answers["KLDLOAD_CONSOLE"]?.words ?? [])
    }

    static var noRoot: Diagnosis {
        Diagnosis(
            "be.no-zfs-root", "the root file system is not a dataset of ZFS",
            remedies: ["boot environments are for installed machines; on the live medium: krecovery import"])
    }

    private static func signing(_ files: any FileSystem) throws -> Signing {
        let key = MachineOwnerKey()
        guard try key.isWanted(files) else { return .off }
        return try key.exists(files) ? .by(key.identity(files)) : .keyless
    }

    /// Where the machine's certificate stands, whether it signs or not.
    static func enrolment(_ files: any FileSystem) throws -> KeyEnrolment.State {
        try MachineOwnerKey().der(files).map { KeyEnrolment.state(of: $0, files) } ?? .absent
    }

    /// What GRUB's menu says on the command line; else `LoaderEntrySelected`: UTF-16, the name of an entry's file in lower case; with its counter,
    /// until that was mended after systemd 257. Source: The Boot Loader Interface, uapi-group.org; issue 38813 of systemd.
    private static func selected(_ files: any FileSystem) -> String? {
        if let words = try? files.readText("/proc/cmdline") {
            if KernelCommandLine.isRecovering(words) { return RecoveryImage.entryID }
            if let entry = KernelCommandLine.started(words).entry { return entry.lowercased() }
        }
        return (EFIVariable.text("LoaderEntrySelected", of: .loader, files)?.lowercased()).map { text in
            BootEntry.id(text.hasSuffix(".conf") ? String(text.dropLast(5)) : text)
        }
    }

    /// The environment that the initramfs was told to start.
    private static func followed(_ files: any FileSystem) throws -> String? {
        try files.exists(EnvironmentChoice.followed) ? files.readText(EnvironmentChoice.followed).trimmed : nil
    }

    static let columns = [
        "name", "type", "used", "referenced", "creation", "origin", "mountpoint", "canmount", KldProperty.identity, KldProperty.upkeep,
    ]

    static func types(_ detail: Detail) -> [String] { detail < .snapshots ? ["filesystem"] : ["filesystem", "snapshot"] }

    /// Datasets that bear the mark themselves: the one that holds them bears it too, so everybody's inherit it.
    private static func marked(below top: DatasetName, _ runner: any CommandRunner) async throws -> Set<String> {
        let output = try await runner.run(ZFS.get(top.text, [KldProperty.owner], recursive: true, types: ["filesystem"])).output
        return Set(try PropertyRow.parse(output).filter(\.marksOwnership).map(\.name))
    }

    /// A mount point as it is set. ZFS shows it below the folder that the pool was opened below, to who is inside of that folder too.
    private static func place(_ shown: String, below altroot: String?) -> String {
        guard let altroot else { return shown }
        return shown == altroot ? "/" : shown.hasPrefix(altroot + "/") ? String(shown.dropFirst(altroot.count)) : shown
    }

    /// What a run that was killed has left half made: see ``BootEnvironments/sweep(below:_:)``.
    static func unfinished(_ rows: [DatasetEntry], top: DatasetName) throws -> [DatasetName] {
        try rows.filter { $0.type == "filesystem" && BootEnvironment.isUnfinished($0.name) }.map { try DatasetName($0.name) }
            .filter { $0.parent == top }
    }

    /// - Parameter altroot: the folder that the pool was opened below.
    static func environments(
        _ rows: [DatasetEntry], top: DatasetName, mounts: [MountPoint], owned: Set<String>, altroot: String?
    ) throws -> [BootEnvironment] {
        func created(_ row: DatasetEntry) -> Timestamp { Timestamp(seconds: Int64(row.bytes("creation")?.bytes ?? 0)) }
        func isForeign(_ row: DatasetEntry) -> Bool { row[KldProperty.identity] == KldProperty.foreign }
        var found: [String: BootEnvironment] = [:]
        let depth = top.text.split(separator: "/").count + 1
        for row in rows where row.type == "filesystem" && row.name.hasPrefix(top.text + "/") {
            let dataset = try DatasetName(row.name)
            let parts = row.name.split(separator: "/")
            if BootEnvironment.isUnfinished(String(parts[depth - 1])) { continue }
            if parts.count == depth {
                found[row.name] = BootEnvironment(
                    dataset: dataset, used: row.bytes("used") ?? ByteCount(0), referenced: row.bytes("referenced") ?? ByteCount(0),
                    created: created(row), origin: try row["origin"].map { try SnapshotName($0) },
                    owned: owned.contains(row.name),
                    mountpoint: mounts.first { $0.source == row.name && $0.type == "zfs" && !TemporaryMount.isPlace($0.place) }?.place,
                    isForeign: isForeign(row), isHalfMade: row[KldProperty.upkeep] != nil)
            } else {
                found[parts.prefix(depth).joined(separator: "/")]?.children[dataset] = BootEnvironment.Child(
                    place(row["mountpoint"] ?? "none", below: altroot), isHolder: row["canmount"] == "off",
                    origin: try row["origin"].map { try SnapshotName($0) })
            }
        }
        var labels: [DatasetName: [(Timestamp, String)]] = [:]
        for row in rows where row.type == "snapshot" {
            let name = try SnapshotName(row.name)
            guard found[name.dataset.text] != nil else {
                labels[name.dataset, default: []].append((created(row), name.label))
                continue
            }
            found[name.dataset.text]?.snapshots.append(
                BootEnvironment.Snapshot(
                    name: name, used: row.bytes("used") ?? ByteCount(0), created: created(row), isForeign: isForeign(row)))
        }
        return found.values.map { environment in
            var environment = environment
            environment.snapshots.sort { ($0.created, $0.name.label) < ($1.created, $1.name.label) }
            for child in Array(environment.children.keys) {
                environment.children[child]?.labels = (labels[child] ?? []).sorted { $0 < $1 }.map { $0.1 }
            }
            return environment
        }.sorted { $0.dataset < $1.dataset }
    }
}

extension BootTarget {
    /// Mounts an environment's root read-only for as long as `body` works, unless it is mounted already, and reads what it could boot.
    ///
    /// Runs: `mount -t zfs -o ro,zfsutil DATASET PLACE`, `umount`.
    public static func with<Result>(
        _ environment: BootEnvironment, runner: any CommandRunner, files: any FileSystem,
        _ body: (BootTarget) async throws -> Result
    ) async throws -> Result {
        if let place = environment.mountpoint {
            return try await body(seen(environment, at: FilePath(place), files))
        }
        // Two may be looked at together.
        return try await TemporaryMount().with(
            at: environment.dataset.text, as: environment.name, type: "zfs", options: ["zfsutil"], runner: runner, files: files
        ) { try await body(seen(environment, at: $0, files)) }
    }

    private static func seen(_ environment: BootEnvironment, at root: FilePath, _ files: any FileSystem) throws -> BootTarget {
        BootTarget(environment: environment.dataset, root: root, kernels: try kernels(in: root, files))
    }

    /// The same with what it has to do with the images on the ESPs: only of the kernel that is booted, for each of them is read whole; and
    /// with what could keep it from booting.
    ///
    /// Runs: `zpool get all POOL`, reads; where no image of its initramfs boots yet, `lsinitramfs INITRD`, reads; ESPs that are not mounted
    /// are mounted read-only for a moment.
    public func compared(_ system: BootSystem, runner: any CommandRunner, files: any FileSystem) async throws -> BootTarget {
        guard let kernel = kernels.first else { return self }
        var target = self
        target.facts = try await BootGate.Facts.gather(in: root, pool: system.pool, runner: runner, files: files)
        if system.chain == .grub {
            target.kernels[0] = try await separated(kernel, system, runner: runner, files: files)
        } else {
            target.kernels[0] = try await united(kernel, system, runner: runner, files: files)
        }
        if !target.kernels[0].isStaged {
            target.kernels[0].hasModule = try await InitramfsContent.of(initramfs(kernel.release), runner: runner, files: files)?
                .importsPools
            // A kernel whose module was not built must not keep an older one from booting, nor ESPs from being healed.
            if target.kernels[0].hasModule == false, kernels.count > 1 {
                var rest = self
                rest.kernels.removeFirst()
                var result = try await rest.compared(system, runner: runner, files: files)
                result.facts.unusable.insert(kernel.release, at: 0)
                return result
            }
        }
        // Decompressing them takes long: only where an unsigned one would not start, and where it is another initramfs than has started.
        let runs = system.current.map { entry in target.kernels[0].images.values.contains { $0.contains(entry.imagePath) } } ?? false
        if let accepted = system.accepted, !runs {
            target.kernels[0].unsigned = try await ModuleSigning.modules(
                in: root, kernel.release, initramfs: initramfs(kernel.release), notSignedBy: accepted, runner: runner, files: files)
        }
        return target
    }

    /// What a kernel has to do with the images on the ESPs.
    private func united(
        _ kernel: Kernel, _ system: BootSystem, runner: any CommandRunner, files: any FileSystem
    ) async throws -> Kernel {
        var kernel = kernel
        let supplement = system.hostID.map { InitramfsSupplement.hostID($0) } ?? []
        let image = image(kernel.release, system, supplement: "", output: "")
        for (index, esp) in system.esps.enumerated() where !esp.entries.isEmpty {
            try await BootSystem.looking(at: esp.device, esp.mount, index, runner: runner, files: files) { place in
                let entries = esp.entries.filter { $0.release == image.release }
                let own = entries.filter { $0.dataset == environment.text }
                func compare(_ path: String, sharing: Bool) {
                    switch image.compare(place.appending(path), supplement: supplement, signers: system.imageSigners, files) {
                    case .exact where sharing: kernel.images[esp.device, default: []].insert(path)
                    case .exact, .otherCommandLine: kernel.donor = .init(device: esp.device, path: path)
                    case .none: break
                    }
                }
                for path in Set(own.map(\.imagePath)).sorted() { compare(path, sharing: true) }
                // Where one of its own fits, nobody else's has to be read; else the one that runs, or the first of the same kernel.
                let shareable = EnvironmentChoice.isPossible(environment.leaf + image.release) ? system.shareable : nil
                let others = Set(entries.map(\.imagePath)).subtracting(own.map(\.imagePath)).sorted()
                if kernel.images[esp.device] == nil, let shareable, others.contains(shareable) { compare(shareable, sharing: true) }
                for path in others where path != shareable && kernel.images.isEmpty && kernel.donor == nil {
                    compare(path, sharing: false)
                }
                let fitting = kernel.images[esp.device] ?? []
                let ids = own.filter { fitting.contains($0.imagePath) }.map(\.id)
                if !ids.isEmpty { kernel.matching[esp.device] = Set(ids) }
            }
        }
        return kernel
    }

    /// Kernels that have everything, the newest first.
    static func kernels(in root: FilePath, _ files: any FileSystem) throws -> [Kernel] {
        func place(_ path: String) -> FilePath { root == "/" ? FilePath("/" + path) : root.appending(path) }
        func size(_ path: FilePath) throws -> ByteCount? { try files.exists(path) ? try files.status(files.resolve(path))?.size : nil }
        let prefix = "vmlinuz-"
        let releases = ((try? files.list(place("boot"))) ?? []).filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        return try releases.compactMap { release in
            guard let kernel = try size(place("boot/\(prefix)\(release)")), let initrd = try size(place("boot/initrd.img-\(release)")),
                kernel.bytes > 0, initrd.bytes > 0, try files.exists(place("usr/lib/modules/\(release)"))
            else { return nil }
            return Kernel(release: release, size: kernel + initrd)
        }.sorted { KernelRelease.precedes($1.release, $0.release) }
    }
}
