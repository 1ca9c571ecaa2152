public import KldCore

/// What happens while a plan is applied. One stream feeds terminal, log, journal, web console and tests.
public struct PlanEvent: Sendable, Hashable, Codable {
    public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        case planStarted = "plan-started"
        case stepStarted = "step-started"
        case stepDone = "step-done"
        case stepFailed = "step-failed"
        /// A step that it needs failed, or one beside it, which stopped it.
        case stepSkipped = "step-skipped"
        case undoing, releasing, line
        /// A line that a tool printed: for the log, and the last one for a person who waits.
        case output
        case planDone = "plan-done"
        case planFailed = "plan-failed"
        /// An event of a newer kldload.
        case unknown

        public init(from decoder: any Decoder) throws {
            self = Kind(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .unknown
        }
    }

    public var kind: Kind
    /// The id of the phase and of the step it belongs to.
    public var phase: String?
    public var step: String?
    public var message: String
    /// Work done so far and in all, in the plan's own weights.
    public var done: Int
    public var total: Int
    /// Milliseconds since the plan was started.
    public var milliseconds: Int
    public var diagnosis: Diagnosis?

    public init(
        _ kind: Kind, phase: String? = nil, step: String? = nil, message: String = "", done: Int = 0, total: Int = 0, milliseconds: Int = 0,
        diagnosis: Diagnosis? = nil
    ) {
        self.kind = kind
        self.phase = phase
        self.step = step
        self.message = message
        self.done = done
        self.total = total
        self.milliseconds = milliseconds
        self.diagnosis = diagnosis
    }
}

extension PlanEvent {
    /// Does work that is no plan, and tells its begin and its end as those of one.
    public static func telling<Result>(
        _ title: String, to report: @Sendable (PlanEvent) -> Void, _ work: () async throws -> Result
    ) async throws -> Result {
        report(PlanEvent(.planStarted, message: title))
        do {
            let result = try await work()
            report(PlanEvent(.planDone, message: title, done: 1, total: 1))
            return result
        } catch {
            let problem = Diagnosis(of: error)
            report(PlanEvent(.planFailed, message: problem.message, diagnosis: problem))
            throw error
        }
    }
}
