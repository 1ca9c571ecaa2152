public import KldExec
import KldSystemd

/// Waits for a booting machine to come to rest, so that checks do not meet it half-way.
public enum Settle {
    /// The unit that runs the checks; it would wait for itself otherwise.
    private static let own = "kldload-verify.service"

    /// Waits until systemd has no job under way but the caller's own, at most this long. Never fails: what is still missing then, the checks say.
    ///
    /// Runs: ``Systemctl/jobs``, reads. - Returns: the units still at work.
    @discardableResult
    public static func wait(_ runner: any CommandRunner, atMost limit: Duration) async throws -> [String] {
        let end = ContinuousClock.now + limit
        while true {
            let units = Systemctl.running(try await runner.run(Systemctl.jobs).output).filter { $0 != own }
            if units.isEmpty || ContinuousClock.now >= end { return units }
            try await Task.sleep(for: .seconds(1))
        }
    }
}
