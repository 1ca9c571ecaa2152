public import KldAnswers
public import KldBlock
package import KldCore
import KldDistro
import KldZFS
import SystemPackage

/// The disks of an installation: found, checked, named stably. Nothing is touched here.
public struct DiskSelection: Sendable, Hashable {
    public struct Chosen: Sendable, Hashable {
        public var device: BlockDevice
        /// The name in the answers, which an approval must repeat.
        public var named: String
        /// The name that commands use.
        public var path: String
        /// Not named by anybody: the answers say `auto`.
        public var automatic = false
    }

    /// In the order of the answers; the first one's ESP is mounted on the installed machine.
    public var root: [Chosen]
    public var special: [Chosen]
    public var all: [Chosen] { root + special }
    /// The disks of each vdev.
    package private(set) var vdevs: [[Chosen]] = []

    /// A special vdev holds metadata, whatever the profile.
    private static let leastSpecial = ByteCount.gibibytes(4)

    /// - Throws: ``Diagnosis`` `profile.unknown`, `disk.missing`, `disk.not-a-disk`, `disk.live`, `disk.in-use`, `disk.read-only`, `disk.too-small`,
    ///   `disk.same`, `disk.ambiguous`, `disk.none-empty`, `disk.unequal`; ``VdevLayoutError``.
    public init(_ answers: Answers, _ facts: MachineFacts) throws {
        let least = try ProfileSpec.find(answers.profile.rawValue).leastDisk
        let whose = "the profile \(answers.profile.rawValue)"
        var first: Chosen
        switch answers.disk {
        case .path(let path): first = try Self.choose(path.string, facts, least, for: whose)
        case .automatic:
            first = try Self.choose(Self.onlyEmpty(facts, least, for: whose), facts, least, for: whose)
            first.automatic = true
        }
        root = try [first] + answers.dataDisks.map { try Self.choose($0.string, facts, least, for: whose) }
        special = try answers.specialDisks.map { try Self.choose($0.string, facts, Self.leastSpecial, for: "a special vdev") }
        for (number, disk) in all.enumerated() {
            if let other = all[..<number].first(where: { $0.device.isSameDisk(as: disk.device) }) {
                throw Diagnosis(
                    "disk.same", "\(disk.named) and \(other.named) are the same disk",
                    remedies: ["name each disk once, and a disk that has several paths by one of them: lsblk -o PATH,WWN,SERIAL"],
                    exit: .badAnswers)
            }
        }
        let layout = try VdevLayout(answers.vdevTopology, disks: root.map(\.path), special: special.map(\.path))
        vdevs = layout.vdevs.map { paths in all.filter { paths.contains($0.path) } }
        for group in vdevs {
            guard let small = group.min(by: { $0.device.size < $1.device.size }),
                let large = group.max(by: { $0.device.size < $1.device.size }),
                large.device.size.bytes - small.device.size.bytes > large.device.size.bytes / 10
            else { continue }
            throw Diagnosis(
                "disk.unequal",
                "\(large.named) (\(large.device.size)) is more than a tenth larger than \(small.named) (\(small.device.size)); the rest would be lost",
                remedies: ["use disks of equal size"], exit: .badAnswers)
        }
    }

    /// Another disk with a pool of the same name: whoever imports by name at boot would find two, and take neither.
    ///
    /// - Throws: ``Diagnosis`` `disk.same-pool`.
    func checkPoolName(_ pool: String, _ facts: MachineFacts) throws {
        for disk in facts.disks where !all.contains(where: { $0.device.isSameDisk(as: disk) }) {
            guard let device = disk.tree.first(where: { $0.filesystem == "zfs_member" && $0.label == pool }) else { continue }
            throw Diagnosis(
                "disk.same-pool", "\(device.path) carries a pool named \(pool) too, and is not to be wiped: the machine would not start",
                remedies: [
                    "choose another name: KLDLOAD_ZFS_POOL", "take the disk out",
                    "clear its labels, if the pool may be lost: zpool labelclear \(device.path)",
                ], exit: .badAnswers)
        }
    }

