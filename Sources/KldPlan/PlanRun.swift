import KldCore
import Synchronization

/// Where one application of a plan stands: phases side by side write here at once. Stamps events with the time and the plan's size.
final class PlanRun: Sendable {
    private struct State {
        var begun: [Step] = []
        var missing: [Step] = []
        var done = 0
        var failure: Diagnosis?
        var isEnded = false
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now
    private let total: Int
    private let skipped: Set<String>
    private let report: @Sendable (PlanEvent) -> Void

    /// - Parameter skipped: the steps that an earlier run did.
    init(total: Int, skipped: Set<String>, _ report: @escaping @Sendable (PlanEvent) -> Void) {
        self.total = total
        self.skipped = skipped
        self.report = report
    }

    var begun: [Step] { state.withLock(\.begun) }
    var failure: Diagnosis? { state.withLock(\.failure) }
    /// A step failed that everything after it needs.
    var isEnded: Bool { state.withLock(\.isEnded) }
    /// No step is begun any more.
    var isOver: Bool { isEnded || (failure != nil && Task.isCancelled) }

    /// Whether a step cannot be done, for one that it needs is missing. It is missing itself then.
    func skips(_ step: Step, in phase: Phase) -> Bool {
        state.withLock { state in
            guard let unmet = state.missing.first(where: { step.needs?.contains($0.id) ?? true }) else { return false }
            let text = "\(step.title): not done, it needs \(unmet.id)"
            state.missing.append(step)
            state.done += step.weight
            state.failure?.causes.append(text)
            tell(.stepSkipped, phase, step, text, state.done)
            return true
        }
    }

    /// - Returns: whether an earlier run did it.
    func begin(_ step: Step, in phase: Phase) -> Bool {
        state.withLock { state in
            state.begun.append(step)
            let isDone = skipped.contains(step.id)
            if !isDone { tell(.stepStarted, phase, step, step.title, state.done) }
            return isDone
        }
    }

    func done(_ step: Step, in phase: Phase, silently: Bool) {
        state.withLock { state in
            state.done += step.weight
            if !silently { tell(.stepDone, phase, step, step.title, state.done) }
        }
    }

    func failed(_ step: Step, in phase: Phase, _ problem: Diagnosis) {
        state.withLock { state in
            // Stopped for the other's sake: what is to be said is the other's.
            if state.isEnded {
                tell(.stepSkipped, phase, step, "\(step.title): stopped, for another step failed", state.done)
                return
            }
            var problem = problem
            problem.causes.insert(step.cause, at: 0)
            tell(.stepFailed, phase, step, problem.message, state.done, problem)
            if state.failure == nil {
                state.failure = problem
            } else {
                state.failure?.causes.append("\(step.cause): \(problem.message)")
            }
            if step.needs == nil {
                state.isEnded = true
            } else {
                state.missing.append(step)
                state.done += step.weight
            }
        }
    }

    /// A release failed: that counts where nothing else did.
    func failed(releasing problem: Diagnosis) { state.withLock { if $0.failure == nil { $0.failure = problem } } }

    func event(_ kind: PlanEvent.Kind, step: Step? = nil, message: String, _ problem: Diagnosis? = nil) {
        state.withLock { tell(kind, nil, step, message, $0.done, problem) }
    }

    /// Called with the lock held, so that events of phases side by side come in the order of what they say.
    private func tell(
        _ kind: PlanEvent.Kind, _ phase: Phase?, _ step: Step?, _ message: String, _ done: Int, _ problem: Diagnosis? = nil
    ) {
        let elapsed = start.duration(to: .now)
        report(
            PlanEvent(
                kind, phase: phase?.id, step: step?.id, message: message, done: done, total: total,
                milliseconds: Int(elapsed / .milliseconds(1)), diagnosis: problem))
    }
}
