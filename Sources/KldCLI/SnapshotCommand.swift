import ArgumentParser
import KldCore
import KldDistro
import KldFiles
import KldPlan
import KldTerminal
import KldUpkeep
import SystemPackage

/// Snapshots by the clock and around packages; what they take; sanoid's settings. Timers and hooks of packages call most of it.
struct SnapshotCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot", abstract: "Snapshots by the clock: take one of the running environment, prune, see what they take.",
        subcommands: [Take.self, Budget.self, Policy.self], defaultSubcommand: Take.self, aliases: [AppletName.snapshot.rawValue])

    struct Take: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a snapshot, and destroy those of its kind that are too old.",
            discussion: "Those that somebody holds, or of which something was cloned, stay.")
        @Option(
            help: "auto: the running environment; srv: /srv; apt-pre, apt-post: around packages.",
            transform: { text in
                guard let kind = ScheduledSnapshots.Kind(rawValue: text) else { throw ValidationError("there is no kind \(text)") }
                return kind
            })
        var kind = ScheduledSnapshots.Kind.auto
        @Flag(help: "Only if there is none that is young enough, whoever took it: for timers.") var scheduled = false
        @Flag(help: "Do nothing, without an error, in a chroot or where the root is not ZFS: for hooks of packages.") var hook = false
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let session = BootSession(dryRun: dryRun)
            let variable = Upkeep.snapshotVariable
            // Who changes packages takes its own snapshot.
            if hook, Host.environment([variable])[variable] == "0" { return }
            if hook, try await !session.isRunningMachine() { return }
            try Host.needRoot(Diagnosis("snapshot.not-root", "snapshots are taken by root", remedies: ["sudo"], exit: .needsRoot))
            let lock = try await FileLock.acquire("/run/kldload/snapshot.lock") { Output.errorLine("waiting for another snapshot") }
            defer { withExtendedLifetime(lock) {} }
            let upkeep = session.upkeep()
            if scheduled, try session.files.exists("/usr/sbin/sanoid") {
                // A person's additions are in force from the next time on that sanoid runs.
                try await session.apply(SnapshotSettings.gather(upkeep).plan())
            }
            let (plan, remarks) = try await ScheduledSnapshots.gather(kind, upkeep).plan(kind, byClock: scheduled, now: upkeep.now)
            for remark in remarks { Output.errorLine("kldload: \(remark)") }
            // The plan destroys only what bears kldload's mark.
            try await session.apply(plan, approvals: plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) })
        }
    }

    struct Budget: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What snapshots take, and when the pool will be full.",
            discussion: "Exit status: 0; 2 if the pool is or will soon be full.")
        @Option(help: "table or json.") var format = TableFormat.table

        func run() async throws {
            let budget = try await SnapshotBudget.gather(BootSession(dryRun: false).upkeep())
            if format == .json {
                try Output.json(budget)
            } else {
                var table = TextTable([
                    ("DATASET", .left), ("POLICY", .left), ("KEEPS", .right), ("HAS", .right), ("TAKES", .right), ("A DAY", .right),
                    ("SINCE", .left),
                ])
                for row in budget.rows {
                    table.add([
                        row.dataset, row.template, String(row.keeps), String(row.has), row.used.description, row.perDay.description,
                        row.since ?? "-",
                    ])
                }
                Output.line(table.text)
                let days = budget.daysLeft.map { ", \(ScheduledSnapshots.nearlyFull) % in \($0) days at this pace" } ?? ""
                Output.line("\(budget.pool): \(budget.allocated) of \(budget.size), \(budget.capacity) %\(days)")
            }
            for warning in budget.warnings { Output.errorLine("kldload: \(warning)") }
            if !budget.warnings.isEmpty { throw ExitCode(ExitStatus.problemsFound.rawValue) }
        }
    }

    struct Policy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print sanoid's settings as the policy and the files in \(SnapshotPolicy.additions) make them.",
            discussion: "Exit status: 0; 2 with --check if something else stands in \(SnapshotPolicy.path), or something is wrong with it.")
        @Flag(help: "Say whether they are in force.") var check = false
        @Flag(help: "Put them in force.") var write = false
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let session = BootSession(dryRun: dryRun)
            let settings = try await SnapshotSettings.gather(session.upkeep())
            if write || dryRun { return try await session.apply(settings.plan()) }
            guard check else { return Output.raw(settings.wanted) }
            for problem in settings.problems { Output.line(problem) }
            if !settings.isCurrent { Output.line("\(SnapshotPolicy.path) says something else: kldload snapshot policy --write") }
            if !settings.problems.isEmpty || !settings.isCurrent { throw ExitCode(ExitStatus.problemsFound.rawValue) }
        }
    }
}

struct SnapshotTool: AsyncParsableCommand {
    static let configuration = SnapshotCommand.configuration.named(.snapshot)
}
