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
        let records = try ReplacementRecord.all(files)
        var failing: [String] = []
        if let disk = (try? inventory.find(request.old))?.device {
            do {
                failing = DiskHealth.parse(try await runner.run(DiskHealth.command(disk.path)).output).failures
            } catch CommandError.toolMissing { failing = [] }
        }
        return try DiskReplacement(request, inventory, records: records, failing: failing, now: now, espSerial: espSerial)
    }

    /// Waits until the new disk is alone in its place.
    ///
    /// Runs: `zpool status` every few seconds, reads.
    /// - Parameter report: how far it is, when that has changed: whole per cents.
    /// - Throws: ``Diagnosis`` `kdisk.new-lost`, `kdisk.new-failed`; `CancellationError`: it goes on without us.
    public func wait(
        every pause: Duration = .seconds(3), runner: any CommandRunner, files: any FileSystem, report: (Int) -> Void
    ) async throws {
        let versions = try await OpenZFSVersions.read(runner)
        var told: Int?
        while true {
            guard let (device, percent) = try await Self.progress(of: record, versions, runner, files) else {
                throw Diagnosis(
                    "kdisk.new-lost", "\(record.newVdev) is not in the pool \(record.pool) any more",
                    remedies: ["see what happened: zpool status \(record.pool); zpool events \(record.pool)"])
            }
            if !device.isReadable {
                throw Diagnosis(
                    "kdisk.new-failed", "the new disk \(record.new) is \(device.state)",
                    remedies: [
                        "look at it: dmesg; smartctl --all \(record.new)", "give it up: zpool detach \(record.pool) \(record.newVdev)",
                    ])
            }
            if !device.sharesPlace { return }
            if let percent, percent != told {
                told = percent
                report(percent)
            }
            try await Task.sleep(for: pause)
        }
    }

    /// - Returns: the new device, and how much of it is filled, in per cent, where that is known; `nil` where the pool does not have it.
    private static func progress(
        of record: ReplacementRecord, _ versions: OpenZFSVersions, _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws -> (PoolDevice, Int?)? {
        let statuses = try await PoolStatus.all(versions, runner: runner)
        // After a restart the pool may know it by another of its names.
        func node(_ path: String) -> String? { try? files.resolve(FilePath(path)).string }
        let new = node(record.newVdev)
        guard let status = statuses.first(where: { $0.name == record.pool }),
            let device = status.members.first(where: {
                $0.guid != record.old && ($0.path.map { Self.isSame($0, record.newVdev) || new != nil && node($0) == new } ?? false)
            })
        else { return nil }
        let percent = status.scan.flatMap { $0.total > 0 ? Int(min(100, Double($0.issued) / Double($0.total) * 100)) : nil }
        return (device, percent)
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
                guard let guid = try await progress(of: record, versions, runner, files)?.0.guid else {
                    throw Diagnosis(
                        "kdisk.new-lost", "\(record.newVdev) is not in the pool \(pool) any more",
                        remedies: ["see what happened: zpool status \(pool); zpool events \(pool)"])
                }
                let store = PassportStore(versions)
                let current = try await store.passports(of: pool, runner: runner)[guid] ?? DiskPassport()
                let change = PassportChange(
                    pool: pool, device: guid, store: store, from: current, to: DiskPassport(record.passport))
                try await change.apply(runner)
            }
        ]
        return own.merging(PassportChange.performers) { $1 }.merging(Performers.verifying) { $1 }
    }
}
