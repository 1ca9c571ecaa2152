package import KldCore
package import KldSSH

/// How one machine of a fleet is, or why it could not be asked.
package struct FleetHealth: Sendable {
    /// In the words of the table's second column.
    package enum State: String, Sendable, Hashable {
        case well = "OK"
        case ill = "ILL"
        case unreachable = "FAIL"
        case timeout = "TIMEOUT"
        case hostUnknown = "KEY-UNKNOWN"
        case hostChanged = "KEY-CHANGED"
        case denied = "DENIED"
        /// No machine of kldload, or one whose kldload does not answer such questions.
        case foreign = "FOREIGN"
        /// It was asked, and did not tell.
        case silent = "NO-ANSWER"
    }

    package var host: SSHDestination
    package var report: FleetReport?
    package var problem: Diagnosis?

    package var state: State {
        if let report { return report.findings.isEmpty ? .well : .ill }
        return switch problem?.code {
        case "ssh.unreachable": .unreachable
        case "ssh.host-unknown": .hostUnknown
        case "ssh.host-changed": .hostChanged
        case "ssh.denied": .denied
        case "fleet.timeout": .timeout
        case "fleet.foreign", "fleet.old": .foreign
        default: .silent
        }
    }

    package init(_ host: SSHDestination, report: FleetReport? = nil, problem: Diagnosis? = nil) {
        self.host = host
        self.report = report
        self.problem = problem
    }
}

extension Fleet {
    /// Asks every machine, so many at a time, with one connection each; one that does not answer keeps nobody waiting for longer than its limit.
    ///
    /// - Returns: one row for each, in their order.
    ///
    /// Runs: `kldload kfleet self` on each, reads.
    package func health(_ hosts: [SSHDestination]) async -> [FleetHealth] {
        await Self.each(hosts, parallel: parallel) { host in
            do {
                try Task.checkCancellation()
                return FleetHealth(host, report: try await report(of: host))
            } catch { return FleetHealth(host, problem: Diagnosis(of: error)) }
        }
    }
}
