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
}
