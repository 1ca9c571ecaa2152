public import KldBlock
import KldBoot
public import KldCore
public import KldExec
public import KldFiles
import KldZFS
public import SystemPackage

/// What the planner knows of the machine it plans for. Saved as JSON, it replays that machine as a test.
public struct MachineFacts: Sendable, Hashable, Codable {
    public static let currentSchema = "machine-facts/1"
    public var schema = MachineFacts.currentSchema
    public var disks: [BlockDevice]
    /// Stable names by kernel name: `/dev/vda` → `/dev/disk/by-id/virtio-disk0`.
    public var stableNames: [String: String]
    /// Kernel names of disks that carry the system we run from, or its seed.
    public var liveDisks: [String]
    /// Kernel names of disks that carry a pool imported right now, with the pool's name.
    public var importedPools: [String: String]
    /// Every pool imported right now, whatever it lies on.
    public var pools: [String] = []
    /// The firmware is UEFI and lets us write boot entries.
    public var firmwareEntries: Bool
    public var memory: ByteCount
    /// Its network cards. Another machine's, or the system that is installed, would not have what somebody made of them here.
    public var interfaces: [String]

    public init(
        disks: [BlockDevice], stableNames: [String: String] = [:], liveDisks: [String] = [], importedPools: [String: String] = [:],
        firmwareEntries: Bool = false, memory: ByteCount = .gibibytes(2), interfaces: [String] = []
    ) {
        self.disks = disks
        self.stableNames = stableNames
        self.liveDisks = liveDisks
        self.importedPools = importedPools
        self.firmwareEntries = firmwareEntries
        self.memory = memory
        self.interfaces = interfaces
    }

    /// The disk behind a path: its kernel name, its stable name, or any link that ``stableNames`` was gathered from.
    public func disk(_ path: String) -> BlockDevice? {
        disks.first { $0.path == path || stableNames[$0.path] == path || aliases[path] == $0.path }
    }

    /// Other links to disks, as the answers may use them.
    public var aliases: [String: String] = [:]

    /// Paths of what no disk is, with what it is: `/dev/loop0` → `loop`.
    public var notDisks: [String: String] = [:]

    /// Kernel names of disks of which nothing is mounted or imported, and which are in use all the same, with who uses them.
    public var inUse: [String: [String]] = [:]

    /// The firmware starts only what is signed.
    public var secureBoot = false

    /// By what the machine is known again.
    public var identity = MachineIdentity()

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        schema = try values.decode(String.self, forKey: .schema)
        disks = try values.decode([BlockDevice].self, forKey: .disks)
        stableNames = try values.decode([String: String].self, forKey: .stableNames)
        liveDisks = try values.decode([String].self, forKey: .liveDisks)
        importedPools = try values.decode([String: String].self, forKey: .importedPools)
        firmwareEntries = try values.decode(Bool.self, forKey: .firmwareEntries)
        memory = try values.decode(ByteCount.self, forKey: .memory)
        interfaces = try values.decode([String].self, forKey: .interfaces)
        aliases = try values.decode([String: String].self, forKey: .aliases)
        // Facts saved before there were these.
        pools = try values.decodeIfPresent([String].self, forKey: .pools) ?? []
        notDisks = try values.decodeIfPresent([String: String].self, forKey: .notDisks) ?? [:]
        inUse = try values.decodeIfPresent([String: [String]].self, forKey: .inUse) ?? [:]
        secureBoot = try values.decodeIfPresent(Bool.self, forKey: .secureBoot) ?? false
        identity = try values.decodeIfPresent(MachineIdentity.self, forKey: .identity) ?? MachineIdentity()
    }

    /// The name that outlives a reboot, as far as the machine offers one.
    public func stableName(_ device: BlockDevice) -> String { stableNames[device.path] ?? device.path }
}

