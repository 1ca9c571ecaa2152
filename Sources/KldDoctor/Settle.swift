public import KldExec

/// Waits for a booting machine to come to rest, so that checks do not meet it half-way.
public enum Settle {
    /// Waits until systemd has no job under way but the caller's own, at most this long. Never fails: what is still missing then, the checks say.
    ///
    /// Runs: `systemctl list-jobs --plain --no-legend --no-pager`, reads; a job is `ID UNIT TYPE STATE` (systemd 257):
    /// ```
    /// 145 cloud-final.service start running
    /// ```
    /// - Parameters:
    ///   - own: the unit that runs the checks; it waits for itself otherwise.
    ///   - pause: between two looks.
    /// - Returns: the units still at work.
    @discardableResult
    public static func wait(
        _ runner: any CommandRunner, atMost limit: Duration, own: String = "kldload-verify.service", pause: Duration = .seconds(1)
    ) async throws -> [String] {
        let end = ContinuousClock.now + limit
        let list = Command("systemctl", ["list-jobs", "--plain", "--no-legend", "--no-pager"], effect: .reads)
        while true {
            let jobs = try await runner.run(list).output.split(separator: "\n").map { $0.split(separator: " ") }
            let units = jobs.filter { $0.count >= 4 && $0[3] == "running" }.map { String($0[1]) }.filter { $0 != own }
            if units.isEmpty || ContinuousClock.now >= end { return units }
            try await Task.sleep(for: pause)
        }
    }
}
