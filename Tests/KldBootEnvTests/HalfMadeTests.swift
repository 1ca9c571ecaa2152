import KldCore
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("An environment whose packages are half changed")
struct HalfMadeTests {
    /// `test` bears the mark.
    private func marked(running: String = "debian") throws -> BootSystem {
        var system = try Fixture.system(running: running)
        system.environments[1].isHalfMade = true
        return system
    }

    @Test("nothing boots it, for good or once, and the list says so")
    func refused() throws {
        let (system, target) = (try marked(), try Fixture.target("test"))
        #expect(BootGate(system, target).problems.map(\.code) == ["be.half-made"])
        for once in [false, true] {
            let refusal = KldTestSupport.problem { _ = try BootEnvironments(system).activate(target, once: once) }
            #expect(refusal?.code == "be.half-made" && refusal?.remedies.first?.hasPrefix("kldload kbe destroy test") == true)
        }
        let console = KldTestSupport.problem { _ = try system.bootable("test") }
        #expect(console?.code == "be.half-made")
        let states = BootList(system) { _ in nil }.rows.map(\.state)
        #expect(states == ["good", "half made: a change of its packages has not ended"])
        // It is that one's, and nobody else's.
        #expect(BootGate(system, try Fixture.target("debian")).problems.isEmpty)
    }

    @Test("no copy is made of it, for that would not bear the mark; it can be destroyed")
    func copies() throws {
        let machine = BootEnvironments(try marked())
        let create = KldTestSupport.problem { _ = try machine.create("next", from: "test", now: Fixture.now) }
        let export = KldTestSupport.problem { _ = try machine.export("test", to: .open("/dev/stdout"), now: Fixture.now) }
        #expect(create?.code == "be.half-made" && export?.code == "be.half-made")
        #expect(try machine.create("next", now: Fixture.now).commandLines.count == 2)
        #expect(try machine.destroy("test").destroys.first == "rpool/ROOT/test")
    }

    @Test("one that runs takes what its packages bring; inside of a machine that does not run it is refused")
    func running() throws {
        var system = try marked(running: "test")
        let target = try Fixture.target("test")
        #expect(BootGate(system, target).problems.isEmpty)
        system.release = ""
        #expect(BootGate(system, target).problems.map(\.code) == ["be.half-made"])
    }

    @Test("the mark is read with the list of environments")
    func facts() throws {
        func row(_ name: String, _ mark: String) -> String { "rpool/ROOT/\(name)\tfilesystem\t9\t9\t5\t-\t/\tnoauto\t-\t\(mark)\n" }
        let text =
            "rpool/ROOT\tfilesystem\t1\t1\t1\t-\tnone\toff\t-\t-\n" + row("debian", "-") + row("debian/usr", "-") + row("new", "working")
            + row("old", "kept")
        let rows = try DatasetTable.parse(text, columns: BootSystem.columns)
        let found = try BootSystem.environments(rows, top: try DatasetName("rpool/ROOT"), mounts: [], owned: [], altroot: nil)
        #expect(found.map(\.isHalfMade) == [false, true, true])
    }

    @Test("one that has proved itself since is one like the others, to a rescue too")
    func proven() throws {
        var system = try marked()
        let target = try Fixture.target("test")
        system.release = ""
        system.esps[0].entries.append(Fixture.entry("test", order: 200, left: 3))
        #expect(BootGate(system, target).problems.map(\.code) == ["be.half-made"])
        system.esps[0].entries[1] = Fixture.entry("test", order: 200)
        #expect(BootGate(system, target).problems.isEmpty)
        #expect(try system.bootable("test").name == "test")
    }
}
