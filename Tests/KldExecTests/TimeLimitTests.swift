import KldCore
import KldExec
import KldTestSupport
import Testing

@Suite struct `A time limit for commands` {
    private static func command(_ words: String...) -> Command { Command("sleep", words, effect: .reads) }

    @Test func `leaves one alone that ends in time`() async throws {
        let runner = TimeLimitRunner(ScriptedRunner(["sleep 0": "slept\n"]), limit: .seconds(60))
        #expect(try await runner.run(Self.command("0")).output == "slept\n")
        await #expect(throws: Unscripted.self) { try await runner.run(Self.command("1")) }
    }

    @Test func `ends a process that takes longer, and names it`() async throws {
        let runner = TimeLimitRunner(SubprocessRunner(), limit: .milliseconds(100))
        let error = await #expect(throws: CommandTimeout.self) { try await runner.run(Self.command("infinity")) }
        #expect(error?.command == Self.command("infinity"))
    }

    /// As a process that waits for a suspended pool: no signal ends it.
    @Test func `does not wait for what cannot be ended`() async throws {
        let runner = TimeLimitRunner(Endless(), limit: .milliseconds(50))
        let error = await #expect(throws: CommandTimeout.self) { try await runner.run(Self.command("1")) }
        #expect(error?.diagnosis.code == "command.timeout")
        await #expect(throws: CommandTimeout.self) { try await runner.run(pipeline: [Self.command("1"), Self.command("2")]) }
    }

    @Test func `does not wait either when it is interrupted`() async throws {
        let runner = TimeLimitRunner(Endless(), limit: .seconds(3600))
        let task = Task { try await runner.run(Self.command("1")) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}

private struct Endless: CommandRunner {
    func run(_ command: Command) async throws -> CommandOutput {
        await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
        return CommandOutput()
    }
    func run(pipeline: [Command]) async throws -> CommandOutput { try await run(pipeline[0]) }
}
