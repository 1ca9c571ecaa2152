import ArgumentParser
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldReplicate
import KldSSH
import KldTerminal
import KldZFS
import SystemPackage

/// Replication of datasets to another pool or machine, with the words of syncoid.
struct KreplicateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kreplicate", abstract: "Replicate datasets to another pool or machine, and try that they can be restored.",
        discussion: """
            An end is POOL/DATASET, HOST:POOL/DATASET or USER@HOST:POOL/DATASET; host keys must be known, and nothing is asked. What was cut off
            goes on where it was. A target that was changed is never overwritten: it is refused, with the choices there are.
            """,
        subcommands: [Run.self, Status.self, Drill.self, Forget.self], defaultSubcommand: Run.self)

    /// Which replication is meant, and how its ends are reached.
    struct Ends: ParsableArguments {
        @Argument(help: ArgumentHelp("What is replicated.", valueName: "source")) var source: String
        @Argument(help: ArgumentHelp("Whereto: a dataset that is not there yet, or that a replication made.", valueName: "target"))
        var target: String
        @Flag(name: .shortAndLong, help: "With every dataset below.") var recursive = false
        @Flag(help: "With --recursive: only those below.") var skipParent = false
        @Option(
            help: ArgumentHelp(
                "The replication's name, in its snapshots, bookmarks and holds; default: made from both ends.", valueName: "name"))
        var identifier: String?
        @Option(help: ArgumentHelp("The ssh server's port.", valueName: "port")) var sshport: UInt16?
        @Option(help: ArgumentHelp("The private key to log in with.", valueName: "file")) var sshkey: String?
        @Option(help: ArgumentHelp("The only file of known host keys that counts.", valueName: "file")) var knownHosts: String?

        func validate() throws {
            if skipParent, !recursive { throw ValidationError("--skip-parent goes with --recursive.") }
        }

        func request() throws -> ReplicationRequest {
            var (source, target) = (try ReplicaPlace(source), try ReplicaPlace(target))
            source.host = reached(source.host)
            target.host = reached(target.host)
            var request = try ReplicationRequest(from: source, to: target, name: identifier)
            request.recursive = recursive
            request.skipParent = skipParent
            return request
        }

        private func reached(_ host: SSHDestination?) -> SSHDestination? {
            guard var host else { return nil }
            host.port = sshport
            host.identity = sshkey.map { Host.absolute($0) }
            host.knownHosts = knownHosts.map { Host.absolute($0) }
            return host
        }
    }

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replicate once: for a timer, or a line of cron.",
            discussion: """
                A snapshot of all of it is taken first. The last common one is held at both ends, and a bookmark stands for it at the source. What
                arrives is read-only and not mounted. Exit status: 0; 1 where something was not replicated; 75 where the same works later.
                --no-privilege-elevation, --no-rollback and --create-bookmark are taken as syncoid takes them: it is always so.
                """)
        @OptionGroup var ends: Ends
        @Flag(help: "Take no snapshot: send up to the newest there is.") var noSyncSnap = false
        @Flag(help: "Send the newest snapshot alone, without those between.") var noStream = false
        @Flag(inversion: .prefixedNo, help: "Encrypted datasets as they lie on disk, so that the target needs no key; a new target: raw.")
        var raw: Bool?
        @Option(
            name: [.long, .customLong("source-bwlimit"), .customLong("target-bwlimit")],
            help: ArgumentHelp("At most so many bytes a second: 512k, 10m.", valueName: "rate"),
            transform: { text in
                guard let rate = ByteCount(rate: text) else { throw ValidationError("\(text) is no rate: 512k, 10m, 1g") }
                return rate
            })
        var bwlimit: ByteCount?
        @Option(
            help: ArgumentHelp("How old the target may become before kldload-doctor complains: 90m, 26h, 7d.", valueName: "time"),
            transform: { text in
                guard let seconds = Run.seconds(text) else { throw ValidationError("\(text) is no time: 90m, 26h, 7d") }
                return seconds
            })
        var maxLag: Int64 = 26 * 3600
        @Flag(help: "Print the plan and change nothing.") var dryRun = false
        @Option(help: "table or json.") var format = TableFormat.table
        @Flag(name: .shortAndLong, help: "Say nothing but errors.") var quiet = false
        @Flag(help: .hidden) var noPrivilegeElevation = false
        @Flag(help: .hidden) var noRollback = false
        @Flag(help: .hidden) var createBookmark = false

        static func seconds(_ text: String) -> Int64? {
            Age.seconds(text, units: ["m": 60, "h": 3600, "d": 86_400], in: 1...99_999)
        }

        func request() throws -> ReplicationRequest {
            var request = try ends.request()
            request.takesSnapshot = !noSyncSnap
            request.withSnapshotsBetween = !noStream
            request.raw = raw
            request.rate = bwlimit
            request.maxLag = maxLag
            return request
        }

        func run() async throws {
            let request = try request()
            let session = ReplicationSession(quiet: quiet || format == .json)
            let replication = session.replication(request)
            if dryRun {
                let (plan, problems) = try await replication.preview()
                if format == .json { try Output.json(plan.json) } else { Output.line(plan.text()) }
                for problem in problems { Output.errorLine(problem.rendered) }
                if let first = problems.first { throw ExitCode(first.exit.rawValue) }
                return
            }
            let outcome = try await session.locked(request.name) { try await replication.recorded { .current } }
            let sent = session.sent.sum
            if format == .json {
                Output.line(Self.json(request, outcome, sent).rendered)
            } else if !quiet {
                let bytes = sent.map { ", \(ByteCount($0)) sent" } ?? ""
                Output.line("\(request.target) is as \(request.source)@\(outcome.label ?? "-"): \(outcome.rows.count) datasets\(bytes)")
            }
        }

        static func json(_ request: ReplicationRequest, _ outcome: ReplicationOutcome, _ sent: UInt64?) -> JSONText {
            .object([
                ("schema", .text("replicated/1")), ("name", .text(request.name)), ("source", .text(request.source.description)),
                ("target", .text(request.target.description)), ("snapshot", .optional(outcome.label)), ("bytes", .optional(sent)),
                (
                    "datasets",
                    .list(outcome.rows.map { .object([("source", .text($0.source)), ("target", .text($0.target))]) })
                ),
            ])
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List this machine's replications: how old each target is, and how the last run went.",
            discussion: "Exit status: 0; 2 if one failed, or is too old.")
        @OptionGroup var listing: Listing

        func run() throws {
            let states = try ReplicationState.all(LocalFiles())
            let now = Timestamp.current
            if listing.quiet {
                for state in states { Output.line(state.name) }
            } else if listing.format == .json {
                Output.line(Self.json(states, now).rendered)
            } else {
                Output.line(Self.table(states, now))
            }
            if states.contains(where: { $0.trouble(now) != nil }) { throw ExitCode(KldCore.ExitStatus.problemsFound.rawValue) }
        }

        static func table(_ states: [ReplicationState], _ now: Timestamp) -> String {
            if states.isEmpty { return "no replication has run here" }
            var table = TextTable([
                ("NAME", .left), ("SOURCE", .left), ("TARGET", .left), ("AGE", .right), ("SENT", .right), ("LAST SUCCESS", .left),
                ("DRILL", .left), ("STATE", .left),
            ])
            for state in states {
                table.add([
                    state.name, state.source, state.target, state.lag(now).map(ReplicationState.age) ?? "-",
                    state.bytes.map { ByteCount($0).description } ?? "-", state.lastSuccess?.description ?? "never",
                    state.drill.map { $0.problem == nil ? String($0.time.description.prefix(10)) : "failed" } ?? "never",
                    state.trouble(now) ?? "well",
                ])
            }
            return table.text
        }

        static func json(_ states: [ReplicationState], _ now: Timestamp) -> JSONText {
            func number(_ value: Int64?) -> JSONText { .optional(value.map { UInt64(clamping: $0) }) }
            return .object([
                ("schema", .text("replications/1")),
                (
                    "replications",
                    .list(
                        states.map { state in
                            .object([
                                ("name", .text(state.name)), ("source", .text(state.source)), ("target", .text(state.target)),
                                ("recursive", .flag(state.recursive)), ("lag", number(state.lag(now))), ("maxLag", number(state.maxLag)),
                                ("lastAttempt", .optional(state.lastAttempt?.description)),
                                ("lastSuccess", .optional(state.lastSuccess?.description)), ("snapshot", .optional(state.snapshot)),
                                ("bytes", .optional(state.bytes)), ("bytesTotal", .number(state.bytesTotal)),
                                ("seconds", number(state.seconds)), ("problem", .optional(state.problem)),
                                ("drill", .optional(state.drill?.time.description)),
                                ("drillProblem", .optional(state.drill?.problem)),
                                ("trouble", .optional(state.trouble(now))),
                            ])
                        })
                ),
            ])
        }
    }

    struct Drill: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Restore from the target into a dataset of its own, compare every file, and destroy it again.",
            discussion: """
                What is restored bears kldload's mark, is mounted read-only, and only what bears the mark is destroyed. A volume is read as a
                whole. Exit status: 0; 2 if something differs.
                """)
        @OptionGroup var ends: Ends
        @Option(help: ArgumentHelp("Where it is restored; default: kldload-drill-NAME in this machine's pool.", valueName: "dataset"))
        var into: String?
        @Option(help: ArgumentHelp("The key or the passphrase of an encrypted target.", valueName: "file")) var keyFile: String?
        @Flag(help: "Print the plan and change nothing.") var dryRun = false
        @Option(help: "table or json.") var format = TableFormat.table

        func run() async throws {
            let request = try ends.request()
            let session = ReplicationSession(quiet: format == .json)
            let replication = session.replication(request)
            let (scratch, key) = (try into.map { try DatasetName($0) }, keyFile.map { Host.absolute($0) })
            if dryRun {
                for drill in try await replication.drills(into: scratch, keyFile: key) { Output.line(try drill.plan().text()) }
                return
            }
            let result = try await session.locked(request.name) { try await replication.recordedDrill(into: scratch, keyFile: key) }
            if format == .json {
                Output.line(
                    JSONText.object([
                        ("schema", .text("drill/1")), ("name", .text(request.name)), ("files", .number(result.files)),
                        ("bytes", .number(result.bytes)), ("unnamed", .number(result.unnamed)),
                    ]).rendered)
            } else {
                Output.line("restored from \(request.target), and equal: \(result.files) files, \(ByteCount(result.bytes))")
                if result.unnamed > 0 { Output.errorLine("kldload: \(result.unnamed) files whose names are no UTF-8 were not compared") }
            }
        }
    }

    struct Forget: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "End a replication: its holds, snapshots and bookmarks go; what was replicated stays.",
            discussion: "Name both ends, and --recursive and --identifier, as they were replicated.")
        @OptionGroup var ends: Ends
        @Flag(help: "Only on this machine: the other one is not there any more.") var onlyHere = false
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let request = try ends.request()
            let session = ReplicationSession(quiet: false)
            let replication = session.replication(request)
            if dryRun { return Output.line(try await replication.forgetting(onlyHere: onlyHere).text()) }
            try await session.locked(request.name) { try await replication.forget(onlyHere: onlyHere) }
        }
    }
}

/// What the commands of a replication have in common.
struct ReplicationSession: Sendable {
    let sent = SentBytes()
    let quiet: Bool
    private let runner: SubprocessRunner

    init(quiet: Bool) {
        self.quiet = quiet
        let sent = sent
        runner = SubprocessRunner { command, line in if command.tool == PipeViewer.tool { sent.add(line) } }
    }

    func replication(_ request: ReplicationRequest) -> Replication {
        let quiet = quiet
        return Replication(request, runner: runner, files: LocalFiles(), now: .current, sent: sent) { message in
            if !quiet { Output.errorLine("kldload: \(message)") }
        }
    }

    /// Works on a replication; a second one that would is refused.
    ///
    /// - Throws: ``Diagnosis`` `replicate.not-root`, `lock.held`; ``FileError``; what `body` throws.
    func locked<Result>(_ name: String, _ body: () async throws -> Result) async throws -> Result {
        try Host.needRoot(Diagnosis("replicate.not-root", "datasets are replicated by root", remedies: ["sudo"], exit: .needsRoot))
        let lock = try FileLock(FilePath("/run/kldload/replicate-\(name).lock"))
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }
}
