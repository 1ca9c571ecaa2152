import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("Verifying an image")
struct ImageVerificationTests {
    @Test("an image that is not there is missed before anything is run or made")
    func missing() async throws {
        try await Scratch.with { folder in
            let runner = ScriptedRunner([])
            let workshop = Workshop(
                cache: ArtifactCache(root: folder.appending("cache"), runner: runner), runner: runner, executable: "/nowhere", root: false)
            let image = folder.appending("none.qcow2")
            let problem = await #expect(throws: ExportError.self) { try await ImageVerification(workshop: workshop) { _ in }.run(image) }
            #expect(problem == .sourceMissing(image))
            #expect(runner.commands.isEmpty)
            let left = try LocalFiles().list(folder)
            #expect(left.isEmpty)
        }
    }
}
