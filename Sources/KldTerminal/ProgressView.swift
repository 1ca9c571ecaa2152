import KldCore
public import KldPlan

/// Shows plan events to a person: on a terminal one line that is rewritten, elsewhere a line a step.
///
/// A value: feeding it an event gives the text to write. Whoever owns the terminal writes it.
public struct ProgressView: Sendable {
    private let terminal: Bool
    private let columns: Int
    private let steps: [String]
    private var message = ""
    /// What the plan said last of how far it is.
    private var share = (done: 0, total: 0)

    /// - Parameter steps: the ids of the plan's steps, where a line is to say which of how many it is instead of the phase.
    public init(terminal: Bool, columns: Int = 80, steps: [String] = []) {
        self.terminal = terminal
        self.columns = max(columns, 40)
        self.steps = steps
    }

    /// The text to write for an event, newlines and carriage returns included. Empty when there is nothing to show.
    public mutating func show(_ event: PlanEvent) -> String {
        if event.total > 0 || event.kind == .planStarted { share = (event.done, event.total) }
        // What is told beside a plan, as what tools print, leaves the bar where it is.
        var event = event
        (event.done, event.total) = share
        switch event.kind {
        case .stepStarted, .line, .undoing, .releasing:
            guard !event.message.isEmpty else { return "" }
            message = event.message
            if terminal { return bar(event) }
            return event.kind == .releasing ? "" : "[\(clock(event.milliseconds))] \(place(event, left: true))\(event.message)\n"
        case .output:
            guard terminal, !event.message.isEmpty else { return "" }
            message = event.message
            return bar(event)
        case .stepDone, .planStarted: return terminal ? bar(event) : ""
        case .stepFailed: return (terminal ? erase : "") + "[\(clock(event.milliseconds))] failed: \(event.message)\n"
        case .stepSkipped: return (terminal ? erase : "") + "[\(clock(event.milliseconds))] \(place(event))\(event.message)\n"
        case .planDone: return (terminal ? erase : "") + "[\(clock(event.milliseconds))] done: \(event.message)\n"
        case .planFailed, .unknown: return ""
        }
    }

    private var erase: String { "\r\u{1B}[K" }

    private func bar(_ event: PlanEvent) -> String {
        let share = event.total > 0 ? min(Double(event.done) / Double(event.total), 1) : 0
        let width = 20
        let full = Int(share * Double(width))
        var text = "[\(String(repeating: "#", count: full))\(String(repeating: ".", count: width - full))] \(pad(Int(share * 100)))%"
        if let left = left(event) { text += " \(left) left" }
        text += "  \(place(event))\(message)"
        return erase + String(text.prefix(columns - 1))
    }

    /// The time that is left, by the weights that are done; `nil` at first: an estimate from the first tenth would only mislead.
    private func left(_ event: PlanEvent) -> String? {
        guard event.total > 0, event.done * 10 > event.total, event.done < event.total else { return nil }
        return clock(event.milliseconds * (event.total - event.done) / event.done)
    }

    private func place(_ event: PlanEvent, left wanted: Bool = false) -> String {
        guard !steps.isEmpty else { return event.phase.map { "\($0): " } ?? "" }
        guard let index = event.step.flatMap(steps.firstIndex(of:)) else { return "" }
        let time = wanted && event.kind == .stepStarted ? left(event).map { ", about \($0) left" } : nil
        return "\(index + 1) of \(steps.count)\(time ?? ""): "
    }

    private func pad(_ number: Int) -> String { String(repeating: " ", count: max(0, 3 - String(number).count)) + String(number) }

    private func clock(_ milliseconds: Int) -> String {
        let seconds = milliseconds / 1000
        return "\(seconds / 60):\(seconds % 60 < 10 ? "0" : "")\(seconds % 60)"
    }
}
