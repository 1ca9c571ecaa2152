import ArgumentParser
import KldCore
import KldFiles
import KldImage
import KldTestSupport
import SystemPackage
import Testing

@testable import KldCLI

@Suite("Where kexport's images go")
struct ExportFolderTests {
    static func parse(_ words: [String]) throws -> KexportRequest { try KexportCommand.parse(words).request(environment: [:]) }

    @Test("--output takes a folder that is there, by a link too, for any number of formats")
    func folder() async throws {
        try await Scratch.with { scratch in
            let (folder, link) = (scratch.appending("images"), scratch.appending("link"))
            try LocalFiles().makeDirectory(folder, mode: 0o755)
            try LocalFiles().symlink(link, to: folder.string)
            for path in [folder, link] {
                let request = try Self.parse(["disk.raw", "qcow2,vmdk", "--output", path.string])
                #expect(request.destination == .folder(path) && request.name == nil)
            }
        }
    }

    @Test("what is not there, or is a file, is a file's name")
    func file() async throws {
        try await Scratch.with { scratch in
            try LocalFiles().write("", to: scratch.appending("there.qcow2"))
            for name in ["there.qcow2", "new.qcow2", "new"] {
                let path = scratch.appending(name)
                #expect(try Self.parse(["disk.raw", "qcow2", "-o", path.string]).destination == .file(path))
            }
        }
    }

    @Test("the help names the folder that is taken where nobody names one")
    func help() {
        #expect(KexportCommand.helpMessage().contains(KexportRequest.defaultFolder.string))
        let problem = ExportError.outputIsNotAFile("/dev/sda").diagnosis
        #expect(problem.remedies == ["export to a file; a raw one is written to a disk with dd"])
    }
}
