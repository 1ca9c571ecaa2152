import ArgumentParser
import KldInstall
import Testing

@testable import KldCLI

@Suite("The status of the first boot")
struct FirstBootCommandTests {
    static let status = FirstBootStatus(
        .unfinished,
        [
            .init("firstboot.host-id", "Host id 01234567", weight: 1, needs: [], state: .done),
            .init("firstboot.image", "Put the host id into the boot image", weight: 5, needs: ["firstboot.host-id"], state: .failed),
        ])

    @Test("a person sees how many are done, and each task with its state")
    func text() {
        let lines = FirstBootCommand.text(Self.status).split(separator: "\n").map(String.init)
        #expect(lines.first == "the first boot is not finished: 1 of 2 tasks are done")
        #expect(lines.contains { $0.hasPrefix("failed") && $0.contains("firstboot.image") && $0.contains("Put the host id") })
        #expect(FirstBootCommand.text(FirstBootStatus(.notBegun, [])) == "the first boot has not begun")
    }

    @Test("a program gets the same as firstboot/1")
    func json() {
        #expect(
            FirstBootCommand.json(FirstBootStatus(.unfinished, [Self.status.tasks[1]])) == """
                {
                 "schema": "firstboot/1",
                 "state": "unfinished",
                 "tasks": [
                  {
                   "id": "firstboot.image",
                   "title": "Put the host id into the boot image",
                   "state": "failed",
                   "weight": 5,
                   "needs": [
                    "firstboot.host-id"
                   ]
                  }
                 ]
                }
                """)
    }

    @Test("plan and status are two questions")
    func both() { #expect(throws: (any Error).self) { try FirstBootCommand.parse(["--dry-run", "--status"]) } }
}
