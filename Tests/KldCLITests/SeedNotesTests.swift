import KldAnswers
import Testing

@testable import KldCLI

@Suite("What is said when a seed volume is made")
struct SeedNotesTests {
    func notes(_ lines: [String], signed: Bool = false) throws -> [String] {
        let common = ["KLDLOAD_DISTRO=debian", "KLDLOAD_HOSTNAME=host"] + (signed ? [] : ["KLDLOAD_ENABLE_SECURE_BOOT=0"])
        return SeedCommand.Create.notes(try Answers((common + lines).joined(separator: "\n")))
    }

    @Test("a volume that overwrites a disk is to be taken out; one that overwrites none says so; one that looks for an empty disk is well")
    func wiping() throws {
        let wipes = try notes(["KLDLOAD_DISK=/dev/vda", "KLDLOAD_FORCE_WIPE=1"])
        #expect(wipes.count == 1 && wipes[0].contains("take it out"))
        let asks = try notes(["KLDLOAD_DISK=/dev/vda"])
        #expect(asks.count == 1 && asks[0].contains("KLDLOAD_FORCE_WIPE=1"))
        #expect(try notes(["KLDLOAD_DISK=auto"]).isEmpty)
    }

    @Test("a machine that will ask for a password nobody has chosen is told of, as the answers are by default")
    func enrolment() throws {
        let asks = try notes(["KLDLOAD_DISK=auto"], signed: true)
        #expect(asks.count == 1 && asks[0].contains("Secure Boot") && asks[0].contains("remedy: choose one: KLDLOAD_MOK_PASSWORD"))
        #expect(try notes(["KLDLOAD_DISK=/dev/vda"], signed: true).count == 2)
        let chosen = try notes(["KLDLOAD_DISK=auto", "KLDLOAD_MOK_PASSWORD=enrol-7-horses"], signed: true)
        #expect(chosen.isEmpty)
    }
}
