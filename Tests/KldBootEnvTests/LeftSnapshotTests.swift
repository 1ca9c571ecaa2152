import KldCore
import KldExec
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("Snapshots that kbe takes for something else")
struct LeftSnapshotTests {
    /// zfs, one of whose verbs fails.
    private func zfs(failing verb: String) -> ScriptedRunner {
        ScriptedRunner([{ command in CommandOutput(status: command.arguments.first == verb ? 1 : 0) }])
    }

    private func apply(_ plan: Plan, _ runner: ScriptedRunner) async -> Diagnosis? {
        await KldTestSupport.problem {
            try await PlanRunner(runner: runner, files: MemoryFiles(), performers: BootPerformers.table).apply(plan)
        }
    }

    private func destroyed(_ runner: ScriptedRunner) -> [String] { runner.commands.filter { $0.effect == .destroys }.map(\.description) }

    @Test("where the clone fails, the one that was taken for it goes; one that somebody named stays")
    func create() async throws {
        let machine = BootEnvironments(try Fixture.system())
        let (runner, other) = (zfs(failing: "clone"), zfs(failing: "clone"))
        let fresh = try machine.create("next", now: Fixture.now)
        let failure = await apply(fresh, runner)
        #expect(failure != nil)
        #expect(destroyed(runner) == ["zfs destroy -r rpool/ROOT/debian@kbe-next-20231114221320"])
        let named = try machine.create("old", from: "debian@install", now: Fixture.now)
        let another = await apply(named, other)
        #expect(another != nil)
        #expect(destroyed(other).isEmpty)
    }

    @Test("the one that was taken for a stream goes, whether that arrived or was cut off; one that somebody named stays")
    func export() async throws {
        let machine = BootEnvironments(try Fixture.system())
        let target = StreamTarget.open("/dev/stdout")
        for verb in ["send", "nothing"] {
            let (runner, other) = (zfs(failing: verb), zfs(failing: verb))
            let fresh = try machine.export("test", to: target, now: Fixture.now)
            let failure = await apply(fresh, runner)
            #expect((failure == nil) == (verb == "nothing"))
            #expect(destroyed(runner) == ["zfs destroy -r rpool/ROOT/test@kbe-export-20231114221320"])
            let named = try machine.export("debian@install", to: target, now: Fixture.now)
            _ = await apply(named, other)
            #expect(destroyed(other).isEmpty)
        }
    }

    @Test("one that is needed by then stays, and that is no failure; nothing but what kbe takes by itself is touched")
    func needed() async throws {
        let needing = zfs(failing: "destroy")
        try await BootEnvironments.forget(Fixture.snapshot("debian@kbe-test-1"), needing)
        #expect(destroyed(needing).count == 1)
        let runner = ScriptedRunner.accepting
        try await BootEnvironments.forget(Fixture.snapshot("debian@install"), runner)
        #expect(runner.commands.isEmpty)
    }
}
