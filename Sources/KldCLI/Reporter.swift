import FoundationEssentials
import Glibc
import KldCore
import KldPlan
import KldTerminal
import SystemPackage

/// A command that shows its progress in the form that was asked for: as events, nothing else may come in between.
protocol ReportingCommand {
    var form: ProgressOptions.Form { get }
}

/// Writes plan events to standard error in the form that was asked for, and all of them to a log.
final class Reporter: Sendable {
    private let form: ProgressOptions.Form
    private let view: Locked<ProgressView>
    private let log: EventLog
    private let start = ContinuousClock.now

    /// Says where the log is: to a person in words, to a program in an event.
    ///
    /// - Parameter resuming: goes on with the log that is there.
    /// - Parameter steps: see ``ProgressView``.
    init(_ options: ProgressOptions, log file: FilePath, resuming: Bool = false, steps: [String] = []) throws {
        form = options.progress
        let terminal = form == .auto && isatty(STDERR_FILENO) == 1
        view = Locked(ProgressView(terminal: terminal, columns: Host.columns, steps: steps))
        log = try EventLog(file, resuming: resuming)
        for event in Self.early.withLock({ $0 }) { log.append(event) }
        Self.current.withLock { $0 = self }
        let line = PlanEvent(.line, message: "log: \(file)")
        if form == .json { report(line) } else if form != .none { Output.errorLine(line.message) }
    }

    var report: @Sendable (PlanEvent) -> Void {
        { event in
            let event = Self.recorded(event, by: self)
            switch self.form {
            case .none: break
            case .json: Output.errorLine(Self.json(event))
            case .auto, .plain: Output.error(self.view.withLock { $0.show(event) })
            }
        }
    }

    // MARK: what is said outside of a plan

    /// How the command that runs shows its progress.
    static let form = Locked(ProgressOptions.Form.auto)
    private static let current = Locked<Reporter?>(nil)
    /// What was said before there was a log.
    private static let early = Locked<[PlanEvent]>([])
    private static let failureIsTold = Locked(false)

    /// Says what a person should read, wherever in the program that turns up.
    static func note(_ message: String, remedy: String? = nil) {
        let event = recorded(PlanEvent(.line, message: message), by: current.withLock { $0 })
        if let text = text(of: event, remedy: remedy, as: form.withLock { $0 }) { Output.errorLine(text) }
    }

    /// Keeps a line that a tool printed; before there is a log, for it. A terminal shows the last one, and nothing else does.
    static func output(_ line: String) {
        let event = PlanEvent(.output, message: line)
        if let reporter = current.withLock({ $0 }) { reporter.report(event) } else { _ = recorded(event, by: nil) }
    }

    /// Says that the command failed, unless the plan's last event has.
    static func fail(_ problem: Diagnosis) {
        let told = failureIsTold.withLock { $0 }
        let event = PlanEvent(.planFailed, message: problem.message, diagnosis: problem)
        let last = told ? event : recorded(event, by: current.withLock { $0 })
        if let text = text(of: last, told: told, as: form.withLock { $0 }) { Output.errorLine(text) }
    }

    /// - Returns: what standard error says of a note; `nil` for nothing.
    static func text(of note: PlanEvent, remedy: String?, as form: ProgressOptions.Form) -> String? {
        switch form {
        case .none: nil
        case .json: json(note)
        case .auto, .plain: note.message + (remedy.map { "\n  remedy: \($0)" } ?? "")
        }
    }

    /// - Returns: what standard error says at the end of a command that failed; `nil` for nothing.
    static func text(of failure: PlanEvent, told: Bool, as form: ProgressOptions.Form) -> String? {
        if form == .json { return told ? nil : json(failure) }
        return failure.diagnosis?.rendered ?? failure.message
    }

    private static func json(_ event: PlanEvent) -> String {
        // why: numbers and texts always have a JSON form.
        (try? JSONEncoder().encode(event)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    /// The event with its time, in the log or kept for it.
    private static func recorded(_ event: PlanEvent, by reporter: Reporter?) -> PlanEvent {
        if event.kind == .planFailed { failureIsTold.withLock { $0 = true } }
        guard let reporter else {
            early.withLock { $0.append(event) }
            return event
        }
        var event = event
        // Events outside a plan carry no time of their own.
        if event.milliseconds == 0 { event.milliseconds = Int(reporter.start.duration(to: .now) / .milliseconds(1)) }
        reporter.log.append(event)
        return event
    }
}
