public import KldExec
import KldSystemd

/// Waits for a booting machine to come to rest, so that checks do not meet it half-way.
public enum Settle {
    /// Waits until systemd has no job under way but the caller's own, at most this long. Never fails: what is still missing then, the checks say.
    ///
    /// Runs: ``Systemctl/jobs``, reads.
    /// - Parameters:
    ///   - own: the unit that runs the checks; it waits for itself otherwise.
    ///   - pause: between two looks.
    /// - Returns: the units still at work.
    @discardableResult
    public static func wait(
        _ runner: any CommandRunner, atMost limit: Duration, own: String = "kldload-verify.service", pause: Duration = .seconds(1)
    ) async throws -> [String] {
        let end = ContinuousClock.now + limit
        while true {
            let units = Systemctl.running(try await runner.run(Systemctl.jobs).output).filter { $0 != own }
            if units.isEmpty || ContinuousClock.now >= end { return units }
            try await Task.sleep(for: pause)
        }
    }
}