    /// A disk that may be wiped, once that is approved.
    ///
    /// - Throws: ``Diagnosis`` `disk.missing`, `disk.not-a-disk`, `disk.live`, `disk.read-only`, `disk.in-use`, `disk.too-small`.
    package static func choose(_ name: String, _ facts: MachineFacts, _ least: ByteCount, for whose: String) throws -> Chosen {
        guard let device = facts.disk(name) else {
            if let type = facts.disks.flatMap(\.tree).first(where: { $0.path == name })?.type ?? facts.notDisks[name] {
                throw Diagnosis(
                    "disk.not-a-disk", "\(name) is not a disk but a \(type)", remedies: ["name a whole disk, as lsblk shows it"],
                    exit: .badAnswers)
            }
            throw Diagnosis(
                "disk.missing", "there is no disk \(name)",
                remedies: ["this machine has: " + facts.disks.map { "\(facts.stableName($0)) (\($0.size))" }.joined(separator: ", ")],
                exit: .badAnswers)
        }
        if facts.liveDisks.contains(device.path) {
            throw Diagnosis(
                "disk.live", "\(name) carries the system that is running now, or its seed", remedies: ["choose another disk"],
                exit: .badAnswers)
        }
        if device.readOnly {
            throw Diagnosis("disk.read-only", "\(name) is read-only", remedies: ["choose another disk"], exit: .badAnswers)
        }
        if let pool = facts.importedPools[device.path] {
            throw Diagnosis(
                "disk.in-use", "\(name) belongs to the pool \(pool), which is imported",
                remedies: ["export it if it may be destroyed: zpool export \(pool)"], exit: .badAnswers)
        }
        if let mounted = device.allMountpoints.first {
            throw Diagnosis(
                "disk.in-use", "\(name) is in use: mounted at \(mounted)", remedies: ["unmount it if it may be destroyed"],
                exit: .badAnswers)
        }
        if let users = facts.inUse[device.path] {
            throw Diagnosis(
                "disk.in-use", "\(name) is in use, though nothing of it is mounted",
                remedies: ["end what uses it, if it may be destroyed: a virtual machine; losetup --detach; targetcli"], exit: .badAnswers,
                causes: users)
        }
        if device.size < least {
            throw Diagnosis(
                "disk.too-small", "\(name) has \(device.size); \(whose) needs at least \(least)", remedies: ["choose a larger disk"],
                exit: .badAnswers)
        }
        return Chosen(device: device, named: name, path: facts.stableName(device))
    }

    /// How the kernel's names of volumes begin that lie in a pool here or on another machine. An empty one may be about to be used there, so
    /// nobody but a person chooses it. Source: Linux `Documentation/admin-guide/devices.rst`, 6.12; zvols: `zvol_os.c`, OpenZFS 2.4.
    private static let volumes = ["zd", "nbd", "rbd", "drbd"]

    /// Of disks of which none will do the largest was probably meant: what speaks against it is told, not that there is none.
    package static func refuseLargest(of disks: [BlockDevice], _ facts: MachineFacts, _ least: ByteCount, for whose: String) throws {
        guard let largest = disks.max(by: { $0.size < $1.size }) else { return }
        _ = try choose(facts.stableName(largest), facts, least, for: whose)
    }

    private static func onlyEmpty(_ facts: MachineFacts, _ least: ByteCount, for whose: String) throws -> String {
        let all = facts.disks.filter { disk in
            disk.isEmpty && !facts.liveDisks.contains(disk.path) && !volumes.contains { disk.name.hasPrefix($0) }
        }
        let empty = all.filter {
            !$0.readOnly && $0.size >= least && facts.importedPools[$0.path] == nil && facts.inUse[$0.path] == nil
        }
        guard let first = empty.first else {
            try refuseLargest(of: all, facts, least, for: whose)
            throw Diagnosis(
                "disk.none-empty", "no disk of this machine is empty, so none is chosen by itself",
                remedies: ["name it: KLDLOAD_DISK=/dev/…"],
                exit: .badAnswers)
        }
        guard empty.count == 1 else {
            throw Diagnosis(
                "disk.ambiguous", "more than one disk is empty: \(empty.map { facts.stableName($0) }.joined(separator: ", "))",
                remedies: ["name one: KLDLOAD_DISK=/dev/…"], exit: .badAnswers)
        }
        return facts.stableName(first)
    }
}

extension Answers {
    /// As OpenZFS' tools know it.
    var vdevTopology: VdevTopology {
        switch topology {
        case .single: .single
        case .mirror: .mirror
        case .raidz1: .raidz(parity: 1)
        case .raidz2: .raidz(parity: 2)
        case .raidz3: .raidz(parity: 3)
        case .mirrorStripe: .mirrorStripe
        }
    }
}
