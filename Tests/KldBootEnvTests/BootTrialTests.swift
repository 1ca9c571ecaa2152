import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("A boot on trial")
struct BootTrialTests {
    @Test("that is good gets its plain name on every ESP, and the pool follows")
    func good() throws {
        let before = Fixture.entry("debian", order: 100)
        let system = try Fixture.system(
            [
                Fixture.esp([before, Fixture.entry("test", order: 200, left: 2, done: 1)]),
                Fixture.esp([before, Fixture.entry("test", order: 200, left: 3)], "/dev/vdb1"),
            ], running: "test")
        let trial = BootTrial(system)
        #expect(trial.pending?.environment == "test")
        #expect(trial.proven.steps.map(\.id) == ["boot.good.vda1", "boot.good.vdb1", "boot.reason", "boot.bootfs"])
    }

    @Test("that was healthy before costs nothing")
    func nothing() throws {
        let trial = BootTrial(try Fixture.system())
        #expect(trial.pending == nil && trial.proven.steps.isEmpty && trial.equal.steps.isEmpty)
    }

    @Test("a boot that was to happen once is not made the default, however good it is")
    func once() throws {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 0, done: 1, once: true)]
        let trial = BootTrial(try Fixture.system([Fixture.esp(entries)], running: "test"))
        #expect(trial.pending == nil && trial.proven.steps.isEmpty)
        // It is left all the same if it does not get on.
        #expect(trial.counted?.environment == "test")
        #expect(trial.failures { _ in nil }.isEmpty)
    }

    @Test("after a fall-back the pool follows, and who logs in is told what failed and why")
    func fallback() throws {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 0, done: 3)]
        let trial = BootTrial(try Fixture.system([Fixture.esp(entries)], bootfs: "test"))
        #expect(trial.proven.commandLines == ["zpool set bootfs=rpool/ROOT/debian rpool"])
        let failures = trial.failures { _ in "ssh.service is failed" }
        #expect(failures.map(\.environment) == ["test"] && failures.map(\.tries) == [3])
        let notice = BootTrial.notice(failures, running: "debian")
        #expect(notice.contains("test") && notice.contains("3 times") && notice.contains("ssh.service is failed"))
        #expect(BootTrial.notice([], running: "debian").isEmpty)
    }

    @Test("what is chosen for the next boot is not taken back")
    func pending() throws {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 3)]
        #expect(BootTrial(try Fixture.system([Fixture.esp(entries)], bootfs: "test")).proven.steps.isEmpty)
    }

    @Test("a disk that was replaced gets what the others hold; a build that a newer one has replaced goes")
    func healing() throws {
        let (old, new) = (Fixture.entry("debian", order: 100), Fixture.entry("debian", order: 101, generation: 2))
        let system = try Fixture.system([Fixture.esp([old, new]), Fixture.esp([], "/dev/vdb1", mounted: false)])
        #expect(
            BootTrial(system).equal.steps.map(\.id) == ["boot.tidy.vda1", "boot.copy.vdb1.\(new.id)", "boot.entry.vdb1.\(new.id)"])
        // Builds that were never booted do not pile up.
        let piled = try Fixture.system([
            Fixture.esp([
                old, Fixture.entry("debian", order: 101, left: 3, generation: 2),
                Fixture.entry("debian", order: 102, left: 3, generation: 3),
            ])
        ])
        let gone = BootTrial(piled).equal.steps.flatMap(\.actions).map(\.text).filter { $0.hasPrefix("remove") }
        #expect(gone.count == 2 && gone.allSatisfy { $0.contains(".2") })
        // Not before the newer one has proved itself.
        let unproven = try Fixture.system([Fixture.esp([old, Fixture.entry("debian", order: 101, left: 3, generation: 2)])])
        #expect(BootTrial(unproven).equal.steps.isEmpty)
    }

    @Test("what boots a dataset that is gone goes too; another pool's is left alone")
    func orphans() throws {
        var foreign = Fixture.entry("debian", order: 50)
        foreign.dataset = "tank/ROOT/other"
        let system = try Fixture.system([
            Fixture.esp([Fixture.entry("debian", order: 100), Fixture.entry("gone", order: 200, left: 0, done: 3), foreign])
        ])
        let steps = BootTrial(system).equal.steps
        #expect(steps.map(\.id) == ["boot.tidy.vda1"])
        #expect(steps.flatMap(\.actions).map(\.text).filter { $0.hasPrefix("remove") }.count == 2)
        #expect(steps.flatMap(\.actions).allSatisfy { !$0.text.contains("other") })
    }

    @Test("the loader's word counts for which of two builds was started")
    func selected() throws {
        var system = try Fixture.system([
            Fixture.esp([Fixture.entry("debian", order: 100), Fixture.entry("debian", order: 101, left: 2, done: 1, generation: 2)])
        ])
        #expect(BootTrial(system).pending?.generation == 2)
        system.selected = Fixture.entry("debian", order: 100).id.lowercased()
        #expect(BootTrial(system).pending == nil)
    }

    @Test("an entry of the same name that starts another image is not the same")
    func otherImage() throws {
        let own = Fixture.entry("debian", order: 100)
        var shared = own
        shared.sharedImage = "EFI/kldload/kldload-x-6.1.efi"
        let system = try Fixture.system([Fixture.esp([own]), Fixture.esp([shared], "/dev/vdb1")])
        #expect(!BootTrial(system).equal.steps.isEmpty)
    }
}
