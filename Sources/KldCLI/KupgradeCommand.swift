import ArgumentParser
import KldBoot
import KldBootEnv
import KldCore
import KldExec
import KldFiles
import KldPackages
import KldPlan
import KldSystemd
import KldTerminal
import KldUpkeep
import KldZFS

/// Upgrades the system in a boot environment of its own.
struct KupgradeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kupgrade", abstract: "Upgrade the system in a new boot environment, which boots next, on trial.",
        discussion: """
            The running system does not change: its clone is upgraded, looked at, and booted next. If that does not boot well, the machine goes
            back by itself; kbe activate goes back whenever you want. Held packages stay, unless --kernel or --held moves them.
            """)

    @OptionGroup var upgrade: UpgradeOptions

    func run() async throws { try await upgrade.run() }
}

/// What an upgrade may move, and how.
struct UpgradeOptions: ParsableArguments {
    @Flag(help: "Kernel, OpenZFS and boot loader move too; afterwards they are held again.") var kernel = false
    @Flag(help: "All held packages move too, your own as well; afterwards they are held again.") var held = false
    @OptionGroup var options: WorkOptions

    func run() async throws {
        var request = PackageWork.Request(.upgrade, label: "pre-upgrade")
        request.held = held ? .all : kernel ? .ours : .stay
        try await options.run(request)
    }
}

/// How packages are changed: in a new environment or in place.
struct WorkOptions: ParsableArguments {
    @Flag(help: "In the running system, after a snapshot of it.") var inPlace = false
    @Option(help: "The new environment's name; default: the running one's, with the time.") var name: String?
    @Flag(help: "The new environment boots once; the boot after is as before.") var once = false
    @Flag(help: "Make the new environment, and do not boot it: kbe activate does.") var noActivate = false
    @Flag(help: "If something fails, keep the half-made environment for a look.") var keep = false
    @Flag(help: "Restart the machine when it is done.") var reboot = false
    @Flag(help: "Say what would be done, by the lists of packages that are there, and change nothing.") var dryRun = false
    @Flag(name: [.short, .long], help: "Ask nothing: remove packages too that nobody named.") var yes = false
    @Option(help: "table or json.") var format = TableFormat.table

    func validate() throws {
        if inPlace, name != nil || once || noActivate || keep {
            throw ValidationError("--in-place makes no environment: --name, --once, --no-activate and --keep say nothing there")
        }
        if once, noActivate { throw ValidationError("--once and --no-activate exclude each other") }
    }

    func run(_ request: PackageWork.Request) async throws {
        var request = request
        request.name = name
        request.activation = noActivate ? .none : once ? .once : .trial
        request.keep = keep
        request.removalsAllowed = yes
        let session = BootSession.forPackages(dryRun: dryRun)
        let work = PackageWork(session.upkeep(mayAsk: format == .table))
        if dryRun {
            let transaction = try await work.preview(request)
            try show(transaction)
            return
        }
        var made: UpkeepReport?
        try await session.locked {
            made =
                try await inPlace
                ? work.inPlace(request) { try await session.refreshAll() }
                : work.inNewEnvironment(request)
        }
        guard let report = made else { return }
        if format == .json { try Output.json(report) } else { Output.line(Self.text(report)) }
        if reboot, report.rebootNeeded {
            try await session.runner.run(Systemctl.reboot(waiting: false))
        }
    }

    private func show(_ transaction: PackageTransaction) throws {
        let changes = transaction.changes.map { BootDifference.Change(name: $0.name, old: $0.old, new: $0.new) }
        if format == .json { return try Output.json(changes) }
        Output.line(changes.isEmpty ? "nothing would change" : Self.table(changes))
        if !changes.isEmpty {
            Output.errorLine(
                inPlace ? "in the running system, after a snapshot" : "in a new boot environment\(noActivate ? "" : ", which boots next")")
        }
    }

    private static func table(_ changes: [BootDifference.Change]) -> String {
        var table = TextTable([("PACKAGE", .left), ("OLD", .left), ("NEW", .left)])
        for change in changes { table.add([change.name, change.old ?? "-", change.new ?? "-"]) }
        return table.text
    }

    static func text(_ report: UpkeepReport) -> String {
        guard !report.isEmpty else { return "nothing to do: every package is as new as it may be" }
        var lines = [table(report.packages), ""]
        func list(_ title: String, _ items: [String]) {
            if !items.isEmpty { lines.append("\(title): \(items.joined(separator: ", "))") }
        }
        list("new kernels", report.kernels)
        list("modules by DKMS", report.dkms.map(\.text))
        lines.append("signatures: \(report.signatures)")
        list("settings kept, with the package's beside them", report.settings)
        list("held", ["\(report.held.count) packages"])
        list("services to restart", report.services)
        list("look at", report.doubts)
        if let environment = report.environment {
            lines.append(
                report.bootsNext
                    ? "\(environment) boots next, on trial; what changes in \(report.before) until then stays there: restart soon"
                    : "\(environment) is ready: kldload kbe activate \(environment)")
            lines.append("back: kldload kbe activate \(report.before)")
        } else {
            lines.append("restart needed: \(report.rebootNeeded ? "yes" : "no")")
            lines.append("back: kldload kbe rollback \(report.before)")
        }
        return lines.joined(separator: "\n")
    }
}

extension BootSession {
    /// With a log of all that package managers say, and their progress on standard error.
    static func forPackages(dryRun: Bool) -> BootSession {
        let managers = PackageFamily.allCases.compactMap(\.manager)
        let inner = SubprocessRunner { _, line in
            if let text = managers.lazy.compactMap({ $0.progress(line) }).first { Output.errorLine("kldload: \(text)") }
        }
        var session = BootSession(dryRun: dryRun)
        session.runner = ZFSExplainingRunner(LoggingRunner(inner, file: PackageWork.log))
        return session
    }

    func upkeep(mayAsk: Bool = false) -> Upkeep {
        let session = self
        return Upkeep(
            runner: runner, files: files, now: .current,
            apply: { plan, approvals in
                try await Host.apply(
                    plan, approvals: approvals, dryRun: session.dryRun, runner: session.runner, performers: UpkeepPerformers.table)
            }, say: { Output.errorLine("kldload: \($0)") },
            allows: { names in
                guard mayAsk, Host.isAttended else { return false }
                return try await Host.ask("\(names.joined(separator: ", ")) will be removed. Type yes to go on: ") == "yes"
            })
    }
}
