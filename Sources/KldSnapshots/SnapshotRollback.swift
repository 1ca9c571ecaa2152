public import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import KldZFS
public import SystemPackage

/// `ksnap rollback`: a dataset goes back in place, with everything that is lost told before.
public struct SnapshotRollback: Sendable, Hashable {
    public var target: SnapshotRow
    /// Snapshots and bookmarks made after it, the oldest first: ZFS goes back only when they are gone.
    public var newer: [SnapshotRow]
    /// Why some of those stay: their holds' tags.
    public var holds: [String: [String]]
    /// Written to the dataset since; `nil` where ZFS does not tell.
    public var written: ByteCount?
    /// The snapshot itself was named, not only a dataset or a path of it.
    public var isNamed: Bool

    /// Reads what going back would cost.
    ///
    /// - Parameter word: a snapshot; or a dataset or a path, which stands for its newest snapshot.
    /// - Throws: ``Diagnosis`` `snapshot.boot-environment`, `snapshot.none`, `snapshot.unknown`, and those of ``Storage/place(_:in:_:)``.
    ///
    /// Runs: `zfs list` of file systems, and of one dataset's snapshots and bookmarks; `zfs get written@LABEL`; `zfs holds` of newer ones that are
    /// held; reads.
    public static func gather(
        _ word: String, folder: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws -> SnapshotRollback {
        let storage = try await Storage.gather(runner: runner, files: files)
        let place = try storage.place(word, in: folder, files)
        if storage.isBootEnvironment(place.dataset) {
            let leaf = place.dataset.leaf
            throw Diagnosis(
                "snapshot.boot-environment",
                place.dataset == storage.root
                    ? "\(place.dataset) is the running root file system, which is never rolled back in place"
                    : "\(place.dataset) belongs to a boot environment, which is never rolled back in place",
                remedies: [
                    "make a new environment of the snapshot and boot it; this one is kept: kldload kbe rollback \(leaf)@\(place.label ?? "SNAPSHOT")"
                ],
                exit: .usage)
        }
        let dataset = try DatasetName(place.dataset)
        let all = try SnapshotRow.parse(await runner.run(ZFS.snapshots(of: [dataset.text], bookmarks: true)).output)
            .sorted { ($0.transaction, $0.isBookmark ? 1 : 0) < ($1.transaction, $1.isBookmark ? 1 : 0) }
        let snapshots = all.filter { !$0.isBookmark }
        guard let newest = snapshots.last else {
            throw Diagnosis(
                "snapshot.none", "\(dataset) has no snapshot to go back to",
                remedies: ["make one for next time: kldload ksnap create NAME \(dataset)"],
                exit: .inputMissing)
        }
        guard let target = place.label.map({ label in snapshots.first { $0.label == label } }) ?? newest else {
            throw unknown("\(dataset)@\(place.label ?? "")", among: snapshots)
        }
        // A bookmark of the target's own transaction does not stand in the way. Source: `rollback_check()`, OpenZFS 2.4.4.
        let newer = all.filter { $0.transaction > target.transaction }
        let written = try PropertyRow.parse(await runner.run(ZFS.written(since: SnapshotName(dataset, target.label))).output).first?.value
        return SnapshotRollback(
            target: target, newer: newer, holds: try await SnapshotList.tags(of: newer, runner),
            written: written.flatMap { UInt64($0) }.map { ByteCount($0) }, isNamed: place.label != nil)
    }

    static func unknown(_ name: String, among rows: [SnapshotRow]) -> Diagnosis {
        let labels = rows.suffix(8).reversed().map(\.label)
        return Diagnosis(
            "snapshot.unknown", "there is no snapshot \(name)",
            remedies: labels.isEmpty ? ["see what there is: kldload ksnap list"] : ["the newest are: \(labels.joined(separator: ", "))"],
            exit: .inputMissing)
    }

    /// - Parameter labels: of the newer snapshots and bookmarks that may be destroyed: all of them, each by its own label.
    /// - Throws: ``Diagnosis`` `snapshot.newer`, `snapshot.unknown`, `snapshot.held`, `snapshot.cloned`; ``NameError``.
    ///
    /// Runs: `zfs destroy DATASET@A,B` and `zfs destroy DATASET#C` of those, then `zfs rollback DATASET@LABEL`; destroys. Never `-r`: what turned up
    /// since is not destroyed unseen, and ends it.
    public func plan(destroying labels: [String]) throws -> Plan {
        let name = try SnapshotName(target.name)
        if let stranger = labels.first(where: { label in !newer.contains { $0.label == label } }) {
            throw Diagnosis(
                "snapshot.not-newer", "\(name.dataset) has no snapshot or bookmark \(stranger) newer than @\(name.label)",
                remedies: newer.isEmpty ? ["nothing has to be destroyed"] : ["these are: " + newer.map(\.label).joined(separator: ", ")],
                exit: .usage)
        }
        let missing = newer.filter { !labels.contains($0.label) }
        if !missing.isEmpty {
            throw Diagnosis(
                "snapshot.newer",
                "\(missing.count == 1 ? "one newer snapshot stands" : "\(missing.count) newer snapshots stand") between now and \(name)",
                remedies: [
                    "look into the old state without losing anything: kldload kclone \(Self.word(target.name)) \(Self.word("\(name.dataset)-\(name.label)"))",
                    "or let them go, each by its name: kldload ksnap rollback \(Self.word(target.name)) "
                        + newer.map { "--destroy \(Self.word($0.label))" }.joined(separator: " "),
                ], causes: missing.prefix(20).map(Self.told))
        }
        try SnapshotDestruction.refuse(newer, holds)
        let snapshots = newer.filter { !$0.isBookmark }
        var steps: [Step] = []
        if !snapshots.isEmpty {
            steps.append(
                Step(
                    "snapshot.newer", "Destroy \(snapshots.count) newer snapshots",
                    [.run(ZFS.destroy(name.dataset, snapshots: snapshots.map(\.label)))], destroys: snapshots.map(\.name)))
        }
        for bookmark in newer where bookmark.isBookmark {
            steps.append(
                Step(
                    "snapshot.bookmark", "Destroy the newer bookmark \(bookmark.name)",
                    [.run(ZFS.destroy(name.dataset, bookmark: bookmark.label))], destroys: [bookmark.name]))
        }
        steps.append(
            Step(
                "snapshot.rollback", "Roll \(name.dataset) back to @\(name.label)", [.run(ZFS.rollback(to: name))], destroys: [target.name])
        )
        return Plan("roll back to \(name)", [Phase("snapshot", "Snapshots", steps)])
    }

    /// What is lost, a line each.
    public var losses: [String] {
        let what = written.map { $0.bytes == 0 ? "nothing was written" : "\($0) were written" } ?? "what was written is not known"
        return ["\(target.dataset) goes back to \(target.created); \(what) since"] + newer.map { "lost with it: \(Self.told($0))" }
    }

    static func told(_ row: SnapshotRow) -> String {
        row.isBookmark ? "\(row.name), a bookmark of \(row.created)" : "\(row.name) of \(row.created), \(row.used)"
    }

    /// As it is typed.
    static func word(_ text: String) -> String { text.contains(" ") ? "'\(text)'" : text }
}
