import KldCore
import KldExec
import KldPlan
import KldZFS

/// Environments with datasets below them: all of them, or none.
extension BootEnvironment {
    /// So begins the name of a dataset that becomes an environment when all that belongs to it is there. No environment can be called so.
    static let unfinished = ".new-"

    /// - Parameter name: of a dataset, or its last part.
    static func isUnfinished(_ name: String) -> Bool { name.leaf.hasPrefix(unfinished) }

    /// What each of its datasets was cloned from.
    var origins: [DatasetName: SnapshotName] {
        var origins = children.compactMapValues(\.origin)
        origins[dataset] = origin
        return origins
    }

    /// Of each of its datasets the labels of the snapshots, oldest first.
    var labels: [DatasetName: [String]] {
        var labels = children.mapValues(\.labels)
        labels[dataset] = snapshots.map(\.name.label)
        return labels
    }

    /// - Throws: ``Diagnosis`` `be.incomplete-snapshot`: a snapshot of some of its datasets is none of the environment.
    func requireWhole(_ label: String) throws(Diagnosis) {
        let lacking = children.filter { !$0.value.labels.contains(label) }.keys.sorted()
        guard let first = lacking.first else { return }
        throw Diagnosis(
            "be.incomplete-snapshot",
            "\(name)@\(label) is a snapshot of a part of \(name): of \(lacking.map(\.text).joined(separator: ", ")) there is none",
            remedies: [
                "kldload kbe create NAME, without --from, takes one of all that is there now",
                "next time: zfs snapshot -r \(dataset)@LABEL",
                "what came after the snapshot, and need not go back, can lie elsewhere: zfs rename \(first) \(dataset.pool)/NAME",
            ], exit: .inputMissing)
    }
}

extension BootEnvironments {
    // MARK: half made

    static let sweeper = "be.sweep"

    /// What takes away an environment that is half made. Only for whoever holds the lock of boot environments: then nobody is making one.
    static func sweeping(below top: DatasetName) -> Action { .perform(sweeper, ["top": top.text], effect: .changes) }

    /// Takes away what a run left that was killed: it would keep what it was cloned from, and a name.
    var sweeping: [Step] {
        if system.unfinished.isEmpty { return [] }
        return [Step("be.sweep", "Take away what an earlier run left half made", [Self.sweeping(below: system.top)])]
    }

    /// Destroys what begins to be an environment, and the snapshot that was taken for it. No approval names it: nobody has seen it, nothing
    /// but kldload gives such a name, and it goes only where it bears kldload's mark itself.
    ///
    /// Runs: `zfs list -d 1 -t filesystem POOL/ROOT`, `zfs get com.kldload:owner NAME`, reads; `zfs destroy -r NAME`,
    /// `zfs destroy -r SOURCE@kbe-…`, destroys.
    static func sweep(below top: DatasetName, _ runner: any CommandRunner) async throws {
        let columns = ["name", "origin"]
        let output = try await runner.run(ZFS.list(top, columns: columns, types: ["filesystem"], depth: 1)).output
        for row in try DatasetTable.parse(output, columns: columns) where BootEnvironment.isUnfinished(row.name) {
            let dataset = try DatasetName(row.name)
            let marks = try PropertyRow.parse(await runner.run(ZFS.get(dataset.text, [KldProperty.owner])).output)
            guard dataset.parent == top, marks.contains(where: \.marksOwnership) else { continue }
            // What stays keeps nobody from making another one.
            guard try await runner.run(ZFS.destroy(dataset, recursive: true).unlessNeeded).status == 0 else { continue }
            let name = dataset.leaf.dropFirst(BootEnvironment.unfinished.count)
            guard let origin = try row["origin"].map({ try SnapshotName($0) }), origin.label.hasPrefix("kbe-\(name)-") else { continue }
            try await runner.run(ZFS.destroy(origin, recursive: true).unlessNeeded)
        }
    }

    static let forgetter = "be.forget"

    /// Takes away the snapshot that a step has taken, when what was to be made of it was not, or is made. No approval names it: it is seconds old,
    /// and one that something was cloned from meanwhile, or that somebody holds, stays.
    static func forgetting(_ snapshot: SnapshotName) -> Action { .perform(forgetter, ["snapshot": snapshot.description], effect: .changes) }

    /// Runs: `zfs destroy -r SOURCE@kbe-…`, destroys.
    static func forget(_ snapshot: SnapshotName, _ runner: any CommandRunner) async throws {
        guard snapshot.label.hasPrefix("kbe-") else { return }
        try await runner.run(ZFS.destroy(snapshot, recursive: true).unlessNeeded)
    }

    // MARK: heirs

    /// A clone that has to stand for itself before what it was cloned from can go.
    struct Heir {
        var dataset: DatasetName
        var origin: SnapshotName
        /// The environment that it belongs to.
        var environment: BootEnvironment
    }

    /// Of each of an environment's datasets the clone that takes over its snapshots; what nothing was cloned from has none.
    func heirs(of environment: BootEnvironment) -> [Heir] {
        let others = system.environments.filter { $0.dataset != environment.dataset }
        let clones = others.flatMap { other in
            other.origins.map { Heir(dataset: $0.key, origin: $0.value, environment: other) }
        }
        var heirs: [Heir] = []
        for (dataset, labels) in environment.labels.sorted(by: { $0.key < $1.key }) {
            // The clone of the newest snapshot takes that and every older one along; what was cloned from those hangs on it then.
            func age(_ clone: Heir) -> Int { labels.firstIndex(of: clone.origin.label) ?? -1 }
            let heir = clones.filter { $0.origin.dataset == dataset }.max { (age($0), $0.dataset) < (age($1), $1.dataset) }
            if let heir { heirs.append(heir) }
        }
        return heirs
    }
}
