import FoundationEssentials
import Glibc
import KldPlan
import KldTerminal
import SystemPackage

/// Writes plan events to standard error in the form that was asked for, and all of them to a log.
final class Reporter: Sendable {
    private let form: ProgressOptions.Form
    private let view: Locked<ProgressView>
    private let log: EventLog
    private let start = ContinuousClock.now

    /// Says where the log is: to a person in words, to a program in the first event.
    init(_ options: ProgressOptions, log file: FilePath) throws {
        form = options.progress
        let terminal = form == .auto && isatty(STDERR_FILENO) == 1
        view = Locked(ProgressView(terminal: terminal, columns: Host.columns))
        log = try EventLog(file)
        let line = PlanEvent(.line, message: "log: \(file)")
        if form == .json { report(line) } else if form != .none { Output.errorLine(line.message) }
    }

    var report: @Sendable (PlanEvent) -> Void {
        { event in
            var event = event
            // Events outside a plan carry no time of their own.
            if event.milliseconds == 0 { event.milliseconds = Int(self.start.duration(to: .now) / .milliseconds(1)) }
            self.log.append(event)
            switch self.form {
            case .none: break
            case .json:
                if let data = try? JSONEncoder().encode(event) { Output.errorLine(String(decoding: data, as: UTF8.self)) }
            case .auto, .plain: Output.error(self.view.withLock { $0.show(event) })
            }
        }
    }
}
