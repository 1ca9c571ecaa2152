import ArgumentParser
import FoundationEssentials
import KldAnswers
import KldCore
import KldFiles
import KldImage
import KldTestSupport
import SystemPackage
import Testing

@testable import KldCLI

@Suite("Arming a machine")
struct PXEArmTests {
    @Test("one that could not be installed from the export is not armed", arguments: ["core", "server"])
    func uninstallable(_ profile: String) async throws {
        try await Scratch.with { folder in
            let files = LocalFiles()
            let (tree, answers) = (folder.appending("pxe"), folder.appending("web.env"))
            try files.write("kldload pxe 1\nurl http://10.0.1.5\nversion 1\n", to: tree.appending("kldload-pxe"))
            try files.makeDirectory(tree.appending("http/answers"), mode: .directory)
            let info = try PayloadCheckTests.info(PayloadCheckTests.answers("KLDLOAD_PROFILE=core"))
            try files.write(
                Array(JSONEncoder().encode(info)),
                to: tree.pushing("http/kldload/payloads/debian-trixie-core/payload.json"), mode: .file)
            try files.write(
                "KLDLOAD_DISTRO=debian\nKLDLOAD_HOSTNAME=web-1\nKLDLOAD_DISK=auto\nKLDLOAD_PROFILE=\(profile)\n", to: answers)
            let words = [tree.string, "--mac", "52:54:00:12:34:56", "--answers", answers.string, "--dry-run"]
            let arm = try PXECommand.Arm.parse(words)
            var code: String?
            do { try await arm.run() } catch { code = Diagnosis(of: error).code }
            #expect(code == (profile == "core" ? nil : "install.no-payload"))
        }
    }
}
