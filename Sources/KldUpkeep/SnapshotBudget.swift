public import KldCore
import KldDistro
import KldExec
import KldFiles
import KldZFS

/// What snapshots take, by dataset of the policy, and when the pool will be full at this pace.
public struct SnapshotBudget: Sendable, Hashable, Codable {
    public struct Row: Sendable, Hashable, Codable {
        public var dataset: String
        public var template: String
        /// How many the policy keeps of each dataset in it, when it has run long enough.
        public var keeps: Int
        public var has: Int
        /// What becomes free if all of them go.
        public var used: ByteCount
        /// Of the oldest one.
        public var since: String?
        public var perDay: ByteCount
    }

    public var pool: String
    public var size: ByteCount
    public var allocated: ByteCount
    public var rows: [Row]

    /// In percent.
    public var capacity: Int { Int(allocated.bytes * 100 / max(1, size.bytes)) }
    public var perDay: ByteCount { ByteCount(rows.reduce(0) { $0 + $1.perDay.bytes }) }

    /// At the pace of these snapshots, until ``ScheduledSnapshots/nearlyFull`` percent; `nil`: nothing grows.
    public var daysLeft: Int? {
        let limit = size.bytes / 100 * UInt64(ScheduledSnapshots.nearlyFull)
        guard perDay.bytes > 0 else { return nil }
        return limit > allocated.bytes ? Int((limit - allocated.bytes) / perDay.bytes) : 0
    }

    /// What a person should do something about.
    public var warnings: [String] {
        if capacity >= ScheduledSnapshots.nearlyFull {
            return [
                "the pool \(pool) is \(capacity) % full: destroy what is not needed (kldload kbe list, zfs list -t snapshot -s used), or add disks"
            ]
        }
        guard let daysLeft, daysLeft < 14 else { return [] }
        return [
            "at this pace the pool \(pool) is \(ScheduledSnapshots.nearlyFull) % full in \(daysLeft) days: snapshots grow by \(perDay) a day"
        ]
    }

    /// Runs: `zpool list POOL`, `zfs list -t filesystem,volume -o name,usedbysnapshots -r …`, `zfs list -t snapshot -o name,creation -r …` for each
    /// dataset of the policy; reads.
    public static func gather(_ upkeep: Upkeep) async throws -> SnapshotBudget {
        let running = try upkeep.running(for: "budgets")
        guard let pool = try await PoolRow.of(PoolName(running.pool), runner: upkeep.runner) else {
            throw Upkeep.noRoot("budgets")
        }
        let columns = ["name", "type", "usedbysnapshots", "creation"]
        var rows: [Row] = []
        for rule in SnapshotPolicy.rules {
            let dataset = try DatasetName("\(running.pool)/\(rule.dataset)")
            let list = ZFS.list(dataset, columns: columns, types: ["filesystem", "volume", "snapshot"])
            // A person may have destroyed it.
            guard let output = try? await upkeep.runner.run(list).output else { continue }
            rows.append(row(rule, dataset.text, try DatasetTable.parse(output, columns: columns), now: upkeep.now))
        }
        return SnapshotBudget(
            pool: pool.name, size: pool.size ?? ByteCount(0), allocated: pool.allocated ?? ByteCount(0), rows: rows)
    }

    static func row(_ rule: SnapshotPolicy.Rule, _ dataset: String, _ entries: [DatasetEntry], now: Timestamp) -> Row {
        let snapshots = entries.filter { $0.type == "snapshot" }
        let used = entries.reduce(0) { $0 + ($1.type == "snapshot" ? 0 : $1.bytes("usedbysnapshots")?.bytes ?? 0) }
        let oldest = snapshots.compactMap { $0.bytes("creation").map { Int64($0.bytes) } }.min()
        // Less than a day says nothing about a day.
        let days = oldest.map { max(1, (now.seconds - $0) / 86_400) } ?? 1
        return Row(
            dataset: dataset, template: rule.template.name, keeps: rule.template.count, has: snapshots.count, used: ByteCount(used),
            since: oldest.map { Timestamp(seconds: $0).description }, perDay: ByteCount(used / UInt64(days)))
    }
}
