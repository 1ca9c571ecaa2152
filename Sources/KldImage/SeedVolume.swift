import FoundationEssentials
public import KldBlock
public import KldCore
public import KldExec
public import KldFiles
public import KldInstall
public import SystemPackage

/// The volume with `answers.env` from which a live environment installs without a person.
public struct SeedVolume: Sendable, Hashable {
    public static var labels: [String] { MachineFacts.seedLabels }
    public static let answersName = "answers.env"
    /// Where it is mounted, read-only, for as long as an installation runs: answers may name files there.
    public static let mountPoint: FilePath = "/run/kldload/seed"

    /// Folders in which an installation has written down what became of it.
    public static let reports = "kldload-"
    public static let resultName = "result.txt"
    public static let factsName = "facts.json"
    /// The first line of a result that is one.
    public static let installed = "installed"
    /// Before the machine that was, in the same file.
    private static let machineMark = "machine: "

    /// The block device.
    public var device: FilePath
    /// As lsblk calls it: `vfat`, `iso9660`, `ext4`.
    public var filesystem: String?

    public init(device: FilePath, filesystem: String? = nil) {
        self.device = device
        self.filesystem = filesystem
    }

    /// The one volume with such a label, of a file system or of a partition. Links of udev are no help: there is one for each label.
    ///
    /// - Parameter devices: of lsblk.
    /// - Returns: `nil` when there is none.
    /// - Throws: ``Diagnosis`` `autoinstall.several-seeds`.
    public static func find(_ devices: [BlockDevice]) throws(Diagnosis) -> SeedVolume? {
        // An array or a volume group lies below several disks.
        var found: [String: BlockDevice] = [:]
        for device in devices.flatMap({ named(in: $0) }) { found[device.path] = device }
        guard found.count < 2 else {
            throw Diagnosis(
                "autoinstall.several-seeds", "there is more than one seed volume; nothing was installed",
                remedies: ["leave one of them in, and restart"], exit: .badAnswers, causes: found.keys.sorted())
        }
        return found.values.first.map { SeedVolume(device: FilePath($0.path), filesystem: $0.filesystem) }
    }

    /// A disc's image on a stick is one volume, which the stick and its first partition show.
    private static func named(in device: BlockDevice) -> [BlockDevice] {
        let inside = device.children.flatMap { named(in: $0) }
        guard isNamed(device) else { return inside }
        return [device] + inside.filter { $0.label != device.label || $0.filesystem != device.filesystem }
    }

    /// A pool of such a name is nobody's answers.
    private static func isNamed(_ device: BlockDevice) -> Bool {
        device.filesystem != "zfs_member"
            && [device.label, device.partitionLabel].contains { name in name.map { labels.contains($0.uppercased()) } ?? false }
    }

    /// FAT knows no owners: everything on it would be everybody's.
    private var options: [String] {
        ["nosuid", "nodev", "noexec"] + (["vfat", "exfat"].contains(filesystem ?? "") ? ["umask=0077"] : [])
    }

    private func mounting(_ way: String) -> Command {
        MountCommand.mount(device.string, at: Self.mountPoint, options: [way] + options)
    }

    /// Mounts it, and reads its answers file. It stays mounted, for the answers may name files on it; nothing is written to it.
    ///
    /// - Parameter machine: the one that would be installed.
    /// - Throws: ``Diagnosis`` `autoinstall.installed-before`; `autoinstall.no-answers` when it has none; what mount says. It is unmounted then.
    ///
    /// **Runs:** `mount -o ro,nosuid,nodev,noexec[,umask=0077] DEVICE /run/kldload/seed`; after an error `umount …`.
    public func open(for machine: MachineIdentity, runner: any CommandRunner, files: any FileSystem) async throws -> [UInt8] {
        try files.makeDirectory(Self.mountPoint, mode: 0o700)
        try await runner.run(mounting("ro"))
        do {
            if let folder = Self.report(of: machine, files) {
                throw Diagnosis(
                    "autoinstall.installed-before", "the seed volume \(device) has installed this machine already; nothing was changed",
                    remedies: [
                        "take the seed volume and the live medium out, and restart: the machine starts what was installed",
                        "to install it again, and lose what it holds, remove the folder \(folder) from the seed volume",
                    ], exit: .badAnswers)
            }
            let file = Self.mountPoint.appending(Self.answersName)
            guard try files.exists(file) else {
                throw Diagnosis(
                    "autoinstall.no-answers", "the seed volume \(device) has no \(Self.answersName)",
                    remedies: ["put the answers into a file of that name at its top"], exit: .inputMissing)
            }
            return try files.read(file)
        } catch {
            _ = try? await runner.run(MountCommand.unmount(Self.mountPoint))
            throw error
        }
    }

    /// The result of an installation that succeeded. It says itself of which machine: what else is written down may find no room.
    ///
    /// - Parameter more: what a person has to know to start the machine.
    public static func result(of machine: MachineIdentity, saying more: String? = nil) -> String {
        // why: a few texts always have a JSON form.
        let identity = (try? SortedJSON.line(machine)) ?? ""
        return ([installed, machineMark + identity] + (more.map { ["", $0.trimmed] } ?? [])).joined(separator: "\n")
    }

    /// The folder that says that a machine was installed.
    private static func report(of machine: MachineIdentity, _ files: any FileSystem) -> String? {
        ((try? files.folders(in: mountPoint)) ?? []).filter { $0.hasPrefix(reports) }.first { folder in
            let place = mountPoint.appending(folder)
            guard let result = try? files.readText(place.appending(resultName)), result.lines.first == installed else { return false }
            return installedMachine(result, place, files)?.isSame(as: machine) == true
        }
    }

    /// As the result says it; before there was that, as the facts beside it do.
    private static func installedMachine(_ result: String, _ folder: FilePath, _ files: any FileSystem) -> MachineIdentity? {
        if let line = result.lines.first(where: { $0.hasPrefix(machineMark) }),
            let machine = try? JSONDecoder().decode(MachineIdentity.self, from: Data(line.dropFirst(machineMark.count).utf8))
        {
            return machine
        }
        guard let bytes = try? files.read(folder.appending(factsName)) else { return nil }
        return (try? JSONDecoder().decode(MachineFacts.self, from: Data(bytes)))?.identity
    }

    /// Unmounts it, and writes down on it what became of an installation, in a folder of its own; nothing else on it is touched.
    ///
    /// - Parameter folder: its name.
    /// - Returns: what could not be written, with the reason; one that finds no room does not keep the next one from being written.
    /// - Throws: what mount says: optical media, and sticks that are locked, take nothing.
    ///
    /// Runs: `umount …`, `mount -o rw,… DEVICE /run/kldload/seed`, `sync --file-system …`, `umount …`; changes.
    public func report(
        _ contents: [(name: String, bytes: [UInt8])], in folder: String, runner: any CommandRunner, files: any FileSystem
    ) async throws -> [(name: String, problem: Diagnosis)] {
        let place = Self.mountPoint
        try await runner.run(MountCommand.unmount(place))
        try files.makeDirectory(place, mode: 0o700)
        try await runner.run(mounting("rw"))
        var lost: [(name: String, problem: Diagnosis)] = []
        for (name, bytes) in contents {
            // The result may hold a password.
            let mode: ModeBits = name == Self.resultName ? .secret : .file
            do { try files.write(bytes, to: place.appending(folder).appending(name), mode: mode) } catch {
                lost.append((name, Diagnosis(of: error)))
            }
        }
        try await runner.run(FileCommand.syncFileSystem(place, accepting: [0, 1]))
        try await runner.run(MountCommand.unmount(place))
        return lost
    }
}
