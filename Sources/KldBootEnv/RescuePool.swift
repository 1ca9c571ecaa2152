import KldBlock
import KldBoot
public import KldCore
public import KldExec
public import KldFiles
import KldInstall
public import KldPlan
public import KldZFS
public import SystemPackage

/// The root pool of a machine that does not start, opened below a folder of the system that helps it.
///
/// It is imported under the host id of that machine, never by force: its labels stay as they were, so the machine starts again even when the
/// help ends with a power cut.
public struct RescuePool: Sendable, Hashable {
    public static let target: FilePath = "/recovery"
    /// This program, where whoever is inside sees it: an environment that does not start may have an old one, or none.
    public static let tool: FilePath = "/run/kldload/recovery/kldload"

    public var name: String
    public var guid: UInt64
    /// What one of its disks says about the machine that used it last.
    public var label: DiskLabel

    /// It was not exported: that machine was switched off, or it runs.
    public var isInUse: Bool { label.state == 0 }

    // MARK: Find

    /// Runs: `modprobe zfs`, changes. - Throws: ``Diagnosis`` `recovery.no-zfs`.
    public static func load(_ runner: any CommandRunner) async throws {
        do { try await runner.run(Preflight.openZFS) } catch let error as CommandError {
            throw Diagnosis(
                "recovery.no-zfs", "OpenZFS' module cannot be loaded here",
                remedies: ["with Secure Boot on, the medium's key must be enrolled: kldload secure-boot reenroll, and restart"],
                exit: .unavailable, causes: error.failure?.errors.lines ?? [error.diagnosis.message])
        }
    }

    /// The one pool that could be meant, among those that are not imported.
    ///
    /// Runs: `lsblk`, `zpool list`, `zdb -l DEVICE` for each device of a pool; reads.
    /// - Parameter wanted: a name or a GUID; `nil`: there must be one pool only.
    /// - Throws: ``Diagnosis`` `recovery.no-pool`, `recovery.ambiguous`, `recovery.imported`.
    public static func find(_ wanted: String?, runner: any CommandRunner, files: any FileSystem) async throws -> RescuePool {
        let devices = try ListBlockDevices.parse(await runner.run(ListBlockDevices.command).output)
        var pools: [UInt64: RescuePool] = [:]
        for device in devices.flatMap(\.tree) where device.filesystem == "zfs_member" {
            guard let label = DiskLabel.parse(try await runner.run(DiskLabel.command(device.path)).output), let guid = label.poolGUID,
                label.state != 2
            else { continue }
            // A half of a mirror that left long ago says what was true then: one that is in use says the more careful thing.
            if pools[guid].map({ !$0.isInUse && label.state == 0 }) ?? true {
                pools[guid] = RescuePool(name: label.pool, guid: guid, label: label)
            }
        }
        let open = Set(try await PoolRow.all(runner: runner).compactMap(\.guid))
        return try choose(wanted, among: pools.values.sorted { ($0.name, $0.guid) < ($1.name, $1.guid) }, open: open)
    }

    static func choose(_ wanted: String?, among pools: [RescuePool], open: Set<UInt64>) throws(Diagnosis) -> RescuePool {
        let meant = pools.filter { wanted == nil || $0.name == wanted || String($0.guid) == wanted }
        let free = meant.filter { !open.contains($0.guid) }
        guard let pool = free.first else {
            if let busy = meant.first {
                throw Diagnosis(
                    "recovery.imported", "the pool \(busy.name) is imported already, and not by krecovery",
                    remedies: ["zpool export \(busy.name), then again"], exit: .failed)
            }
            throw Diagnosis(
                "recovery.no-pool", wanted.map { "no disk here belongs to a pool \($0)" } ?? "no disk here belongs to a pool",
                remedies: pools.isEmpty
                    ? ["see which disks there are: lsblk --fs", "a controller that needs a driver: dmesg"]
                    : ["there is: " + pools.map(\.name).joined(separator: ", ")], exit: .inputMissing)
        }
        guard free.count == 1 else {
            throw Diagnosis(
                "recovery.ambiguous", "there are several pools", remedies: ["name one by name or number: krecovery import NAME"],
                exit: .usage, causes: free.map { "\($0.name), \($0.guid), last used by \($0.label.hostName ?? "nobody")" })
        }
        return pool
    }

    // MARK: Open

