import KldCore
package import KldExec
import KldSSH
import KldZFS

/// Names the cause when a command of one dataset's replication fails, at whichever end.
package struct ReplicationRunner: CommandRunner {
    private let inner: any CommandRunner
    private let request: ReplicationRequest
    /// Where this dataset goes.
    private let target: ReplicaPlace
    private let sent: SentBytes?

    package init(_ inner: any CommandRunner, _ request: ReplicationRequest, target: ReplicaPlace? = nil, sent: SentBytes? = nil) {
        self.inner = inner
        self.request = request
        self.target = target ?? request.target
        self.sent = sent
    }

    package func run(_ command: Command) async throws -> CommandOutput {
        do { return try await inner.run(command) } catch { throw explained(error) }
    }

    package func run(pipeline: [Command]) async throws -> CommandOutput {
        defer { sent?.endStream() }
        do { return try await inner.run(pipeline: pipeline) } catch { throw explained(error) }
    }

    private func explained(_ error: any Error) -> any Error {
        guard case .failed(let command, let output)? = error as? CommandError else { return ZFSError.explaining(error) }
        let text = output.errors
        if command.tool == SSH.tool, let problem = SSHProblem(text) {
            let ends = [request.source.host, request.target.host].compactMap { $0 }
            if let host = ends.first(where: { command.arguments.contains($0.description) }) {
                return problem.diagnosis(of: host, errors: text)
            }
        }
        func has(_ phrases: String...) -> Bool { phrases.contains { text.contains($0) } }
        if has("has been modified", "does not match incremental source", "must specify -F") {
            return Self.diverged(target, why: "it was changed since the last replication", newer: [], causes: text.lines.suffix(4))
        }
        if has("partially-complete state", "is busy") {
            return Diagnosis(
                "replicate.busy", "something else is being received into \(target)",
                remedies: ["wait for it to end: it goes on by itself", "see who it is: ps -ef | grep 'zfs receive'"], exit: .tryAgain,
                causes: Array(text.lines.suffix(2)))
        }
        if has("artially received snapshot is saved", "incomplete stream", "Broken pipe") {
            return Diagnosis(
                "replicate.cut", "the stream to \(target) was cut off; what arrived is kept",
                remedies: ["run the same again: it goes on from there"], exit: .tryAgain,
                causes: text.lines.suffix(4).map { String($0.prefix(200)) })
        }
        if has("must be upgraded", "unsupported feature", "not supported by the receiving") {
            return Diagnosis(
                "replicate.feature", "the pool of \(target) does not take such a stream",
                remedies: [
                    "see what the pool lacks: zpool get all \(target.dataset.pool)",
                    "zpool upgrade \(target.dataset.pool), where every machine that imports it is new enough",
                ],
                exit: .unavailable, causes: Array(text.lines.suffix(4)))
        }
        if let known = ZFSError(text) { return ZFSFailure(known, command: command, output: output) }
        return error
    }

    /// Never forced: whoever owns the target chooses.
    ///
    /// - Parameter newer: snapshots of the target that the source has not.
    static func diverged(_ target: ReplicaPlace, why: String, newer: [String], causes: some Sequence<String> = []) -> Diagnosis {
        let name = Command.quoted(target.dataset.text)
        let there = target.host.map { "on \($0): " } ?? ""
        var remedies = ["\(there)see what it is: zfs list -t snapshot \(name); zfs diff the last common snapshot"]
        if newer.isEmpty {
            remedies.append("\(there)to lose those changes: kldload ksnap rollback to the newest snapshot that both have, then repeat")
        } else {
            remedies.append(
                "\(there)to lose them: kldload ksnap destroy \(newer.prefix(3).map(Command.quoted).joined(separator: " ")), then repeat")
            remedies.append("keep whoever makes snapshots there from doing so: in sanoid's settings autosnap = no")
        }
        remedies.append("\(there)to keep them: zfs rename \(name) \(name)-kept, then repeat: everything is sent anew")
        return Diagnosis(
            "replicate.diverged", "\(target) is not what was replicated: \(why); nothing was changed", remedies: remedies,
            causes: Array(causes))
    }
}
