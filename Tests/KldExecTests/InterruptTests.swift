import Glibc
import Testing

@testable import KldExec

@Suite("Interrupts")
struct InterruptTests {
    private func ends(_ signals: [Int32]) -> [Bool] {
        var patience = Interrupts.Patience()
        return signals.map { patience.isOver(after: $0) }
    }

    @Test("a terminal that goes says so more than once, and ends nothing at once; who asks twice is obeyed")
    func patience() {
        #expect(ends([SIGHUP, SIGHUP, SIGHUP]) == [false, false, false])
        #expect(ends([SIGINT, SIGINT]) == [false, true])
        #expect(ends([SIGINT, SIGTERM]) == [false, true])
        #expect(ends([SIGHUP, SIGTERM, SIGHUP, SIGINT]) == [false, false, false, true])
    }
}