    /// Runs: where the labels name a host id, `tee /sys/module/spl/parameters/spl_hostid`;
    /// `zpool import -N -R /recovery GUID [NAME]`; changes.
    /// - Parameter other: a new name, for good: the machine does not start under a name that it does not know.
    public func opening(as other: PoolName? = nil) -> Plan {
        var actions: [Action] = [.makeDirectory(Self.target)]
        if let id = label.hostID { actions.append(.run(KernelHostID.set(id))) }
        actions.append(Self.importing(PoolImport(.guid(guid)), as: other))
        let title = "Import the pool \(name)" + (other.map { ", as \($0)" } ?? "")
        return Self.plan("open the pool \(name)", [Step("recovery.import", title, actions)])
    }

    /// The id that the machine itself imports its pool by, where it is another one than that of this import: somebody else has used the pool
    /// since. A power cut would leave a pool that the machine refuses.
    public static func foreign(_ files: any FileSystem) -> HostID? {
        guard let own = (try? files.read(target.appending("etc/hostid"))).flatMap({ HostID(fileContent: $0) }),
            own != KernelHostID.current(files)
        else { return nil }
        return own
    }

    /// Closes an open pool and opens it under another host id. Runs: what ``closing(_:)`` runs; `tee …/spl_hostid`, `zpool import -N -R …`;
    /// changes.
    public static func reopening(_ pool: PoolName, by id: HostID) -> Plan {
        let again = Step(
            "recovery.import", "Import it again, by the machine's own host id \(id)",
            [.run(KernelHostID.set(id)), importing(PoolImport(pool))])
        return plan("open the pool \(pool) again", [export(pool), again])
    }

    /// The pool that is open below ``target``; `nil`: none is. Runs: `zpool list`, reads.
    public static func opened(runner: any CommandRunner) async throws -> PoolName? {
        try await PoolRow.all(runner: runner).first { $0.altroot == target.string }.map { try PoolName($0.name) }
    }

    /// Locked datasets of a pool that ask for a passphrase: the roots of encryption alone.
    public struct MissingKeys: Sendable, Hashable {
        /// What environments are encrypted by: without these passphrases nothing can be done with them.
        public var needed: [DatasetName]
        /// A person's own home, or a copy whose key is elsewhere: they may stay locked.
        public var others: [DatasetName]

        public init(needed: [DatasetName] = [], others: [DatasetName] = []) {
            self.needed = needed
            self.others = others
        }

        /// That they stay locked; `nil`: there are no others.
        public var note: String? {
            guard let first = others.first else { return nil }
            let names = others.map(\.text).joined(separator: ", ")
            let verb = others.count == 1 ? "stays" : "stay"
            return "\(names) \(verb) locked, and no boot environment needs what is there: zfs load-key \(first) unlocks it"
        }
    }

    /// Keys that are not loaded. What lies at and below `POOL/ROOT` belongs to environments; of a pool without it every dataset might.
    ///
    /// Runs: `zfs get -r -t filesystem,volume keystatus,encryptionroot,keylocation POOL`, reads.
    public static func missingKeys(of pool: PoolName, runner: any CommandRunner) async throws -> MissingKeys {
        let command = ZFS.get(
            pool.text, ["keystatus", "encryptionroot", "keylocation"], recursive: true, types: ["filesystem", "volume"])
        let rows = try PropertyRow.parse(await runner.run(command).output)
        let byName = Dictionary(grouping: rows, by: \.name)
        func value(_ name: String, _ property: String) -> String? { byName[name]?.first { $0.property == property }?.value }
        let locked = byName.keys.sorted().filter { name in
            value(name, "keystatus") == "unavailable" && value(name, "encryptionroot") == name && value(name, "keylocation") == "prompt"
        }
        let top = "\(pool)/ROOT"
        let belonging = byName.keys.filter { $0 == top || $0.hasPrefix(top + "/") }
        let roots = belonging.isEmpty ? Set(locked) : Set(belonging.compactMap { value($0, "encryptionroot") })
        return MissingKeys(
            needed: try locked.filter { roots.contains($0) }.map { try DatasetName($0) },
            others: try locked.filter { !roots.contains($0) }.map { try DatasetName($0) })
    }

    // MARK: Mount

    /// An environment with everything that belongs to it, as the machine itself would see it.
    public struct Tree: Sendable, Hashable {
        public var pool: PoolName
        public var environment: DatasetName
        /// Datasets below it, which nothing mounts by itself.
        public var children: [DatasetName]
        /// The firmware keeps variables.
        public var hasFirmwareVariables: Bool
    }

