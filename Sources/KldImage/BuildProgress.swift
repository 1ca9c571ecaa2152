import KldPlan
import Synchronization

/// Brings the parts of an image build into one progress from nothing to done: artefacts that must be built, the guest's plan, the export.
///
/// Weights are seconds on two cores with emulation; only their ratios matter. What lies in the cache has none, so the whole grows when a
/// build of an artefact begins.
final class BuildProgress: Sendable {
    enum Part: String, Sendable {
        case prepare, install, export, upload
        var weight: Double {
            switch self {
            case .prepare: 10
            case .install: 25
            case .export: 25
            case .upload: 10
            }
        }
    }

    private struct State {
        var finished = 0.0
        var whole: Double
        var part = Part.prepare
        /// Of the part at hand.
        var share = 0.0
        /// How far each artefact is that is being built.
        var building: [String: Double] = [:]
        var position: Double { finished + share * part.weight + building.reduce(0) { $0 + $1.value * BuildProgress.weight(of: $1.key) } }
    }

    private static let artefacts: [String: Double] = [
        "modules": 300, "target": 120, "live": 90, "live-image": 30, "stream": 120, "increment": 150, "template": 120,
    ]
    private let state: Mutex<State>
    private let forward: @Sendable (PlanEvent) -> Void

    init(_ parts: [Part], _ forward: @escaping @Sendable (PlanEvent) -> Void) {
        state = Mutex(State(whole: parts.reduce(0) { $0 + $1.weight }))
        self.forward = forward
    }

    /// The part before is over.
    func begin(_ part: Part) {
        state.withLock { state in
            if part != state.part { state.finished += state.part.weight }
            (state.part, state.share) = (part, 0)
        }
    }

    func artefact(_ kind: String, begins: Bool) {
        let weight = Self.weight(of: kind)
        state.withLock { state in
            if begins { state.whole += weight } else { state.finished += weight }
            state.building[kind] = begins ? 0 : nil
        }
    }

    private static func weight(of kind: String) -> Double { artefacts[kind] ?? 30 }

    /// An event of what builds an artefact, as an event of this build: its step is what is being done, and its position is the artefact's.
    static func event(_ event: PlanEvent, building kind: String) -> PlanEvent {
        PlanEvent(.output, phase: kind, message: event.message, done: event.done, total: event.total)
    }

    /// Passes an event on with the whole build's position. A plan that ends inside is one step of the build.
    func report(_ event: PlanEvent) {
        var event = event
        if event.kind == .planStarted || event.kind == .planDone { event.kind = .stepDone }
        // The time since the build began, not since the inner plan did, is for whoever shows it to fill in.
        event.milliseconds = 0
        let reached = event.total > 0 ? min(max(Double(event.done) / Double(event.total), 0), 1) : nil
        let (position, whole, part) = state.withLock { state in
            if let reached {
                if let kind = event.phase, state.building[kind] != nil { state.building[kind] = reached } else { state.share = reached }
            }
            return (state.position, state.whole, state.part)
        }
        event.phase = part.rawValue
        (event.done, event.total) = (Int(position * 10), Int(whole * 10))
        // Who fails outside says so itself, once.
        if event.kind == .planFailed { return }
        forward(event)
    }
}
