import KldCore
import KldTestSupport
import Testing

@testable import KldImage

@Suite("What an image says of itself")
struct ImageReportTests {
    /// As `kldload verify --output PORT` writes it.
    private static func line(_ count: Int, more: String = "") -> String {
        let result =
            #"{"actual": "x", "name": "a.b", "severity": "low", "status": "skip", "subsystem": "a", "title": "x"}"#
        let results = Array(repeating: result, count: count).joined(separator: ", ")
        return #"{\#(more)"results": [\#(results)], "summary": {"fail": 0, "ok": 0, "skip": \#(count), "warn": 0}, "version": "verify/1"}"#
    }

    @Test("a whole report is taken")
    func whole() {
        let found = problem { _ = try ImageVerification.report(Self.line(41)) }
        #expect(found == nil)
    }

    @Test(
        "a report without a manifest, or of a few checks, proves nothing",
        arguments: [
            (ImageReportTests.line(41, more: #""manifestProblem": "there is no install manifest", "#), "there is no install manifest"),
            (ImageReportTests.line(0), "it looked at 0 things only"), (ImageReportTests.line(29), "it looked at 29 things only"),
        ])
    func nothing(_ line: String, _ cause: String) {
        let found = problem { _ = try ImageVerification.report(line) }
        #expect(found?.code == "image.not-checked" && found?.exit == .problemsFound && found?.causes == [cause])
    }
}
