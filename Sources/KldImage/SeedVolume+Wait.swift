import KldBlock
public import KldExec

extension SeedVolume {
    private static let settle = Disk.settling(within: 60, accepting: [0, 1])

    /// Waits for one, at most twenty times: the live medium itself may have come from a faster stick. Another seed volume may be slower still,
    /// so the first one is not taken at once.
    ///
    /// Runs: `udevadm settle --timeout=60`, `lsblk …`, again; reads.
    /// - Parameters:
    ///   - pause: until the next look, while there is none.
    ///   - later: until the look that decides.
    /// - Returns: `nil` when there is none.
    /// - Throws: ``Diagnosis`` `autoinstall.several-seeds`; of lsblk.
    public static func wait(
        every pause: Duration = .seconds(1), again later: Duration = .seconds(4), runner: any CommandRunner
    ) async throws -> SeedVolume? {
        try await runner.run(settle)
        for _ in 0..<20 {
            if try await look(runner) != nil {
                try await Task.sleep(for: later)
                try await runner.run(settle)
                if let seed = try await look(runner) { return seed }
            }
            try await Task.sleep(for: pause)
        }
        return nil
    }

    private static func look(_ runner: any CommandRunner) async throws -> SeedVolume? {
        try find(ListBlockDevices.parse(await runner.run(ListBlockDevices.command).output))
    }
}
