import ArgumentParser
import KldCore
import KldExec
import KldFiles
import KldSnapshots
import KldTerminal
import KldZFS

/// The state of this machine.
struct KstCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kst", abstract: "The state of this machine: pools, snapshots, what boots, services.",
        discussion: """
            Exit status: 0 where nothing is broken, 2 where something is; notices do not count. Whatever cannot be asked says unknown. Root
            sees what boots next too.
            """)
    @OptionGroup var look: Look

    func run() async throws {
        let status = try await SystemStatus.gather(runner: Look.runner, files: LocalFiles(), now: .current)
        if look.format == .json {
            Output.line(Self.json(status).rendered)
        } else if look.quiet {
            Output.raw(Look.table(status.all.filter { Look.isWorthALook($0) }).map { $0 + "\n" } ?? "")
        } else {
            Output.line(Self.text(status))
        }
        if status.exitStatus != .done { throw ExitCode(status.exitStatus.rawValue) }
    }

    static func text(_ status: SystemStatus) -> String {
        var parts = ["\(status.host), \(status.now)"]
        if let root = status.root {
            let used = status.datasets?.rootUsed.map { ", \($0)" } ?? ""
            parts[0] += ", \(root)\(used)" + (status.datasets?.rootRatio.map { ", compressed \($0) times" } ?? "")
        }
        let usage = status.pools.compactMap(\.usage)
        if !usage.isEmpty { parts.append(KdfCommand.pools(usage)) }
        if let table = Look.table(status.all) { parts.append(table) }
        parts.append(Look.sum(status.all))
        return parts.joined(separator: "\n\n")
    }

    static func json(_ status: SystemStatus) -> JSONText {
        func time(_ stamp: Timestamp?) -> JSONText { .optional(stamp?.description) }
        let sums = status.datasets.map { sums in
            JSONText.object([
                ("filesystems", .number(UInt64(sums.filesystems))), ("volumes", .number(UInt64(sums.volumes))),
                ("locked", .texts(sums.locked)),
                ("snapshots", .number(UInt64(sums.snapshots))), ("usedBySnapshots", .number(sums.snapshotBytes)),
                ("heldSnapshots", .number(UInt64(sums.held))), ("newestSnapshot", .optional(sums.newestName)),
                ("newestCreated", time(sums.newest)),
                ("environments", .number(UInt64(sums.environments))), ("rootUsed", .bytes(sums.rootUsed)),
                ("rootRatio", .optional(sums.rootRatio)),
            ])
        }
        return .object([
            ("schema", .text("status/1")), ("host", .text(status.host)), ("time", .text(status.now.description)),
            ("root", .optional(status.root)),
            ("bootsNext", .optional(status.next)), ("pools", .list(status.pools.map(pool))), ("datasets", sums ?? .none),
            ("lines", Look.json(status.all)),
        ])
    }

    private static func pool(_ pool: SystemStatus.Pool) -> JSONText {
        let scan = pool.report?.scan.map { scan in
            JSONText.object([
                ("function", .text(scan.isResilver ? "resilver" : "scrub")), ("state", .text(scan.state.rawValue)),
                ("errors", .number(scan.errors)),
                ("ended", .optional(scan.ended?.description)), ("percent", .optional(scan.percent.map { UInt64($0) })),
            ])
        }
        let devices = (pool.report?.troubles ?? []).map { device in
            JSONText.object([
                ("name", .text(device.name)), ("state", .text(device.state.description)), ("readErrors", .number(device.readErrors)),
                ("writeErrors", .number(device.writeErrors)), ("checksumErrors", .number(device.checksumErrors)),
            ])
        }
        return .object([
            ("name", .text(pool.name)), ("state", .text(pool.state.description)), ("usage", pool.usage.map(KdfCommand.poolJSON) ?? .none),
            ("scan", scan ?? .none), ("message", .optional(pool.report?.message)), ("dataErrors", .optional(pool.report?.dataErrors)),
            ("troubled", .list(devices)),
        ])
    }
}

/// How lines of a state are asked for and shown.
struct Look: ParsableArguments {
    @Option(help: "table or json.") var format = TableFormat.table
    @Flag(name: [.short, .customLong("quiet")], help: "Only what needs somebody's attention.") var quiet = false

    /// A suspended pool lets nobody end who asks it.
    static var runner: any CommandRunner { TimeLimitRunner(ZFSExplainingRunner(SubprocessRunner()), limit: .seconds(20)) }

