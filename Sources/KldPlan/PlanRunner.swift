import Glibc
import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// Code behind ``Action/perform(_:_:effect:)``.
public typealias Performer =
    @Sendable (_ parameters: [String: String], _ runner: any CommandRunner, _ files: any FileSystem) async throws -> Void

/// Applies plans: the only code that touches a machine.
public struct PlanRunner: Sendable {
    private let runner: any CommandRunner
    private let files: any FileSystem
    private let performers: [String: Performer]
    private let journal: PlanJournal?
    private let report: @Sendable (PlanEvent) -> Void

    public init(
        runner: any CommandRunner, files: any FileSystem, performers: [String: Performer] = [:], journal: PlanJournal? = nil,
        report: @escaping @Sendable (PlanEvent) -> Void = { _ in }
    ) {
        self.runner = runner
        self.files = files
        self.performers = performers
        self.journal = journal
        self.report = report
    }

    /// Applies the plan.
    ///
    /// On failure: undo of every step begun, newest first; then, as always, release of every step begun, newest first.
    /// Of steps that say what they need (``Step/needs``), one that fails is undone alone and at once, and those that can do without it follow.
    /// - Parameter from: the step to begin with. Of those before it only what brings back their state is run, and their release at the end.
    /// - Throws: ``Diagnosis`` of ``check(_:approvals:from:)``, or that of the first step that failed, with the others among its causes.
    public func apply(_ plan: Plan, approvals: [WipeApproval] = [], from first: String? = nil) async throws {
        try Self.check(plan, approvals: approvals, from: first)
        let reporter = Reporter(start: .now, total: plan.weight, report: report)
        var begun: [Step] = []
        var done = 0
        var skipping = first != nil
        var failure: Diagnosis?
        var (missing, ended): ([Step], Bool) = ([], false)
        reporter.event(.planStarted, message: plan.title)
        phases: for phase in plan.phases {
            for step in phase.steps {
                if step.id == first { skipping = false }
                if let unmet = missing.first(where: { step.needs?.contains($0.id) ?? true }) {
                    let text = "\(step.title): not done, it needs \(unmet.id)"
                    missing.append(step)
                    done += step.weight
                    failure?.causes.append(text)
                    reporter.event(.stepSkipped, phase: phase, step: step, message: text, done: done)
                    continue
                }
                begun.append(step)
                if !skipping { reporter.event(.stepStarted, phase: phase, step: step, message: step.title, done: done) }
                do {
                    if skipping { try await perform(step.resume) } else { try await run(step) }
                } catch {
                    var problem = Diagnosis(of: error)
                    problem.causes.insert("step: \(step.id) (\(step.title))", at: 0)
                    reporter.event(.stepFailed, phase: phase, step: step, message: problem.message, done: done, problem)
                    if failure == nil {
                        failure = problem
                    } else {
                        failure?.causes.append("step: \(step.id) (\(step.title)): \(problem.message)")
                    }
                    ended = step.needs == nil
                    if !ended, !step.undo.isEmpty { await cleanUp(step.undo, .undoing, step, reporter, done: done) }
                    if ended || Task.isCancelled { break phases }
                    missing.append(step)
                    done += step.weight
                    continue
                }
                if !skipping {
                    reporter.event(.stepDone, phase: phase, step: step, message: step.title, done: done + step.weight)
                }
                done += step.weight
            }
        }
        if ended {
            for step in begun.reversed() where step.needs == nil && !step.undo.isEmpty {
                await cleanUp(step.undo, .undoing, step, reporter, done: done)
            }
        }
        for step in begun.reversed() where !step.release.isEmpty {
            let problems = await cleanUp(step.release, .releasing, step, reporter, done: done)
            if failure == nil { failure = problems.first }
        }
        if let failure {
            reporter.event(.planFailed, message: failure.message, done: done, failure)
            throw failure
        }
        reporter.event(.planDone, message: plan.title, done: plan.weight)
    }

