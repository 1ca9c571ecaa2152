import KldAnswers
import Testing

@testable import KldCLI

@Suite("What is said when a seed volume is made")
struct SeedNotesTests {
    func notes(_ lines: [String]) throws -> [String] {
        SeedCommand.Create.notes(try Answers((["KLDLOAD_DISTRO=debian", "KLDLOAD_HOSTNAME=host"] + lines).joined(separator: "\n")))
    }

    @Test("a volume that overwrites a disk is to be taken out; one that overwrites none says so; one that looks for an empty disk is well")
    func wiping() throws {
        let wipes = try notes(["KLDLOAD_DISK=/dev/vda", "KLDLOAD_FORCE_WIPE=1"])
        #expect(wipes.count == 1 && wipes[0].contains("take it out"))
        let asks = try notes(["KLDLOAD_DISK=/dev/vda"])
        #expect(asks.count == 1 && asks[0].contains("KLDLOAD_FORCE_WIPE=1"))
        #expect(try notes(["KLDLOAD_DISK=auto"]).isEmpty)
    }
}
