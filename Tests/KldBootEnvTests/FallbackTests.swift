import KldBoot
import KldCore
import KldPlan
import KldTestSupport
import KldZFS
import Testing

@testable import KldBootEnv

/// `test` runs.
@Suite("What a boot on trial can go back to")
struct BootFallbackTests {
    private static let debian = Fixture.entry("debian", order: 100)
    private static let trial = Fixture.entry("test", order: 300, left: 2, done: 1)

    /// Two more environments, which nothing protects by itself.
    private func machine(_ entries: [BootEntry]) throws -> BootEnvironments {
        var system = try Fixture.system([Fixture.esp(entries)], running: "test", bootfs: "test")
        for name in ["other", "spare"] { system.environments.append(BootEnvironment(dataset: try Fixture.dataset(name))) }
        return BootEnvironments(system)
    }

    private func destroying(_ name: String, _ machine: BootEnvironments) -> String? { problem { _ = try machine.destroy(name) }?.code }
    private func renaming(_ name: String, _ machine: BootEnvironments) -> String? {
        problem { _ = try machine.rename(name, to: "works") }?.code
    }

    @Test("is neither destroyed, renamed nor pruned, until the boot is good")
    func protected() throws {
        let onTrial = try machine([Self.debian, Self.trial])
        #expect(destroying("debian", onTrial) == "be.fallback" && renaming("debian", onTrial) == "be.fallback")
        #expect(destroying("spare", onTrial) == nil && renaming("spare", onTrial) == nil)
        #expect(Set(onTrial.prunable(olderThan: 0, now: Fixture.now)) == ["other", "spare"])
        // Activated again while it runs, it has three boots more, and has proved nothing.
        let again = try machine([Self.debian, Fixture.entry("test", order: 300, left: 3)])
        #expect(destroying("debian", again) == "be.fallback")
        let good = try machine([Self.debian, Fixture.entry("test", order: 300)])
        #expect(destroying("debian", good) == nil && renaming("debian", good) == nil)
        #expect(Set(good.prunable(olderThan: 0, now: Fixture.now)) == ["debian", "other", "spare"])
    }

    @Test("is what the loader takes next, and the first that has proved itself")
    func chain() throws {
        let spare = Fixture.entry("spare", order: 50)
        let tried = try machine([Self.debian, Self.trial, Fixture.entry("other", order: 200, left: 3), spare])
        #expect(destroying("other", tried) == "be.fallback" && destroying("debian", tried) == "be.fallback")
        #expect(destroying("spare", tried) == nil)
        let failed = try machine([Self.debian, Self.trial, Fixture.entry("other", order: 200, left: 0, done: 3), spare])
        #expect(destroying("other", failed) == nil && destroying("debian", failed) == "be.fallback")
    }

    @Test("is nothing that boots once, and nothing whose dataset is gone; another kernel of what runs does not free it")
    func others() throws {
        let once = try machine([Self.debian, Self.trial, Fixture.entry("other", order: 400, left: 1, once: true)])
        #expect(destroying("other", once) == "be.active" && destroying("debian", once) == "be.fallback")
        let gone = try machine([Self.debian, Self.trial, Fixture.entry("gone", order: 200)])
        #expect(destroying("debian", gone) == "be.fallback")
        var older = Fixture.entry("test", order: 200)
        older.release = "6.12.1"
        #expect(destroying("debian", try machine([Self.debian, Self.trial, older])) == "be.fallback")
    }

    @Test("a refusal says what to wait for")
    func remedy() throws {
        let machine = try machine([Self.debian, Self.trial])
        let problem = #expect(throws: Diagnosis.self) { try machine.destroy("debian") }
        #expect(problem?.remedies.first?.contains("kbe list") == true && problem?.message.contains("test is on trial") == true)
    }
}
