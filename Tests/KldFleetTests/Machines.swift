import KldCore
import KldExec
import KldSSH
import KldTestSupport
import Synchronization

@testable import KldFleet

/// A machine at the other end of ssh, as far as a fleet sees it: it answers, is told what boots next, restarts.
final class FakeMachine: CommandRunner {
    enum Boot: Sendable {
        /// What boots next comes up, and is noted as good.
        case well
        /// What boots next does not come up, and what ran before does.
        case back
        /// Nothing answers any more.
        case never
        /// It comes up, and is never noted as good.
        case unproven
        /// It goes on as if nobody had asked.
        case ignored
    }

    struct State: Sendable {
        var report: FleetReport
        var boot = Boot.well
        /// Checks that fail in an environment.
        var failing: [String: [String]] = [:]
        var starts = 1
        /// No two machines have the same boot.
        let boots = UInt64.random(in: .min ... .max)
        /// Questions that nobody answers while it starts.
        var silence = 0
        var isGone = false
        /// What is answered instead, whatever is asked.
        var trouble: CommandOutput?
        /// Commands that fail: a part of the text.
        var refusing: String?
        var told: [String] = []
    }
    private let state: Mutex<State>
    /// Called with each command that the machine is told.
    let listen: @Sendable (String) -> Void

    init(
        _ running: String = "debian", also: [FleetReport.Environment] = [.init(name: "golden", state: "never activated", image: "77")],
        listen: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        var report = FleetReport(
            host: "m", version: "1", boot: "boot-1", running: running, dataset: "rpool/ROOT/\(running)", good: true, next: running,
            environments: [.init(name: running, state: "good")] + also)
        report.pools = [.init(name: "rpool", state: "ONLINE")]
        (report.snapshots, report.scrub, report.failed, report.warned) = (12, "2026-11-20", [], [])
        var state = State(report: report)
        state.report.boot = "\(state.boots)-1"
        self.state = Mutex(state)
        self.listen = listen
    }

    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }
    /// What it was told to do, without questions.
    var told: [String] { state.withLock { $0.told } }
    var running: String { state.withLock { $0.report.running } }

    func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "\(pipeline)") }

    func run(_ command: Command) async throws -> CommandOutput {
        guard command.tool == SSH.tool, let text = command.arguments.last?.split(separator: "LC_ALL=C.UTF-8 ").last.map(String.init) else {
            throw Unscripted(what: command.description)
        }
        let output = try state.withLock { try $0.answer(text) }
        if !text.contains("kfleet self") { listen(text) }
        guard command.acceptedExitStatuses.contains(output.status) else { throw CommandError.failed(command, output) }
        return output
    }
}

extension FakeMachine.State {
    static let refused = CommandOutput(status: 255, errors: "ssh: connect to host web port 22: Connection refused\n")

    mutating func answer(_ text: String) throws -> CommandOutput {
        if let trouble { return trouble }
        if isGone { return Self.refused }
        if silence > 0 {
            silence -= 1
            return Self.refused
        }
        if let refusing, text.contains(refusing) {
            told.append(text)
            return CommandOutput(status: 73, errors: "error[boot.esp-full]: the ESP is full\n")
        }
        switch text {
        case "/usr/lib/kldload/kldload kfleet self":
            report.failed = failing[report.running] ?? []
            return CommandOutput(output: try report.json)
        case "/usr/lib/kldload/kldload kfleet self --brief":
            var brief = report
            (brief.pools, brief.failed, brief.warned) = ([], nil, nil)
            return CommandOutput(output: try brief.json)
        case "systemctl --no-block reboot":
            told.append("reboot")
            start()
            return CommandOutput()
        default:
            let words = text.split(separator: " ").map(String.init)
            if words.count == 6, words[1] == "kbe", words[2] == "adopt", words[4] == "--image" {
                guard words[3] != report.next, words[3] != report.running else {
                    return CommandOutput(status: 1, errors: "error[be.active]: it is what boots next\n")
                }
                told.append("adopt \(words[3]) of \(words[5])")
                return CommandOutput()
            }
            guard words.count == 4, words[1] == "kbe", words[2] == "activate" else { throw Unscripted(what: text) }
            told.append("activate \(words[3])")
            report.next = words[3]
            return CommandOutput()
        }
    }

    private mutating func start() {
        starts += 1
        silence = 3
        switch boot {
        case .ignored: (silence, starts) = (0, starts - 1)
        case .never: isGone = true
        case .well, .unproven: report.running = report.next ?? report.running
        case .back: report.next = report.running
        }
        // Only what is tried is ill.
        report.good = boot != .unproven || report.running == "debian"
        report.boot = "\(boots)-\(starts)"
    }
}

/// A clock that only runs when somebody sleeps.
final class FakeClock: Sendable {
    private let now = Mutex<Int64>(0)
    var seconds: Int64 { now.withLock { $0 } }
    var clock: FleetClock {
        FleetClock(
            seconds: { self.seconds },
            sleep: { seconds in
                try Task.checkCancellation()
                self.now.withLock { $0 += seconds }
            })
    }
}

/// A value behind a lock.
final class Locked<Value: Sendable>: Sendable {
    private let kept: Mutex<Value>
    init(_ value: Value) { kept = Mutex(value) }
    var value: Value {
        get { kept.withLock { $0 } }
        set { kept.withLock { $0 = newValue } }
    }
}

/// Lines that somebody was told.
final class Said: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}

/// Machines by name.
func fleet(_ machines: [String: any CommandRunner], parallel: Int = 8) -> Fleet {
    Fleet(limit: 30, parallel: parallel) { machines[$0.host] ?? ScriptedRunner([]) }
}

func hosts(_ names: String...) throws -> [SSHDestination] { try names.map { try FleetHosts.host($0) } }
