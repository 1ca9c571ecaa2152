import Foundation
import KldPlan
import KldTestSupport
import Testing

@Suite("The list of events")
struct EventsDocumentTests {
    @Test("docs/events.md is what the sources say (KLDLOAD_RECORD=1 writes it)")
    func document() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "docs/events.md")
        let text = PlanEventReference.markdown
        if Golden.recording { try text.write(to: file, atomically: true, encoding: .utf8) }
        #expect(try String(contentsOf: file, encoding: .utf8) == text)
        for kind in PlanEvent.Kind.allCases { #expect(text.contains("| `\(kind.rawValue)` |")) }
    }
}
