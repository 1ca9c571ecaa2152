import Synchronization

/// Lets tasks sleep until something has changed: a condition variable for `async` code.
///
/// Whoever waits reads `generation` first, then looks at what it guards, then sleeps until the generation is another one: no change is lost.
final class ChangeSignal: Sendable {
    private struct State {
        var generation: UInt64 = 0
        var nextWaiter: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        /// Waiters that were cancelled before they had begun to sleep.
        var cancelled: Set<UInt64> = []
    }
    private let state = Mutex(State())

    var generation: UInt64 { state.withLock { $0.generation } }

    /// Wakes every waiter.
    func announce() {
        let woken = state.withLock { state in
            state.generation += 1
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in woken { waiter.resume() }
    }

    /// - Throws: `CancellationError`.
    func change(after generation: UInt64) async throws {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state in
                    if state.generation != generation || state.cancelled.contains(id) { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if ready { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.cancelled.insert(id)
                return state.waiters.removeValue(forKey: id)
            }
            waiter?.resume()
        }
        state.withLock { _ = $0.cancelled.remove(id) }
        try Task.checkCancellation()
    }

    /// Asks again after each change until there is an answer.
    ///
    /// - Parameter limit: `nil` waits for ever.
    /// - Returns: `nil` when time is up.
    /// - Throws: whatever `check` throws; `CancellationError`.
    func first<Answer: Sendable>(
        within limit: Duration?, _ check: @escaping @Sendable () throws -> Answer?
    ) async throws -> Answer? {
        @Sendable func wait() async throws -> Answer? {
            while true {
                let seen = generation
                if let answer = try check() { return answer }
                try await change(after: seen)
            }
        }
        guard let limit else { return try await wait() }
        if let answer = try check() { return answer }
        return try await withThrowingTaskGroup(of: Answer?.self) { group in
            group.addTask { try await wait() }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            if case .some(.some(let answer)) = try await group.next() { return answer }
            // Time is up; an answer that came in the same moment still counts, or what it consumed would be lost.
            group.cancelAll()
            do { return try await group.next() ?? nil } catch is CancellationError { return nil }
        }
    }
}
