package import KldCore

/// What can go wrong with a running guest.
package enum VirtError: Error, Sendable, Equatable {
    /// The guest did not say what was expected of it in time.
    case consoleTimeout(channel: String, expected: [String], limit: Duration, tail: [String])
    /// QEMU ended, or the guest closed the channel, while something was still expected.
    case exitedEarly(machine: String, during: String, tail: [String], errors: [String])
    /// The guest still runs.
    case stillRunning(machine: String, limit: Duration, tail: [String])
    case monitorTimeout(command: String, limit: Duration)
    case monitorRefused(command: String, reason: String)
}

extension VirtError: Diagnosable {
    package var diagnosis: Diagnosis {
        switch self {
        case .consoleTimeout(let channel, let expected, let limit, let tail):
            let wanted = expected.isEmpty ? "a line" : expected.map { "\"\($0)\"" }.joined(separator: " or ")
            return Diagnosis(
                "vm.console-timeout", "the guest did not say \(wanted) on \(channel) within \(limit)",
                remedies: ["read the guest's last lines, or allow more time"], causes: tail.map { "\(channel): \($0)" })
        case .exitedEarly(let machine, let during, let tail, let errors):
            return Diagnosis(
                "vm.exited-early", "the virtual machine \(machine) ended while \(during)",
                remedies: ["read what QEMU and the console said, below"],
                causes: errors.map { "qemu: \($0)" } + tail.map { "console: \($0)" })
        case .stillRunning(let machine, let limit, let tail):
            return Diagnosis(
                "vm.still-running", "the virtual machine \(machine) has not ended within \(limit)",
                remedies: ["try again on a machine with less other work"], causes: tail.map { "console: \($0)" })
        case .monitorTimeout(let command, let limit):
            return Diagnosis(
                "vm.monitor-timeout", "QEMU did not answer \(command) within \(limit)",
                remedies: ["try again on a machine with less other work"], exit: .unavailable)
        case .monitorRefused(let command, let reason):
            return Diagnosis(
                "vm.monitor-refused", "QEMU refused \(command)", remedies: ["report this as a defect of kldload, with the log"],
                causes: [reason])
        }
    }
}
