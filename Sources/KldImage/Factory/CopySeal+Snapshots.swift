import KldCore
import KldExec
import KldZFS

/// Snapshots hold what sealing removes, so none may stay: what would keep one is taken away, or refused.
extension CopySeal {
    /// Takes every hold away: a snapshot that is held is not destroyed. Replication holds the newest snapshot of each of its datasets.
    ///
    /// Runs: `zfs list -t snapshot`, `zfs holds -H NAME@LABEL…` of those that are held, `zfs release TAG NAME@LABEL` for each hold.
    /// Source: zfs-hold(8), OpenZFS 2.4.
    static func releaseHolds(of pool: PoolName, _ runner: any CommandRunner) async throws {
        let list = try await runner.run(ZFS.snapshots(of: [pool.text], recursive: true)).output
        let held = try SnapshotRow.parse(list).filter { $0.holds > 0 }.map(\.name)
        if held.isEmpty { return }
        for hold in SnapshotHold.parse(try await runner.run(ZFS.holds(held)).output) {
            try await runner.run(ZFS.release(SnapshotName(hold.snapshot), tag: hold.tag))
        }
    }

    /// Destroys every snapshot. Runs: `zfs list -t snapshot`, `zfs destroy NAME@LABEL` for each.
    static func dropSnapshots(of pool: PoolName, _ runner: any CommandRunner) async throws {
        let list = try await datasets(of: pool, ["name"], ["snapshot"], runner).map(\.name)
        for snapshot in list { try await runner.run(ZFS.destroy(try SnapshotName(snapshot), recursive: false)) }
    }

    /// Refuses a copy in which a clone would stay beside what it came from. Promoting it helps nothing: then the other one is the clone.
    ///
    /// - Parameters:
    ///   - rows: all file systems and volumes, with their origins.
    ///   - others: the boot environments that are destroyed; what came from one of them can be promoted.
    /// - Throws: ``Diagnosis`` `image.clones`.
    static func refuseClones(_ rows: [DatasetEntry], dropping others: [DatasetName]) throws {
        var origins: [DatasetName: SnapshotName] = [:]
        for row in rows {
            if let origin = row["origin"] { origins[try DatasetName(row.name)] = try SnapshotName(origin) }
        }
        func goes(_ name: DatasetName) -> Bool { others.contains(where: name.isWithin) }
        var clones: [String] = []
        for (name, origin) in origins.sorted(by: { $0.key < $1.key }) where !goes(name) {
            // What is promoted is a clone of its origin's own origin then.
            var last = origin
            while goes(last.dataset), let next = origins[last.dataset] { last = next }
            if !goes(last.dataset) { clones.append("\(name) is a clone of \(origin)") }
        }
        guard clones.isEmpty else {
            throw Diagnosis(
                "image.clones", "clones need the snapshots that they were made of, and a sealed image holds none",
                remedies: [
                    "on the source, destroy each clone that is not needed: zfs destroy -r CLONE",
                    "or make a full copy of it first: zfs snapshot CLONE@whole; zfs send -p CLONE@whole | zfs receive -u COPY",
                    "or export it as it is, with every identity and secret in it: --no-seal",
                ], exit: .badAnswers, causes: clones)
        }
    }
}
