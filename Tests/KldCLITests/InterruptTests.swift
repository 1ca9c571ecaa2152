import Glibc
import KldCore
import Testing

@testable import KldCLI

@Suite("Interrupts")
struct InterruptTests {
    private func ends(_ signals: [Int32]) -> [Bool] {
        var patience = Interrupts.Patience()
        return signals.map { patience.isOver(after: $0) }
    }

    @Test("a terminal that goes says so more than once, and ends nothing at once; who asks twice is obeyed")
    func patience() {
        #expect(ends([SIGHUP, SIGHUP, SIGHUP]) == [false, false, false])
        #expect(ends([SIGINT, SIGINT]) == [false, true])
        #expect(ends([SIGINT, SIGTERM]) == [false, true])
        #expect(ends([SIGHUP, SIGTERM, SIGHUP, SIGINT]) == [false, false, false, true])
    }

    private actor Calls {
        private(set) var cancelled: [Bool] = []
        func add(_ isCancelled: Bool) { cancelled.append(isCancelled) }
    }

    private static func cancelThisTask() {
        withUnsafeCurrentTask { task in if let task { task.cancel() } }
    }

    @Test("a rollback that is interrupted destroys its clone all the same, and says what boots next where it cannot")
    func rollback() async {
        for refusal in [nil, Diagnosis("be.active", "x")] {
            let calls = Calls()
            let task = Task {
                try await KbeCommand.Rollback.activating("new", of: "install") {
                    Self.cancelThisTask()
                    try Task.checkCancellation()
                } destroying: {
                    await calls.add(Task.isCancelled)
                    if let refusal { throw refusal }
                } next: {
                    await calls.add(Task.isCancelled)
                    return "new"
                }
            }
            let result = await task.result
            #expect(throws: CancellationError.self) { try result.get() }
            #expect(await calls.cancelled == (refusal == nil ? [false] : [false, false]))
        }
    }
}
