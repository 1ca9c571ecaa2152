package import KldCore
package import KldSSH

/// What became of one machine in a rollout.
package struct FleetRolloutRow: Sendable {
    package enum State: String, Sendable, Hashable {
        /// It was not its turn yet.
        case untouched
        /// It ran the environment before.
        case already
        case done
        /// Nothing was restarted; what boots next is what boots now.
        case notRestarted = "not-restarted"
        /// It is not as it was when all were looked at: nothing was done there.
        case changed
        /// It left the environment by itself, and runs the one before.
        case cameBack = "came-back"
        /// It was sent back, and runs the one before.
        case reverted
        /// Somebody has to look at it.
        case unknown
        /// Interrupted while it starts: it proves itself, or goes back by itself.
        case restarting
    }
    package var host: SSHDestination
    package var state: State
    /// The environment that ran when it was asked first.
    package var before: String
    /// The environment that it ran when it was asked last; `nil`: it did not answer.
    package var runs: String?
    package var problem: Diagnosis?
}

package struct FleetRolloutOutcome: Sendable {
    package var rows: [FleetRolloutRow]
    package var interrupted = false

    /// Why it was stopped. - Returns: `nil`: every machine runs the environment.
    package func problem(_ environment: String) -> Diagnosis? {
        let failed = rows.filter { ![.untouched, .already, .done, .restarting].contains($0.state) }
        let run = rows.count { $0.state == .done || $0.state == .already }
        if let first = failed.first {
            return Diagnosis(
                "fleet.stopped",
                "\(failed.map(\.host.knownName).joined(separator: ", ")) did not take \(environment); \(run) of \(rows.count) machines run it, and nothing more is restarted",
                remedies: (first.problem?.remedies ?? []) + ["when it is mended, run the same again: machines that run it are left alone"],
                causes: failed.map { row in
                    "\(row.host.knownName): \(row.problem?.message ?? row.state.rawValue)"
                        + (row.problem?.causes.first.map { ": \($0)" } ?? "")
                })
        }
        if interrupted {
            return Diagnosis(
                "fleet.interrupted", "interrupted: \(run) of \(rows.count) machines run \(environment)",
                remedies: ["run the same again: machines that run it are left alone"], exit: .interrupted)
        }
        return nil
    }
}
