public import KldCore
import KldDistro
import KldExec
import KldFiles
public import KldPlan
import KldZFS
import SystemPackage

/// sanoid's settings on this machine, compared with the policy.
public struct SnapshotSettings: Sendable, Hashable {
    /// What stands there; `nil`: nothing.
    public var current: String?
    /// What the policy and a person's additions make.
    public var wanted: String
    public var problems: [String]

    public var isCurrent: Bool { current == wanted }

    /// Runs: `zfs list -t filesystem,volume -o name -r POOL`, reads.
    public static func gather(_ upkeep: Upkeep) async throws -> SnapshotSettings {
        let running = try upkeep.running(for: "policies")
        let folder = FilePath(SnapshotPolicy.additions)
        let names = ((try? upkeep.files.list(folder)) ?? []).filter { $0.hasSuffix(".conf") }.sorted()
        let additions = try names.map { try upkeep.files.readText(folder.appending($0)) }
        let wanted = SnapshotPolicy.sanoid(pool: running.pool, additions: additions)
        let pool = try DatasetName(running.pool)
        let datasets = Set(try await upkeep.runner.run(ZFS.list(pool, columns: ["name"])).output.lines)
        let file = FilePath(SnapshotPolicy.path)
        return SnapshotSettings(
            current: try upkeep.files.exists(file) ? upkeep.files.readText(file) : nil, wanted: wanted,
            problems: SnapshotPolicy.problems(wanted, datasets: datasets))
    }

    /// Nothing where they stand already. - Throws: ``Diagnosis`` `snapshot.policy`.
    public func plan() throws(Diagnosis) -> Plan {
        guard problems.isEmpty else {
            throw Diagnosis(
                "snapshot.policy", "sanoid's settings would not do what they say",
                remedies: ["correct the files in \(SnapshotPolicy.additions)"],
                exit: .badConfiguration, causes: problems)
        }
        guard !isCurrent else { return Plan("sanoid's settings", []) }
        return Plan(
            "sanoid's settings",
            [
                Phase(
                    "snapshot", "Snapshots",
                    [
                        Step(
                            "snapshot.policy", "Write \(SnapshotPolicy.path)",
                            [.write(FilePath(SnapshotPolicy.path), content: .text(wanted))])
                    ])
            ])
    }
}
