import KldBlock
public import KldCore
public import KldExec
public import KldFiles
import KldInstall
public import KldPlan
import KldZFS
import SystemPackage

extension DiskReplacement {
    /// Reads the machine, and plans.
    ///
    /// Runs: what ``DiskInventory/gather(runner:files:)`` runs; of a disk that ZFS has no complaint about also `smartctl`; reads.
    public static func gather(
        _ request: Request, now: Timestamp, espSerial: UInt32, runner: any CommandRunner, files: any FileSystem
    ) async throws -> DiskReplacement {
        let inventory = try await DiskInventory.gather(runner: runner, files: files)
        try await refuseAnotherPath(request, inventory, runner)
        let records = try ReplacementRecord.all(files)
        var failing: [String] = []
        if let disk = (try? inventory.find(request.old))?.device {
            do {
                failing = DiskHealth.parse(try await runner.run(DiskHealth.command(disk.path)).output).failures
            } catch CommandError.toolMissing { failing = [] }
        }
        return try DiskReplacement(request, inventory, records: records, failing: failing, now: now, espSerial: espSerial)
    }

    /// A pool's own disk is no new one, by whatever path it is shown. Of what holds a vdev the label is read: the paths of a disk that has two
    /// are two devices to the kernel.
    ///
    /// Runs: `zdb -l DEVICE`, reads. - Throws: ``Diagnosis`` `kdisk.same`.
    private static func refuseAnotherPath(_ request: Request, _ inventory: DiskInventory, _ runner: any CommandRunner) async throws {
        guard let entry = try? inventory.find(request.new), entry.members.isEmpty, let disk = entry.device else { return }
        var others = inventory.entries.filter { other in
            other.device?.path != disk.path && other.device?.isSameDisk(as: disk) == true && !other.members.isEmpty
        }
        for device in disk.tree where device.filesystem == "zfs_member" {
            let guid = DiskLabel.parse(try await runner.run(DiskLabel.command(device.path)).output)?.guid
            others += inventory.entries.filter { $0.members.contains { guid != nil && $0.device.guid == guid && $0.node != nil } }
        }
        if let other = others.first {
            throw Diagnosis(
                "kdisk.same", "\(request.new) is \(other.name) by another path, or a copy of it: a pool uses that",
                remedies: [
                    "name the new disk: kldload kdisk list", "of a disk with two paths make one: multipath -ll (multipath-tools)",
                    "a copy that may be lost is cleared first, by hand: zpool labelclear \(disk.path)",
                ], exit: .usage)
        }
    }

    /// Waits until the new disk is alone in its place.
    ///
    /// Runs: `zpool status` every few seconds, reads.
    /// - Parameter report: how far it is, when that has changed: whole per cents.
    /// - Throws: ``Diagnosis`` `kdisk.new-lost`, `kdisk.new-failed`, `kdisk.suspended`, `kdisk.stuck`, `kdisk.not-replaced`; `CancellationError`: it goes on without us.
    public func wait(
        every pause: Duration = .seconds(3), runner: any CommandRunner, files: any FileSystem, report: (Int) -> Void
    ) async throws {
        let versions = try await OpenZFSVersions.read(runner)
        var told: Int?
        // A pool that fills nothing, though two devices share a place.
        var idle = 0
        while true {
            guard let seen = try await Self.progress(of: record, versions, runner, files) else {
                throw Diagnosis(
                    "kdisk.new-lost", "\(record.newVdev) is not in the pool \(record.pool) any more",
                    remedies: ["see what happened: zpool status \(record.pool); zpool events \(record.pool)"])
            }
            if seen.device.poolState == .suspended { throw Self.suspended(record.pool) }
            if !seen.device.isReadable {
                throw Diagnosis(
                    "kdisk.new-failed", "the new disk \(record.new) is \(seen.device.state)",
                    remedies: [
                        "look at it: dmesg; smartctl --all \(record.new)", "give it up: zpool detach \(record.pool) \(record.newVdev)",
                    ])
            }
            if seen.device.place == nil {
                guard !seen.oldIsThere else { throw Self.elsewhere(record) }
                return
            }
            if let scan = seen.scan { idle = scan.state == "SCANNING" ? 0 : idle + 1 }
            if idle >= 40 {
                throw Diagnosis(
                    "kdisk.stuck", "the pool \(record.pool) fills nothing any more, and the old disk is still there beside the new one",
                    remedies: [
                        "see what it could not read: zpool status -v \(record.pool)",
                        "when that is mended: zpool clear \(record.pool); zpool resilver \(record.pool); then this command again",
                    ])
            }
            if let percent = seen.percent, percent != told {
                told = percent
                report(percent)
            }
            try await Task.sleep(for: pause)
        }
    }

    /// What a pool knows of a replacement.
    private struct Progress {
        var device: PoolDevice
        var oldIsThere: Bool
        var scan: PoolStatus.Scan?

        /// How much of the new device is filled, where that is known.
        var percent: Int? { scan.flatMap { $0.total > 0 ? Int(min(100, Double($0.issued) / Double($0.total) * 100)) : nil } }
    }

    /// - Returns: `nil` where the pool does not have the new device.
    private static func progress(
        of record: ReplacementRecord, _ versions: OpenZFSVersions, _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws -> Progress? {
        let statuses = try await PoolStatus.all(versions, runner: runner)
        // After a restart the pool may know it by another of its names.
        func node(_ path: String) -> String? { try? files.resolve(FilePath(path)).string }
        let new = node(record.newVdev)
        func isNew(_ path: String) -> Bool {
            if isSame(path, record.newVdev) { return true }
            guard let new, let found = node(path) else { return false }
            return found == new || record.newVdev == record.new && Disk.number(of: found, on: new) == 1
        }
        guard let status = statuses.first(where: { $0.name == record.pool }),
            let device = status.members.first(where: { $0.guid != record.old && ($0.path.map(isNew) ?? false) })
        else { return nil }
        return Progress(device: device, oldIsThere: status.members.contains { $0.guid == record.old }, scan: status.scan)
    }

    /// Of a whole disk OpenZFS keeps the path of the partition that it made.
    static func isSame(_ path: String, _ vdev: String) -> Bool { path == vdev || path == Disk.partition(1, of: vdev) }

    /// What plans of this module perform by name.
    public static var performers: [String: Performer] {
        let own: [String: Performer] = [
            carry: { parameters, runner, files in
                let record = try ReplacementRecord.read(FilePath(parameters["record"] ?? ""), files)
                let pool = try PoolName(record.pool)
                let versions = try await OpenZFSVersions.read(runner)
                guard let guid = try await progress(of: record, versions, runner, files)?.device.guid else {
                    throw Diagnosis(
                        "kdisk.new-lost", "\(record.newVdev) is not in the pool \(pool) any more",
                        remedies: ["see what happened: zpool status \(pool); zpool events \(pool)"])
                }
                let store = PassportStore(versions)
                let found = try await store.passports(of: pool, runner: runner)
                let current = found[guid] ?? DiskPassport()
                // Its own passport may have been changed since: only what it lacks is added. Another disk's is replaced.
                let isOwn =
                    !current.isEmpty && current["serial"] == record.passport["serial"] && current["since"] == record.passport["since"]
                let new = isOwn ? record.passport.merging(current.values) { $1 } : record.passport
                let change = PassportChange(
                    pool: pool, device: guid, store: store, from: current, to: DiskPassport(new),
                    isOlder: found.isOlder(guid))
                try await change.apply(runner)
            }
        ]
        return own.merging(PassportChange.performers) { $1 }.merging(Performers.verifying) { $1 }
    }
}