    /// What ``apply(_:approvals:from:)`` refuses before it does anything.
    ///
    /// - Throws: ``Diagnosis`` `plan.unapproved`, `plan.unverified`, `plan.unnamed-destruction`, `plan.no-such-step`, `plan.needs-later`.
    public static func check(_ plan: Plan, approvals: [WipeApproval], from first: String? = nil) throws {
        if let step = plan.steps.first(where: \.destroysUnnamed) {
            throw Diagnosis(
                "plan.unnamed-destruction", "the step \(step.id) destroys something and does not say which device",
                remedies: ["report this as a defect of kldload"], exit: .bug)
        }
        let ids = plan.steps.map(\.id)
        for (index, step) in plan.steps.enumerated() where step.needs?.contains(where: { ids[index...].contains($0) }) == true {
            throw Diagnosis(
                "plan.needs-later", "the step \(step.id) needs one that comes after it", remedies: ["report this as a defect of kldload"],
                exit: .bug)
        }
        let approved = Set(approvals.map(\.disk))
        if let disk = plan.destroys.first(where: { !approved.contains($0) }) {
            throw Diagnosis(
                "plan.unapproved", "the plan would wipe \(disk), and nothing approves that",
                remedies: ["set KLDLOAD_FORCE_WIPE=1 beside the disk's name in the answers, or type the disk's name when asked"],
                exit: .failed)
        }
        if let first, !plan.steps.contains(where: { $0.id == first }) {
            throw Diagnosis(
                "plan.no-such-step", "the plan has no step \(first)",
                remedies: ["one of: " + plan.steps.map(\.id).joined(separator: ", ")], exit: .usage)
        }
        try checkVerification(plan, approvals, from: first)
    }

    /// An approval for an empty disk counts only where the steps that are run look at it before the first of them destroys anything.
    private static func checkVerification(_ plan: Plan, _ approvals: [WipeApproval], from first: String?) throws {
        let unconditional = Set(approvals.filter { !$0.onlyIfEmpty }.map(\.disk))
        let steps = plan.steps.drop { first != nil && $0.id != first }
        let harmless = steps.prefix { $0.effect != .destroys }
        for disk in plan.destroys where !unconditional.contains(disk) && steps.contains(where: { $0.destroys.contains(disk) }) {
            guard harmless.contains(where: { $0.actions.contains(WipeApproval.verification(of: disk)) }) else {
                throw Diagnosis(
                    "plan.unverified", "the plan would wipe \(disk), approved as an empty disk, without looking at it first",
                    remedies: ["name the disk in the answers: KLDLOAD_DISK=/dev/…", "report this as a defect of kldload"], exit: .bug)
            }
        }
    }

    private func run(_ step: Step) async throws {
        try journal?.record(step.id, "started")
        do {
            try await perform(step.actions)
        } catch {
            try? journal?.record(step.id, "failed")
            throw error
        }
        try journal?.record(step.id, "done")
    }

    private func perform(_ actions: [Action]) async throws {
        for action in actions {
            try Task.checkCancellation()
            try await perform(action)
        }
    }

    /// Clean-up goes on whatever fails, and is not cut short by a cancelled task.
    @discardableResult
    private func cleanUp(_ actions: [Action], _ kind: PlanEvent.Kind, _ step: Step, _ reporter: Reporter, done: Int) async -> [Diagnosis] {
        reporter.event(kind, step: step, message: step.title, done: done)
        // why: a task of its own does not inherit the cancellation that brought us here.
        return await Task {
            var problems: [Diagnosis] = []
            for action in actions {
                do { try await perform(action) } catch {
                    let problem = Diagnosis(of: error)
                    problems.append(problem)
                    reporter.event(.line, step: step, message: "clean-up: \(problem.message)", done: done, problem)
                }
            }
            return problems
        }.value
    }

    private func perform(_ action: Action) async throws {
        switch action {
        case .run(let command): try await runner.run(command)
        case .pipeline(let commands): try await runner.run(pipeline: commands)
        case .write(let path, let content, let mode): try files.write(content.bytes, to: path, mode: mode)
        case .makeDirectory(let path, let mode): try files.makeDirectory(path, mode: mode)
        case .remove(let path): try files.remove(path)
        case .symlink(let path, let target): try files.symlink(path, to: target)
        case .waitFor(let path, let seconds): try await wait(for: path, seconds: seconds)
        case .perform(let name, let parameters, _):
            guard let performer = performers[name] else {
                throw Diagnosis(
                    "plan.no-performer", "nothing performs \(name)", remedies: ["report this as a defect of kldload"], exit: .bug)
            }
            try await performer(parameters, runner, files)
        }
    }

