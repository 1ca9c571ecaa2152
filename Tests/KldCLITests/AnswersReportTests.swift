import ArgumentParser
import KldAnswers
import KldCore
import KldFiles
import KldTestSupport
import Testing

@testable import KldCLI

@Suite struct AnswersReportTests {
    private static let three = "KLDLOAD_DISTRO=debian\nKLDLOAD_DISK=/dev/sda\nKLDLOAD_HOSTNAME=web-prod-01\n"

    private func check(_ text: String) throws -> (report: AnswersReport, exit: KldCore.ExitStatus) {
        let options = try AnswersOptions.parse([])
        let files = MemoryFiles(["/a.env": text])
        return AnswersReport.check("/a.env") { () throws(AnswersError) in try options.read("/a.env", files: files) }
    }

    @Test func `problems and warnings are told apart, with everything known about them`() throws {
        let (report, exit) = try check(Self.three + "KLDLOAD_ENABLE_AI=1\nKLDLOAD_PROFILE=sever\n")
        #expect(exit == .badAnswers)
        #expect(report.problems.map(\.code) == ["answers.choice"])
        #expect(report.problems.first?.line == 5)
        #expect(report.problems.first?.key == "KLDLOAD_PROFILE")
        #expect(report.problems.first?.remedy == "did you mean server?")
        #expect(report.problems.first?.suggestion == "server")
        #expect(report.warnings.map(\.code) == ["answers.no-effect"])
        #expect(report.warnings.first?.line == 4)
    }

    @Test func `warnings alone leave the exit status at 0`() throws {
        let (report, exit) = try check(Self.three + "KLDLOAD_ALLOW_INTERNET_FALLBACK=0\n")
        #expect(exit == .done)
        #expect(report.problems.isEmpty)
        #expect(report.warnings.map(\.key) == ["KLDLOAD_ALLOW_INTERNET_FALLBACK"])
    }

    @Test(arguments: [
        ("KLDLOAD_DISTRO=rocky\n", "KLDLOAD_DISTRO"), ("KLDLOAD_DISTRO=fedora\n", "KLDLOAD_DISTRO"),
        ("KLDLOAD_DISTRO=ubuntu\n", "KLDLOAD_DISTRO"),
        ("KLDLOAD_DISTRO=debian\nKLDLOAD_DEBIAN_SUITE=bookworm\nKLDLOAD_DEBIAN_BACKPORTS=1\n", "KLDLOAD_DEBIAN_BACKPORTS"),
    ])
    func `what this version cannot install is a problem with a remedy`(lines: String, key: String) throws {
        let (report, exit) = try check(lines + "KLDLOAD_DISK=/dev/sda\n")
        #expect(exit == .badAnswers)
        #expect(report.problems.map(\.code) == ["distro.unsupported"])
        #expect(report.problems.first?.key == key)
        #expect(report.problems.first?.remedy.contains("debian trixie") == true)
    }

    @Test(arguments: ["", "KLDLOAD_DEBIAN_SUITE=bookworm\n", "KLDLOAD_DEBIAN_BACKPORTS=1\n"])
    func `what this version can install has no problem`(lines: String) throws {
        let (report, exit) = try check(Self.three + lines)
        #expect(exit == .done)
        #expect(report == AnswersReport(file: "/a.env", problems: [], warnings: []))
    }

    @Test func `a missing file has its own exit status`() throws {
        let options = try AnswersOptions.parse([])
        let (report, exit) = AnswersReport.check("/b.env") { () throws(AnswersError) in
            try options.read("/b.env", files: MemoryFiles())
        }
        #expect(exit == .inputMissing)
        #expect(report.problems.map(\.code) == ["answers.missing-file"])
    }
}
