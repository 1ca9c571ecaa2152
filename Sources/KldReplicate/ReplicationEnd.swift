import KldCore
import KldExec
import KldFiles
package import KldPlan
import KldZFS

extension Replication {
    /// Ends a replication: its holds, snapshots and bookmarks go at both ends. What was replicated stays, with the newest snapshot of it.
    ///
    /// - Parameter onlyHere: only on this machine: the other one is not there any more.
    ///
    /// Runs: `zfs list`, reads; `zfs release`, `zfs destroy NAME@LABEL`, `zfs destroy NAME#LABEL`; destroys.
    package func forgetting(onlyHere: Bool) async throws -> Plan {
        var steps: [Step] = []
        var ours: Set<UInt64> = []
        for (id, place) in [("replicate.forget.source", request.source), ("replicate.forget.target", request.target)]
        where !onlyHere || place.host == nil {
            let there = try await ReplicationRunner(runner, request).run(place.at(ZFS.existing([place.dataset]))).output
            if there.lines.isEmpty { continue }
            let output = try await ReplicationRunner(runner, request).run(
                place.at(ZFS.replicaSnapshots(of: place.dataset, recursive: request.recursive))
            ).output
            let all = Dictionary(grouping: try ReplicaSnapshot.parse(output), by: \.dataset)
            let isTarget = place == request.target
            if !isTarget { ours = Set(all.values.joined().filter { $0.replication == request.name }.map(\.guid)) }
            for (dataset, rows) in all.sorted(by: { $0.key < $1.key }) {
                let newest = rows.filter { !$0.isBookmark }.max { $0.transaction < $1.transaction }
                let gone = rows.filter { row in request.owns(row, ours) && !(isTarget && row == newest) }
                let step = ReplicationPlanner.step(
                    id, place.at(try DatasetName(dataset)), tag: request.tag, held: rows,
                    snapshots: gone.filter { !$0.isBookmark }.map(\.label), bookmarks: gone.filter(\.isBookmark).map(\.label))
                if let step { steps.append(step) }
            }
        }
        return Plan(
            "forget the replication \(request.name)", steps.isEmpty ? [] : [Phase("replicate", "Replicate", steps)])
    }

    /// Does it, and removes the record and its metrics.
    package func forget(onlyHere: Bool) async throws {
        try await apply(forgetting(onlyHere: onlyHere), to: request.target)
        try files.remove(ReplicationState.path(request.name))
        try ReplicationState.measure(files)
    }
}