    static func isWorthALook(_ line: SystemStatus.Line) -> Bool { ![.ok, .info].contains(line.level) }

    static func table(_ lines: [SystemStatus.Line]) -> String? {
        if lines.isEmpty { return nil }
        var table = TextTable([("STATE", .left), ("WHAT", .left), ("FOUND", .left)])
        for line in lines {
            table.add([line.level.rawValue.uppercased(), line.id, line.text])
            if let remedy = line.remedy { table.add(["", "", "remedy: \(remedy)"]) }
        }
        return table.text
    }

    static func sum(_ lines: [SystemStatus.Line]) -> String {
        func count(_ level: SystemStatus.Level) -> Int { lines.count { $0.level == level } }
        return "\(count(.problem)) problems, \(count(.notice)) notices, \(count(.unknown)) unknown"
    }

    static func json(_ lines: [SystemStatus.Line]) -> JSONText {
        .list(
            lines.map { line in
                .object([
                    ("id", .text(line.id)), ("state", .text(line.level.rawValue)), ("text", .text(line.text)),
                    ("remedy", .optional(line.remedy)),
                ])
            })
    }
}

/// Everything in one look.
struct OverviewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "overview",
        abstract: "Everything this machine does in one look: ZFS, machines, containers, Kubernetes, GPU, network, eBPF.",
        discussion: "Exit status: as that of kst. What is not installed says so.", aliases: [AppletName.overview.rawValue])
    @OptionGroup var look: Look

    func run() async throws {
        let overview = try await Overview.gather(runner: Look.runner, files: LocalFiles(), now: .current)
        if look.format == .json {
            Output.line(Self.json(overview).rendered)
        } else {
            Output.line(Self.text(overview, quiet: look.quiet))
        }
        if overview.status.exitStatus != .done { throw ExitCode(overview.status.exitStatus.rawValue) }
    }

    static func text(_ overview: Overview, quiet: Bool) -> String {
        let parts = overview.sections.compactMap { section in
            Look.table(section.lines.filter { !quiet || Look.isWorthALook($0) }).map { table in
                // One heading for each section is enough.
                section.title + "\n" + table.split(separator: "\n").dropFirst().map { "  " + $0 }.joined(separator: "\n")
            }
        }
        return (["\(overview.status.host), \(overview.status.now)"] + parts + [Look.sum(overview.sections.flatMap(\.lines))])
            .joined(separator: "\n\n")
    }

    static func json(_ overview: Overview) -> JSONText {
        .object([
            ("schema", .text("overview/1")), ("host", .text(overview.status.host)), ("time", .text(overview.status.now.description)),
            ("sections", .list(overview.sections.map { .object([("title", .text($0.title)), ("lines", Look.json($0.lines))]) })),
        ])
    }
}

struct OverviewTool: AsyncParsableCommand {
    static let configuration = OverviewCommand.configuration.named(.overview)
    @OptionGroup var command: OverviewCommand

    func run() async throws { try await command.run() }
}

/// What there is.
struct ToolsCommand: AsyncParsableCommand {
    // why not `help`: that is ArgumentParser's own.
    static let configuration = CommandConfiguration(
        commandName: "tools", abstract: "List kldload's tools, or show the help of one.", aliases: [AppletName.help.rawValue])
    @Argument(help: "A tool; default: the list.") var tool: String?

    func run() async throws { Output.line(try Self.text(tool)) }

    static func text(_ tool: String?) throws -> String {
        guard let tool else {
            var table = TextTable([("TOOL", .left), ("WHAT IT IS FOR", .left)])
            for applet in Applet.withPages { table.add([applet.name, applet.command.configuration.abstract]) }
            return table.text + "\n\nEach of them answers --help, and has a manual page: man kldload"
        }
        guard let applet = Applet.withPages.first(where: { $0.name == tool }) else {
            throw Diagnosis(
                "tools.unknown", "there is no tool \(tool)",
                remedies: didYouMean(tool, Applet.withPages.map(\.name)) + ["kldload tools lists them"], exit: .usage)
        }
        return applet.command.helpMessage(columns: Host.columns)
    }
}

struct HelpTool: AsyncParsableCommand {
    static let configuration = ToolsCommand.configuration.named(.help)
    @OptionGroup var command: ToolsCommand

    func run() async throws { try await command.run() }
}
