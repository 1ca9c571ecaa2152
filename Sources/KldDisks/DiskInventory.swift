public import KldBlock
public import KldCore
public import KldExec
public import KldFiles
public import KldInstall
public import KldZFS
import SystemPackage

/// The disks of a machine, and those that its pools miss.
public struct DiskInventory: Sendable, Hashable {
    /// A device of a pool, with its passport.
    public struct Member: Sendable, Hashable {
        public var device: PoolDevice
        public var passport: DiskPassport
        /// The passport lies where an older OpenZFS put it, and not on the vdev.
        public var isOlder = false
        /// The kernel's name of the partition, or of the disk: `/dev/sda2`; `nil` where the disk is not there.
        public var node: String?
        /// The same of what lies at its path and is another vdev's, or nobody's.
        public var impostor: String?
    }

    public struct Entry: Sendable, Hashable {
        /// `nil`: a pool knows it, and the machine does not show it.
        public var device: BlockDevice?
        /// The name that outlives a restart; of one that is not there, as the pool calls it.
        public var name: String
        /// None: no pool has it.
        public var members: [Member]

        public var serial: String? { device?.serial ?? members.lazy.compactMap { $0.passport["serial"] }.first }
        public var model: String? { device?.model ?? members.lazy.compactMap { $0.passport["model"] }.first }
        public var passport: DiskPassport { members.first { !$0.passport.isEmpty }?.passport ?? DiskPassport() }

        /// The passport was written for another disk: one was put in its place without `kdisk replace`.
        public var passportOfAnother: String? {
            guard let written = passport["serial"], let serial = device?.serial, written != DiskPassport.printable(serial) else {
                return nil
            }
            return written
        }

        /// The state of the vdev that is worst off; of a disk in no pool `-`.
        public var state: String {
            let bad = members.first { !$0.device.isHealthy && $0.device.state != .inUse }
            guard let member = bad ?? members.first else { return "-" }
            return member.device.state.description + (member.device.hasErrors && member.device.state == .online ? ", errors" : "")
        }
    }

    public var facts: MachineFacts
    public var entries: [Entry]
    public var store: PassportStore
    public var versions: OpenZFSVersions

    /// Reads the machine.
    ///
    /// Runs: what ``MachineFacts/gather(runner:files:asked:)`` runs, `zfs --version`, and where OpenZFS is loaded what
    /// ``PoolStatus/all(_:runner:)`` and ``PassportStore/passports(of:runner:)`` run; `zdb -l` of a path whose device a pool cannot open; reads.
    public static func gather(runner: any CommandRunner, files: any FileSystem) async throws -> DiskInventory {
        let facts = try await MachineFacts.gather(runner: runner, files: files)
        let loaded = try MachineFacts.isOpenZFSLoaded(files)
        let versions = loaded ? try await OpenZFSVersions.read(runner) : OpenZFSVersions()
        let store = PassportStore(versions)
        var members: [Member] = []
        for status in loaded ? try await PoolStatus.all(versions, runner: runner) : [] {
            // A suspended pool answers to nobody.
            let passports = status.state == .suspended ? .init() : try await store.passports(of: PoolName(status.name), runner: runner)
            for device in status.members {
                let (node, impostor) = try await node(of: device, runner: runner, files: files)
                members.append(
                    Member(
                        device: device, passport: device.guid.flatMap { passports[$0] } ?? DiskPassport(),
                        isOlder: device.guid.map { passports.isOlder($0) } ?? false, node: node, impostor: impostor))
            }
        }
        return DiskInventory(facts, members, store, versions) { (try? files.resolve(FilePath($0)).string) ?? $0 }
    }

    /// What a pool's path leads to, as long as it is the pool's own: what a pool does not use may be another disk by now, in the same place.
    private static func node(
        of device: PoolDevice, runner: any CommandRunner, files: any FileSystem
    ) async throws -> (node: String?, impostor: String?) {
        guard let path = device.path, path.hasPrefix("/dev/"), let node = try? files.resolve(FilePath(path)).string else {
            return (nil, nil)
        }
        // Before OpenZFS 2.3 one with another vdev's label is FAULTED too.
        guard [.unavailable, .removed, .offline, .faulted].contains(device.state) else { return (node, nil) }
        let guid = DiskLabel.parse(try await runner.run(DiskLabel.command(node)).output)?.guid
        // Of a disk that fails nobody may be able to read the label.
        return guid.map { $0 == device.guid } ?? (device.state == .faulted) ? (node, nil) : (nil, node)
    }

