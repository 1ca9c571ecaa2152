import FoundationEssentials
import KldCore
import KldExec
import KldFiles
import KldImage
import KldVirt
import SystemPackage
import Synchronization
import Testing

private let hasQemuImg = ["qemu-img", "sha256sum", "tar"].allSatisfy {
    SubprocessRunner.find($0, path: "/usr/local/bin:/usr/bin:/bin") != nil
}

/// Exports with the real tools, and reads every result back with them.
@Suite(.enabled(if: hasQemuImg, "qemu-img, sha256sum or tar is not installed")) struct ExportContractTests {
    let runner = SubprocessRunner()
    let files = LocalFiles()

    /// A folder of its own for the test, removed afterwards.
    func inFolder(_ body: (FilePath) async throws -> Void) async throws {
        let made = try await runner.run(Command("mktemp", ["-d", "-t", "kexport-test.XXXXXXXX"], effect: .changes)).output.trimmed
        do { try await body(FilePath(made)) } catch {
            try files.remove(FilePath(made))
            throw error
        }
        try files.remove(FilePath(made))
    }

    /// 21 MiB and three sectors, so no multiple of anything: noise, text and holes.
    func makeSource(_ folder: FilePath) async throws -> SourceImage {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        var noise: [UInt8] = []
        for _ in 0..<(1 << 17) {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            for shift in 0..<8 { noise.append(UInt8(truncatingIfNeeded: state >> (8 * UInt64(shift)))) }
        }
        let path = folder.appending("source.raw")
        let file = try FileDescriptor.open(path, .writeOnly, options: [.create, .truncate], permissions: [.ownerReadWrite])
        try file.closeAfter {
            try file.writeAll(noise)
            try file.writeAll(toAbsoluteOffset: 9 << 20, Array(String(repeating: "kldload ", count: 100_000).utf8))
            try file.writeAll(toAbsoluteOffset: 17 << 20, noise[..<300_000])
            try file.writeAll(toAbsoluteOffset: (21 << 20) + 1024, noise[..<512])
        }
        let info = try QemuImageInfo.parse(try await runner.run(QemuImg.info(path, format: .raw)).output)
        let measure = try QemuImageMeasure.parse(try await runner.run(QemuImg.measure(path, format: .raw)).output)
        return SourceImage(path: path, form: .raw, virtualSize: info.virtualSize, dataSize: measure.required)
    }

    func request(_ source: SourceImage, _ formats: [ExportFormat], _ folder: FilePath, overwrite: Bool = false) throws -> ExportRequest {
        ExportRequest(
            source: source, formats: formats, name: try ExportName(sanitising: "img"), destination: .folder(folder),
            image: ExportManifestTests.description(),
            sbom: SBOM(packages: [InstalledPackage(manager: .dpkg, name: "dpkg", version: "1.22")]),
            overwrite: overwrite)
    }

    func tool(_ name: String, _ arguments: [String], in folder: FilePath? = nil) async throws {
        _ = try await runner.run(Command(Tool(name), arguments, effect: .changes, workingDirectory: folder))
    }

    func compare(_ source: SourceImage, _ image: FilePath, _ form: String) async throws {
        try await tool("qemu-img", ["compare", "-f", "raw", "-F", form, source.path.string, image.string])
    }

    @Test func everyFormatHoldsTheSameDisk() async throws {
        try await inFolder { folder in
            let source = try await makeSource(folder)
            let out = folder.appending("out")
            let stages = Mutex<[ExportProgress]>([])
            let manifest = try await ImageExporter(runner: runner, files: files)
                .export(request(source, ExportFormat.allCases, out)) { progress in stages.withLock { $0.append(progress) } }
            #expect(
                try files.list(out)
                    == (ExportFormat.allCases.flatMap { ["img.\($0.suffix)", "img.\($0.suffix).sha256"] } + [
                        "img.manifest.json", "img.spdx.json",
                    ])
                    .sorted())
            try await compare(source, out.appending("img.qcow2"), "qcow2")
            try await compare(source, out.appending("img.vmdk"), "vmdk")
            try await compare(source, out.appending("img.vhd"), "vpc")
            try await compare(source, out.appending("img.raw"), "raw")
            for name in try files.list(out) where name.hasSuffix(".sha256") {
                try await tool("sha256sum", ["--check", "--strict", name], in: out)
            }
            #expect(try ImageManifest.parse(files.readText(out.appending("img.manifest.json"))) == manifest)
            #expect(manifest.virtualSize == ByteCount((21 << 20) + 1536))
            let seen = stages.withLock { $0 }
            #expect(seen.contains { $0.stage == .converting && $0.format == .vhd && $0.percent == 100 })
            #expect(seen.last == ExportProgress(.done, percent: 100, finished: 5, total: 5))
        }
    }

    @Test func whatIsNotSealedIsItsOwnersAlone() async throws {
        try await inFolder { folder in
            var request = try request(try await makeSource(folder), ExportFormat.allCases, folder.appending("out"))
            request.image.sealed = false
            let manifest = try await ImageExporter(runner: runner, files: files).export(request)
            for output in manifest.outputs { #expect(try files.status(folder.appending("out/\(output.file)"))?.mode == .secret) }
        }
    }

    @Test func qcow2IsCompressedAsAsked() async throws {
        try await inFolder { folder in
            let source = try await makeSource(folder)
            for compression in Qcow2Compression.allCases {
                var request = try request(source, [.qcow2], folder, overwrite: true)
                request.compression = compression
                try await ImageExporter(runner: runner, files: files).export(request)
                let image = folder.appending("img.qcow2")
                try await compare(source, image, "qcow2")
                let info = try await runner.run(QemuImg.info(image, format: .qcow2)).output
                #expect(info.contains("\"compression-type\": \"\(compression.rawValue)\""))
                let size = try #require(try files.status(image)?.size)
                #expect(size < .mebibytes(2))
            }
        }
    }

    @Test func aVHDIsFixedAndAWholeNumberOfMebibytes() async throws {
        try await inFolder { folder in
            let source = try await makeSource(folder)
            try await ImageExporter(runner: runner, files: files).export(request(source, [.vhd], folder))
            let image = try files.read(folder.appending("img.vhd"))
            #expect(image.count == (22 << 20) + 512)
            let footer = Array(image.suffix(512))
            #expect(footer.starts(with: "conectix".utf8))
            func number(_ range: Range<Int>) -> UInt64 { footer[range].reduce(0) { $0 << 8 | UInt64($1) } }
            #expect(number(24..<28) == 1_800_000_000 - 946_684_800)
            #expect(number(48..<56) == 22 << 20)
            // Disk type 2 is "fixed".
            #expect(number(60..<64) == 2)
            let sum = footer.enumerated().reduce(UInt32(0)) { (64..<68).contains($1.offset) ? $0 : $0 &+ UInt32($1.element) }
            #expect(number(64..<68) == UInt64(~sum))
            let info = try await runner.run(Command("qemu-img", ["info", "-f", "vpc", folder.appending("img.vhd").string], effect: .reads))
                .output
            #expect(info.contains("virtual size: 22 MiB (23068672 bytes)"))
        }
    }

    @Test func aVMDKIsStreamOptimizedAndKnowsItsName() async throws {
        try await inFolder { folder in
            let source = try await makeSource(folder)
            try await ImageExporter(runner: runner, files: files).export(request(source, [.vmdk], folder))
            let image = try files.read(folder.appending("img.vmdk"))
            #expect(image.starts(with: "KDMV".utf8))
            // Flags, little-endian at 8: compressed grains (bit 16) and markers (bit 17).
            #expect(image[10] & 3 == 3)
            let descriptor = String(decoding: image[512..<(21 * 512)].prefix { $0 != 0 }, as: UTF8.self)
            #expect(descriptor.contains("createType=\"streamOptimized\""))
            #expect(descriptor.contains("SPARSE \"img.vmdk\""))
            #expect(descriptor.contains("ddb.adapterType = \"lsilogic\""))
            #expect(descriptor.contains("ddb.virtualHWVersion = \"13\""))
        }
    }

    @Test func aVMDKIsAllInItsFileUnlessItsDescriptorNamesAnother() async throws {
        try await inFolder { made in
            let folder = try files.resolve(made)
            let source = try await makeSource(folder)
            try await ImageExporter(runner: runner, files: files).export(request(source, [.vmdk], folder))
            try await tool("qemu-img", ["convert", "-f", "raw", "-O", "vmdk", source.path.string, folder.appending("sparse.vmdk").string])
            try files.write(
                "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
                    + "RW 16384 FLAT \"\(source.path)\" 0\n", to: folder.appending("flat.vmdk"))
            func otherFile(_ name: String) async throws -> String? {
                let path = folder.appending(name)
                return try QemuImageInfo.parse(try await runner.run(QemuImg.info(path, format: .vmdk)).output).otherFile(than: path)
            }
            #expect(try await otherFile("img.vmdk") == nil)
            #expect(try await otherFile("sparse.vmdk") == nil)
            #expect(try await otherFile("flat.vmdk") == source.path.string)
        }
    }

    @Test(arguments: [[ExportFormat.ova], [.vmdk, .ova]]) func anOVAIsATarInOrderWhoseManifestIsTrue(formats: [ExportFormat]) async throws {
        try await inFolder { folder in
            let source = try await makeSource(folder)
            try await ImageExporter(runner: runner, files: files).export(request(source, formats, folder))
            let archive = folder.appending("img.ova")
            let bytes = try files.read(archive)
            #expect(Array(bytes[257..<265]) == Array("ustar\u{0}00".utf8))
            let list = try await runner.run(
                Command("tar", ["--list", "--verbose", "--numeric-owner", "--file", archive.string], effect: .reads)
            ).output.lines
            #expect(list.compactMap { $0.words.last } == ["img.ovf", "img.mf", "img-disk1.vmdk"])
            #expect(list.allSatisfy { $0.hasPrefix("-rw-r--r-- 0/0 ") && $0.contains(" 2027-01-15 08:00 ") })
            let unpacked = folder.appending("unpacked")
            try files.makeDirectory(unpacked, mode: .directory)
            try await tool("tar", ["--extract", "--file", archive.string, "--directory", unpacked.string])
            for line in try files.readText(unpacked.appending("img.mf")).lines {
                let name = String(line.dropFirst("SHA256(".count).prefix { $0 != ")" })
                let digest = try SHA256Sum.parse(try await runner.run(FileCommand.digest(of: unpacked.appending(name))).output)
                #expect(line == "SHA256(\(name))= \(digest.hex)")
            }
            let disk = unpacked.appending("img-disk1.vmdk")
            let size = try #require(try files.status(disk)?.size)
            let descriptor = try files.readText(unpacked.appending("img.ovf"))
            #expect(descriptor.contains("<File ovf:href=\"img-disk1.vmdk\" ovf:id=\"file1\" ovf:size=\"\(size.bytes)\"/>"))
            #expect(descriptor.contains("ovf:capacity=\"\(source.virtualSize.bytes)\""))
            try await compare(source, disk, "vmdk")
        }
    }

    @Test func theSameDiskGivesTheSameBytes() async throws {
        try await inFolder { folder in
            let source = try await makeSource(folder)
            let exporter = ImageExporter(runner: runner, files: files)
            let first = try await exporter.export(request(source, ExportFormat.allCases, folder.appending("a")))
            try await Task.sleep(for: .milliseconds(1100))
            let second = try await exporter.export(request(source, ExportFormat.allCases, folder.appending("b")))
            #expect(first == second)
        }
    }

    @Test func formatsAreAddedToAnImageButNotToOneThatIsReplaced() async throws {
        try await inFolder { folder in
            let source = try await makeSource(folder)
            let exporter = ImageExporter(runner: runner, files: files)
            try await exporter.export(request(source, [.raw], folder.appending("out")))
            let both = try await exporter.export(request(source, [.qcow2], folder.appending("out")))
            #expect(both.outputs.map(\.format).sorted { $0.rawValue < $1.rawValue } == [.qcow2, .raw])
            let one = try await exporter.export(request(source, [.qcow2], folder.appending("out"), overwrite: true))
            #expect(one.outputs.map(\.format) == [.qcow2])
        }
    }

    @Test func theSourceIsRecognisedUnderAnotherName() async throws {
        try await inFolder { folder in
            let source = try await makeSource(folder)
            try files.symlink(folder.appending("link"), to: folder.string)
            var request = try request(source, [.raw], folder.appending("link"), overwrite: true)
            request.name = try ExportName(sanitising: "source")
            let asked = request
            #expect(throws: ExportError.sourceIsOutput(source.path)) { try ImageExporter(runner: runner, files: files).plan(asked) }
        }
    }

    @Test func aBrokenSourceLeavesNothingBehind() async throws {
        try await inFolder { folder in
            var source = try await makeSource(folder)
            source.form = .qcow2
            let request = try request(source, [.raw], folder.appending("out"))
            await #expect(throws: CommandError.self) { try await ImageExporter(runner: runner, files: files).export(request) }
            #expect(try files.list(folder.appending("out")) == [])
        }
    }

    @Test func aCancelledExportLeavesNothingBehind() async throws {
        try await inFolder { folder in
            var source = try await makeSource(folder)
            let large = folder.appending("large.raw")
            try await tool("cp", [source.path.string, large.string])
            try await tool("truncate", ["--size=4G", large.string])
            try await tool("dd", ["if=/dev/urandom", "of=\(large)", "bs=1M", "count=200", "seek=100", "conv=notrunc", "status=none"])
            source.path = large
            source.virtualSize = .gibibytes(4)
            let request = try request(source, [.qcow2], folder.appending("out"))
            let task = Task { [runner, files] in try await ImageExporter(runner: runner, files: files).export(request) }
            while try !files.exists(folder.appending("out/.img.partial/img.qcow2")) { try await Task.sleep(for: .milliseconds(20)) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try files.list(folder.appending("out")) == [])
        }
    }

    @Test func twoExportsOfOneNameAtOnceAreRefused() async throws {
        try await inFolder { folder in
            let source = try await makeSource(folder)
            let lock = try StagingFolder.take(folder.appending(".img.partial"))
            let problem = try await #require(throws: Diagnosis.self) {
                try await ImageExporter(runner: runner, files: files).export(request(source, [.raw], folder))
            }
            #expect(problem.code == "lock.held")
            withExtendedLifetime(lock) {}
        }
    }

    @Test func anImageThatIsOpenElsewhereIsSeen() async throws {
        try await inFolder { folder in
            let source = try await makeSource(folder)
            guard SubprocessRunner.find("qemu-nbd", path: "/usr/bin") != nil else { try Test.cancel("qemu-nbd is not installed") }
            // The socket is there before the image is open, the file with the number of the process only after.
            let (socket, ready) = (folder.appending("nbd"), folder.appending("pid"))
            let server = Task { [runner] in
                try await runner.run(
                    Command(
                        "qemu-nbd",
                        ["-f", "raw", "-k", socket.string, "--pid-file", ready.string, "--persistent", source.path.string],
                        effect: .changes))
            }
            while try !files.exists(ready) { try await Task.sleep(for: .milliseconds(20)) }
            #expect(try WriterLock.isHeld(source.path))
            server.cancel()
            _ = try? await server.value
            #expect(try !WriterLock.isHeld(source.path))
        }
    }
}
