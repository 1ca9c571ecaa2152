import Glibc
import KldCore
public import KldPlan
public import SystemPackage

/// How a person approves what the answers do not.
public enum WipePrompt {
    /// The approvals for a plan: those given, and one for each other disk whose name is typed.
    ///
    /// - Parameters:
    ///   - terminal: a person can be asked.
    ///   - machine: a program reads what is printed (`--progress json`); it is never asked.
    ///   - show: prints the plan, once, before the first question.
    ///   - ask: prints a question and returns the line that is typed; `nil` at the end of the input.
    /// - Returns: too few when nobody can be asked; the plan is refused then.
    /// - Throws: ``Diagnosis`` `install.refused`; what `ask` throws.
    public static func approvals(
        for plan: Plan, given: [WipeApproval], terminal: Bool, machine: Bool, show: (String) -> Void,
        ask: (String) async throws -> String?
    ) async throws -> [WipeApproval] {
        let missing = plan.destroys.filter { disk in !given.contains { $0.disk == disk } }
        guard !missing.isEmpty, terminal, !machine else { return given }
        show(plan.text())
        var approvals = given
        for disk in missing {
            let lost = ["everything on \(disk) will be lost"] + (plan.losses[disk] ?? [])
            let typed = try await ask("\(lost.joined(separator: "; ")). Type its name to go on: ")
            guard let approval = WipeApproval(typed: typed ?? "", disk: disk) else {
                throw Diagnosis(
                    "install.refused", "\(disk) was not approved; nothing was changed", remedies: ["type the name exactly as shown"])
            }
            approvals.append(approval)
        }
        return approvals
    }

    /// Reads a line, without its end; cancelling the task ends it, where a read(2) would go on waiting.
    ///
    /// - Returns: `nil` at the end of the input.
    /// - Throws: `CancellationError`; `Errno`.
    public static func line(from input: FileDescriptor, every pause: Duration = .milliseconds(50)) async throws -> String? {
        var bytes: [UInt8] = []
        while true {
            try Task.checkCancellation()
            var waiting = pollfd(fd: input.rawValue, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 0) > 0 else {
                try await Task.sleep(for: pause)
                continue
            }
            var byte: UInt8 = 0
            let count = try withUnsafeMutableBytes(of: &byte) { try input.read(into: $0) }
            if count == 0 { return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self) }
            if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
    }
}
