import FoundationEssentials
import KldCore
import KldTestSupport
import Testing

@testable import KldDoctor

@Suite struct `a report` {
    @Test func `says that nobody knows what the machine was installed as`() async throws {
        var machine = `kldload verify`.healthy()
        #expect(try await Doctor.run(machine.context(), only: ["zfs.hostid"]).manifestProblem == nil)
        machine.manifest = nil
        let report = try await Doctor.run(machine.context(), only: ["zfs.hostid"])
        #expect(report.manifestProblem == "there is no install manifest")
        // Who reads it from a port knows it too.
        let read = try JSONDecoder().decode(VerifyReport.self, from: Data(SortedJSON.line(report).utf8))
        #expect(read == report)
    }
}
