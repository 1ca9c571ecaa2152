public import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import KldZFS
public import SystemPackage

/// `ksnap destroy`: snapshots that nothing needs any more.
public struct SnapshotDestruction: Sendable, Hashable {
    public var rows: [SnapshotRow]
    public var holds: [String: [String]]
    /// Those of boot environments.
    public var ofBootEnvironments: [String]
    /// What ZFS says would be freed, all of them together; `nil` where it was not asked, because some cannot go.
    public var reclaimed: ByteCount?

    /// Reads what destroying these would mean.
    ///
    /// - Parameters:
    ///   - words: `DATASET@LABEL`, `DATASET@A,B`, or paths below `.zfs/snapshot`.
    ///   - recursive: the same label of every dataset below too.
    /// - Throws: ``Diagnosis`` `snapshot.unnamed`, `snapshot.unknown`, and those of ``Storage/place(_:in:_:)``.
    ///
    /// Runs: `zfs list` of file systems, `zfs list` of these datasets' snapshots, `zfs holds` of those that are held, and for each dataset
    /// `zfs destroy -nvp`; reads.
    public static func gather(
        _ words: [String], recursive: Bool, folder: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws -> SnapshotDestruction {
        let storage = try await Storage.gather(runner: runner, files: files)
        let names = try names(words, storage, folder, files)
        let output = try await runner.run(
            ZFS.snapshots(of: names.map(\.dataset).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }, recursive: recursive)
        ).output
        let all = try SnapshotRow.parse(output)
        // A dataset below another that was named too is listed once for each.
        let found = all.filter { row in
            names.contains { row.label == $0.label && (row.dataset == $0.dataset || recursive && row.dataset.hasPrefix($0.dataset + "/")) }
        }.reduce(into: [SnapshotRow]()) { if !$0.contains($1) { $0.append($1) } }
        for name in names where !found.contains(where: { $0.name == "\(name.dataset)@\(name.label)" }) {
            throw SnapshotRollback.unknown("\(name.dataset)@\(name.label)", among: all.filter { $0.dataset == name.dataset })
        }
        var result = SnapshotDestruction(
            rows: found, holds: try await SnapshotList.tags(of: found, runner),
            ofBootEnvironments: found.map(\.name).filter { name in storage.isBootEnvironment(String(name.prefix { $0 != "@" })) })
        if (try? refuse(found, result.holds)) != nil {
            var sum: UInt64 = 0
            for (dataset, labels) in try result.byDataset {
                let preview = try await runner.run(ZFS.destroy(dataset, snapshots: labels, dryRun: true)).output
                sum += DestroyPreview.parse(preview).reclaimed.bytes
            }
            result.reclaimed = ByteCount(sum)
        }
        return result
    }

    private static func names(
        _ words: [String], _ storage: Storage, _ folder: FilePath, _ files: any FileSystem
    ) throws -> [(dataset: String, label: String)] {
        var names: [(dataset: String, label: String)] = []
        for word in words {
            if !Storage.isPath(word), let mark = word.firstIndex(of: "@"), word[mark...].contains(",") {
                let dataset = try storage.known(String(word[..<mark])).name
                names += word[word.index(after: mark)...].split(separator: ",").map { (dataset, String($0)) }
                continue
            }
            let place = try storage.place(word, in: folder, files)
            guard let label = place.label else {
                throw Diagnosis(
                    "snapshot.unnamed", "\(word) is no snapshot: a dataset is never destroyed here",
                    remedies: ["name the snapshot: \(place.dataset)@LABEL", "see what there is: kldload ksnap list \(word)"], exit: .usage)
            }
            names.append((place.dataset, label))
        }
        return names
    }

    private var byDataset: [(dataset: DatasetName, labels: [String])] {
        get throws {
            var groups: [(dataset: DatasetName, labels: [String])] = []
            for row in rows {
                let name = try DatasetName(row.dataset)
                if let index = groups.firstIndex(where: { $0.dataset == name }) {
                    groups[index].labels.append(row.label)
                } else {
                    groups.append((name, [row.label]))
                }
            }
            return groups
        }
    }

    /// - Throws: ``Diagnosis`` `snapshot.held`, `snapshot.cloned`.
    static func refuse(_ rows: [SnapshotRow], _ holds: [String: [String]]) throws(Diagnosis) {
        let held = rows.filter { $0.holds > 0 }
        if !held.isEmpty {
            throw Diagnosis(
                "snapshot.held", held.count == 1 ? "\(held[0].name) is held" : "\(held.count) of these snapshots are held",
                remedies: held.prefix(8).flatMap { row in
                    (holds[row.name] ?? ["TAG"]).map {
                        "kldload ksnap release \(SnapshotRollback.word($0)) \(SnapshotRollback.word(row.name))"
                    }
                }, causes: held.prefix(20).map { "\($0.name): \((holds[$0.name] ?? []).joined(separator: ", "))" })
        }
        let cloned = rows.filter { !$0.clones.isEmpty }
        if !cloned.isEmpty {
            throw Diagnosis(
                "snapshot.cloned", cloned.count == 1 ? "\(cloned[0].name) has clones" : "\(cloned.count) of these snapshots have clones",
                remedies: [
                    "destroy the clones first, if nothing needs them",
                    "or let a clone keep what it needs: zfs promote \(SnapshotRollback.word(cloned[0].clones[0]))",
                ], causes: cloned.prefix(20).map { "\($0.name): \($0.clones.joined(separator: ", "))" })
        }
    }

    /// - Parameter environments: those of boot environments too.
    /// - Throws: ``Diagnosis`` `snapshot.held`, `snapshot.cloned`, `snapshot.of-environment`; ``NameError``.
    ///
    /// Runs: `zfs destroy DATASET@A,B,C` for each dataset, destroys: all snapshots of one dataset, or none of them.
    public func plan(environments: Bool) throws -> Plan {
        try Self.refuse(rows, holds)
        if !environments, let first = ofBootEnvironments.first {
            throw Diagnosis(
                "snapshot.of-environment",
                ofBootEnvironments.count == 1
                    ? "\(first) belongs to a boot environment"
                    : "\(ofBootEnvironments.count) of these snapshots belong to boot environments",
                remedies: [
                    "whole environments are destroyed with kldload kbe destroy, which takes their snapshots along; see kldload kbe list --snapshots",
                    "nothing boots from them, but kldload kbe rollback goes back to them; to destroy them all the same: --boot-environments",
                ])
        }
        let steps = try byDataset.map { dataset, labels in
            Step(
                "snapshot.destroy", "Destroy \(labels.count) snapshots of \(dataset)", [.run(ZFS.destroy(dataset, snapshots: labels))],
                destroys: labels.map { "\(dataset)@\($0)" })
        }
        return Plan("destroy \(rows.count) snapshots", [Phase("snapshot", "Snapshots", steps)])
    }
}
