import KldCore
import Testing

@testable import KldAnswers

@Suite("What helps with answers that are wrong")
struct RemedyTests {
    @Test("of several guesses each names its line; one alone needs none, and what helps with many stands once")
    func places() {
        func remedies(_ text: String) -> [String] {
            do {
                _ = try Answers(text)
                return []
            } catch { return error.diagnosis.remedies }
        }
        let good = "KLDLOAD_DISTRO=debian\nKLDLOAD_DISK=/dev/sda\nKLDLOAD_HOSTNAME=web\n"
        #expect(remedies(good + "KLDLOAD_TIMEZNE=UTC\n") == ["did you mean KLDLOAD_TIMEZONE?"])
        #expect(
            remedies(good + "KLDLOAD_TIMEZNE=UTC\nKLDLOAD_PROFILE=sever\n") == [
                "line 4: did you mean KLDLOAD_TIMEZONE?", "line 5: did you mean server?",
            ])
        let lines = remedies(good + "none\nnone\n")
        #expect(lines.count == 1 && lines.first?.hasPrefix("line") == false)
    }
}