    /// - Parameter resolve: a device's name without links: lsblk shows `/dev/mapper/luks`, which is one to `/dev/dm-0`.
    init(
        _ facts: MachineFacts, _ members: [Member], _ store: PassportStore, _ versions: OpenZFSVersions,
        resolve: (String) -> String = { $0 }
    ) {
        var known = facts
        var entries = facts.disks.map { disk in
            let nodes = Set(disk.tree.map { resolve($0.path) })
            let own = members.filter { $0.node.map { nodes.contains($0) } ?? false }
            // A pool that has it by a path alone does not use it.
            if own.isEmpty, members.contains(where: { $0.impostor.map { nodes.contains($0) } ?? false }) {
                known.importedPools[disk.path] = nil
            }
            return Entry(device: disk, name: facts.stableName(disk), members: own)
        }
        let shown = Set(facts.disks.flatMap(\.tree).map { resolve($0.path) })
        for member in members where member.device.path?.hasPrefix("/dev/") != false && !(member.node.map { shown.contains($0) } ?? false) {
            entries.append(Entry(device: nil, name: member.device.path ?? member.device.name, members: [member]))
        }
        (self.facts, self.entries, self.store, self.versions) = (known, entries, store, versions)
    }

    /// The disk that a person means: by a path or its last part, a serial number, a vdev's GUID, or the slot of its passport.
    ///
    /// - Throws: ``Diagnosis`` `kdisk.unknown`, `kdisk.which`.
    public func find(_ word: String) throws(Diagnosis) -> Entry {
        func named(_ path: String) -> Bool { path == word || path.leaf == word }
        var found = entries.filter { entry in
            if named(entry.name) || entry.serial == word { return true }
            if let path = entry.device?.path, named(path) || facts.aliases.contains(where: { $0.value == path && named($0.key) }) {
                return true
            }
            return entry.members.contains { member in
                member.device.guid.map(String.init) == word || member.device.path.map(named) == true || member.node.map(named) == true
            }
        }
        if found.isEmpty { found = entries.filter { $0.passport["slot"] == word } }
        guard let entry = found.first else {
            throw Diagnosis(
                "kdisk.unknown", "there is no disk '\(word)'",
                remedies: ["see what there is: kldload kdisk list", "a disk has many names: its path, serial number, slot or vdev's GUID"],
                exit: .inputMissing)
        }
        guard found.count == 1 else {
            throw Diagnosis(
                "kdisk.which", "'\(word)' may be \(found.map(\.name).joined(separator: " or "))", remedies: ["name one by its path"],
                exit: .usage)
        }
        return entry
    }

    /// A name of the disk itself, of what it is on this machine, as the checks of an installation know it; any other word as it stands. The words
    /// for a disk that may be wiped are fewer: no partition, vdev or slot.
    func wholeDisk(_ word: String) -> String {
        let found = entries.filter { entry in
            guard let device = entry.device else { return false }
            return [device.name, device.serial, entry.name.leaf].contains(word)
        }
        return found.count == 1 ? found[0].name : word
    }

    /// The one vdev that is on a disk.
    ///
    /// - Throws: ``Diagnosis`` `kdisk.no-vdev`, `kdisk.several-vdevs`.
    public static func member(of entry: Entry) throws(Diagnosis) -> Member {
        // A spare in use is in its pool twice.
        let places = entry.members.filter { $0.device.kind != "spares" || $0.device.state != .inUse }
        let members = places.isEmpty ? entry.members : places
        guard let member = members.first else {
            throw Diagnosis(
                "kdisk.no-vdev", "\(entry.name) belongs to no pool that is imported, and a passport lies in a pool",
                remedies: ["see what belongs to which pool: kldload kdisk list"], exit: .inputMissing)
        }
        guard members.count == 1 else {
            let vdevs = members.map { "\($0.device.pool) \($0.device.name)" }
            throw Diagnosis(
                "kdisk.several-vdevs", "\(entry.name) carries more than one vdev: \(vdevs.joined(separator: ", "))",
                remedies: ["name one of them by its path or GUID, for a label", "replace one after the other by hand: zpool replace"],
                exit: .usage)
        }
        return member
    }

    /// The vdev that a person means: the only one of a disk, or the one of several that the word names itself.
    public func member(_ word: String) throws(Diagnosis) -> (entry: Entry, member: Member) {
        let entry = try find(word)
        let own = entry.members.filter { member in
            [member.device.guid.map(String.init), member.device.path, member.node].contains(word) && member.device.state != .inUse
        }
        if own.count == 1 { return (entry, own[0]) }
        return (entry, try Self.member(of: entry))
    }
}
