import KldCore
package import KldZFS

/// A snapshot of a boot environment, and everything that a stream of it may build upon.
package struct FleetLineage: Sendable, Hashable {
    /// What is sent.
    package var end: ReplicaSnapshot
    /// Snapshots and bookmarks before it, of the environment itself and of those it was cloned from, the newest first.
    package var bases: [ReplicaSnapshot]

    /// - Parameters:
    ///   - end: of that environment; it may be one that is still to be taken.
    ///   - datasets, snapshots: all that lies beside it.
    package init(_ end: ReplicaSnapshot, datasets: [ReplicaDataset], snapshots: [ReplicaSnapshot]) {
        self.end = end
        bases = []
        let known = Dictionary(grouping: snapshots, by: \.dataset)
        var (dataset, limit, seen) = (Optional(end.dataset), end.transaction, Set<String>())
        while let name = dataset, seen.insert(name).inserted {
            let inclusive = name != end.dataset
            let older = (known[name] ?? []).filter { $0.transaction < limit || inclusive && $0.transaction == limit }
            // A snapshot is a better beginning than its bookmark: what changed since can be told from it at any time.
            bases += older.sorted { ($0.transaction, $0.isBookmark ? 0 : 1) > ($1.transaction, $1.isBookmark ? 0 : 1) }
            let origin = datasets.first { $0.name == name }?.origin
            guard let origin, let row = snapshots.first(where: { !$0.isBookmark && $0.name == origin }) else { break }
            (dataset, limit) = (row.dataset, row.transaction)
        }
    }
}

/// What brings one machine a boot environment.
package enum FleetPushPlan: Sendable, Hashable {
    /// It is there: the same snapshot.
    case present
    /// The rest of a stream that was cut off.
    case resume(token: String)
    /// What changed since `base`, which the machine has as `origin`; all of it where there is none.
    /// - Parameter abandoning: a stream that was cut off, and cannot go on, is given up before.
    case send(base: ReplicaSnapshot?, origin: SnapshotName?, abandoning: Bool)

    /// - Parameters:
    ///   - target: where it goes.
    ///   - datasets, snapshots: of the machine, all that holds or is a boot environment.
    ///   - token: what the stream was of that was cut off on its way there, if one was.
    ///   - whole: without anything in common, all of it is sent.
    /// - Throws: ``Diagnosis`` `fleet.taken`, `fleet.no-common`; ``NameError``.
    package init(
        _ lineage: FleetLineage, to target: DatasetName, on host: String, datasets: [ReplicaDataset], snapshots: [ReplicaSnapshot],
        token: ResumeToken?, whole: Bool
    ) throws {
        let there = datasets.first { $0.name == target.text }
        let own = snapshots.filter { $0.dataset == target.text && !$0.isBookmark }
        if own.contains(where: { $0.guid == lineage.end.guid }) {
            self = .present
            return
        }
        var abandoning = false
        if let there {
            // A stream into something that has snapshots already is somebody else's.
            guard let text = there.token, own.isEmpty else {
                throw Diagnosis(
                    "fleet.taken", "\(host) has an environment \(target.leaf), and it is not what is pushed; nothing was changed there",
                    remedies: [
                        "push under another name: --as NAME", "if nobody needs it there: ssh to it, and kldload kbe destroy \(target.leaf)",
                    ],
                    exit: .cannotCreate)
            }
            if case .to(_, let guid)? = token, guid == lineage.end.guid {
                self = .resume(token: text)
                return
            }
            abandoning = true
        }
        let known = Dictionary(snapshots.filter { !$0.isBookmark }.map { ($0.guid, $0) }) { first, _ in first }
        let base = lineage.bases.first { known[$0.guid] != nil }
        guard let base, let same = known[base.guid] else {
            guard whole else {
                throw Diagnosis(
                    "fleet.no-common", "\(host) has no snapshot in common with \(lineage.end.dataset): there is nothing to build upon",
                    remedies: ["send all of it: --whole"])
            }
            self = .send(base: nil, origin: nil, abandoning: abandoning)
            return
        }
        self = .send(base: base, origin: try SnapshotName(DatasetName(same.dataset), same.label), abandoning: abandoning)
    }
}
