import KldCore
import KldExec
import KldFiles
import KldImage
import KldTestSupport
import SystemPackage
import Testing

/// What an export would do, and how it ends when something goes wrong; without real files.
@Suite struct ExportPlanTests {
    static func request(
        _ formats: [ExportFormat], to destination: ExportRequest.Destination = .folder("/out"), source: FilePath = "/srv/disk.raw",
        size: ByteCount = ByteCount(10_737_418_752), data: ByteCount? = .gibibytes(1), overwrite: Bool = false
    ) throws -> ExportRequest {
        ExportRequest(
            source: SourceImage(path: source, form: .raw, virtualSize: size, dataSize: data), formats: formats,
            name: try ExportName(sanitising: "img"), destination: destination, image: ExportManifestTests.description(),
            sbom: SBOM(packages: [InstalledPackage(manager: .dpkg, name: "dpkg", version: "1.22.21", architecture: "amd64")]),
            overwrite: overwrite)
    }

    /// Plays the tools: writes what they would write into the memory.
    static func runner(_ files: MemoryFiles, failing: @escaping @Sendable (Command) throws -> Void = { _ in }) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                try failing(command)
                switch command.tool.name {
                case "qemu-img":
                    if let progress = command.outputFile { try files.write("    (12.50/100%)\r", to: progress) }
                    let target = command.arguments[0] == "create" ? command.arguments[command.arguments.count - 2] : command.arguments.last
                    try files.write("image", to: FilePath(target ?? ""))
                case "tar": try files.write("tar", to: FilePath(command.arguments[10]))
                case "sync", "chmod": break
                case "sha256sum": return CommandOutput(output: String(repeating: "ab", count: 32) + " *x\0")
                default: return nil
                }
                return CommandOutput()
            }
        ])
    }

    static func exporter(_ runner: any CommandRunner, _ files: MemoryFiles) -> ImageExporter {
        ImageExporter(
            runner: runner, files: files,
            stage: {
                try files.makeDirectory($0, mode: 0o700)
                return nil
            }, stamp: { _, _, _ in })
    }

    @Test func theCommandsOfEveryFormat() throws {
        let plan = try ExportPlan(Self.request([.raw, .ova, .vhd, .vmdk, .qcow2]))
        #expect(plan.outputs.map(\.final.string) == ["/out/img.qcow2", "/out/img.vmdk", "/out/img.vhd", "/out/img.ova", "/out/img.raw"])
        #expect(
            ExportFormat.allCases.flatMap { plan.conversion($0) }.map(\.description) == [
                "qemu-img convert -p -f raw -c -O qcow2 -o compression_type=zlib /srv/disk.raw /out/.img.partial/img.qcow2 > /out/.img.partial/progress",
                "qemu-img convert -p -f raw -O vmdk -o subformat=streamOptimized,adapter_type=lsilogic,hwversion=13 /srv/disk.raw "
                    + "/out/.img.partial/img.vmdk > /out/.img.partial/progress",
                "qemu-img create -q -f vpc -o subformat=fixed,force_size=on /out/.img.partial/img.vhd 10738466816",
                "qemu-img convert -p -f raw -n --target-is-zero -O vpc /srv/disk.raw /out/.img.partial/img.vhd > /out/.img.partial/progress",
                "qemu-img convert -p -f raw -O raw -S 4k /srv/disk.raw /out/.img.partial/img.raw > /out/.img.partial/progress",
            ])
    }

    @Test func anOVAAloneConvertsItsOwnDisk() throws {
        let plan = try ExportPlan(Self.request([.ova]))
        #expect(plan.conversion(.ova).map { $0.arguments.last } == ["/out/.img.partial/img-disk1.vmdk"])
    }

    @Test func aMemberOf8GiBNeedsMoreThanUSTAR() {
        let command = ExportCommands.pack(["a"], in: "/s", to: "/t", time: 0, large: true)
        #expect(command.arguments.contains("--format=gnu"))
    }

    @Test func vhdSizesAreWholeMebibytes() {
        #expect(VHDFormat.roundedSize(ByteCount(1)) == .mebibytes(1))
        #expect(VHDFormat.roundedSize(.mebibytes(7)) == .mebibytes(7))
        #expect(VHDFormat.roundedSize(ByteCount((7 << 20) + 512)) == .mebibytes(8))
    }

    @Test func impossibleExportsAreRefused() throws {
        #expect(throws: ExportError.nothingToExport) { try ExportPlan(Self.request([])) }
        #expect(throws: ExportError.sourceIsOutput("/srv/img.raw")) {
            try ExportPlan(Self.request([.raw], to: .folder("/srv"), source: "/srv/img.raw"))
        }
        #expect(throws: ExportError.outputNames("/srv/a", formats: [.qcow2, .raw])) {
            try ExportPlan(Self.request([.raw, .qcow2], to: .file("/srv/a")))
        }
        let problem = try #require(throws: ExportError.self) { try ExportPlan(Self.request([.vhd], size: .gibibytes(4096))) }
        #expect(problem.diagnosis.code == "image.too-large")
    }

    @Test func anExistingFileIsNotReplacedUnlessAllowed() throws {
        let files = MemoryFiles(["/out/img.qcow2": "old"])
        let exporter = Self.exporter(ScriptedRunner([]), files)
        let problem = try #require(throws: ExportError.self) { try exporter.plan(Self.request([.qcow2, .raw])) }
        #expect(problem == .exists(["/out/img.qcow2"]))
        #expect(problem.diagnosis.code == "image.exists")
        #expect(problem.diagnosis.exit == .cannotCreate)
        _ = try exporter.plan(Self.request([.qcow2, .raw], overwrite: true))
        #expect(throws: ExportError.outputIsNotAFile("/dev/sdb")) {
            try Self.exporter(ScriptedRunner([]), MemoryFiles(devices: ["/dev/sdb"]))
                .plan(Self.request([.raw], to: .file("/dev/sdb"), overwrite: true))
        }
    }

    @Test func tooLittleSpaceIsSaidWithNumbers() throws {
        let exporter = Self.exporter(ScriptedRunner([]), MemoryFiles(free: .gibibytes(2)))
        let problem = try #require(throws: ExportError.self) { try exporter.plan(Self.request([.qcow2, .ova])) }.diagnosis
        #expect(problem.code == "image.no-space")
        #expect(problem.message == "the export needs up to 3.0 GiB in /out, and 2 GiB are free")
        #expect(problem.causes == ["the image is 10 GiB large", "qcow2 may take 1.0 GiB", "ova may take 2.0 GiB"])
        _ = try exporter.plan(Self.request([.qcow2]))
    }

    @Test func aDeviceWhoseDataNobodyKnowsIsNotRefusedForItsSize() throws {
        let exporter = Self.exporter(ScriptedRunner([]), MemoryFiles(devices: ["/dev/sdb"], free: .gibibytes(2)))
        let plan = try exporter.plan(Self.request([.qcow2, .ova], source: "/dev/sdb", size: .gibibytes(1024), data: nil))
        #expect(plan.estimates.isEmpty && plan.needed < .gibibytes(1))
    }

    @Test func anExportThatFillsTheDiskSaysSoAndLeavesNothing() async throws {
        let files = MemoryFiles(devices: ["/dev/sdb"])
        let runner = Self.runner(files) { command in
            guard command.tool.name == "qemu-img" else { return }
            let said = "qemu-img: error while writing at byte 2143289344: No space left on device\n"
            throw CommandError.failed(command, CommandOutput(status: 1, errors: said))
        }
        await #expect(throws: FileError.noSpace("/out")) {
            try await Self.exporter(runner, files).export(Self.request([.qcow2], source: "/dev/sdb", data: nil))
        }
        #expect(files.texts.isEmpty)
    }

    @Test func everythingIsRenamedOnceItIsWhole() async throws {
        let files = MemoryFiles(["/out/img.ova": "old", "/out/img.manifest.json": "old"])
        let runner = Self.runner(files)
        let manifest = try await Self.exporter(runner, files).export(Self.request(ExportFormat.allCases, overwrite: true))
        #expect(
            files.texts.keys.sorted()
                == (ExportFormat.allCases.flatMap { ["/out/img.\($0.suffix)", "/out/img.\($0.suffix).sha256"] }
                + ["/out/img.manifest.json", "/out/img.spdx.json"]).sorted())
        #expect(files.texts["/out/img.ova"] == "tar")
        #expect(files.texts["/out/img.raw.sha256"] == String(repeating: "ab", count: 32) + "  img.raw\n")
        #expect(try ImageManifest.parse(files.texts["/out/img.manifest.json"] ?? "") == manifest)
        #expect(manifest.outputs.map(\.file) == ["img.qcow2", "img.vmdk", "img.vhd", "img.ova", "img.raw"])
        #expect(manifest.sbom?.file == "img.spdx.json")
        let tar = try #require(runner.commands.first { $0.tool.name == "tar" })
        #expect(
            tar.description
                == "tar --create --format=ustar --mtime=@1800000000 --owner=0 --group=0 --numeric-owner --mode=0644 --hard-dereference "
                + "--dereference --file /out/.img.partial/img.ova --directory /out/.img.partial -- img.ovf img.mf img-disk1.vmdk")
    }

    @Test func onlyWhatIsNotSealedIsClosedToOthersBeforeItHasItsName() async throws {
        for sealed in [true, false] {
            let files = MemoryFiles()
            let runner = Self.runner(files) { command in
                if command.tool.name == "chmod" { #expect((try? files.exists("/out/img.raw")) == false) }
            }
            var request = try Self.request([.raw])
            request.image.sealed = sealed
            try await Self.exporter(runner, files).export(request)
            let closing = runner.commands.filter { $0.tool.name == "chmod" }.map(\.description)
            #expect(closing == (sealed ? [] : ["chmod 0600 /out/.img.partial/img.raw"]))
        }
    }

    @Test func formatsAreAddedToAnEarlierExportOfTheSameImage() async throws {
        let files = MemoryFiles()
        let exporter = Self.exporter(Self.runner(files), files)
        try await exporter.export(Self.request([.qcow2]))
        #expect(try await exporter.export(Self.request([.raw])).outputs.map(\.format) == [.qcow2, .raw])
        var other = try Self.request([.vhd])
        other.image.payload = nil
        let unknown = other
        #expect(throws: ExportError.exists(["/out/img.manifest.json"])) { try exporter.plan(unknown) }
    }

    @Test(arguments: ["sha256sum", "tar", "sync", "qemu-img"]) func aFailureLeavesNothingBehind(tool: String) async throws {
        let files = MemoryFiles(["/out/other": "mine"])
        let runner = Self.runner(files) { command in
            if command.tool.name == tool { throw CommandError.failed(command, CommandOutput(status: 1, errors: "no")) }
        }
        let exporter = Self.exporter(runner, files)
        await #expect(throws: CommandError.self) { try await exporter.export(Self.request([.qcow2, .ova])) }
        #expect(files.texts == ["/out/other": "mine"])
    }

    @Test func whatChangedWhileItWasReadGetsNoName() async throws {
        let files = MemoryFiles(["/out/other": "mine"])
        let exporter = Self.exporter(Self.runner(files), files)
        await #expect(throws: ExportError.changed("/srv/disk.raw")) {
            try await exporter.export(Self.request([.raw]), whole: { throw ExportError.changed("/srv/disk.raw") })
        }
        #expect(files.texts == ["/out/other": "mine"])
    }

    @Test func aDiskThatFillsUpIsNamedSo() async throws {
        let files = MemoryFiles()
        let runner = Self.runner(files) { command in
            if command.arguments.first == "convert" {
                throw CommandError.failed(
                    command, CommandOutput(status: 1, errors: "qemu-img: error while writing: No space left on device"))
            }
        }
        let exporter = Self.exporter(runner, files)
        await #expect(throws: FileError.noSpace("/out")) { try await exporter.export(Self.request([.raw])) }
        #expect(files.texts.isEmpty)
    }

    @Test func leftoversOfAKilledExportAreRemoved() async throws {
        let files = MemoryFiles(["/out/.img.partial/img.vmdk": "half", "/out/.img.partial/x/y": "z"])
        try await Self.exporter(Self.runner(files), files).export(Self.request([.raw]))
        #expect(files.texts.keys.allSatisfy { !$0.contains("partial") })
    }

    @Test func progressIsRead() {
        #expect(ConversionProgress.parse(Array("    (0.00/100%)\r    (39.54/100%)\r".utf8)) == 39.54)
        #expect(ConversionProgress.parse(Array("    (0.00/100%)\r    (39.".utf8)) == 0)
        #expect(ConversionProgress.parse([]) == nil)
    }
}
