import FoundationEssentials
import KldCore
package import KldExec
package import KldSSH
import KldSystemd

/// Machines that are reached over ssh, each with its own kldload: what is asked of them and told to them.
package struct Fleet: Sendable {
    /// Makes the runner of one machine's commands; tests answer with scripts.
    let runner: @Sendable (SSHDestination) -> any CommandRunner
    /// How long one question may take, in seconds.
    package var limit: Int64
    /// How many machines are dealt with at a time.
    package var parallel: Int
    /// Tests have a stand-in.
    var tools = FleetTools()

    package init(limit: Int64 = 60, parallel: Int = 8, runner: @escaping @Sendable (SSHDestination) -> any CommandRunner) {
        self.runner = runner
        self.limit = limit
        self.parallel = parallel
    }

    /// Deals with every item, so many at a time. - Returns: the results, in the order of the items.
    static func each<Item: Sendable, Result: Sendable>(
        _ items: [Item], parallel: Int, _ body: @escaping @Sendable (Item) async -> Result
    ) async -> [Result] {
        await withTaskGroup(of: (Int, Result).self) { group in
            var results = [Result?](repeating: nil, count: items.count)
            var next = 0
            func begin() {
                guard next < items.count else { return }
                let index = next
                group.addTask { (index, await body(items[index])) }
                next += 1
            }
            for _ in 0..<max(1, parallel) { begin() }
            for await (index, result) in group {
                results[index] = result
                begin()
            }
            return results.compactMap { $0 }
        }
    }

    // MARK: one machine

    /// Runs a command there.
    ///
    /// - Parameter limit: in seconds; `nil`: that of a question.
    /// - Throws: ``Diagnosis`` `fleet.timeout`, `fleet.foreign`, `fleet.refused`; of ssh; `CancellationError`.
    @discardableResult
    func run(_ command: Command, on host: SSHDestination, within limit: Int64? = nil) async throws -> CommandOutput {
        try await timed(command.over(host), host, limit ?? self.limit)
    }

    /// The same, and the machine may end the connection: it restarts.
    func restart(_ host: SSHDestination) async throws {
        var command = Systemctl.reboot(waiting: false).over(host)
        command.acceptedExitStatuses.insert(255)
        try await timed(command, host, limit)
    }

    @discardableResult
    private func timed(_ command: Command, _ host: SSHDestination, _ seconds: Int64) async throws -> CommandOutput {
        do { return try await TimeLimitRunner(runner(host), limit: .seconds(seconds)).run(command) } catch let error as CancellationError {
            throw error
        } catch { throw Self.explained(error, of: host, seconds: seconds) }
    }

    /// What a machine says of itself. - Parameter brief: without asking its doctor.
    /// - Throws: ``Diagnosis`` `fleet.unreadable`; as ``run(_:on:within:)``.
    func report(of host: SSHDestination, brief: Bool = false) async throws -> FleetReport {
        let output = try await run(tools.report(brief: brief), on: host).output
        guard let report = FleetReport(json: output) else {
            throw Diagnosis(
                "fleet.unreadable", "what the kldload of \(host) says is not understood",
                remedies: ["bring both machines to the same version of kldload"], exit: .unavailable,
                causes: output.lines.prefix(3).map { String($0.prefix(200)) })
        }
        return report
    }

    /// ssh ends with 255 where there was no connection; any other status is the command's own.
    static func explained(_ error: any Error, of host: SSHDestination, seconds: Int64) -> Diagnosis {
        if error is CommandTimeout {
            return Diagnosis(
                "fleet.timeout", "\(host) did not answer within \(seconds) s",
                remedies: ["look at what it does: ssh \(host)", "give it longer: --timeout"], exit: .tryAgain)
        }
        guard case .failed(let command, let output)? = error as? CommandError, command.tool == SSH.tool else { return Diagnosis(of: error) }
        let text = output.errors
        if output.status == 255 { return (SSHProblem(text) ?? .unreachable).diagnosis(of: host, errors: text) }
        // env(1) could not start it. Source: coreutils 9.1.
        if output.status == 127 || output.status == 126 {
            return Diagnosis(
                "fleet.foreign", "\(host) is no machine of kldload: it has no \(FleetTools().kldload.name)",
                remedies: ["take it off the list", "or install kldload there"], exit: .unavailable, causes: Array(text.lines.suffix(1)))
        }
        let told = text.lines.filter { $0.hasPrefix("error[") || $0.hasPrefix("Error: ") }
        if told.contains(where: {
            $0.contains("Unexpected argument") || $0.contains("Unknown option") || $0.contains("unexpected argument")
        }) {
            return Diagnosis(
                "fleet.old", "the kldload of \(host) does not know kfleet yet", remedies: ["bring it to the version of this machine"],
                exit: .unavailable, causes: Array(told.prefix(1)))
        }
        return Diagnosis(
            "fleet.refused", "\(host) did not do it: exit status \(output.status)", remedies: ["see for yourself: ssh \(host)"],
            causes: Array(text.lines.suffix(told.isEmpty ? 4 : 8)))
    }
}

/// Commands of kldload on another machine. By its place in every tree: the profile `core` has no tools on PATH.
struct FleetTools: Sendable, Hashable {
    var kldload = Tool("/usr/lib/kldload/kldload", package: "kldload")

    /// Runs: `kldload kfleet self [--brief]`, reads; read by ``FleetReport/init(json:)``.
    func report(brief: Bool) -> Command {
        Command(kldload, ["kfleet", "self"] + (brief ? ["--brief"] : []), effect: .reads, accepting: [0, 2])
    }

    /// Runs: `kldload kbe activate NAME`, changes: it boots next, on trial.
    func activate(_ name: String) -> Command { Command(kldload, ["kbe", "activate", name], effect: .changes) }

    /// Runs: `kldload kbe adopt NAME --image GUID`, changes.
    func adopt(_ name: String, image: String) -> Command {
        Command(kldload, ["kbe", "adopt", name, "--image", image], effect: .changes)
    }
}
