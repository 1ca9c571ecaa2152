import KldBoot
import KldCore
import KldPlan
import KldTestSupport
import KldZFS
import Testing

@testable import KldBootEnv

/// `test` was booted once, and runs; its kernel or initramfs has changed since.
@Suite("What changes inside an environment that is booted once")
struct OnceRefreshTests {
    private static let debian = Fixture.entry("debian", order: 100)
    private static let once = Fixture.entry("test", order: 200, left: 0, done: 1, once: true)

    private func refresh(_ entries: [BootEntry]) throws -> BootEntry {
        let system = try Fixture.system([Fixture.esp(entries)], running: "test")
        return try BootStaging(system, Fixture.target("test"), .unchanged).entry()
    }

    @Test("the boot after is as before; what was built is there for later, with all its tries")
    func later() throws {
        let fresh = try refresh([Self.debian, Self.once])
        #expect(fresh == Fixture.entry("test", order: 1, left: 3, generation: 2))
        let running = try Fixture.system([Fixture.esp([Self.debian, Self.once, fresh])], running: "test")
        #expect(running.next == Self.debian && BootTrial(running).equal.steps.isEmpty)
        // The boot after takes away what was booted once, and keeps that.
        let after = try Fixture.system([Fixture.esp([Self.debian, Self.once, fresh])])
        let gone = BootTrial(after).equal.steps.flatMap(\.actions).map(\.text).filter { $0.hasPrefix("remove") }
        #expect(gone == ["remove /boot/efi/\(Self.once.path)", "remove /boot/efi/\(Self.once.imagePath)"])
        let rest = try Fixture.system([Fixture.esp([Self.debian, fresh])])
        let chosen = try BootStaging(rest, BootStagingTests.matching("test", generation: 2), .always)
        #expect(try chosen.entry() == Fixture.entry("test", order: 200, left: 3, generation: 2))
    }

    @Test("beside what has proved itself, it stands right above that; of two such environments neither is one that nobody activated")
    func beside() throws {
        let proven = Fixture.entry("test", order: 50)
        let once = Fixture.entry("test", order: 200, left: 0, done: 1, generation: 2, once: true)
        #expect(try refresh([Self.debian, proven, once]) == Fixture.entry("test", order: 51, left: 3, generation: 3))
        let other = Fixture.entry("other", order: 1, left: 3)
        #expect(try refresh([Self.debian, other, Self.once]).order == 1)
    }

    @Test("behind GRUB too")
    func grub() throws {
        var once = Self.once
        once.parts = GrubFixture.parts("test")
        let system = try GrubFixture.system([GrubFixture.esp([GrubFixture.entry("debian", order: 100), once])], running: "test")
        let entry = try BootStaging(system, GrubFixture.target("test", initramfs: 2, present: [:]), .unchanged).entry()
        #expect(entry == GrubFixture.entry("test", order: 1, left: 3, generation: 2, initramfs: 2))
    }
}
