import Glibc
import KldCore
public import KldExec
public import KldFiles
import SystemPackage

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
        let run = PlanRun(total: plan.weight, skipped: first.map(plan.before) ?? [], report)
        run.event(.planStarted, message: plan.title)
        for group in plan.groups where !run.isOver {
            await withTaskGroup { tasks in
                for phase in group { tasks.addTask { await follow(phase, run) } }
                // why: of phases side by side, what the others are doing is worth nothing once one has ended the plan.
                for await _ in tasks where run.isOver { tasks.cancelAll() }
            }
        }
        let begun = run.begun
        if run.isEnded {
            for step in begun.reversed() where step.needs == nil && !step.undo.isEmpty { await cleanUp(step.undo, .undoing, step, run) }
        }
        for step in begun.reversed() where !step.release.isEmpty {
            if let problem = await cleanUp(step.release, .releasing, step, run).first { run.failed(releasing: problem) }
        }
        if let failure = run.failure {
            run.event(.planFailed, message: failure.message, failure)
            throw failure
        }
        run.event(.planDone, message: plan.title)
    }

    /// The steps of one phase, in order, until one ends the plan.
    private func follow(_ phase: Phase, _ run: PlanRun) async {
        for step in phase.steps {
            if run.isOver { return }
            if run.skips(step, in: phase) { continue }
            let isDone = run.begin(step, in: phase)
            do {
                if isDone { try await perform(step.resume) } else { try await self.run(step) }
            } catch {
                run.failed(step, in: phase, Diagnosis(of: error))
                if step.needs != nil, !step.undo.isEmpty { await cleanUp(step.undo, .undoing, step, run) }
                continue
            }
            run.done(step, in: phase, silently: isDone)
        }
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
        for (step, later) in plan.notBefore where step.needs?.contains(where: later.contains) == true {
            throw Diagnosis(
                "plan.needs-later", "the step \(step.id) needs one that is not done before it",
                remedies: ["report this as a defect of kldload"],
                exit: .bug)
        }
        let approved = Set(approvals.map(\.disk))
        if let disk = plan.destroys.first(where: { !approved.contains($0) }) {
            throw Diagnosis(
                "plan.unapproved", "the plan would wipe \(disk), and nothing approves that",
                remedies: ["set KLDLOAD_FORCE_WIPE=1 beside the disk's name in the answers, or type the disk's name when asked"],
                exit: .badAnswers)
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
    private func cleanUp(_ actions: [Action], _ kind: PlanEvent.Kind, _ step: Step, _ run: PlanRun) async -> [Diagnosis] {
        run.event(kind, step: step, message: step.title)
        // why: a task of its own does not inherit the cancellation that brought us here.
        return await Task {
            var problems: [Diagnosis] = []
            for action in actions {
                do { try await perform(action) } catch {
                    let problem = Diagnosis(of: error)
                    problems.append(problem)
                    run.event(.line, step: step, message: "clean-up: \(problem.message)", problem)
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
