package import KldCore
package import KldExec
package import KldFiles
package import KldPlan
import KldZFS
import Synchronization
import SystemPackage

/// What became of a replication.
package struct ReplicationOutcome: Sendable {
    package struct Row: Sendable {
        package var source: String
        package var target: String
        /// `nil`: it is as new as the source.
        package var problem: Diagnosis?
    }
    package var label: String?
    /// When that was taken.
    package var time: Timestamp?
    package var rows: [Row] = []
}

/// Does what the planner says, dataset by dataset: one that fails keeps no other from being replicated.
package struct Replication: Sendable {
    package let request: ReplicationRequest
    let runner: any CommandRunner
    let files: any FileSystem
    let now: Timestamp
    let sent: SentBytes
    let say: @Sendable (String) -> Void
    /// Between two looks whether something else is still being received.
    var pause = Duration.seconds(5)
    var patience = 24

    package init(
        _ request: ReplicationRequest, runner: any CommandRunner, files: any FileSystem, now: Timestamp, sent: SentBytes = SentBytes(),
        say: @escaping @Sendable (String) -> Void
    ) {
        self.request = request
        self.runner = runner
        self.files = files
        self.now = now
        self.sent = sent
        self.say = say
    }

    /// - Throws: ``Diagnosis`` `replicate.no-pv`; those of ``ReplicationFacts/gather(_:runner:)``.
    package func planner() async throws -> ReplicationPlanner {
        let meter = try files.exists(FilePath(PipeViewer.path))
        if request.rate != nil, !meter {
            throw Diagnosis(
                "replicate.no-pv", "pv is not installed, and it is what limits the bandwidth", remedies: ["apt-get install pv"],
                exit: .unavailable)
        }
        let facts = try await ReplicationFacts.gather(request, runner: ReplicationRunner(runner, request))
        return ReplicationPlanner(request, facts, now: now, meter: meter)
    }

    /// Everything that would be done, and what stands in the way.
    package func preview() async throws -> (plan: Plan, problems: [Diagnosis]) {
        let planner = try await planner()
        var plan = try planner.preparation()
        var problems: [Diagnosis] = []
        for dataset in planner.datasets {
            do { plan.phases += try planner.plan(for: dataset).phases } catch { problems.append(Diagnosis(of: error)) }
        }
        plan.title = "replicate \(request.source) to \(request.target)"
        return (plan, problems)
    }

    /// Replicates.
    ///
    /// - Returns: one row for each dataset, with what went wrong.
    /// - Throws: ``Diagnosis`` where nothing can be replicated; `CancellationError`.
    package func run() async throws -> ReplicationOutcome {
        var planner = try await planner()
        // Where nothing can be sent, no snapshot is taken either: run by the clock, they would pile up.
        if planner.datasets.contains(where: { (try? planner.plan(for: $0)) != nil }) {
            try await apply(planner.preparation(), to: request.target)
        }
        var outcome = ReplicationOutcome()
        if request.takesSnapshot {
            (outcome.label, outcome.time) = (planner.label, now)
        } else {
            let newest = planner.facts.sourceSnapshots[request.source.dataset.text]?.filter { !$0.isBookmark }
                .max { $0.transaction < $1.transaction }
            (outcome.label, outcome.time) = (newest?.label, newest?.created)
        }
        for dataset in planner.datasets {
            try Task.checkCancellation()
            let target = request.target.at(try request.target(of: dataset.name))
            var row = ReplicationOutcome.Row(source: dataset.name, target: target.description)
            var looks = 0
            while true {
                do {
                    // As it stands in what was read last: somebody else's stream may have ended since.
                    try await apply(try planner.plan(for: planner.facts.source.first { $0.name == dataset.name } ?? dataset), to: target)
                    break
                } catch {
                    let problem = Diagnosis(of: error)
                    if problem.exit == .interrupted { throw problem }
                    guard problem.code == "replicate.busy", looks < patience else {
                        row.problem = problem
                        break
                    }
                    if looks == 0 { say("waiting for what else is being received into \(target)") }
                    looks += 1
                    try await Task.sleep(for: pause)
                    planner.facts = try await ReplicationFacts.gather(request, runner: ReplicationRunner(runner, request))
                }
            }
            outcome.rows.append(row)
            // Without a connection there is no use in trying the next.
            if row.problem?.code.hasPrefix("ssh.") == true { break }
        }
        return outcome
    }

    /// What a plan of ours destroys bears this replication's name: the planner names nothing else.
    func apply(_ plan: Plan, to target: ReplicaPlace, performers: [String: Performer] = [:]) async throws {
        if plan.steps.isEmpty { return }
        let approvals = plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) }
        try await PlanRunner(runner: ReplicationRunner(runner, request, target: target, sent: sent), files: files, performers: performers) {
            event in
            if event.kind == .stepStarted, let step = event.step, !step.hasPrefix("replicate.keep"), !step.hasPrefix("replicate.tidy") {
                say(event.message)
            }
        }.apply(plan, approvals: approvals)
    }

    /// Runs, and writes down how it went, whatever happens.
    ///
    /// - Parameter clock: the time at the end.
    /// - Throws: ``Diagnosis`` `replicate.incomplete` where a dataset was not replicated; those of ``run()``.
    package func recorded(clock: @Sendable () -> Timestamp) async throws -> ReplicationOutcome {
        let known = try? ReplicationState.read(request.name, files)
        var state = known ?? ReplicationState(request)
        state.source = request.source.description
        state.target = request.target.description
        state.recursive = request.recursive
        state.maxLag = request.maxLag
        state.lastAttempt = now
        var problem: Diagnosis?
        var outcome = ReplicationOutcome()
        do {
            outcome = try await run()
            let failed = outcome.rows.filter { $0.problem != nil }
            if let first = failed.first?.problem {
                problem =
                    outcome.rows.count == 1
                    ? first
                    : Diagnosis(
                        "replicate.incomplete", "\(failed.count) of \(outcome.rows.count) datasets were not replicated",
                        remedies: first.remedies + ["then run the same again"], exit: first.exit == .tryAgain ? .tryAgain : .failed,
                        causes: failed.compactMap { row in row.problem.map { "\(row.source): \($0.message)" } })
            }
        } catch { problem = Diagnosis(of: error) }
        state.bytes = sent.sum
        state.bytesTotal += state.bytes ?? 0
        state.seconds = max(0, clock().seconds - now.seconds)
        state.problem = problem.map { "\($0.code): \($0.message)" }
        if problem == nil {
            state.lastSuccess = clock()
            state.snapshot = outcome.label
            state.snapshotTime = outcome.time
        }
        // A command line that could never have worked is nobody's replication.
        let mistakes: Set<String> = ["replicate.no-source", "replicate.no-pool", "replicate.taken", "replicate.no-pv"]
        if let problem, known == nil, mistakes.contains(problem.code) { throw problem }
        try state.write(files)
        if let problem { throw problem }
        return outcome
    }
}

/// Adds up what pv says, stream by stream.
package final class SentBytes: Sendable {
    /// `nil`: nothing was counted.
    private let counts = Mutex<(done: UInt64?, stream: UInt64?)>((nil, nil))

    package init() {}

    /// - Parameter line: of pv's standard error: the bytes of this stream so far.
    package func add(_ line: String) {
        guard let count = UInt64(line.trimmed) else { return }
        counts.withLock { $0.stream = count }
    }

    func endStream() {
        counts.withLock { $0 = (Self.sum($0), nil) }
    }

    /// `nil`: nothing was counted.
    package var sum: UInt64? { counts.withLock { Self.sum($0) } }

    private static func sum(_ counts: (done: UInt64?, stream: UInt64?)) -> UInt64? {
        guard let stream = counts.stream else { return counts.done }
        return (counts.done ?? 0) + stream
    }
}