    /// The environment that would boot, or the one that is named.
    ///
    /// Runs: `zpool list`, `zfs list -r -t filesystem -o name,canmount,mountpoint POOL`, reads.
    /// - Throws: ``Diagnosis`` `recovery.no-environment`.
    public static func tree(
        _ wanted: String?, of pool: PoolName, runner: any CommandRunner, files: any FileSystem
    ) async throws -> Tree {
        let columns = ["name", "canmount", "mountpoint"]
        let rows = try DatasetTable.parse(
            await runner.run(ZFS.list(pool.dataset, columns: columns, types: ["filesystem"])).output, columns: columns)
        let bootfs = try await PoolRow.of(pool, runner: runner)?.bootfs
        // `mountpoint` shows the altroot too.
        let roots = rows.filter {
            $0["mountpoint"] == target.string && $0["canmount"] != "off" && !BootEnvironment.isUnfinished($0.name)
        }.map(\.name)
        let meant = wanted.map { wanted in roots.first { $0 == wanted || $0.hasSuffix("/\(wanted)") } } ?? roots.first { $0 == bootfs }
        guard let name = meant ?? (wanted == nil && roots.count == 1 ? roots.first : nil) else {
            throw Diagnosis(
                "recovery.no-environment",
                wanted.map { "the pool \(pool) has no boot environment \($0)" } ?? "the pool \(pool) does not say what it boots",
                remedies: roots.isEmpty
                    ? ["the pool holds no root file system: zfs list -r \(pool)"]
                    : ["name one: krecovery chroot NAME", "there is: " + roots.joined(separator: ", ")], exit: .inputMissing)
        }
        return Tree(
            pool: pool, environment: try DatasetName(name),
            children: try rows.filter {
                $0.name.hasPrefix(name + "/") && $0["mountpoint"]?.hasPrefix("/") == true && $0["canmount"] != "off"
            }.map(\.name).sorted().map {
                try DatasetName($0)
            },
            hasFirmwareVariables: EFIVariable.areThere(files))
    }

    /// What is mounted at ``target``; `nil`: nothing.
    public static func mounted(_ files: any FileSystem) throws -> String? {
        try files.mounts().first { $0.place == target.string && $0.type == "zfs" }?.source
    }

    /// Takes an environment, and all that is mounted in it, away again. Runs: `umount --recursive /recovery`, changes.
    public static let leaving = plan(
        "leave the environment", [Step("recovery.unmount", "Unmount \(target)", [.run(MountCommand.unmount(target))])])

    /// Unmounts everything, and exports the pool. Runs: `umount --recursive /recovery`, `zpool export POOL`, change.
    public static func closing(_ pool: PoolName) -> Plan { plan("close the pool \(pool)", [export(pool)]) }

    private static func export(_ pool: PoolName) -> Step {
        // What is made here afterwards is not that machine's.
        Step(
            "recovery.export", "Unmount everything, and export the pool \(pool)",
            Performers.close(pool, mountedAt: target) + [.run(KernelHostID.set(nil))])
    }

    private static func importing(_ pool: PoolImport, as other: PoolName? = nil) -> Action {
        var request = pool
        request.altroot = target
        request.newName = other
        return .run(ZPool.import(request))
    }

    static func plan(_ title: String, _ steps: [Step]) -> Plan { Plan(title, [Phase("recovery", "Recovery", steps)]) }
}

extension RescuePool.Tree {
    /// Runs: `zfs mount` for the environment, what lies below it, and everything else of the pool; `mount --bind` of the kernel's file
    /// systems; `cp` of this program to where it is seen inside; changes.
    /// - Parameter tool: this program.
    public func mounting(_ tool: FilePath) -> Plan {
        let target = RescuePool.target
        var all = ZFS.mountAll()
        // What cannot be mounted here (locked, or in the way of something) must not keep a person out.
        all.acceptedExitStatuses = [0, 1]
        let below: [Action] = children.map { child in
            var command = ZFS.mount(child)
            command.acceptedExitStatuses = [0, 1]
            return .run(command)
        }
        let datasets: [Action] = [.run(ZFS.mount(environment))] + below + [.run(all)]
        var kernel: [Action] = ["/dev", "/dev/pts", "/proc", "/sys", "/run"].map {
            .run(MountCommand.bind($0, at: FilePath(target.string + $0)))
        }
        if hasFirmwareVariables {
            let place = EFIVariable.folder.string
            kernel.append(.run(MountCommand.bind(place, at: FilePath(target.string + place))))
        }
        let program: [Action] = [
            .makeDirectory(RescuePool.tool.removingLastComponent(), mode: 0o700),
            .run(FileCommand.copy(tool, to: RescuePool.tool)),
        ]
        return RescuePool.plan(
            "enter \(environment)",
            [
                Step("recovery.mount", "Mount \(environment) at \(target)", datasets, undo: [.run(MountCommand.unmount(target))]),
                Step("recovery.kernel", "Give it the kernel's file systems", kernel + program),
            ])
    }
}
