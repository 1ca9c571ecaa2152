import KldCore
import KldImage
import SystemPackage
import Testing

/// Every form of the command line that a seed prints, and what is refused.
@Suite struct ExportArgumentsTests {
    @Test func diskFormatFolder() throws {
        #expect(
            try KexportArguments.parse(["/dev/sda", "qcow2", "/tmp/export/"])
                == KexportRequest(source: .path("/dev/sda"), formats: [.qcow2], destination: .folder("/tmp/export/")))
    }

    @Test func diskFormatFolderWithANameFromTheEnvironment() throws {
        let request = try KexportArguments.parse(["/dev/sda", "qcow2", "/tmp/export/"], environment: ["KEXPORT_NAME": "debian13-base-v2"])
        #expect(request.name?.text == "debian13-base-v2")
    }

    @Test(arguments: [
        ["--format", "qcow2", "--output", "/tmp/image.qcow2"], ["--format=qcow2", "--output=/tmp/image.qcow2"],
        ["-f", "qcow2", "-o", "/tmp/image.qcow2"],
    ])
    func formatAndOutputAsOptions(arguments: [String]) throws {
        #expect(
            try KexportArguments.parse(arguments)
                == KexportRequest(
                    source: .automatic, formats: [.qcow2], destination: .file("/tmp/image.qcow2"), name: try ExportName(sanitising: "image")
                ))
    }

    @Test func aFormatAlone() throws {
        #expect(
            try KexportArguments.parse(["qcow2"])
                == KexportRequest(source: .automatic, formats: [.qcow2], destination: .folder("/root/exports")))
        #expect(try KexportArguments.parse(["all", "out"]).destination == .folder("out"))
        #expect(try KexportArguments.parse(["ova,raw", "out"]).formats == [.ova, .raw])
    }

    @Test func theDefaultFolder() throws {
        #expect(try KexportArguments.parse(["disk.raw", "vhd"]).destination == .folder("/root/exports"))
    }

    @Test func aDiskWithOptions() throws {
        let request = try KexportArguments.parse(["/dev/vdb", "--format", "raw", "--output", "/srv/"])
        #expect(request.source == .path("/dev/vdb"))
        #expect(request.destination == .folder("/srv/"))
        #expect(try KexportArguments.parse(["--disk", "/dev/vdb", "raw"]).source == .path("/dev/vdb"))
        #expect(try KexportArguments.parse(["--disk", "/dev/vdb", "raw", "/srv"]).destination == .folder("/srv"))
    }

    @Test func switches() throws {
        #expect(try KexportArguments.parse(["/dev/sda", "raw"]).seal)
        #expect(try KexportArguments.parse(["/dev/sda", "raw", "--seal"]).seal)
        #expect(try !KexportArguments.parse(["--no-seal", "/dev/sda", "raw"]).seal)
        #expect(try KexportArguments.parse(["/dev/sda", "raw", "--overwrite"]).overwrite)
        #expect(try KexportArguments.parse(["/dev/sda", "raw", "--dry-run"]).dryRun)
        #expect(try KexportArguments.parse(["/dev/sda", "qcow2", "--compression", "zstd"]).compression == .zstd)
        #expect(
            try KexportArguments.parse(["/dev/sda", "raw", "--name", "one"], environment: ["KEXPORT_NAME": "two"]).name?.text == "one")
        #expect(try KexportArguments.parse(["/dev/sda", "raw"]).progress == .auto)
        #expect(try KexportArguments.parse(["/dev/sda", "raw", "--progress=json"]).progress == .json)
        #expect(try KexportArguments.parse(["--", "/dev/sda", "raw"]).source == .path("/dev/sda"))
    }

    @Test(
        arguments: [
            ([], "image.format"), (["/dev/sda"], "image.format"), (["sda", "qcow2"], "image.usage"), (["qcow3"], "image.format"),
            (["/dev/sda", "qcow3"], "image.format"), (["none"], "image.format"), (["/dev/sda", "qcow2", "/a", "/b"], "image.usage"),
            (["/dev/sda", "qcow2", "--seal", "--no-seal"], "image.usage"), (["--formt", "qcow2"], "image.usage"),
            (["--format"], "image.usage"), (["--format", "raw", "--format", "vhd"], "image.usage"),
            (["--format", "raw,vhd", "--output", "/tmp/x"], "image.output"),
            (["--format", "raw", "--output", "/tmp/x.qcow2"], "image.output"),
            (["/dev/sda", "raw", "/a", "--output", "/b"], "image.usage"), (["/dev/sda", "--disk", "/dev/sdb", "raw"], "image.usage"),
            (["/dev/sda", "raw", "--progress", "bar"], "image.usage"),
            (["/dev/sda", "raw", "--name", "///"], "image.name"), (["/dev/sda", "raw", "--compression", "lz4"], "image.usage"),
        ] as [([String], String)])
    func wrongCommandLinesAreUsageErrors(arguments: [String], code: String) throws {
        let problem = try #require(throws: Diagnosis.self) { try KexportArguments.parse(arguments) }
        #expect(problem.exit == .usage)
        // `--disk` takes the first word's place, so `/dev/sda` is read as a format there.
        #expect(problem.code == code || arguments.contains("--disk") && problem.code == "image.format")
    }

    @Test func aMistypedOptionNamesTheNearest() throws {
        let problem = try #require(throws: Diagnosis.self) { try KexportArguments.parse(["--formt", "qcow2"]) }
        #expect(problem.remedies.first == "did you mean --format?")
    }
}