extension MachineFacts {
    /// Reads the machine.
    ///
    /// - Parameter asked: paths that the answers name; each that leads to a disk is a name of it, of the others it is noted what they are.
    ///
    /// Runs: `lsblk`, `zpool list -vHPp` (only where the module is loaded); all reads.
    /// - Throws: ``Diagnosis`` of lsblk or zpool: what they do not tell might be in use.
    public static func gather(
        runner: any CommandRunner, files: any FileSystem, asked: [FilePath] = []
    ) async throws -> MachineFacts {
        let devices = try ListBlockDevices.parse(await runner.run(ListBlockDevices.command).output)
        var facts = MachineFacts(disks: devices.filter { notADisk($0) == nil })
        for folder in ["by-id", "by-path"] {
            let base = FilePath("/dev/disk/\(folder)")
            var targets: [String: String] = [:]
            for name in ((try? files.list(base)) ?? []) where !isPartition(name) && !isOfContent(name) {
                let link = base.appending(name)
                // udev 257 keeps links of partitions in folders of their own there.
                guard let target = try? files.resolve(link).string, target != link.string else { continue }
                if facts.isShared(link, leadingTo: target, files) {
                    facts.notDisks[link.string] = sharedName
                    continue
                }
                targets[name] = target
                facts.aliases[link.string] = target
            }
            let ranked = targets.map { (rank: rank($0.key, among: targets), name: $0.key, target: $0.value) }
            for link in ranked.sorted(by: { ($0.rank, $0.name) < ($1.rank, $1.name) }) where facts.stableNames[link.target] == nil {
                facts.stableNames[link.target] = base.appending(link.name).string
            }
        }
        for disk in facts.disks where disk.allMountpoints.contains(where: isLive) || holdsLiveImage(disk) {
            facts.liveDisks.append(disk.path)
        }
        if try isOpenZFSLoaded(files) {
            // Ends with 0 where there are no pools: any other status means that nobody knows.
            let pools = PoolListing.parse(try await runner.run(ZPool.vdevs()).output)
            facts.pools = pools.map(\.name)
            facts.importedPools = importedPools(pools, disks: facts.disks, files: files)
        }
        let idle = facts.disks.filter { disk in
            disk.allMountpoints.isEmpty && facts.importedPools[disk.path] == nil && !facts.liveDisks.contains(disk.path)
        }
        facts.inUse = try await DiskUse.find(idle, files)
        facts.firmwareEntries = try files.exists(EFIVariable.folder)
        if let line = try files.readText("/proc/meminfo").lines.first(where: { $0.hasPrefix("MemTotal:") }),
            let kibibytes = UInt64(line.words[1])
        {
            facts.memory = ByteCount(kibibytes << 10)
        }
        facts.interfaces = MachineIdentity.cards(files)
        facts.look(at: asked, devices: devices, files: files)
        facts.secureBoot = EFIVariable.isSecureBootOn(files)
        facts.identity = MachineIdentity.read(files)
        return facts
    }

    /// A module that is still being loaded has no pools yet; one built into the kernel has no such file. Source: Linux `kernel/module/sysfs.c`, 6.12.
    package static func isOpenZFSLoaded(_ files: any FileSystem) throws -> Bool {
        let state: FilePath = "/sys/module/zfs/initstate"
        return try files.exists(state) ? files.readText(state).trimmed == "live" : files.exists("/sys/module/zfs")
    }

    /// What a row of lsblk is, when it is no disk.
    private static func notADisk(_ device: BlockDevice) -> String? {
        if device.type != "disk" { return device.type }
        // lsblk calls a compressed swap in memory a disk, and so the slot of a card reader in which no card is.
        if device.name.hasPrefix("zram") { return "device in memory" }
        return device.size.bytes == 0 ? "drive without a medium" : nil
    }

    /// What nobody can have meant.
    private static let sharedName = "name that several disks have"

    /// Takes other links to disks for names of them, and notes of the rest what it is.
    private mutating func look(at asked: [FilePath], devices: [BlockDevice], files: any FileSystem) {
        for device in devices { if let type = Self.notADisk(device) { notDisks[device.path] = type } }
        for path in asked where notDisks[path.string] == nil {
            guard let target = try? files.resolve(path), let status = try? files.status(target) else { continue }
            if let device = devices.flatMap(\.tree).first(where: { Self.resolved($0.path, files) == target.string }) {
                if let type = Self.notADisk(device) {
                    notDisks[path.string] = type
                } else if isShared(path, leadingTo: device.path, files) {
                    notDisks[path.string] = Self.sharedName
                } else if path.string != device.path {
                    aliases[path.string] = device.path
                }
                continue
            }
            switch status.kind {
            case .file: notDisks[path.string] = "file"
            case .directory: notDisks[path.string] = "folder"
            case .blockDevice: notDisks[path.string] = "block device that lsblk does not show"
            case .other, .symlink: notDisks[path.string] = "device without blocks"
            }
        }
    }

