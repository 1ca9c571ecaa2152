import KldCore
import Synchronization
package import SystemPackage

/// Talks to QEMU's monitor.
///
/// Source: QEMU QMP Reference Manual, 10.0.
package final class QMPClient: StreamSink {
    private struct State {
        var partial: [UInt8] = []
        var greeted = false
        var nextID: Int64 = 0
        var answers: [Int64: Result<JSONValue, VirtError>] = [:]
        var waiting: [Int64: String] = [:]
        var ended = false
        var loop: StreamLoop?
        var index = 0
    }
    private let machine: String
    private let errors: TailLog
    private let state = Mutex(State())
    private let changed = ChangeSignal()

    init(machine: String, errors: TailLog) {
        self.machine = machine
        self.errors = errors
    }

    func attach(_ loop: StreamLoop, index: Int) {
        state.withLock { state in
            state.loop = loop
            state.index = index
        }
    }

    /// Waits for the greeting and leaves negotiation mode.
    ///
    /// - Throws: ``VirtError/exitedEarly(machine:during:tail:errors:)`` with QEMU's own words when it refuses its arguments.
    func handshake(within limit: Duration) async throws {
        do { try await greet(within: limit) } catch VirtError.exitedEarly {
            // QEMU greets before it has read all its arguments.
            throw endedEarly("it was being started")
        }
    }

    private func greet(within limit: Duration) async throws {
        let greeted: Bool? = try await changed.first(within: limit) {
            try self.state.withLock { state in
                if state.greeted { return true }
                if state.ended { throw self.endedEarly("it was being started") }
                return nil
            }
        }
        guard greeted != nil else { throw VirtError.monitorTimeout(command: "the greeting", limit: limit) }
        try await execute("qmp_capabilities", within: limit)
    }

    /// Runs any command of the monitor.
    ///
    /// - Throws: ``VirtError/monitorRefused(command:reason:)``, ``VirtError/monitorTimeout(command:limit:)``,
    ///   ``VirtError/exitedEarly(machine:during:tail:errors:)``, `CancellationError`.
    @discardableResult
    package func execute(_ command: String, _ arguments: [String: JSONValue] = [:], within limit: Duration = .seconds(60)) async throws
        -> JSONValue
    {
        let (id, loop, index) = state.withLock { state in
            state.nextID += 1
            state.waiting[state.nextID] = command
            return (state.nextID, state.loop, state.index)
        }
        defer { state.withLock { _ = $0.waiting.removeValue(forKey: id) } }
        guard let loop else { throw endedEarly("it was asked to \(command)") }
        do {
            try await loop.send(try QMPMessage.command(command, arguments, id: id), to: index)
        } catch is Errno {
            throw endedEarly("it was asked to \(command)")
        }
        let answer = try await changed.first(within: limit) {
            try self.state.withLock { state -> Result<JSONValue, VirtError>? in
                if let answer = state.answers.removeValue(forKey: id) { return answer }
                if state.ended { throw self.endedEarly("it was asked to \(command)") }
                return nil
            }
        }
        guard let answer else { throw VirtError.monitorTimeout(command: command, limit: limit) }
        return try answer.get()
    }

    private func endedEarly(_ during: String) -> VirtError {
        .exitedEarly(machine: machine, during: during, tail: [], errors: errors.lines(8))
    }

    // MARK: The loop's side

    func received(_ bytes: some Collection<UInt8>) {
        state.withLock { state in
            state.partial += bytes
            while let end = state.partial.firstIndex(of: UInt8(ascii: "\n")) {
                let message = QMPMessage(line: state.partial[..<end])
                state.partial.removeSubrange(...end)
                switch message {
                case .greeting: state.greeted = true
                case .answer(let id, let value): if state.waiting[id] != nil { state.answers[id] = .success(value) }
                case .refusal(let id, let reason):
                    if let command = state.waiting[id] {
                        state.answers[id] = .failure(.monitorRefused(command: command, reason: reason))
                    }
                case nil: break
                }
            }
        }
        changed.announce()
    }

    func ended() {
        state.withLock { state in
            state.ended = true
            state.loop = nil
        }
        changed.announce()
    }

    var wantsMore: Bool { true }
}

extension QMPClient {
    /// Ends QEMU at once, in order: caches are written. QEMU may be gone before it answers; that is no error.
    package func quit() async throws {
        do { try await execute("quit") } catch VirtError.exitedEarly {}
    }
    package func reset() async throws { try await execute("system_reset") }
    /// Stops the processors.
    package func pause() async throws { try await execute("stop") }
    package func resume() async throws { try await execute("cont") }
    /// `running`, `paused`, `shutdown`, `internal-error`, …
    package func status() async throws -> String { try await execute("query-status")["status"]?.text ?? "unknown" }
    /// Presses keys of the guest's keyboard, one after the other. - Parameter keys: QEMU's names of them, by their place on a US keyboard.
    package func press(_ keys: [String]) async throws {
        for key in keys {
            try await execute("send-key", ["keys": .array([.object(["type": .string("qcode"), "data": .string(key)])])])
            // A key is held for 100 ms; the next one must not fall into that.
            try await Task.sleep(for: .milliseconds(150))
        }
    }
    /// Needs ``MachineSpec/graphics``. - Parameter path: a PNG file, written by QEMU.
    package func screenDump(to path: FilePath) async throws {
        try await execute("screendump", ["filename": .string(path.string), "format": "png"])
    }
}
