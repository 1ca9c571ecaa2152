import KldBootEnv
public import KldCore
import KldExec
import KldFiles
public import KldPlan
public import KldZFS

/// Snapshots that kldload takes by itself: by the clock, and around what package managers do.
///
/// sanoid takes and prunes by the policy wherever it runs; the timers here see to it that there is a snapshot young enough, whoever took it,
/// and take one where there is none. So nothing is taken twice, and a sanoid that fails is no gap.
public struct ScheduledSnapshots: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Of the running environment, by the clock.
        case auto
        /// Of service data, by the clock.
        case srv
        case aptBefore = "apt-pre"
        case aptAfter = "apt-post"
        case beforeUpgrade = "pre-upgrade"
        case kpkg

        /// The age in seconds at which another one is due; `nil`: not by the clock.
        public var interval: Int64? {
            switch self {
            case .auto: 3600
            case .srv: 900
            default: nil
            }
        }

        /// How many are kept.
        public var keep: Int {
            switch self {
            case .auto: 48
            case .srv: 4
            default: 10
            }
        }
    }

    /// One snapshot of the dataset, whoever took it.
    public struct Row: Sendable, Hashable {
        public var name: SnapshotName
        public var created: Timestamp
        public var used: ByteCount
        /// As kldload marked it; `nil`: somebody else's.
        public var kind: String?
        public var holds: Int
        /// Datasets that were made of it.
        public var clones: [String]

        public init(
            name: SnapshotName, created: Timestamp, used: ByteCount = ByteCount(0), kind: String? = nil, holds: Int = 0,
            clones: [String] = []
        ) {
            self.name = name
            self.created = created
            self.used = used
            self.kind = kind
            self.holds = holds
            self.clones = clones
        }

        static let columns = ["name", "creation", "used", "userrefs", "clones", SnapshotLabel.mark]

        /// Reads `zfs list -Hp -t snapshot -o name,creation,used,userrefs,clones,com.kldload:snapshot`, OpenZFS 2.4.4:
        /// ```
        /// rpool/ROOT/debian@auto-20261121-023300⇥1763692380⇥65536⇥0⇥⇥auto
        /// ```
        static func parse(_ output: String) throws -> [Row] {
            try DatasetTable.parse(output, columns: columns).map { entry in
                Row(
                    name: try SnapshotName(entry.name), created: Timestamp(seconds: Int64(entry.bytes("creation")?.bytes ?? 0)),
                    used: entry.bytes("used") ?? ByteCount(0), kind: entry[SnapshotLabel.mark], holds: Int(entry["userrefs"] ?? "") ?? 0,
                    clones: (entry["clones"] ?? "").split(separator: ",").map(String.init))
            }
        }
    }

    /// From which on a pool is called full, in percent: ZFS becomes slow, and what rewrites fails.
    public static let nearlyFull = 80
    /// From which on nothing more is taken by the clock.
    public static let full = 95

    public var dataset: DatasetName
    /// There are datasets below that belong to it.
    public var recursive: Bool
    public var rows: [Row]
    /// Of the pool, in percent of its size.
    public var capacity: Int

    public init(dataset: DatasetName, recursive: Bool = false, rows: [Row], capacity: Int) {
        self.dataset = dataset
        self.recursive = recursive
        self.rows = rows
        self.capacity = capacity
    }

    /// Reads one dataset. Runs: `zpool list POOL`, `zfs list -d 1 -t snapshot DATASET`; reads.
    public static func gather(_ kind: Kind, _ upkeep: Upkeep) async throws -> ScheduledSnapshots {
        let running = try upkeep.running(for: "scheduled snapshots")
        let pool = try PoolName(running.pool)
        var dataset = running
        if kind == .srv {
            guard let mounted = try upkeep.files.dataset(at: "/srv") else {
                throw Diagnosis(
                    "snapshot.no-srv", "/srv is no dataset of its own here", remedies: ["kldload kdir /srv makes one"], exit: .unavailable)
            }
            dataset = try DatasetName(mounted)
        }
        let row = try await PoolRow.of(pool, runner: upkeep.runner)
        let size = max(1, row?.size?.bytes ?? 1)
        let below = try await upkeep.runner.run(ZFS.list(dataset, columns: ["name"], types: ["filesystem", "volume"])).output.lines
        let list = ZFS.list(dataset, columns: Row.columns, types: ["snapshot"], depth: 1)
        return ScheduledSnapshots(
            dataset: dataset, recursive: below.count > 1, rows: try Row.parse(await upkeep.runner.run(list).output),
            capacity: Int((row?.allocated?.bytes ?? 0) * 100 / size))
    }

    /// What is old enough to go: marked as of this kind, beyond those that are kept, held by nobody, and nothing was made of it.
    public func prunable(_ kind: Kind, keep: Int? = nil) -> [SnapshotName] {
        rows.filter { $0.kind == kind.rawValue }.sorted { ($0.created, $0.name.label) > ($1.created, $1.name.label) }
            .dropFirst(keep ?? kind.keep).filter { $0.holds == 0 && $0.clones.isEmpty }.map(\.name)
    }

    /// Whether another one is due: the youngest, whoever took it, is too old.
    public func isDue(_ kind: Kind, now: Timestamp) -> Bool {
        guard let interval = kind.interval, let youngest = rows.map(\.created).max() else { return true }
        // A timer is never to the second.
        return now.seconds - youngest.seconds >= interval * 9 / 10
    }

    /// - Parameter byClock: only if one is due.
    /// - Returns: what is done, and what a person should know.
    public func plan(_ kind: Kind, byClock: Bool, now: Timestamp) throws -> (plan: Plan, remarks: [String]) {
        var remarks: [String] = []
        var steps: [Step] = []
        if capacity >= Self.nearlyFull {
            remarks.append("the pool \(dataset.pool) is \(capacity) % full: kldload snapshot budget says what snapshots take")
        }
        let due = !byClock || isDue(kind, now: now)
        if due, byClock, capacity >= Self.full {
            remarks.append("no snapshot of \(dataset) was taken: the pool is full")
        } else if due {
            let label = BootEnvironments.free("\(kind.rawValue)-\(PackageWork.stamp(now))", rows.map(\.name.label))
            let name = try SnapshotName(dataset, label)
            steps.append(
                Step(
                    "snapshot.take", "Snapshot \(name)",
                    [.run(ZFS.snapshot(name, recursive: recursive, properties: [SnapshotLabel.mark: kind.rawValue]))]))
        }
        // The one that is taken counts.
        steps += pruning(kind, keep: steps.isEmpty ? kind.keep : kind.keep - 1)
        return (plan(steps), remarks)
    }

    /// Takes away what is old enough to go. - Parameter kind: of which one has been taken already.
    public func pruned(_ kind: Kind) -> Plan { plan(pruning(kind, keep: kind.keep)) }

    private func plan(_ steps: [Step]) -> Plan {
        Plan("snapshots of \(dataset)", steps.isEmpty ? [] : [Phase("snapshot", "Snapshots", steps)])
    }

    private func pruning(_ kind: Kind, keep: Int) -> [Step] {
        prunable(kind, keep: keep).map { name in
            Step(
                "snapshot.prune.\(name.label)", "Destroy \(name)", [.run(ZFS.destroy(name, recursive: recursive).unlessNeeded)],
                destroys: [name.description])
        }
    }
}
