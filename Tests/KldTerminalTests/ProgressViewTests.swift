import KldPlan
import KldTerminal
import Testing

@Suite("Progress on a terminal and in a log")
struct ProgressViewTests {
    static let step = PlanEvent(.stepStarted, phase: "install", message: "Create the pool", done: 30, total: 100, milliseconds: 65_000)

    @Test("a terminal shows bar, share, time left, phase and what is happening, in one line that is rewritten")
    func terminal() {
        var view = ProgressView(terminal: true, columns: 100)
        #expect(view.show(Self.step) == "\r\u{1B}[K[######..............]  30% 2:31 left  install: Create the pool")
        let output = PlanEvent(.output, phase: "install", message: "received 300 MB", done: 50, total: 100, milliseconds: 80_000)
        #expect(view.show(output) == "\r\u{1B}[K[##########..........]  50% 1:20 left  install: received 300 MB")
    }

    @Test("what a tool prints leaves the bar where it is, though it does not say how far the plan is")
    func besideThePlan() {
        var view = ProgressView(terminal: true, columns: 100)
        _ = view.show(Self.step)
        let output = PlanEvent(.output, message: "Setting up htop", milliseconds: 70_000)
        #expect(view.show(output) == "\r\u{1B}[K[######..............]  30% 2:43 left  Setting up htop")
        #expect(view.show(PlanEvent(.planStarted, message: "another")).hasPrefix("\r\u{1B}[K[....................]   0%"))
    }

    @Test("a line never grows beyond the terminal")
    func narrow() {
        var view = ProgressView(terminal: true, columns: 50)
        let text = view.show(Self.step).dropFirst(4)
        #expect(text.count == 49)
    }

    @Test("nothing is estimated from the first tenth")
    func noEstimate() {
        var view = ProgressView(terminal: true)
        let early = PlanEvent(.stepStarted, message: "Begin", done: 5, total: 100, milliseconds: 4_000)
        #expect(view.show(early) == "\r\u{1B}[K[#...................]   5%  Begin")
    }

    @Test("a log gets one line a step, with its time and phase, and nothing of what tools print")
    func log() {
        var view = ProgressView(terminal: false)
        #expect(view.show(Self.step) == "[1:05] install: Create the pool\n")
        #expect(view.show(PlanEvent(.output, message: "noise")) == "")
        #expect(view.show(PlanEvent(.stepDone, done: 40, total: 100)) == "")
        #expect(view.show(PlanEvent(.releasing, message: "Unmount")) == "")
        #expect(view.show(PlanEvent(.stepFailed, message: "Create the pool", milliseconds: 66_000)) == "[1:06] failed: Create the pool\n")
        #expect(view.show(PlanEvent(.planDone, message: "installed", milliseconds: 90_000)) == "[1:30] done: installed\n")
    }

    @Test("where the steps are known, a line says which of how many it is, and how long the rest may take")
    func counted() {
        var view = ProgressView(terminal: false, steps: ["a", "b", "c", "d"])
        func event(_ kind: PlanEvent.Kind, _ step: String, done: Int) -> PlanEvent {
            PlanEvent(kind, phase: "tasks", step: step, message: "Task \(step)", done: done, total: 20, milliseconds: done * 1_000)
        }
        #expect(view.show(event(.stepStarted, "a", done: 0)) == "[0:00] 1 of 4: Task a\n")
        #expect(view.show(event(.stepStarted, "b", done: 5)) == "[0:05] 2 of 4, about 0:15 left: Task b\n")
        #expect(view.show(event(.stepSkipped, "c", done: 10)) == "[0:10] 3 of 4: Task c\n")
        #expect(view.show(event(.line, "elsewhere", done: 10)) == "[0:10] Task elsewhere\n")
        var terminal = ProgressView(terminal: true, columns: 100, steps: ["a", "b"])
        #expect(terminal.show(event(.stepStarted, "b", done: 10)) == "\r\u{1B}[K[##########..........]  50% 0:10 left  2 of 2: Task b")
    }

    @Test("a failure stays on a terminal, below the line that was rewritten")
    func failure() {
        var view = ProgressView(terminal: true)
        _ = view.show(Self.step)
        #expect(view.show(PlanEvent(.stepFailed, message: "no room", milliseconds: 1_000)) == "\r\u{1B}[K[0:01] failed: no room\n")
    }
}
