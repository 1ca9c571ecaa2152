public import KldAnswers
public import KldExec
import KldSystemd

extension Answers {
    /// What a machine does when its installation has succeeded: only what the answers say. Nobody's shell is powered off by a default.
    ///
    /// - Returns: `nil` when neither `KLDLOAD_AFTER_INSTALL` is given, nor anything but staying is asked for.
    ///
    /// Runs: `systemctl poweroff` or `systemctl reboot`.
    public var afterInstallCommand: Command? {
        guard isGiven("KLDLOAD_AFTER_INSTALL") else { return nil }
        return switch afterInstall {
        case .powerOff: Systemctl.powerOff
        case .reboot: Systemctl.reboot()
        case .stay: nil
        }
    }
}
