import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("Files that builds write")
struct BuiltFileTests {
    private let files = MemoryFiles(["/out/old": "", "/out/folder/x": ""], devices: ["/dev/sdb"])

    @Test("an ISO and a seed volume are refused a device and a folder, with --overwrite too", arguments: [true, false])
    func kinds(_ overwrite: Bool) {
        let cases: [(String, String?)] = [("/dev/sdb", "output.not-a-file"), ("/out/folder", "output.not-a-file"), ("/out/new", nil)]
        for (path, code) in cases {
            #expect(problem { try ISOBuild.check(FilePath(path), overwrite: overwrite, files) }?.code == code, "\(path)")
            #expect(problem { try SeedVolume.check(FilePath(path), overwrite: overwrite, files) }?.code == code, "\(path)")
        }
        #expect(problem { try ISOBuild.check("/out/old", overwrite: overwrite, files) }?.code == (overwrite ? nil : "iso.exists"))
        #expect(problem { try SeedVolume.check("/out/old", overwrite: overwrite, files) }?.code == (overwrite ? nil : "seed.exists"))
        let remedies = problem { try SeedVolume.check("/dev/sdb", overwrite: true, files) }?.remedies
        #expect(remedies == ["write onto a stick or a partition: kldload seed create --device /dev/sdb"])
    }

    /// Takes its time to write the ISO.
    private struct Writer: CommandRunner {
        var name: String
        var part: FilePath
        func run(_ command: Command) async throws -> CommandOutput {
            if command.tool.name == "xorriso" {
                try LocalFiles().write(name, to: part)
                try await Task.sleep(for: .milliseconds(200))
            }
            return CommandOutput(output: "\(ISOImageTests.digest) *x\0")
        }
        func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "pipeline") }
    }

    @Test("of two builds of one file the second waits for the first, by whatever link it names the folder, and finds the file")
    func twoAtOnce() async throws {
        try await Scratch.with { folder in
            let files = LocalFiles()
            try files.makeDirectory(folder.appending("out"), mode: .directory)
            try files.symlink(folder.appending("link"), to: "out")
            let cache = ArtifactCache(root: folder.appending("cache"), runner: SubprocessRunner())
            @Sendable func build(_ name: String, into place: String) async -> Diagnosis? {
                await problem {
                    let output = folder.appending(place).appending("k.iso")
                    let lock = try await cache.hold(output) {}
                    defer { withExtendedLifetime(lock) {} }
                    try ISOBuild.check(output, overwrite: false, files)
                    let image = ISOImage(runner: Writer(name: name, part: FilePath("\(output.string).part")), files: files)
                    _ = try await image.write([], esp: "/esp.img", to: output, isPrivate: false)
                }
            }
            async let one = build("one", into: "out")
            async let other = build("other", into: "link")
            let problems = await [one, other]
            #expect(problems.compactMap { $0?.code } == ["iso.exists"])
            #expect(try files.readText(folder.appending("out/k.iso")) == (problems[0] == nil ? "one" : "other"))
        }
    }
}
