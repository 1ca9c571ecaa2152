import KldCore
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("The folder for images")
struct OutputFolderTests {
    @Test("it is made, and nothing is left in it by trying")
    func made() async throws {
        try await Scratch.with { folder in
            let files = LocalFiles()
            try OutputFolder.check(folder.appending("a/b"), files)
            #expect(try files.list(folder.appending("a/b")).isEmpty)
        }
    }

    @Test("one that takes no files is refused before any work, by name", arguments: ["/sys/kldload-images", "/sys"])
    func denied(folder: String) throws {
        let problem = try #require(throws: Diagnosis.self) { try OutputFolder.check(FilePath(folder), LocalFiles()) }
        #expect(problem.code == "image.output-denied" && problem.exit == .cannotCreate)
        #expect(problem.message.hasSuffix(folder) && problem.remedies.first?.contains(folder) == true)
        #expect(problem.causes.count == 1)
    }

    @Test("a file in its place is refused too")
    func file() async throws {
        try await Scratch.with { folder in
            let file = folder.appending("out")
            try LocalFiles().write("x", to: file)
            let problem = try #require(throws: Diagnosis.self) { try OutputFolder.check(file, LocalFiles()) }
            #expect(problem.code == "image.output-denied")
        }
    }
}
