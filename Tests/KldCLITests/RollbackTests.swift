import KldCore
import KldTestSupport
import Testing

@testable import KldCLI

@Suite("Going back to a snapshot that cannot be booted")
struct RollbackTests {
    private actor Calls {
        private(set) var all: [String] = []
        func add(_ call: String) { all.append(call) }
    }

    private func calls(activating refusal: Diagnosis?, destroying other: Diagnosis? = nil) async -> (calls: [String], error: String?) {
        let calls = Calls()
        let error = await problem {
            try await KbeCommand.Rollback.activating("new", of: "install") {
                await calls.add("activate")
                if let refusal { throw refusal }
            } destroying: {
                await calls.add("destroy")
                if let other { throw other }
            }
        }
        return (await calls.all, error?.code)
    }

    @Test("its clone is destroyed again, and the error is that of what failed first")
    func refused() async {
        let refusal = Diagnosis("boot.module-unsigned", "x")
        #expect(await calls(activating: nil) == (["activate"], nil))
        #expect(await calls(activating: refusal) == (["activate", "destroy"], "boot.module-unsigned"))
        #expect(
            await calls(activating: refusal, destroying: Diagnosis("be.active", "y")) == (["activate", "destroy"], "boot.module-unsigned"))
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
                    await calls.add(Task.isCancelled ? "cancelled" : "runs")
                    if let refusal { throw refusal }
                } next: {
                    await calls.add(Task.isCancelled ? "cancelled" : "runs")
                    return "new"
                }
            }
            let result = await task.result
            #expect(throws: CancellationError.self) { try result.get() }
            #expect(await calls.all == (refusal == nil ? ["runs"] : ["runs", "runs"]))
        }
    }
}
