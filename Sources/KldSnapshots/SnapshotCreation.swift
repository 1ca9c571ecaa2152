public import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import KldZFS
public import SystemPackage

/// `ksnap create`: one instant of many datasets.
public struct SnapshotCreation: Sendable, Hashable {
    /// Without labels.
    public var datasets: [DatasetName]
    /// What somebody called it; `nil`: `manual-20261121-023300`, or the first name after it that nobody has.
    public var label: String?
    /// With everything below each of them.
    public var isRecursive: Bool
    public var now: Timestamp

    /// Reads the words of the command line: a label, if one is given, then datasets and paths. Without those it is ``everything(_:)``.
    ///
    /// - Parameter label: given as an option; then every word is a dataset or a path.
    /// - Throws: ``Diagnosis`` `snapshot.labels`, `snapshot.no-root`, and those of ``Storage/place(_:in:_:)``; ``NameError``.
    public init(
        _ words: [String], label: String? = nil, recursive: Bool, storage: Storage, folder: FilePath, files: any FileSystem, now: Timestamp
    ) throws {
        var label = label
        var words = words
        // A word without a slash is a label, unless a pool is called so.
        if label == nil, let first = words.first, !first.contains("/"), !first.contains("@"), !Storage.isPath(first),
            storage.dataset(first) == nil
        {
            label = words.removeFirst()
        }
        var datasets: [DatasetName] = []
        for word in words {
            var word = word
            if !Storage.isPath(word), word.contains("@") {
                let name = try SnapshotName(word)
                guard label == nil || label == name.label else { throw Self.labels }
                (label, word) = (name.label, name.dataset.text)
            }
            let place = try storage.place(word, in: folder, files)
            let name = try DatasetName(place.dataset)
            if !datasets.contains(name) { datasets.append(name) }
        }
        if words.isEmpty { datasets = try Self.everything(storage) }
        if let label { for dataset in datasets { _ = try SnapshotName(dataset, label) } }
        self.datasets = datasets
        self.label = label
        isRecursive = recursive && !words.isEmpty
        self.now = now
    }

    private static var labels: Diagnosis {
        Diagnosis(
            "snapshot.labels", "the snapshots of one set have one label",
            remedies: ["name it once: kldload ksnap create LABEL DATASET DATASET", "or call kldload ksnap for each"], exit: .usage)
    }

    /// What a machine's state consists of: the running boot environment, and every dataset of its pool that is no other environment, does not only
    /// hold others, and is not marked as not worth it (`com.sun:auto-snapshot=false`: caches, `/var/tmp`, virtual machines).
    ///
    /// - Throws: ``Diagnosis`` `snapshot.no-root` where the root file system is not on ZFS.
    static func everything(_ storage: Storage) throws -> [DatasetName] {
        guard let root = storage.root else {
            throw Diagnosis(
                "snapshot.no-root", "the root file system is not on ZFS, so there is nothing to snapshot without being told what",
                remedies: ["name datasets or paths: kldload ksnap create LABEL POOL/DATASET"], exit: .usage)
        }
        let pool = root.prefix { $0 != "/" }
        return try storage.datasets.filter { dataset in
            guard dataset.pool == pool else { return false }
            if dataset.isWithin(root) { return true }
            return !storage.isBootEnvironment(dataset.name) && !dataset.isContainer && dataset.isWorthSnapshots
        }.map { try DatasetName($0.name) }
    }

    /// The same with the name that is tried at the given attempt, counted from 1. Each pool has a transaction of its own: ZFS has none for two.
    ///
    /// Runs: `zfs snapshot [-r] A@LABEL B@LABEL …` for each pool, changes.
    public func plan(attempt: Int = 1) throws -> (plan: Plan, names: [SnapshotName]) {
        let digits = now.digits
        let stamp = "manual-\(digits.prefix(8))-\(digits.dropFirst(8))"
        let label = label ?? (attempt == 1 ? stamp : "\(stamp)-\(attempt)")
        let names = try datasets.map { try SnapshotName($0, label) }
        let groups = names.byPool
        let steps = groups.map { group in
            Step(
                "snapshot.create.\(group[0].dataset.pool)", "Snapshot @\(label) of \(group.count) datasets of \(group[0].dataset.pool)",
                [.run(ZFS.snapshot(set: group, recursive: isRecursive))])
        }
        return (Plan("snapshot @\(label)", [Phase("snapshot", "Snapshots", steps)]), names)
    }

    /// Takes them. A name of its own choice that somebody has is counted up; one that was asked for is not.
    ///
    /// - Returns: the snapshots that were named; with `-r`, those below are made too.
    /// - Throws: ``Diagnosis`` `zfs.dataset-exists` and the others of ZFS.
    public func apply(runner: any CommandRunner, files: any FileSystem) async throws -> [SnapshotName] {
        var attempt = 1
        while true {
            let (plan, names) = try plan(attempt: attempt)
            do {
                try await PlanRunner(runner: runner, files: files).apply(plan)
                return names
            } catch let problem as Diagnosis where problem.code == "zfs.dataset-exists" && label == nil && attempt < 100 {
                attempt += 1
            }
        }
    }
}
