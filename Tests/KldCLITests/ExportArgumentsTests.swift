import ArgumentParser
import KldCore
import KldImage
import SystemPackage
import Testing

@testable import KldCLI

/// Every form of the command line that a seed prints, and what is refused.
@Suite struct ExportArgumentsTests {
    static func parse(_ words: [String], environment: [String: String] = [:]) throws -> KexportRequest {
        try KexportCommand.parse(words).request(environment: environment)
    }

    @Test func diskFormatFolder() throws {
        #expect(
            try Self.parse(["/dev/sda", "qcow2", "/tmp/export/"])
                == KexportRequest(source: .path("/dev/sda"), formats: [.qcow2], destination: .folder("/tmp/export/")))
    }

    @Test func diskFormatFolderWithANameFromTheEnvironment() throws {
        let request = try Self.parse(["/dev/sda", "qcow2", "/tmp/export/"], environment: ["KEXPORT_NAME": "debian13-base-v2"])
        #expect(request.name?.text == "debian13-base-v2")
    }

    @Test(arguments: [
        ["--format", "qcow2", "--output", "/tmp/image.qcow2"], ["--format=qcow2", "--output=/tmp/image.qcow2"],
        ["-f", "qcow2", "-o", "/tmp/image.qcow2"],
    ])
    func formatAndOutputAsOptions(arguments: [String]) throws {
        #expect(
            try Self.parse(arguments)
                == KexportRequest(
                    source: .automatic, formats: [.qcow2], destination: .file("/tmp/image.qcow2"), name: try ExportName(sanitising: "image")
                ))
    }

    @Test func aFormatAlone() throws {
        #expect(
            try Self.parse(["qcow2"])
                == KexportRequest(source: .automatic, formats: [.qcow2], destination: .folder("/root/exports")))
        #expect(try Self.parse(["all", "out"]).destination == .folder("out"))
        #expect(try Self.parse(["ova,raw", "out"]).formats == [.ova, .raw])
    }

    @Test func theDefaultFolder() throws {
        #expect(try Self.parse(["disk.raw", "vhd"]).destination == .folder("/root/exports"))
    }

    @Test func aDiskWithOptions() throws {
        let request = try Self.parse(["/dev/vdb", "--format", "raw", "--output", "/srv/"])
        #expect(request.source == .path("/dev/vdb"))
        #expect(request.destination == .folder("/srv/"))
        #expect(try Self.parse(["--disk", "/dev/vdb", "raw"]).source == .path("/dev/vdb"))
        #expect(try Self.parse(["--disk", "/dev/vdb", "raw", "/srv"]).destination == .folder("/srv"))
    }

    @Test func switches() throws {
        #expect(try Self.parse(["/dev/sda", "raw"]).seal)
        #expect(try Self.parse(["/dev/sda", "raw", "--seal"]).seal)
        #expect(try !Self.parse(["--no-seal", "/dev/sda", "raw"]).seal)
        #expect(try Self.parse(["/dev/sda", "raw", "--overwrite"]).overwrite)
        #expect(try Self.parse(["/dev/sda", "raw", "--dry-run"]).dryRun)
        #expect(try Self.parse(["/dev/sda", "qcow2", "--compression", "zstd"]).compression == .zstd)
        #expect(
            try Self.parse(["/dev/sda", "raw", "--name", "one"], environment: ["KEXPORT_NAME": "two"]).name?.text == "one")
        #expect(try KexportCommand.parse(["/dev/sda", "raw"]).form == .auto)
        #expect(try KexportCommand.parse(["/dev/sda", "raw", "--progress=json"]).form == .json)
        #expect(try Self.parse(["--", "/dev/sda", "raw"]).source == .path("/dev/sda"))
        #expect(try Self.parse(["--format", "raw", "--format", "vhd"]).formats == [.vhd])
    }

    /// Those without a code are not even parsed.
    @Test(
        arguments: [
            ([], "image.format"), (["/dev/sda"], "image.format"), (["sda", "qcow2"], "image.usage"), (["qcow3"], "image.format"),
            (["/dev/sda", "qcow3"], "image.format"), (["none"], "image.format"), (["/dev/sda", "qcow2", "/a", "/b"], "image.usage"),
            (["/dev/sda", "qcow2", "--seal", "--no-seal"], nil), (["--formt", "qcow2"], nil), (["--format"], nil),
            (["--format", "raw,vhd", "--output", "/nowhere/x"], "image.output"),
            (["--format", "raw", "--output", "/nowhere/x.qcow2"], "image.output"),
            (["/dev/sda", "raw", "/a", "--output", "/b"], "image.usage"), (["/dev/sda", "raw", "--output", ""], "image.usage"),
            // `--disk` takes the first word's place, so `/dev/sda` is read as a format here.
            (["/dev/sda", "--disk", "/dev/sdb", "raw"], "image.format"),
            (["/dev/sda", "raw", "--progress", "bar"], nil),
            (["/dev/sda", "raw", "--name", "///"], "image.name"), (["/dev/sda", "raw", "--compression", "lz4"], nil),
        ] as [([String], String?)])
    func wrongCommandLinesAreUsageErrors(arguments: [String], code: String?) {
        do {
            _ = try Self.parse(arguments)
            Issue.record("\(arguments) was accepted")
        } catch let problem as Diagnosis {
            #expect(problem.exit == .usage && problem.code == code)
        } catch {
            #expect(code == nil && KexportCommand.exitCode(for: error).rawValue == 64)
        }
    }

    @Test func aMistypedOptionNamesTheNearest() throws {
        let problem = try #require(throws: (any Error).self) { try Self.parse(["--formt", "qcow2"]) }
        #expect(KexportCommand.message(for: problem).contains("Did you mean '--format'?"))
    }
}