    /// Whether another disk has a link too, and not the same one on another path. Of two with one serial number udev shows the one that it
    /// looked at last, and that changes with every write to either.
    ///
    /// Where udev does not tell who claims a link, what it makes the names below by-id of must differ: model and serial number, or the WWN.
    /// Source: `udev_node_escape_path()`, `stack_directory_update()`, systemd 252 to 257; `util_path_encode()` before.
    private func isShared(_ link: FilePath, leadingTo target: String, _ files: any FileSystem) -> Bool {
        guard let disk = disks.first(where: { $0.path == target }) else { return false }
        let name = String(link.string.dropFirst("/dev/".count)).replacing("\\", with: "\\x5c").replacing("/", with: "\\x2f")
        for folder in [name, "\\x2f\(name)"].map({ FilePath("/run/udev/links/\($0)") }) {
            // `PRIORITY:/dev/sda`, by the number of the device.
            let claims = ((try? files.list(folder)) ?? []).compactMap { try? files.readLink(folder.appending($0)) }
            if claims.isEmpty { continue }
            return disks.contains { other in
                !other.isSameDisk(as: disk) && claims.contains { $0.hasSuffix(":\(other.path)") }
            }
        }
        guard link.string.hasPrefix("/dev/disk/by-id/") else { return false }
        let isOfWWN = link.lastComponent.map { Self.isOfWWN($0.string) } ?? false
        return disks.contains { other in
            guard !other.isSameDisk(as: disk), other.wwn == disk.wwn else { return false }
            return isOfWWN ? disk.wwn != nil : disk.serial != nil && other.serial == disk.serial && other.model == disk.model
        }
    }

    /// A device's name without links: lsblk shows `/dev/mapper/luks`, which is one to `/dev/dm-0`.
    private static func resolved(_ path: String, _ files: any FileSystem) -> String {
        (try? files.resolve(FilePath(path)).string) ?? path
    }

    /// `ata-DISK-part1`; a serial number may hold that word too.
    private static func isPartition(_ name: String) -> Bool {
        let digits = name.reversed().prefix { $0.isNumber }.count
        return digits > 0 && name.dropLast(digits).hasSuffix("-part")
    }

    /// A name of what lies on a disk, which goes when that is wiped. Source: `69-lvm.rules`, lvm2 2.03; `13-dm-disk.rules`, `63-md-raid-arrays.rules`.
    private static func isOfContent(_ name: String) -> Bool { ["lvm-pv-uuid-", "dm-", "md-"].contains { name.hasPrefix($0) } }

    /// Fewer words say more about the disk itself; what ranks behind is left to machines that offer no other name.
    ///
    /// An NVMe disk's name without the number of its namespace is that of all namespaces of the controller: one of them has the link, and after a
    /// restart another may. Source: `60-persistent-storage.rules`, systemd 257.
    /// - Parameter links: what each name in its folder leads to.
    private static func rank(_ name: String, among links: [String: String]) -> Int {
        if isOfWWN(name) { return 1 }
        guard name.hasPrefix("nvme-") else { return 0 }
        let isOfController = links.contains { other in
            other.value == links[name] && other.key.hasPrefix(name + "_") && other.key.dropFirst(name.count + 1).allSatisfy(\.isNumber)
        }
        return isOfController ? 1 : 0
    }

    private static func isOfWWN(_ name: String) -> Bool { name.hasPrefix("wwn-") || name.hasPrefix("nvme-eui") }

    private static func isLive(_ mountpoint: String) -> Bool {
        mountpoint == "/" || mountpoint.hasPrefix("/run/initramfs") || mountpoint.hasPrefix("/run/live")
            || mountpoint.hasPrefix("/run/kldload/seed")
    }

    /// What a seed volume, with answers, is called. A FAT label holds eleven characters, so it cannot be the first of them.
    package static let seedLabels = ["KLDLOAD-SEED", "KLDLOADSEED", "KLDSEED"]

    private static func holdsLiveImage(_ disk: BlockDevice) -> Bool {
        disk.serial == "kldload-live"
            || disk.tree.contains { device in
                // The label of a pool's part is the pool's name, and that of an array's the array's: a pool may be called kldload.
                let isPart = device.filesystem?.hasSuffix("_member") == true
                return [isPart ? nil : device.label, device.partitionLabel].contains { name in
                    let name = (name ?? "").uppercased()
                    return name == "KLDLOAD" || seedLabels.contains { name.hasPrefix($0) }
                }
            }
    }

    /// The pool of each disk that carries one.
    private static func importedPools(_ pools: [PoolListing], disks: [BlockDevice], files: any FileSystem) -> [String: String] {
        var found: [String: String] = [:]
        // A device may lie on several disks: an array, a volume group.
        var holders: [String: [String]] = [:]
        for disk in disks { for device in disk.tree { holders[resolved(device.path, files), default: []].append(disk.path) } }
        for pool in pools {
            for device in pool.devices where device.hasPrefix("/dev/") {
                for disk in holders[resolved(device, files)] ?? [] { found[disk] = pool.name }
            }
        }
        return found
    }
}
