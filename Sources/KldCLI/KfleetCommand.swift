import ArgumentParser
import KldBootEnv
import KldCore
import KldExec
import KldFiles
import KldFleet
import KldReplicate
import KldSSH
import KldTerminal
import KldZFS
import SystemPackage

/// Many machines at once, over ssh.
struct KfleetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kfleet", abstract: "Many machines at once: how they are, a boot environment for all, a restart into it in turn.",
        discussion: """
            Machines are HOST, USER@HOST or USER@HOST:PORT, root where no user is named; without any, those of
            \(FleetHosts.file), one a line. They are reached over ssh: host keys must be known, and nothing is asked.
            """,
        subcommands: [Health.self, Push.self, Rollout.self, OwnReport.self])

    /// Which machines, and how they are reached.
    struct Hosts: ParsableArguments {
        @Argument(help: ArgumentHelp("The machines; default: those of the file.", valueName: "host")) var hosts: [String] = []
        @Option(name: .customLong("hosts"), help: ArgumentHelp("A file with one machine a line.", valueName: "file")) var file: String?
        @Option(help: ArgumentHelp("So many machines at a time.", valueName: "number")) var parallel = 8
        @Option(help: ArgumentHelp("How long one question may take.", valueName: "seconds")) var timeout: Int64 = 60
        @Option(help: ArgumentHelp("The private key to log in with.", valueName: "file")) var sshkey: String?
        @Option(help: ArgumentHelp("The only file of known host keys that counts.", valueName: "file")) var knownHosts: String?

        func validate() throws {
            if parallel < 1 || parallel > 256 { throw ValidationError("--parallel takes a number from 1 to 256.") }
            if timeout < 1 || timeout > 86_400 { throw ValidationError("--timeout takes seconds, from 1 to 86400.") }
        }

        func machines() throws -> [SSHDestination] {
            try FleetHosts.gather(hosts, file: file.map { Host.absolute($0) }, LocalFiles()).map { host in
                var host = host
                host.identity = sshkey.map { Host.absolute($0) }
                host.knownHosts = knownHosts.map { Host.absolute($0) }
                return host
            }
        }

        var fleet: Fleet { Fleet(limit: timeout, parallel: parallel) { _ in SubprocessRunner() } }
    }

    struct Health: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "How every machine is: its pools, what runs, snapshots, the last scrub, what its doctor says.",
            discussion: "Exit status: 0 where all are well, 2 where one is not, or did not answer. -q: only the names of those.")
        @OptionGroup var hosts: Hosts
        @OptionGroup var listing: Listing

        func run() async throws {
            let health = await hosts.fleet.health(try hosts.machines())
            try Task.checkCancellation()
            let bad = health.filter { $0.state != .well }
            if listing.format == .json {
                Output.line(Self.json(health).rendered)
            } else if listing.quiet {
                for one in bad { Output.line(one.host.knownName) }
            } else {
                Output.line(Self.text(health))
            }
            if !bad.isEmpty { throw ExitCode(KldCore.ExitStatus.problemsFound.rawValue) }
        }

        static func text(_ health: [FleetHealth]) -> String {
            var table = TextTable([
                ("HOST", .left), ("SSH", .left), ("ZFS", .left), ("BOOT-ENV", .left), ("SNAPS", .right), ("LAST-SCRUB", .left),
                ("DOCTOR", .left),
            ])
            for one in health {
                guard let report = one.report else {
                    table.add([one.host.knownName, one.state.rawValue, "-", "-", "-", "-", "-"])
                    continue
                }
                let pools = report.pools.map(\.state)
                table.add([
                    one.host.knownName, "OK", pools.first { $0 != "ONLINE" } ?? pools.first ?? "-", report.running,
                    report.snapshots.map { "\($0)" } ?? "-", report.scrub ?? "-", doctor(report),
                ])
            }
            let findings = health.flatMap { one -> [String] in
                if let problem = one.problem {
                    return ["\(one.host.knownName): \(problem.message)"] + problem.remedies.map { "  remedy: \($0)" }
                }
                return (one.report?.findings ?? []).map { "\(one.host.knownName): \($0)" }
            }
            let well = health.count { $0.state == .well }
            return ([table.text, ""] + findings + ["\(well) of \(health.count) machines are well"]).joined(separator: "\n")
        }

        private static func doctor(_ report: FleetReport) -> String {
            guard let failed = report.failed?.count, let warned = report.warned?.count else { return "-" }
            let words = (failed > 0 ? ["\(failed) failed"] : []) + (warned > 0 ? ["\(warned) warnings"] : [])
            return words.isEmpty ? "ok" : words.joined(separator: ", ")
        }

        static func json(_ health: [FleetHealth]) -> JSONText {
            .object([
                ("schema", .text("fleet-health/1")),
                (
                    "hosts",
                    .list(
                        health.map { one in
                            let report = one.report
                            return .object([
                                ("host", .text(one.host.knownName)), ("state", .text(one.state.rawValue.lowercased())),
                                ("name", .optional(report?.host)), ("version", .optional(report?.version)),
                                ("running", .optional(report?.running)), ("next", .optional(report?.next)),
                                ("good", report.map { .flag($0.good) } ?? .none),
                                (
                                    "pools",
                                    .list((report?.pools ?? []).map { .object([("name", .text($0.name)), ("state", .text($0.state))]) })
                                ),
                                ("snapshots", .optional(report?.snapshots)), ("lastScrub", .optional(report?.scrub)),
                                ("failed", .texts(report?.failed ?? [])), ("warned", .texts(report?.warned ?? [])),
                                ("findings", .texts(report?.findings ?? [])), ("problem", KfleetCommand.json(one.problem)),
                            ])
                        })
                ),
            ])
        }
    }

    struct Push: AsyncParsableCommand, ReportingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Send a boot environment to every machine, as the change of what it has; nothing boots by it.",
            discussion: """
                It becomes a new environment there, with that machine's own identity, accounts, network and keys. Without @SNAPSHOT one is taken,
                unless nothing was written since the last push. What was cut off goes on where it was. Exit status: 0; 1 where a machine did not
                get it; 75 where the same works later.
                """)
        @Argument(help: ArgumentHelp("The environment, or one of its snapshots.", valueName: "name[@snapshot]")) var environment: String
        @OptionGroup var hosts: Hosts
        @Option(name: .customLong("as"), help: ArgumentHelp("Its name there; default: as here.", valueName: "name")) var name: String?
        @Flag(help: "To machines that have nothing in common with it, send all of it.") var whole = false
        @Flag(help: "Print what would be sent and change nothing.") var dryRun = false
        @Option(help: "table or json.") var format = TableFormat.table
        @OptionGroup var progress: ProgressOptions
        var form: ProgressOptions.Form { progress.progress }

        func run() async throws {
            try Host.needRoot(Diagnosis("fleet.not-root", "boot environments are sent by root", remedies: ["sudo"], exit: .needsRoot))
            let machines = try hosts.machines()
            let files = LocalFiles()
            var request = FleetPush.Request(environment)
            (request.name, request.whole, request.dryRun) = (name, whole, dryRun)
            let push = FleetPush(
                request, fleet: hosts.fleet, local: ZFSExplainingRunner(SubprocessRunner()),
                meter: try files.exists(FilePath(PipeViewer.path)), now: .current,
                streams: { _, sent in SubprocessRunner { command, line in if command.tool == PipeViewer.tool { sent.add(line) } } },
                say: { Reporter.note($0) })
            let lineage = try await push.prepare(beside: try BootSystem.running(files))
            let rows = await push.run(lineage, to: machines)
            if format == .json { Output.line(Self.json(lineage, rows).rendered) } else { Output.line(Self.text(lineage, rows)) }
            let failed = rows.filter { $0.problem != nil }
            guard let first = failed.first?.problem else { return }
            let later = failed.allSatisfy { $0.problem?.exit == .tryAgain }
            throw Diagnosis(
                "fleet.incomplete", "\(failed.count) of \(rows.count) machines did not get \(lineage.end.name)",
                remedies: first.remedies + [
                    "then go on with the same: kldload kfleet push \(lineage.end.name.split(separator: "/").last ?? "") and the machines"
                ],
                exit: Task.isCancelled ? .interrupted : later ? .tryAgain : .failed,
                causes: failed.compactMap { row in
                    row.problem.map { problem in
                        "\(row.host.knownName): \(problem.message)" + (problem.causes.first.map { ": \($0)" } ?? "")
                    }
                })
        }

        static func text(_ lineage: FleetLineage, _ rows: [FleetPushRow]) -> String {
            var table = TextTable([("HOST", .left), ("STATE", .left), ("SENT", .right), ("SINCE", .left)])
            for row in rows {
                table.add([
                    row.host.knownName, row.plan ?? row.state.rawValue, row.bytes.map { ByteCount($0).description } ?? "-", row.base ?? "-",
                ])
            }
            return "\(lineage.end.name)\n\n\(table.text)"
        }

        static func json(_ lineage: FleetLineage, _ rows: [FleetPushRow]) -> JSONText {
            .object([
                ("schema", .text("fleet-push/1")), ("snapshot", .text(lineage.end.name)), ("guid", .text("\(lineage.end.guid)")),
                (
                    "hosts",
                    .list(
                        rows.map { row in
                            .object([
                                ("host", .text(row.host.knownName)), ("state", .text(row.state.rawValue)), ("bytes", .optional(row.bytes)),
                                ("since", .optional(row.base)), ("plan", .optional(row.plan)), ("problem", KfleetCommand.json(row.problem)),
                            ])
                        })
                ),
            ])
        }
    }

    struct Rollout: AsyncParsableCommand, ReportingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start machines into a boot environment that they have, some at a time; stop at the first that is not well with it.",
            discussion: """
                Every machine is looked at before one is touched. Each tries the environment on trial: if it does not boot well, it goes back by
                itself; if it boots, and its doctor finds more than before, it is sent back. The others are left as they are. Exit status: 0 where
                all of them run it; 1 where it was stopped; 2 where a machine could not begin, and none was touched; 130 interrupted.
                """)
        @Argument(help: "The environment's name.") var environment: String
        @OptionGroup var hosts: Hosts
        @Option(help: ArgumentHelp("So many machines are restarted at a time.", valueName: "number")) var batch = 1
        @Option(help: ArgumentHelp("Between one batch and the next.", valueName: "seconds")) var pause: Int64 = 0
        @Option(help: ArgumentHelp("How long a machine may take until it is back and well.", valueName: "seconds")) var within: Int64 = 1200
        @Flag(help: "Print the order and change nothing.") var dryRun = false
        @Flag(name: [.short, .long], help: "Ask nothing: the machines that are named are restarted.") var yes = false
        @Option(help: "table or json.") var format = TableFormat.table
        @OptionGroup var progress: ProgressOptions
        var form: ProgressOptions.Form { progress.progress }

        func validate() throws {
            if batch < 1 { throw ValidationError("--batch takes a number from 1 on.") }
            if pause < 0 || within < 1 { throw ValidationError("--pause and --within take seconds.") }
        }

        func run() async throws {
            try BootEnvironment.check(name: environment)
            let machines = try hosts.machines()
            var request = FleetRollout.Request(environment, machines)
            (request.batch, request.pause, request.patience) = (batch, pause, within)
            let rollout = FleetRollout(request, fleet: hosts.fleet) { Reporter.note($0) }
            let lock = Host.isRoot && !dryRun ? try FileLock("/run/kldload/fleet.lock") : nil
            defer { withExtendedLifetime(lock) {} }
            let ready = try await rollout.ready()
            if dryRun { return Output.line(rollout.text(ready)) }
            let names = rollout.batches(ready).joined().map(\.host.knownName)
            if !names.isEmpty, !yes { try await approve(rollout.text(ready), names) }
            let outcome = await rollout.run(ready)
            if format == .json { Output.line(Self.json(environment, outcome).rendered) } else { Output.line(Self.text(outcome)) }
            if let problem = outcome.problem(environment) { throw problem }
        }

        private func approve(_ plan: String, _ names: [String]) async throws {
            guard Host.isAttended, format == .table else {
                throw Diagnosis(
                    "fleet.unasked", "restarting \(names.joined(separator: ", ")) needs a yes", remedies: ["the same with --yes"],
                    exit: .usage)
            }
            Output.errorLine(plan)
            guard try await Host.ask("\(names.joined(separator: ", ")) will restart. Type yes to go on: ") == "yes" else {
                throw Diagnosis("fleet.refused-here", "it was not approved; no machine was touched", remedies: ["type yes"])
            }
        }

        static func text(_ outcome: FleetRolloutOutcome) -> String {
            var table = TextTable([("HOST", .left), ("STATE", .left), ("RUNS", .left), ("RAN BEFORE", .left)])
            for row in outcome.rows { table.add([row.host.knownName, row.state.rawValue, row.runs ?? "?", row.before]) }
            return table.text
        }

        static func json(_ environment: String, _ outcome: FleetRolloutOutcome) -> JSONText {
            .object([
                ("schema", .text("fleet-rollout/1")), ("environment", .text(environment)), ("interrupted", .flag(outcome.interrupted)),
                (
                    "hosts",
                    .list(
                        outcome.rows.map { row in
                            .object([
                                ("host", .text(row.host.knownName)), ("state", .text(row.state.rawValue)), ("runs", .optional(row.runs)),
                                ("before", .text(row.before)), ("problem", KfleetCommand.json(row.problem)),
                            ])
                        })
                ),
            ])
        }
    }

    /// What the commands above ask of each machine.
    struct OwnReport: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "self", abstract: "What this machine says of itself to whoever looks after a fleet, as JSON.", shouldDisplay: false
        )
        @Flag(help: "Without its doctor and its pools.") var brief = false

        func run() async throws {
            try Host.needRoot(
                Diagnosis("fleet.not-root", "only root can see all that is asked", remedies: ["log in as root"], exit: .needsRoot))
            let report = try await FleetReport.gather(
                brief: brief, version: Version.number, now: .current,
                runner: TimeLimitRunner(SubprocessRunner(), limit: DoctorCommand.limit),
                files: LocalFiles())
            Output.line(try report.json)
        }
    }

    static func json(_ problem: Diagnosis?) -> JSONText {
        guard let problem else { return .none }
        return .object([
            ("code", .text(problem.code)), ("message", .text(problem.message)), ("remedies", .texts(problem.remedies)),
            ("causes", .texts(problem.causes)),
        ])
    }
}
