import KldBoot
import KldCore
public import KldExec
public import KldFiles
import KldSystemd
import SystemPackage

/// Restarts a machine whose boot is no good, where that leads to another environment.
public enum BootLeaving {
    /// Restarts the machine if what runs is on trial: the loader counts. Nothing happens to an environment that has proved itself; where nobody
    /// can tell, for no ESP can be read, or what reads the machine is missing or fails in this environment, the loader's own word of this start
    /// does: see ``BlindRestarts``.
    ///
    /// Runs: `systemctl --no-block reboot`, changes.
    /// - Parameters:
    ///   - system: what reads the machine.
    ///   - say: for the log and the console.
    /// - Throws: what `system` threw, where the machine stays up.
    public static func leave(
        because reason: String, runner: any CommandRunner, files: any FileSystem, system: () async throws -> BootSystem,
        say: (String) -> Void
    ) async throws {
        let trial: BootTrial
        do { trial = BootTrial(try await system()) } catch {
            try Task.checkCancellation()
            guard let number = try BlindRestarts.count(files) else { throw error }
            say("\(Diagnosis(of: error).rendered)\nkldload: \(reason): restart \(number) of \(BootEntry.tries)")
            try await runner.run(Systemctl.reboot(waiting: false))
            return
        }
        guard let entry = trial.counted else { return }
        do { try files.write(reason + "\n", to: BootTrial.file(entry.id)) } catch {
            // A full disk may be the very reason.
            say("kldload: the reason cannot be kept: \(reason): \(Diagnosis(of: error).message)")
        }
        say("kldload: \(entry.environment) is on trial and did not boot well: restarting")
        try await runner.run(Systemctl.reboot(waiting: false))
    }
}
