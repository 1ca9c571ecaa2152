import FoundationEssentials
import Glibc
import KldCore
import KldExec
import KldFiles
import KldImage
import KldPlan
import Synchronization
import SystemPackage

extension Scenario {
    static func interrupted(_ lab: Laboratory) async throws {
        _ = try await golden(lab)
        let out = lab.folder.appending("interrupted")
        // Not below this user's home, which others may not enter: an ordinary user's mmdebstrap is several users.
        let place = FilePath("/var/tmp/kldload-interrupted-\(UInt32.random(in: 0 ... .max))")
        let own = try await OwnFolder.make(place, mode: .directory, gate: LeftFolders.gate(lab.workshop.cache.root))
        defer { try? own.remove() }
        let temporary = place.appending("tmp")
        try lab.files.makeDirectory(temporary, mode: .directory)
        let environment = surroundings.merging(["TMPDIR": temporary.string]) { $1 }
        let work = lab.workshop.cache.root.appending("work")
        let before = Set((try? lab.files.list(work)) ?? [])

        func requireNothing(running pattern: String) async throws {
            let running = try await lab.workshop.runner.run(
                Command(Tool("pgrep", package: "procps"), ["--full", pattern], effect: .reads, accepting: [0, 1]))
            try check(running.status == 1, "something of it runs on: \(running.output)")
        }
        func requireNothingMade() throws {
            let made = (try? lab.files.list(out)) ?? []
            try check(made.isEmpty, "left in \(out): \(made)")
            let left = try lab.files.list(temporary)
            try check(left.isEmpty, "left in \(temporary): \(left)")
        }
        func begins(_ step: String) -> @Sendable (PlanEvent) -> Bool { { $0.kind == .stepStarted && $0.step == step } }

        let moments: [(what: String, signal: Int32, isReached: @Sendable (PlanEvent) -> Bool)] = [
            // The build after it clears up.
            ("while the guest seals", SIGKILL, begins("seal")), ("when the guest has the pool", SIGINT, begins("image.mounts")),
            ("while the guest seals", SIGINT, begins("seal")),
            ("while it converts", SIGINT, { $0.phase == "export" && $0.message.hasPrefix("converting") }),
            ("when it begins", SIGINT, { $0.kind == .planStarted }),
        ]
        for (what, signal, isReached) in moments {
            try await interrupt(coreBuild(lab, into: out, progress: "json"), environment, by: signal, what, at: isReached, lab)
            try await requireNothing(running: "qemu-system.*\(work)")
            if signal == SIGKILL { continue }
            let left = Set((try? lab.files.list(work)) ?? []).subtracting(before)
            try check(left.isEmpty, "left in \(work): \(left.sorted())")
            try requireNothingMade()
        }

        // A cache in which nothing lies, so that packages are installed.
        let cache = place.appending("cache")
        try await interrupt(
            coreBuild(lab, into: out, progress: "json"), environment.merging(["XDG_CACHE_HOME": cache.string]) { $1 }, by: SIGINT,
            "while packages are installed", at: { $0.kind == .output && $0.message.contains("installing remaining packages") }, lab)
        try await requireNothing(running: place.string)
        try requireNothingMade()
        let half = try await lab.workshop.runner.run(
            Command(Tool("find", package: "findutils"), [cache.string, "-name", "*.partial"], effect: .reads))
        try check(half.output.isEmpty, "half made artefacts are left: \(half.output)")
    }

    /// Runs the tool, and sends it a signal when its progress, in JSON, says that a moment is there.
    ///
    /// - Throws: ``CheckFailure`` when it ended in another way than by the signal.
    private static func interrupt(
        _ words: [String], _ environment: [String: String], by signal: Int32, _ what: String,
        at isReached: @escaping @Sendable (PlanEvent) -> Bool, _ lab: Laboratory
    ) async throws {
        let sender = SignalSender(signal, at: isReached)
        defer { sender.stop() }
        // A tool that is interrupted says so itself.
        let wanted = signal == SIGKILL ? -SIGKILL : ExitStatus.interrupted.rawValue
        let runner = SubprocessRunner { _, line in sender.hear(line) }
        let output = try await runner.run(
            Command(
                "sh", ["-c", "echo $$ >&2; exec \"$@\"", "sh"] + words, effect: .changes, accepting: [0, wanted], environment: environment))
        let said = output.errors.lines.suffix(3).joined(separator: "\n")
        guard let moment = sender.moment else { throw CheckFailure("the moment \(what) never came:\n\(said)") }
        try check(output.status == wanted, "signal \(signal) \(what) (\(moment.message)): status \(output.status):\n\(said)")
        lab.log("signal \(signal) \(what) (\(moment.message)): status \(output.status)")
    }
}

/// Sends a process a signal, once, when its progress says that a moment is there.
private final class SignalSender: Sendable {
    private struct State {
        var process: pid_t?
        var moment: PlanEvent?
        var last: Task<Void, any Error>?
    }

    private let state = Mutex(State())
    private let signal: Int32
    private let isReached: @Sendable (PlanEvent) -> Bool

    init(_ signal: Int32, at isReached: @escaping @Sendable (PlanEvent) -> Bool) {
        self.signal = signal
        self.isReached = isReached
    }

    /// The event that it was sent at; `nil`: it was not.
    var moment: PlanEvent? { state.withLock { $0.moment } }

    /// - Parameter line: of what it tells: first its process id, then an event a line.
    func hear(_ line: String) {
        state.withLock { state in
            guard let process = state.process else {
                state.process = pid_t(line)
                return
            }
            guard state.moment == nil, let event = try? JSONDecoder().decode(PlanEvent.self, from: Data(line.utf8)), isReached(event) else {
                return
            }
            state.moment = event
            _ = kill(process, signal)
            // One that does not end is not waited for for ever.
            state.last = Task {
                try await Task.sleep(for: .seconds(60))
                _ = kill(process, SIGKILL)
            }
        }
    }

    /// The process has ended: its number may be somebody else's.
    func stop() {
        let last = state.withLock { $0.last }
        last?.cancel()
    }
}
