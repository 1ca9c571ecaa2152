import KldCore
import KldExec
import KldZFS

/// An image holds the boot environment that it boots, and no other: another one's files are mounted nowhere, so nothing in them is sealed.
extension CopySeal {
    /// The boot environment of a pool that its bootfs names. Runs: `zpool list POOL`, reads.
    static func bootfs(of pool: PoolName, _ runner: any CommandRunner) async throws -> DatasetName {
        guard let root = try await PoolRow.of(pool, runner: runner)?.bootfs else {
            throw Diagnosis(
                "image.no-bootfs", "the pool \(pool) does not say which boot environment it boots",
                remedies: ["set it on the source: zpool set bootfs=… \(pool)"], exit: .inputMissing)
        }
        return try DatasetName(root)
    }

    /// What lies beside the boot environment of a pool, and would be mounted at `/` like it.
    private static func environments(beside root: DatasetName, in pool: PoolName, _ all: [DatasetEntry]) throws -> [DatasetName] {
        // Beside a root that lies right below the pool lies everything else.
        guard let top = root.parent, top != pool.dataset else { return [] }
        // The copy is imported below a folder, with which a mount point is shown.
        guard let place = all.first(where: { $0.name == root.text })?["mountpoint"] else { return [] }
        return try all.filter { $0["mountpoint"] == place }.map { try DatasetName($0.name) }.filter { $0.parent == top && $0 != root }
    }

    /// Destroys the copy's other boot environments.
    ///
    /// Runs: `zfs list`, `zfs promote` for what came from one of them, `zfs destroy -r NAME` for each. Source: zfs-promote(8), OpenZFS 2.4.
    /// - Throws: ``Diagnosis`` `image.clones` before anything is destroyed; `image.no-bootfs`, `image.environment-cloned`.
    static func dropEnvironments(of pool: PoolName, _ runner: any CommandRunner) async throws {
        let root = try await bootfs(of: pool, runner)
        func read() async throws -> [DatasetEntry] {
            try await datasets(of: pool, ["name", "mountpoint", "origin"], ["filesystem", "volume"], runner)
        }
        func origin(_ row: DatasetEntry) throws -> DatasetName? { try row["origin"].map { try SnapshotName($0).dataset } }
        let all = try await read()
        var others = try environments(beside: root, in: pool, all)
        try refuseClones(all, dropping: others)
        // What is promoted is a clone of its origin's own origin then, which may be the next of them.
        for _ in others {
            for row in try await read() {
                let name = try DatasetName(row.name)
                guard name.isWithin(root), let origin = try origin(row), others.contains(where: origin.isWithin) else { continue }
                try await runner.run(ZFS.promote(name))
            }
        }
        while !others.isEmpty {
            let rows = try await read()
            let free = try others.firstIndex { other in
                try !rows.contains { try origin($0)?.isWithin(other) == true && !DatasetName($0.name).isWithin(other) }
            }
            guard let free else {
                throw Diagnosis(
                    "image.environment-cloned", "other file systems were cloned from boot environments that the image does not hold",
                    remedies: ["on the source: destroy them, or make them independent with zfs promote NAME"], exit: .badAnswers,
                    causes: others.map(\.text))
            }
            try await runner.run(ZFS.destroy(others.remove(at: free), recursive: true))
        }
    }
}
