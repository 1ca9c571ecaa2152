import KldCore
import KldExec
import KldFiles
import KldVirt
import SystemPackage
import Testing

@Suite("The qemu-img of this machine", .enabled(if: Here.hasQemuImg, "qemu-img is not installed"))
struct QemuImgContractTests {
    let runner = SubprocessRunner()

    /// 8 MiB with five bytes at 1 MiB.
    private func makeRaw(_ file: FilePath) async throws {
        try await runner.run(QemuImg.create(file, format: .raw, size: .mebibytes(8)))
        let descriptor = try FileDescriptor.open(file, .writeOnly)
        defer { try? descriptor.close() }
        try descriptor.writeAll(toAbsoluteOffset: 1 << 20, Array("hello".utf8))
    }

    private func read(_ file: FilePath, as format: MachineDisk.Format? = nil) async throws -> QemuImageInfo {
        try QemuImageInfo.parse(try await runner.run(QemuImg.info(file, format: format)).output)
    }

    /// Fails where guests would not read the same from both images.
    private func compare(_ raw: FilePath, _ other: FilePath, _ format: MachineDisk.Format) async throws {
        try await runner.run(
            Command(QemuImg.tool, ["compare", "-q", "-f", "raw", "-F", format.rawValue, raw.string, other.string], effect: .reads))
    }

    @Test(arguments: [MachineDisk.Format.raw, .qcow2])
    func convertsAndReadsTheSame(format: MachineDisk.Format) async throws {
        try await withScratch { folder in
            let raw = folder.appending("a,1.raw")
            let copy = folder.appending("copy")
            try await makeRaw(raw)
            try await runner.run(QemuImg.convert(raw, format: .raw, to: copy, as: format))
            let info = try await read(copy, as: format)
            #expect(info.format == format.rawValue)
            #expect(info.virtualSize == .mebibytes(8))
            try await compare(raw, copy, format)
        }
    }

    @Test func makesOverlays() async throws {
        try await withScratch { folder in
            let raw = folder.appending("a.raw")
            let overlay = folder.appending("o.qcow2")
            try await makeRaw(raw)
            try await runner.run(QemuImg.createOverlay(overlay, backing: "a.raw", backingFormat: .raw))
            #expect(try await read(overlay).backingFile == "a.raw")
            try await compare(raw, overlay, .qcow2)
            try await runner.run(QemuImg.resize(overlay, format: .qcow2, to: .mebibytes(9)))
            #expect(try await read(overlay).virtualSize == .mebibytes(9))
            #expect(try await read(raw, as: .raw).virtualSize == .mebibytes(8))
        }
    }

    @Test(.enabled(if: Here.hasQEMU, "qemu-system-x86_64 is not installed"))
    func noticesThatAnImageIsInUse() async throws {
        try await withProbeGuest { machine, folder in
            let probe = folder.appending("probe.raw")
            let error = await #expect(throws: CommandError.self) {
                try await runner.run(QemuImg.resize(probe, format: .raw, to: .mebibytes(2)))
            }
            #expect(QemuImg.isLocked(error?.failure?.errors ?? ""))
        }
    }
}
