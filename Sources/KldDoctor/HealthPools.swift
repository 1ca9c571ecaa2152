import KldCore
import KldDistro
import KldExec
import KldFiles
import KldZFS
import SystemPackage

extension Check {
    /// What goes wrong while a machine runs; ``all`` compares it with its installation.
    public static let health: [Check] =
        healthOfPools + healthOfMounts + healthOfBoot + healthOfDisks + healthOfReplication + healthOfServices + healthOfSystem

    /// What `kldload-doctor` asks.
    public static let everything: [Check] = all + health

    static let healthOfPools: [Check] = [
        Check("zfs.pools", "every other pool is online, without errors", .critical, otherPools),
        Check("zfs.pools.space", "every other pool has room", .medium, otherPoolsSpace),
        Check("zfs.scrub", "all data was read and checked not long ago", .medium, scrub),
        Check("zfs.quota", "no dataset is at its quota", .medium, quota),
        Check("zfs.snapshots.pruned", "snapshots do not pile up", .medium, snapshotsPruned),
        Check("zfs.snapshots.fresh", "snapshots are made as the policy says", .high, snapshotsFresh),
    ]

    @Sendable private static func otherPools(_ context: CheckContext) async throws -> CheckOutcome {
        let root = try await context.pool()?.text
        let others = try await context.poolTroubles().filter { $0.pool != root }
        guard !others.isEmpty else { return .skip("there is no other pool") }
        let ill = others.filter { !$0.problems.isEmpty }
        guard ill.isEmpty else {
            var advice = ""
            for pool in ill { advice += try await context.diskAdvice(PoolName(pool.pool)) }
            return .fail(
                expected: "ONLINE, no errors",
                actual: ill.map { "\($0.pool): \($0.problems.joined(separator: "; "))" }.joined(separator: "; "),
                remedy: ill.map { "zpool status -v \($0.pool)" }.joined(separator: "; ") + "; replace what failed, then scrub" + advice)
        }
        return .ok(others.map(\.pool).joined(separator: ", "))
    }

    @Sendable private static func otherPoolsSpace(_ context: CheckContext) async throws -> CheckOutcome {
        let root = try await context.pool()?.text
        let others = try await context.pools().filter { $0.name != root }
        guard !others.isEmpty else { return .skip("there is no other pool") }
        let used = others.compactMap { pool -> (name: String, percent: Int)? in
            guard let size = pool.size, let allocated = pool.allocated, size.bytes > 0 else { return nil }
            return (pool.name, Int(Double(allocated.bytes) / Double(size.bytes) * 100))
        }
        let text = used.map { "\($0.name) \($0.percent) % used" }.joined(separator: ", ")
        let remedy = "destroy old snapshots: zfs list -t snapshot -s used; or add a vdev"
        if used.contains(where: { $0.percent >= 95 }) { return .fail(expected: "less than 95 % used", actual: text, remedy: remedy) }
        if used.contains(where: { $0.percent >= 85 }) { return .warn(expected: "less than 85 % used", actual: text, remedy: remedy) }
        return .ok(text)
    }

    /// Five weeks: OpenZFS' packages scrub once a month.
    private static let scrubDays: Int64 = 35

    @Sendable private static func scrub(_ context: CheckContext) async throws -> CheckOutcome {
        guard let now = context.now else { return .skip("the time is not known") }
        guard let pool = try await context.pool() else { return noPool }
        guard try await context.openZFS().tools?.hasJSON == true else { return .skip("OpenZFS before 2.3 tells this for people only") }
        let pools = try PoolStatus.parse(json: try await context.read(ZPool.statusOfAll(json: true)).output)
        var told: [String] = []
        var old: [String] = []
        for status in pools {
            if let scan = status.scan, scan.errors > 0 {
                return .fail(
                    expected: "a scrub without errors",
                    actual: "\(status.name): the last \(scan.function.lowercased()) found \(scan.errors)",
                    remedy: "zpool status -v \(status.name) names the files; bring them back from a snapshot or a backup")
            }
            if let scan = status.scan, scan.state == "SCANNING" {
                told.append("\(status.name): \(scan.function.lowercased()) under way")
            } else if let scan = status.scan, scan.function == "SCRUB", scan.state == "FINISHED", let end = scan.endTime {
                let days = (now.seconds - Int64(clamping: end)) / 86_400
                told.append("\(status.name): \(days) days ago")
                if days > scrubDays { old.append(status.name) }
            } else if status.name == pool.text, context.manifest?.sealed != true {
                // A pool that is younger than that need not have had one. A clone's is as old as its image.
                let made = try await context.datasets(pool).first { $0.name == pool.text }?["creation"].flatMap { Int64($0) }
                told.append("\(status.name): never")
                if let made, now.seconds - made > scrubDays * 86_400 { old.append(status.name) }
            } else {
                told.append("\(status.name): never")
            }
        }
        guard old.isEmpty else {
            return .warn(
                expected: "a scrub within \(scrubDays) days", actual: told.joined(separator: ", "),
                remedy: old.map { "zpool scrub \($0); systemctl enable --now zfs-scrub-monthly@\($0).timer" }.joined(separator: "; "))
        }
        return .ok(told.joined(separator: ", "))
    }

