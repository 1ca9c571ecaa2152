import KldBoot
import KldCore
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

/// The loader counts on the ESP that it started from; `debian` runs again.
@Suite("What failed for good from one disk of a mirror")
struct MirrorTrialTests {
    private static let debian = Fixture.entry("debian", order: 100)
    private static let failed = Fixture.entry("test", order: 200, left: 0, done: 3)
    private static let fresh = Fixture.entry("test", order: 200, left: 3)
    private static let place = "/run/kldload/boot/esp-vdb1"

    private func trial(_ first: [BootEntry], _ second: [BootEntry]) throws -> BootTrial {
        BootTrial(try Fixture.system([Fixture.esp(first), Fixture.esp(second, "/dev/vdb1", mounted: false)]))
    }

    @Test("has no tries on the others either, after a good boot or a refresh: the new name first, then the old one goes")
    func healed() throws {
        let trial = try trial([Self.debian, Self.failed], [Self.debian, Self.fresh])
        for plan in [trial.proven, trial.equal] {
            #expect(plan.steps.map(\.id) == ["boot.entry.vdb1.\(Self.failed.id)"])
            #expect(
                Array(plan.steps.flatMap(\.actions).suffix(4)) == [
                    .write(FilePath("\(Self.place)/\(Self.failed.path)"), content: .text(Self.failed.text)),
                    ESPFile.sync(FilePath(Self.place)), .remove(FilePath("\(Self.place)/\(Self.fresh.path)")),
                    ESPFile.sync(FilePath(Self.place)),
                ])
        }
        #expect(try self.trial([Self.debian, Self.failed], [Self.debian, Self.failed]).equal.steps.isEmpty)
    }

    @Test("so it is when power was cut between the two, and for what was booted once")
    func cut() throws {
        let steps = try trial([Self.debian, Self.failed], [Self.debian, Self.failed, Self.fresh]).equal.steps
        #expect(steps.map(\.id) == ["boot.entry.vdb1.\(Self.failed.id)"])
        #expect(steps.flatMap(\.actions).contains(.remove(FilePath("\(Self.place)/\(Self.fresh.path)"))))
        let (done, waiting) = (
            Fixture.entry("test", order: 200, left: 0, done: 1, once: true), Fixture.entry("test", order: 200, left: 1, once: true)
        )
        let once = try trial([Self.debian, done], [Self.debian, waiting]).equal.steps
        #expect(once.map(\.id) == ["boot.entry.vdb1.\(done.id)"])
    }

    @Test("tries that are left are each ESP's own")
    func left() throws {
        let tried = Fixture.entry("test", order: 200, left: 1, done: 2)
        #expect(try trial([Self.debian, tried], [Self.debian, Self.fresh]).equal.steps.isEmpty)
    }

    @Test("behind GRUB, which keeps its tries inside of the entry")
    func grub() throws {
        let debian = GrubFixture.entry("debian", order: 100)
        let failed = GrubFixture.entry("test", order: 200, left: 0, done: 3)
        let fresh = GrubFixture.entry("test", order: 200, left: 3)
        let system = try GrubFixture.system([
            GrubFixture.esp([debian, failed]), GrubFixture.esp([debian, fresh], "/dev/vdb1", mounted: false),
        ])
        let healing = BootTrial(system).equal
        #expect(healing.steps.map(\.id) == ["boot.entry.vdb1.\(failed.id)"])
        #expect(BootMenuTests.written(healing) == [failed])
        #expect(!healing.steps.flatMap(\.actions).contains { $0.text.hasPrefix("remove") })
    }
}
