import KldCore
import KldExec
import KldFiles
import SystemPackage

extension Action {
    /// One line for a person.
    public var text: String {
        switch self {
        case .run(let command): return command.description
        case .pipeline(let commands): return commands.map(\.description).joined(separator: " | ")
        case .write(let path, let content, let mode):
            let what =
                if case .secret = content { "<redacted>" } else { "\(content.bytes.count) bytes" }
            return "write \(path) (\(String(mode.bits, radix: 8)), \(what))"
        case .makeDirectory(let path, let mode): return "mkdir \(path) (\(String(mode.bits, radix: 8)))"
        case .remove(let path): return "remove \(path)"
        case .symlink(let path, let target): return "link \(path) -> \(target)"
        case .waitFor(let path, let seconds): return "wait for \(path) (at most \(seconds) s)"
        case .perform(let name, let parameters, _):
            return ([name] + parameters.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
        }
    }
}

extension Plan {
    /// The whole plan as text: what dry-run prints and what golden tests compare.
    ///
    /// - Parameter contents: also print the text of every file that is written.
    public func text(contents: Bool = false) -> String {
        var lines = ["plan: \(title)"]
        for disk in destroys { lines += ["  WIPES \(disk)"] + (losses[disk] ?? []).map { "    \($0)" } }
        for phase in phases {
            lines.append("\(phase.id): \(phase.title)" + (phase.beside ? " (beside the phase before)" : ""))
            for step in phase.steps {
                let mark =
                    switch step.effect {
                    case .reads: " "
                    case .changes: "+"
                    case .destroys: "!"
                    }
                lines.append("  \(mark) \(step.id): \(step.title)")
                if let needs = step.needs, !needs.isEmpty { lines.append("      needs: \(needs.joined(separator: ", "))") }
                for action in step.actions {
                    lines.append("      \(action.text)")
                    if contents, case .write(_, .text(let text), _) = action {
                        lines += text.split(separator: "\n", omittingEmptySubsequences: false).map { "        | \($0)" }
                    }
                }
                lines += step.undo.map { "      undo: \($0.text)" }
                lines += step.release.map { "      release: \($0.text)" }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The plan as JSON (`plan/1`): phases, steps, effects, actions as text. Secrets never appear.
    public var json: PlanDocument {
        PlanDocument(
            schema: "plan/1", title: title, wipes: destroys, losses: losses.isEmpty ? nil : losses,
            phases: phases.map { phase in
                PlanDocument.PhaseEntry(
                    id: phase.id, title: phase.title, beside: phase.beside ? true : nil,
                    steps: phase.steps.map {
                        PlanDocument.StepEntry(
                            id: $0.id, title: $0.title, effect: $0.effect.rawValue, weight: $0.weight, wipes: $0.destroys,
                            actions: $0.actions.map(\.text), undo: $0.undo.map(\.text), release: $0.release.map(\.text), needs: $0.needs)
                    })
            })
    }
}

public struct PlanDocument: Codable, Sendable, Hashable {
    public struct StepEntry: Codable, Sendable, Hashable {
        public var id, title, effect: String
        public var weight: Int
        public var wipes, actions, undo, release: [String]
        /// Absent: all steps before it.
        public var needs: [String]?
    }
    public struct PhaseEntry: Codable, Sendable, Hashable {
        public var id, title: String
        /// Absent: it begins when the phase before it is done.
        public var beside: Bool?
        public var steps: [StepEntry]
    }
    public var schema, title: String
    public var wipes: [String]
    /// By the name of a disk that is wiped: what other disks lose with it. Absent: nothing.
    public var losses: [String: [String]]?
    public var phases: [PhaseEntry]
}