    @Sendable private static func quota(_ context: CheckContext) async throws -> CheckOutcome {
        guard let pool = try await context.pool() else { return noPool }
        let full = try await context.datasets(pool).compactMap { dataset -> String? in
            guard let quota = dataset.bytes("quota"), quota.bytes > 0, let used = dataset.bytes("used") else { return nil }
            return Double(used.bytes) >= Double(quota.bytes) * 0.95 ? "\(dataset.name) \(used) of \(quota)" : nil
        }
        guard full.isEmpty else {
            return .warn(
                expected: "less than 95 % of each quota", actual: full.joined(separator: ", "),
                remedy: "zfs set quota=… the dataset, or destroy snapshots in it: they count")
        }
        return .ok("none")
    }

    /// Label and second of its creation of every snapshot in the root pool.
    ///
    /// Runs: `zfs list -Hp -r -t snapshot -o name,creation POOL`, reads.
    private static func snapshots(_ context: CheckContext, _ pool: PoolName) async throws -> [(dataset: String, creation: Int64)] {
        let columns = ["name", "creation"]
        let output = try await context.read(ZFS.list(pool.dataset, columns: columns, types: ["snapshot"])).output
        return try DatasetTable.parse(output, columns: columns).map {
            (String($0.name.prefix { $0 != "@" }), $0["creation"].flatMap { Int64($0) } ?? 0)
        }
    }

    /// More than any policy of ours keeps of one dataset.
    private static let mostSnapshots = 400

    @Sendable private static func snapshotsPruned(_ context: CheckContext) async throws -> CheckOutcome {
        guard let pool = try await context.pool() else { return noPool }
        let all = try await snapshots(context, pool)
        let counts = Dictionary(grouping: all, by: \.dataset).mapValues(\.count)
        let many = counts.filter { $0.value > mostSnapshots }.sorted { $0.value > $1.value }
        guard many.isEmpty else {
            return .warn(
                expected: "at most \(mostSnapshots) of one dataset",
                actual: many.prefix(3).map { "\($0.key) has \($0.value)" }.joined(separator: ", "),
                remedy: "who makes them does not prune: systemctl status sanoid-prune; journalctl -u sanoid-prune")
        }
        return .ok("\(all.count) snapshots of \(counts.count) datasets")
    }

    /// Three hours: the policy makes one each hour.
    private static let freshHours: Int64 = 3

    @Sendable private static func snapshotsFresh(_ context: CheckContext) async throws -> CheckOutcome {
        guard let now = context.now else { return .skip("the time is not known") }
        guard try context.exists(SnapshotPolicy.path) else { return .skip("this machine has no policy of snapshots") }
        guard let pool = try await context.pool() else { return noPool }
        let up = (try context.text("/proc/uptime") ?? "").words.first.flatMap { Double($0) } ?? 0
        guard Int64(up) > freshHours * 3600 else { return .ok("the machine runs for less than \(freshHours) hours") }
        guard let newest = try await snapshots(context, pool).map(\.creation).max(), newest > 0 else {
            return .fail(
                expected: "a snapshot within \(freshHours) hours", actual: "there is none",
                remedy: "systemctl enable --now sanoid.timer; journalctl -u sanoid")
        }
        let minutes = (now.seconds - newest) / 60
        guard minutes <= freshHours * 60 else {
            return .fail(
                expected: "a snapshot within \(freshHours) hours", actual: "the newest is \(minutes / 60) hours old",
                remedy: "systemctl status sanoid.timer; journalctl -u sanoid")
        }
        return .ok("the newest is \(max(0, minutes)) minutes old")
    }
}
