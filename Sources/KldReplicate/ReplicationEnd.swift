import KldCore
package import KldPlan
import KldZFS

extension Replication {
    /// Ends a replication: its holds, snapshots and bookmarks go at both ends; what was replicated stays.
    ///
    /// Runs: `zfs release`, `zfs destroy NAME@LABEL`, `zfs destroy NAME#LABEL` at both ends; destroys.
    package func forgetting() async throws -> Plan {
        let planner = try await planner()
        let (request, facts) = (request, planner.facts)
        let ours = Set(facts.sourceSnapshots.values.joined().filter { $0.replication == request.name }.map(\.guid))
        func isOurs(_ row: ReplicaSnapshot) -> Bool {
            row.label.hasPrefix(request.tag + "-") && (row.isBookmark || row.replication == request.name || ours.contains(row.guid))
        }
        var steps: [Step] = []
        for (id, place, all) in [
            ("replicate.forget.source", request.source, facts.sourceSnapshots), ("replicate.forget.target", request.target, facts.targetSnapshots),
        ] {
            for (dataset, rows) in all.sorted(by: { $0.key < $1.key }) {
                let gone = rows.filter(isOurs)
                let step = ReplicationPlanner.step(
                    id, place.at(try DatasetName(dataset)), tag: request.tag, held: rows, snapshots: gone.filter { !$0.isBookmark }.map(\.label),
                    bookmarks: gone.filter(\.isBookmark).map(\.label))
                if let step { steps.append(step) }
            }
        }
        return Plan("forget the replication \(request.name)", [Phase("replicate", "Replicate", steps)])
    }

    /// Does it, and removes the record and its metrics.
    package func forget() async throws {
        try await apply(forgetting(), to: request.target)
        try files.remove(ReplicationState.path(request.name))
        try ReplicationState.measure(files)
    }
}