    private func wait(for path: FilePath, seconds: Int) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while try !files.exists(path) {
            guard ContinuousClock.now < deadline else {
                throw Diagnosis("plan.wait", "\(path) did not appear within \(seconds) s", remedies: ["look at the kernel's log: dmesg"])
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}

/// Stamps events with the time and the plan's size.
private struct Reporter: Sendable {
    var start: ContinuousClock.Instant
    var total: Int
    var report: @Sendable (PlanEvent) -> Void

    func event(
        _ kind: PlanEvent.Kind, phase: Phase? = nil, step: Step? = nil, message: String, done: Int = 0, _ problem: Diagnosis? = nil
    ) {
        let elapsed = start.duration(to: .now)
        report(
            PlanEvent(
                kind, phase: phase?.id, step: step?.id, message: message, done: done, total: total,
                milliseconds: Int(elapsed / .milliseconds(1)), diagnosis: problem))
    }
}

/// A record of the steps begun and done, one line each, synced before a step begins: what `--from` and a person read after a crash.
public struct PlanJournal: Sendable {
    private let path: FilePath

    /// - Parameter keeping: goes on with the record that is there, for a plan that does; otherwise it begins anew.
    public init(_ path: FilePath, keeping: Bool = false, files: any FileSystem) throws {
        self.path = path
        try files.makeDirectory(path.removingLastComponent(), mode: .directory)
        if try keeping && files.exists(path) { return }
        try files.write([], to: path, mode: .file)
    }

    /// The first step of the plan that is not done; `nil` when all are.
    ///
    /// A step that was begun again makes everything after it undone: it stood on what that step made before.
    /// - Parameter text: what a journal holds.
    public static func firstUnfinished(of plan: Plan, _ text: String) -> String? {
        let ids = plan.steps.map(\.id)
        var done: Set<String> = []
        for words in text.lines.map(\.words) where words.count == 2 {
            switch words[0] {
            case "started": ids.firstIndex(of: words[1]).map { done.subtract(ids[$0...]) }
            case "done": done.insert(words[1])
            default: break
            }
        }
        return ids.first { !done.contains($0) }
    }

    /// What a journal says of a step last.
    public enum State: String, Sendable, Hashable { case started, done, failed }

    /// By the step's id. - Parameter text: what a journal holds.
    public static func states(_ text: String) -> [String: State] {
        var states: [String: State] = [:]
        for words in text.lines.map(\.words) where words.count == 2 {
            if let state = State(rawValue: words[0]) { states[words[1]] = state }
        }
        return states
    }

    /// The steps that are done, of a plan whose steps say what they need.
    ///
    /// A step that was begun again makes those that need it undone, and those that need them.
    public static func finished(of plan: Plan, _ text: String) -> Set<String> {
        var done: Set<String> = []
        for words in text.lines.map(\.words) where words.count == 2 {
            switch State(rawValue: words[0]) {
            case .done: done.insert(words[1])
            case .started, .failed:
                var undone: Set = [words[1]]
                for step in plan.steps where step.needs?.contains(where: undone.contains) ?? !undone.isDisjoint(with: plan.before(step)) {
                    undone.insert(step.id)
                }
                done.subtract(undone)
            case nil: break
            }
        }
        return done.intersection(plan.steps.map(\.id))
    }

    func record(_ step: String, _ state: String) throws {
        let file = try FileDescriptor.open(path, .writeOnly, options: [.append, .create, .closeOnExec], permissions: [.ownerReadWrite])
        defer { try? file.close() }
        try file.writeAll("\(state) \(step)\n".utf8)
        guard fsync(file.rawValue) == 0 || errno == EINVAL else { throw Errno(rawValue: errno) }
    }
}
