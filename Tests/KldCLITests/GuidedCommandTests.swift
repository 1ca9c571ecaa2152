import ArgumentParser
import KldCore
import KldExec
import KldTestSupport
import Testing

@testable import KldCLI

@Suite("The guided installation at the machine's own screen")
struct GuidedCommandTests {
    /// What happened, in order, and how it ended.
    private func end(_ work: () async throws -> Bool) async -> (events: [String], error: (any Error)?) {
        var events: [String] = []
        do {
            try await GuidedCommand.staying(work, tell: { events.append($0.code) }, wait: { events.append("wait") })
            return (events, nil)
        } catch { return (events, error) }
    }

    @Test("the screen is somebody else's only when a person has read how it ended, an error too")
    func staying() async {
        let done = await end { true }
        #expect(done.events == ["wait"] && done.error == nil)
        let failed = await end { throw Diagnosis("install.no-zfs", "no", exit: .unavailable) }
        #expect(failed.events == ["install.no-zfs", "wait"] && (failed.error as? ExitCode)?.rawValue == 69)
    }

    @Test("nobody is waited for who left, or who ended it from outside")
    func leaving() async {
        let left = await end { false }
        #expect(left.events.isEmpty && left.error == nil)
        let ended = await end { throw CancellationError() }
        #expect(ended.events.isEmpty && ended.error is CancellationError)
    }

    @Test("before anybody is asked anything, OpenZFS is loaded; who is not root is refused before that")
    func prepared() async throws {
        let runner = ScriptedRunner(["modprobe zfs": ""])
        try await GuidedCommand.prepare(root: true, runner: runner)
        #expect(runner.commands.map(\.description) == ["modprobe zfs"])
        let unused = ScriptedRunner([:])
        let refused = await #expect(throws: Diagnosis.self) { try await GuidedCommand.prepare(root: false, runner: unused) }
        #expect(refused?.code == "install.not-root" && unused.commands.isEmpty)
    }
}
