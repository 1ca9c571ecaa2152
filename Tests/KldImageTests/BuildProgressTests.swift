import KldCore
@testable import KldImage
import KldPlan
import Synchronization
import Testing

@Suite("The progress of an image build")
struct BuildProgressTests {
    /// What came out of it.
    final class Heard: Sendable {
        private let events = Mutex<[PlanEvent]>([])
        var all: [PlanEvent] { events.withLock { $0 } }
        var last: PlanEvent? { all.last }
        func add(_ event: PlanEvent) { events.withLock { $0.append(event) } }
    }

    @Test("parts and plans add up to one whole that only grows, and ends full")
    func whole() throws {
        let heard = Heard()
        let progress = BuildProgress([.prepare, .install, .export]) { heard.add($0) }
        progress.report(PlanEvent(.line, message: "asking"))
        progress.begin(.install)
        progress.report(PlanEvent(.stepStarted, message: "pool", done: 50, total: 100, milliseconds: 99))
        let middle = try #require(heard.last)
        #expect(middle.phase == "install" && middle.total == 600 && middle.done == 225 && middle.milliseconds == 0)
        progress.report(PlanEvent(.planDone, message: "installed", done: 100, total: 100))
        #expect(heard.last?.kind == .stepDone)
        progress.begin(.export)
        progress.report(ExportNarrator().event(ExportProgress(.done, percent: 100, finished: 2, total: 2)))
        #expect(heard.last?.done == 600)
        #expect(heard.all.map(\.done) == heard.all.map(\.done).sorted())
    }

    @Test("what must be built counts; what lies in the cache does not")
    func artefacts() {
        let heard = Heard()
        let progress = BuildProgress([.prepare, .install]) { heard.add($0) }
        progress.artefact("modules", begins: true)
        progress.report(PlanEvent(.line))
        #expect(heard.last?.done == 0 && heard.last?.total == 3350)
        progress.artefact("modules", begins: false)
        progress.report(PlanEvent(.line))
        #expect(heard.last?.done == 3000)
    }

    @Test("a guest that builds an artefact moves the whole, and not the part at hand")
    func guests() {
        let heard = Heard()
        let progress = BuildProgress([.prepare, .install]) { heard.add($0) }
        progress.artefact("template", begins: true)
        let step = PlanEvent(.stepStarted, phase: "payload", step: "payload.unpack", message: "unpacking", done: 1, total: 4)
        progress.report(BuildProgress.event(step, building: "template"))
        #expect(heard.last == PlanEvent(.output, phase: "prepare", message: "unpacking", done: 300, total: 1550))
        progress.artefact("template", begins: false)
        progress.report(PlanEvent(.line))
        #expect(heard.last?.done == 1200)
    }

    @Test("a failure inside is said by whoever ends the build, once")
    func failure() {
        let heard = Heard()
        let progress = BuildProgress([.install]) { heard.add($0) }
        progress.report(PlanEvent(.planFailed, message: "no"))
        #expect(heard.all.isEmpty)
    }
}
