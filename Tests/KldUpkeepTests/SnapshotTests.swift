import KldCore
import KldDistro
import KldPlan
import KldTestSupport
import KldZFS
import Testing

@testable import KldUpkeep

@Suite("Scheduled snapshots")
struct ScheduledSnapshotTests {
    static let now = Timestamp(seconds: 1_700_000_000)

    static func row(
        _ label: String, age: Int64, kind: String? = "auto", holds: Int = 0, clones: [String] = []
    ) throws -> ScheduledSnapshots.Row {
        ScheduledSnapshots.Row(
            name: try SnapshotName("rpool/ROOT/debian@\(label)"), created: Timestamp(seconds: now.seconds - age), kind: kind, holds: holds,
            clones: clones)
    }

    static func snapshots(_ rows: [ScheduledSnapshots.Row], capacity: Int = 10, recursive: Bool = false) throws -> ScheduledSnapshots {
        ScheduledSnapshots(dataset: try DatasetName("rpool/ROOT/debian"), recursive: recursive, rows: rows, capacity: capacity)
    }

    @Test("one is taken where none is young enough, whoever took the others")
    func due() throws {
        let young = try Self.snapshots([Self.row("autosnap_x", age: 1800, kind: nil)])
        #expect(try young.plan(.auto, byClock: true, now: Self.now).plan.steps.isEmpty)
        let old = try Self.snapshots([Self.row("autosnap_x", age: 3600, kind: nil)])
        #expect(
            try old.plan(.auto, byClock: true, now: Self.now).plan.commandLines == [
                "zfs snapshot -o com.kldload:snapshot=auto rpool/ROOT/debian@auto-20231114-221320"
            ])
    }

    @Test("a person who asks for one gets one")
    func asked() throws {
        let young = try Self.snapshots([Self.row("x", age: 1)])
        #expect(try young.plan(.auto, byClock: false, now: Self.now).plan.steps.count == 1)
    }

    @Test("two in one second have two names")
    func names() throws {
        let taken = try Self.snapshots([Self.row("auto-20231114-221320", age: 0)])
        #expect(
            try taken.plan(.auto, byClock: false, now: Self.now).plan.commandLines.first?.hasSuffix("@auto-20231114-221320-2") == true)
    }

    @Test("of its kind, the oldest go beyond those that are kept; held and cloned ones stay, and so does everybody else's")
    func prune() throws {
        var rows = try (0..<60).map { try Self.row("auto-\($0)", age: Int64($0) * 3600) }
        rows[59].holds = 1
        rows[58].clones = ["rpool/ROOT/debian-20231101-000000"]
        rows += try (0..<60).map { try Self.row("autosnap_\($0)", age: 9_000_000, kind: nil) }
        rows += try (0..<9).map { try Self.row("apt-pre-\($0)", age: 9_000_000, kind: "apt-pre") }
        let snapshots = try Self.snapshots(rows)
        #expect(snapshots.prunable(.auto).map(\.label) == (48..<58).map { "auto-\($0)" })
        #expect(snapshots.prunable(.aptBefore).isEmpty)
        // The one that is taken counts.
        let plan = try snapshots.plan(.auto, byClock: false, now: Self.now).plan
        #expect(plan.steps.count == 1 + 11)
        #expect(plan.destroys.allSatisfy { $0.hasPrefix("rpool/ROOT/debian@auto-") })
    }

    @Test("nothing is destroyed without an approval that names it")
    func approval() throws {
        let rows = try (0..<50).map { try Self.row("auto-\($0)", age: Int64($0) * 3600) }
        let plan = try Self.snapshots(rows).plan(.auto, byClock: false, now: Self.now).plan
        #expect(throws: Diagnosis.self) { try PlanRunner.check(plan, approvals: []) }
        try PlanRunner.check(plan, approvals: plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) })
    }

    @Test("a pool that fills is said, and a full one gets no more by the clock, but is pruned")
    func full() throws {
        let old = try (0..<50).map { try Self.row("auto-\($0)", age: Int64($0 + 2) * 3600) }
        let nearly = try Self.snapshots(old, capacity: 85).plan(.auto, byClock: true, now: Self.now)
        #expect(nearly.remarks.count == 1 && nearly.plan.steps.first?.id == "snapshot.take")
        let full = try Self.snapshots(old, capacity: 96).plan(.auto, byClock: true, now: Self.now)
        #expect(full.remarks.count == 2 && !full.plan.steps.isEmpty && full.plan.steps.allSatisfy { $0.id.hasPrefix("snapshot.prune") })
    }

    @Test("one line of zfs list")
    func parse() throws {
        let rows = try ScheduledSnapshots.Row.parse(
            "rpool/ROOT/debian@auto-20261121-023300\t1763692380\t65536\t1\trpool/ROOT/a,rpool/ROOT/b\tauto\n"
                + "rpool/ROOT/debian@install\t1763692000\t0\t0\t-\t-\n")
        #expect(rows.map(\.kind) == ["auto", nil] && rows.map(\.holds) == [1, 0])
        #expect(rows.map(\.clones) == [["rpool/ROOT/a", "rpool/ROOT/b"], []])
    }
}

