import KldBoot
import KldCore
import KldPlan
import KldTestSupport
import KldZFS
import Testing

@testable import KldBootEnv

/// `debian` runs; `test` was to boot at the next start, once, and another environment is activated before that.
@Suite("What was to boot once, and has not when something else is chosen")
struct OnceWishTests {
    private static let debian = Fixture.entry("debian", order: 100)
    private static let wish = Fixture.entry("test", order: 200, left: 1, once: true)

    private func machine(_ entries: [BootEntry], second: [BootEntry]? = nil) throws -> BootSystem {
        let others = second.map { [Fixture.esp($0, "/dev/vdb1", mounted: false)] } ?? []
        var system = try Fixture.system([Fixture.esp(entries)] + others)
        system.environments.append(BootEnvironment(dataset: try Fixture.dataset("next")))
        return system
    }

    private func removed(_ plan: Plan) -> [String] {
        plan.steps.flatMap(\.actions).map(\.text).filter { $0.hasPrefix("remove ") }.map { String($0.dropFirst("remove ".count)) }
    }

    @Test("goes from every ESP, with its image, when the new choice stands on all of them", arguments: [false, true])
    func forgotten(once: Bool) throws {
        let system = try machine([Self.debian, Self.wish], second: [Self.debian, Self.wish])
        let plan = try BootEnvironments(system).activate(Fixture.target("next"), once: once)
        let ids = plan.steps.map(\.id)
        let expected = ["boot.entry.vda1", "boot.entry.vdb1", "boot.once.vda1", "boot.once.vdb1"] + (once ? [] : ["boot.bootfs"])
        #expect(Array(ids.suffix(expected.count)) == expected)
        let places = ["/boot/efi", "/run/kldload/boot/esp-vdb1"]
        #expect(removed(plan) == places.flatMap { ["\($0)/\(Self.wish.path)", "\($0)/\(Self.wish.imagePath)"] })
        // What the loader goes back to is what has proved itself.
        let after = try machine([Self.debian, Fixture.entry("next", order: 300, left: 0, done: 3)])
        #expect(after.next == Self.debian)
    }

    @Test("leaves its environment the entry that has proved itself, with the image that both start")
    func proven() throws {
        let own = Fixture.entry("test", order: 50)
        var wish = Fixture.entry("test", order: 200, left: 1, generation: 2, once: true)
        wish.sharedImage = own.imagePath
        let plan = try BootEnvironments(machine([Self.debian, own, wish])).activate(Fixture.target("next"))
        #expect(removed(plan) == ["/boot/efi/\(wish.path)"])
    }

    @Test("keeps an image that what is chosen now starts too")
    func shared() throws {
        var target = try Fixture.target("next")
        target.kernels[0].images = ["/dev/vda1": [Self.wish.imagePath]]
        let plan = try BootEnvironments(machine([Self.debian, Self.wish])).activate(target)
        #expect(removed(plan) == ["/boot/efi/\(Self.wish.path)"])
    }

    @Test("stays where it is chosen once more, where it has begun or is over, and where only what changed is built")
    func stays() throws {
        let same = try BootEnvironments(machine([Self.debian, Self.wish])).activate(BootStagingTests.matching("test"), once: true)
        #expect(same.steps.isEmpty)
        for counter in [BootEntry.Counter(left: 0, done: 1), BootEntry.Counter(left: 1, done: 1)] {
            var entry = Self.wish
            entry.counter = counter
            #expect(try removed(BootEnvironments(machine([Self.debian, entry])).activate(Fixture.target("next"))).isEmpty)
        }
        let refresh = try BootStaging(machine([Self.debian, Self.wish]), Fixture.target("debian"), .unchanged).steps()
        #expect(!refresh.contains { $0.id.hasPrefix("boot.once.") })
        // Tried from another disk, it is over.
        var tried = Self.wish
        tried.counter = BootEntry.Counter(left: 0, done: 1)
        let mirror = try machine([Self.debian, tried], second: [Self.debian, Self.wish])
        #expect(try removed(BootEnvironments(mirror).activate(Fixture.target("next"))).isEmpty)
    }

    @Test("is taken for good where its own environment is activated")
    func activated() throws {
        let plan = try BootEnvironments(machine([Self.debian, Self.wish])).activate(BootStagingTests.matching("test"))
        #expect(removed(plan) == ["/boot/efi/\(Self.wish.path)"])
        #expect(plan.steps.map(\.id) == ["boot.entry.vda1", "boot.bootfs"])
    }

    @Test("behind GRUB too")
    func grub() throws {
        let debian = GrubFixture.entry("debian", order: 100)
        let wish = GrubFixture.entry("test", order: 200, left: 1, once: true)
        let system = try GrubFixture.system([GrubFixture.esp([debian, wish])])
        let plan = try BootEnvironments(system).activate(GrubFixture.target("debian", present: ["/dev/vda1": GrubChainTests.shared]))
        #expect(removed(plan) == ["/boot/efi/\(wish.path)"] && plan.steps.contains { $0.id == "boot.once.vda1" })
    }
}
