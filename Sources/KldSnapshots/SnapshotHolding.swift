import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import KldZFS
public import SystemPackage

/// `ksnap hold`, `ksnap release` and `ksnap diff`: verbs that name snapshots which are there.
public enum SnapshotHolding {
    /// - Parameter words: `DATASET@LABEL`, or paths below `.zfs/snapshot`.
    /// - Throws: ``Diagnosis`` `snapshot.tag`, `snapshot.unnamed`, and those of ``Storage/place(_:in:_:)``.
    ///
    /// Runs: `zfs list` of file systems, reads; the plan runs `zfs hold` or `zfs release` with every snapshot, changes.
    public static func plan(
        _ tag: String, _ words: [String], release: Bool, recursive: Bool, folder: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws -> Plan {
        // ZFS keeps names that begin with a dot for itself. Source: zfs-hold(8), `MAXNAMELEN` 256.
        guard !tag.isEmpty, tag.utf8.count < 256, !tag.hasPrefix("."), !tag.hasPrefix("-"), !tag.contains("@"), !tag.contains("/") else {
            throw Diagnosis(
                "snapshot.tag", "'\(tag)' cannot be the tag of a hold",
                remedies: ["the tag comes first: kldload ksnap hold audit POOL/DATASET@LABEL"],
                exit: .usage)
        }
        let storage = try await Storage.gather(runner: runner, files: files)
        let names = try words.map { try named($0, storage, folder, files) }
        let command = release ? ZFS.release(names, tag: tag, recursive: recursive) : ZFS.hold(names, tag: tag, recursive: recursive)
        let verb = release ? "Release" : "Hold"
        return Plan(
            "\(verb.lowercased()) \(names.count) snapshots",
            [
                Phase(
                    "snapshot", "Snapshots",
                    [Step("snapshot.\(verb.lowercased())", "\(verb) \(names.count) snapshots: \(tag)", [.run(command)])])
            ])
    }

    private static func named(_ word: String, _ storage: Storage, _ folder: FilePath, _ files: any FileSystem) throws -> SnapshotName {
        let place = try storage.place(word, in: folder, files)
        guard let label = place.label else {
            throw Diagnosis(
                "snapshot.unnamed", "\(word) is no snapshot: a hold is on a snapshot", remedies: ["name it: \(place.dataset)@LABEL"],
                exit: .usage)
        }
        return try SnapshotName(DatasetName(place.dataset), label)
    }
}

/// `ksnap diff`: which files changed.
public struct SnapshotDifference: Sendable, Hashable {
    public var old: SnapshotName
    /// `nil`: the dataset as it is now.
    public var new: SnapshotName?
    public var changes: [SnapshotChange]

    /// - Parameters:
    ///   - first: a snapshot; or a dataset or a path, which stands for its newest snapshot. Of a path, only what changed at or below it is told.
    ///   - second: a later snapshot of the same dataset; `nil`: now.
    /// - Throws: ``Diagnosis`` `snapshot.none`, `snapshot.other-dataset`, `dataset.not-mounted`.
    ///
    /// Runs: `zfs list` of file systems; where no snapshot is named, `zfs list` of the dataset's; `zfs diff -FH`; reads.
    public static func gather(
        _ first: String, _ second: String?, folder: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws -> SnapshotDifference {
        let storage = try await Storage.gather(runner: runner, files: files)
        let place = try storage.place(first, in: folder, files)
        let dataset = try DatasetName(place.dataset)
        guard let mounted = storage.mountPlace(dataset.text) else {
            throw Diagnosis(
                "dataset.not-mounted", "\(dataset) is not mounted, and only of mounted file systems ZFS tells which files changed",
                remedies: [
                    storage.dataset(dataset.text)?.isLocked == true
                        ? "unlock and mount it: zfs mount -l \(dataset)" : "mount it: zfs mount \(dataset)"
                ])
        }
        var label = place.label
        if label == nil {
            label = try SnapshotRow.parse(await runner.run(ZFS.snapshots(of: [dataset.text])).output).max {
                $0.transaction < $1.transaction
            }?.label
        }
        guard let label else {
            throw Diagnosis(
                "snapshot.none", "\(dataset) has no snapshot to compare with", remedies: ["make one: kldload ksnap create NAME \(dataset)"],
                exit: .inputMissing)
        }
        let other = try second.map { try storage.place($0, in: folder, files) }
        if let other, other.dataset != dataset.text {
            throw Diagnosis(
                "snapshot.other-dataset", "\(other.dataset) is another dataset than \(dataset)",
                remedies: ["compare two snapshots of one dataset, the older first"], exit: .usage)
        }
        let old = try SnapshotName(dataset, label)
        let new = try other?.label.map { try SnapshotName(dataset, $0) }
        var changes = try SnapshotChange.parse(await runner.run(ZFS.diff(old, new)).output)
        if let path = place.path.map({ Self.live($0, label, mounted) }), path != mounted {
            func inside(_ other: String?) -> Bool { other.map { $0 == path || $0.hasPrefix(path + "/") } ?? false }
            changes = changes.filter { inside($0.path) || inside($0.newPath) }
        }
        return SnapshotDifference(old: old, new: new, changes: changes)
    }

    /// A path below `.zfs/snapshot/LABEL` where it is now.
    private static func live(_ path: String, _ label: String, _ mounted: String) -> String {
        guard let range = path.firstRange(of: "/.zfs/snapshot/\(label)") else { return path }
        let inner = path[range.upperBound...]
        return inner.isEmpty ? mounted : (mounted == "/" ? "" : mounted) + inner
    }
}
