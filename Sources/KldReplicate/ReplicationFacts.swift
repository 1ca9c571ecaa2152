import KldCore
package import KldExec
import KldPlan
package import KldZFS

/// What there is at both ends.
package struct ReplicationFacts: Sendable, Hashable {
    /// File systems and volumes, parents before what lies below them.
    package var source: [ReplicaDataset]
    package var target: [ReplicaDataset]
    package var sourceSnapshots: [String: [ReplicaSnapshot]]
    package var targetSnapshots: [String: [ReplicaSnapshot]]
    /// What the streams that were cut off were of, by dataset of the target.
    package var tokens: [String: ResumeToken] = [:]
    /// Those of the datasets above the target that are there.
    package var ancestors: Set<String>

    package init(
        source: [ReplicaDataset], target: [ReplicaDataset], sourceSnapshots: [ReplicaSnapshot], targetSnapshots: [ReplicaSnapshot],
        tokens: [String: ResumeToken] = [:], ancestors: Set<String> = []
    ) {
        self.source = source
        self.target = target
        self.sourceSnapshots = Dictionary(grouping: sourceSnapshots, by: \.dataset)
        self.targetSnapshots = Dictionary(grouping: targetSnapshots, by: \.dataset)
        self.tokens = tokens
        self.ancestors = ancestors
    }

    /// - Throws: ``Diagnosis`` `replicate.no-source`; of ssh; `zfs.unreadable`.
    ///
    /// Runs, at both ends: `zfs list` of file systems and volumes, of snapshots and bookmarks; at the target also of the datasets above it; for each
    /// stream that was cut off `zfs send -nvP -t TOKEN` at the source. Reads.
    package static func gather(_ request: ReplicationRequest, runner: any CommandRunner) async throws -> ReplicationFacts {
        let (source, target) = (request.source, request.target)
        func rows(_ place: ReplicaPlace) async throws -> [ReplicaDataset] {
            let output = try await runner.run(place.at(ZFS.replicas(of: place.dataset, recursive: request.recursive)))
            // Status 1 says that it is not there, and other things too.
            if output.status != 0, !output.errors.contains("dataset does not exist") {
                throw CommandError.failed(place.at(ZFS.replicas(of: place.dataset, recursive: request.recursive)), output)
            }
            return try ReplicaDataset.parse(output.output)
        }
        func snapshots(_ place: ReplicaPlace) async throws -> [ReplicaSnapshot] {
            try ReplicaSnapshot.parse(
                try await runner.run(place.at(ZFS.replicaSnapshots(of: place.dataset, recursive: request.recursive))).output)
        }
        let sources = try await rows(source)
        guard !sources.isEmpty else {
            throw Diagnosis(
                "replicate.no-source", "there is no dataset \(source)",
                remedies: ["see what there is: zfs list", "a host stands before a colon: HOST:POOL/DATASET"], exit: .inputMissing)
        }
        let targets = try await rows(target)
        var above: [DatasetName] = []
        while let parent = (above.last ?? target.dataset).parent { above.append(parent) }
        let ancestors =
            above.isEmpty ? [] : try await runner.run(target.at(ZFS.existing(above))).output.split(separator: "\n").map(String.init)
        var facts = ReplicationFacts(
            source: sources, target: targets, sourceSnapshots: try await snapshots(source),
            targetSnapshots: targets.isEmpty ? [] : try await snapshots(target), ancestors: Set(ancestors))
        for row in targets {
            guard let token = row.token else { continue }
            let command = source.at(ZFS.describe(resume: token))
            let output = try await runner.run(command)
            guard let known = ResumeToken(output) else { throw CommandError.failed(command, output) }
            facts.tokens[row.name] = known
        }
        return facts
    }
}