@Suite("The budget of snapshots")
struct SnapshotBudgetTests {
    @Test("the pace is what they take by the age of the oldest, and the days until the pool is nearly full follow")
    func pace() throws {
        let rule = try #require(SnapshotPolicy.rules.first { $0.dataset == "home" })
        let columns = ["name", "type", "usedbysnapshots", "creation"]
        let entries = try DatasetTable.parse(
            """
            rpool/home\tfilesystem\t1000\t1600000000
            rpool/home/ada\tfilesystem\t9000\t1600000000
            rpool/home@a\tsnapshot\t-\t1699136000
            rpool/home/ada@a\tsnapshot\t-\t1699136000
            """, columns: columns)
        let row = SnapshotBudget.row(rule, "rpool/home", entries, now: Timestamp(seconds: 1_700_000_000))
        #expect(row.has == 2 && row.keeps == 72 && row.used == ByteCount(10_000) && row.perDay == ByteCount(1000))
        var budget = SnapshotBudget(pool: "rpool", size: ByteCount(100_000), allocated: ByteCount(70_000), rows: [row])
        #expect(budget.daysLeft == 10 && budget.warnings.count == 1)
        budget.allocated = ByteCount(10_000)
        #expect(budget.daysLeft == 70 && budget.warnings.isEmpty)
        budget.allocated = ByteCount(90_000)
        #expect(budget.capacity == 90 && budget.warnings.count == 1)
    }
}

@Suite("The policy of snapshots")
struct SnapshotPolicyTests {
    @Test("kldload's own settings are right for the pool that it makes")
    func own() {
        let text = SnapshotPolicy.sanoid(pool: "rpool")
        let datasets: Set<String> = ["rpool/ROOT", "rpool/home", "rpool/srv", "rpool/var/log"]
        #expect(SnapshotPolicy.problems(text, datasets: datasets).isEmpty)
        #expect(SnapshotPolicy.problems(text, datasets: datasets.subtracting(["rpool/srv"])) == ["[rpool/srv]: there is no such dataset"])
    }

    @Test("a person's section takes the place of kldload's, and keeps the rest")
    func additions() {
        let text = SnapshotPolicy.sanoid(
            pool: "rpool", additions: ["[rpool/home]\n  use_template = mine\n\n[template_mine]\n  hourly = 3\n"])
        let datasets: Set<String> = ["rpool/ROOT", "rpool/home", "rpool/srv", "rpool/var/log"]
        #expect(SnapshotPolicy.problems(text, datasets: datasets).isEmpty)
        #expect(text.contains("[rpool/home]\n  use_template = mine") && !text.contains("[rpool/home]\n  use_template = production"))
    }

    @Test("what sanoid would not understand is said")
    func problems() {
        let text = "[rpool/a]\n  use_template = nowhere\n[rpool/a]\n[template_x]\n  hourly = many # of them\n"
        #expect(
            SnapshotPolicy.problems(text, datasets: ["rpool/a"]) == [
                "[rpool/a]: there is no template nowhere", "[rpool/a] stands there twice", "[template_x]: hourly is no number: many",
            ])
    }
}
