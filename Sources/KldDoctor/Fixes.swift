import KldCore
import KldExec
import KldFiles
import KldPackages
public import KldPlan
import KldSystemd
import KldZFS
import SystemPackage

/// What `kldload-doctor --fix` does by itself about one check: things that take nothing away, and that the installation had done already.
public struct Fix: Sendable {
    /// The id of the check that it may bring back.
    public let check: String
    /// For the list of them, in docs/doctor.md too.
    public let title: String
    let actions: @Sendable (CheckContext) async throws -> [Action]

    init(_ check: String, _ title: String, _ actions: @escaping @Sendable (CheckContext) async throws -> [Action]) {
        self.check = check
        self.title = title
        self.actions = actions
    }

    /// All of them. Whatever is not here is a person's.
    public static let all: [Fix] = [
        Fix("zfs.layout", "mount datasets that are not mounted, where their folder is empty", mountDatasets),
        Fix("boot.esp", "mount the ESP; else stage what boots again", restageESP),
        Fix("boot.esp.copies", "stage what boots again, and make all ESPs equal") { _ in [boot("refresh")] },
        Fix("packages.holds", "hold the packages again that must not move by themselves", holdPackages),
        Fix("services.units", "enable and start services that were switched off or stopped", startUnits),
        Fix("services.timers", "enable and start timers") { context in try await enable(CheckContext.watchedTimers, context) },
        Fix("services.zed", "enable and start zfs-zed") { context in try await enable(["zfs-zed.service"], context) },
        Fix("services.failed", "start once more what may have failed for a moment: \(again.joined(separator: ", "))", startAgain),
        Fix("time.sync", "switch time synchronisation on", synchroniseTime),
        Fix("system.journal", "keep the journal on the disk", keepJournal),
        Fix("ssh.host-keys", "make private host keys root's alone", closeHostKeys),
        Fix("secrets.permissions", "make private keys root's alone", closeKeys),
    ]

    /// Services that do one thing and end; doing it again does no harm.
    static let again = [
        "zfs-import-cache.service", "zfs-mount.service", "kldload-boot-refresh.service", "sanoid.service", "sanoid-prune.service",
        "logrotate.service", "man-db.service", "dpkg-db-backup.service", "systemd-tmpfiles-clean.service",
    ]

    // MARK: what each of them does

    /// Whether it helped is what the second look finds out: an exit status says less.
    private static func change(_ tool: Tool, _ words: [String]) -> Action { change(Command(tool, words, effect: .changes)) }
    private static func change(_ command: Command) -> Action {
        var command = command
        command.acceptedExitStatuses = Set(0...255)
        return .run(command)
    }

    private static func boot(_ verb: String) -> Action { change(Tool("/usr/lib/kldload/kldload", package: "kldload"), ["boot", verb]) }

    @Sendable private static func mountDatasets(_ context: CheckContext) async throws -> [Action] {
        guard let tree = try await Check.tree(context) else { return [] }
        let found = Dictionary(try await context.datasets(tree.pool).map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        return try tree.entries.compactMap { entry -> Action? in
            guard let dataset = found[entry.name.text], let place = entry.mountpoint, dataset["mountpoint"] == place,
                dataset["mounted"] == "no", dataset["canmount"] == "on", try context.names(in: place).isEmpty
            else { return nil }
            return .run(ZFS.mount(entry.name))
        }
    }

    @Sendable private static func restageESP(_ context: CheckContext) async throws -> [Action] {
        try ESP.mounted(context).isEmpty
            ? [change(Tool("/usr/lib/kldload/kldload", package: "kldload"), ["mount-esp"])] : [boot("refresh")]
    }

    @Sendable private static func holdPackages(_ context: CheckContext) async throws -> [Action] {
        guard let manifest = context.manifest else { return [] }
        let free = try await Check.heldPackages(context, manifest).filter { !$0.isHeld }
        guard !free.isEmpty else { return [] }
        return PackageHold.command(.apt, free.map { PackageHold.Package($0.name, version: $0.version) }).map { [.run($0)] } ?? []
    }

    @Sendable private static func startUnits(_ context: CheckContext) async throws -> [Action] {
        try await enable(context.manifest?.units ?? [], context)
    }

    /// Those that are there, were neither masked nor failed, and do not run or are not enabled.
    private static func enable(_ names: [String], _ context: CheckContext) async throws -> [Action] {
        var wanted: [String] = []
        for name in names {
            guard let unit = try await context.unit(name), unit.load == "loaded", unit.active != "failed",
                unit.problem != nil
            else { continue }
            wanted.append(name)
        }
        return wanted.isEmpty ? [] : [change(Systemctl.change(["enable", "--now"] + wanted))]
    }

    @Sendable private static func startAgain(_ context: CheckContext) async throws -> [Action] {
        let known = try await Check.failedUnits(context).filter { again.contains($0) }
        return known.isEmpty ? [] : [change(Systemctl.change(["reset-failed"] + known)), change(Systemctl.change(["start"] + known))]
    }

    @Sendable private static func synchroniseTime(_ context: CheckContext) async throws -> [Action] {
        try await Check.timeProperties(context).contains("NTP=yes")
            ? [] : [change(Tool("timedatectl", package: "systemd"), ["set-ntp", "true"])]
    }

    @Sendable private static func keepJournal(_ context: CheckContext) async throws -> [Action] {
        [
            .makeDirectory("/var/log/journal"),
            change(Tool("systemd-tmpfiles", package: "systemd"), ["--create", "--prefix", "/var/log/journal"]),
            change(Tool("journalctl", package: "systemd"), ["--flush"]),
        ]
    }

    @Sendable private static func closeHostKeys(_ context: CheckContext) async throws -> [Action] {
        close(try Check.openHostKeys(context, try Check.hostKeyNames(context)).map(\.path))
    }

    @Sendable private static func closeKeys(_ context: CheckContext) async throws -> [Action] {
        close(try Check.privateKeys(context).open.map(\.0))
    }

    private static func close(_ paths: [FilePath]) -> [Action] {
        paths.isEmpty ? [] : [change(FileCommand.setMode("0600", paths))]
    }
}

extension Doctor {
    /// What ``Fix/all`` would do about the checks of a report that are not well.
    /// - Throws: what reading the machine throws.
    public static func fixes(_ report: VerifyReport, _ context: CheckContext) async throws -> Plan {
        let context = context.fresh
        let ill = Set(report.results.filter { $0.status == .fail || $0.status == .warn }.map(\.name))
        var steps: [Step] = []
        for fix in Fix.all where ill.contains(fix.check) {
            let actions = try await fix.actions(context)
            if !actions.isEmpty { steps.append(Step("fix.\(fix.check)", fix.title, actions)) }
        }
        return Plan("fix what may be fixed", steps.isEmpty ? [] : [Phase("fix", "Fix", steps)])
    }
}
