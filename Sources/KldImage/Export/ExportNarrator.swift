package import KldPlan
import Synchronization

/// Tells an export's progress as events: a line when a stage begins, then output with the percentage, for the last line of a terminal and
/// for machines. Every event carries how much is done of all.
package final class ExportNarrator: Sendable {
    private let last = Mutex<ExportProgress?>(nil)

    package init() {}

    package func event(_ progress: ExportProgress) -> PlanEvent {
        let begins = last.withLock { last in
            defer { last = progress }
            return last?.stage != progress.stage || last?.format != progress.format
        }
        let what = progress.stage.rawValue + (progress.format.map { " \($0.rawValue)" } ?? "")
        let percent = begins || progress.stage != .converting ? "" : " \(Int(progress.percent)) %"
        return PlanEvent(
            begins ? .line : .output, message: "\(what)\(percent) (\(progress.finished) of \(progress.total) done)",
            done: progress.done, total: 100 * progress.total)
    }
}

extension ExportProgress {
    /// Hundredths of a format: converting is most of the work, a digest of the result the rest.
    fileprivate var done: Int {
        let within =
            switch stage {
            case .converting: percent * 0.8
            case .packing: 80.0
            case .digesting: 90.0
            case .publishing, .done: 0.0
            }
        return min(100 * finished + Int(within), 100 * total)
    }
}
