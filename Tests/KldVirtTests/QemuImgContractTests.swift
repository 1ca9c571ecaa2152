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
        try await QemuImg.run(QemuImg.create(file, format: .raw, size: .mebibytes(8)), on: runner)
        let descriptor = try FileDescriptor.open(file, .writeOnly)
        defer { try? descriptor.close() }
        try descriptor.writeAll(toAbsoluteOffset: 1 << 20, Array("hello".utf8))
    }

    @Test(arguments: [ImageFormat.raw, .qcow2(.none), .qcow2(.zlib), .qcow2(.zstd), .vmdk, .vhd])
    func convertsAndReadsTheSame(format: ImageFormat) async throws {
        try await withScratch { folder in
            let raw = folder.appending("a,1.raw")
            let copy = folder.appending("copy.\(format.fileExtension)")
            try await makeRaw(raw)
            try await QemuImg.run(QemuImg.convert(raw, format: .raw, to: copy, as: format), on: runner)
            let info = try await QemuImg.readInfo(copy, format: format.disk, on: runner)
            #expect(info.format == format.name)
            #expect(info.virtualSize == .mebibytes(8))
            if case .qcow2(let compression) = format, compression != .none { #expect(info.compressionType == compression.rawValue) }
            if format == .vmdk { #expect(info.subformat == "streamOptimized") }
            #expect(try await QemuImg.areEqual(raw, format: .raw, copy, format: format.disk, on: runner))
        }
    }

    @Test func makesOverlaysAndMapsThem() async throws {
        try await withScratch { folder in
            let raw = folder.appending("a.raw")
            let overlay = folder.appending("o.qcow2")
            try await makeRaw(raw)
            try await QemuImg.run(QemuImg.createOverlay(overlay, backing: "a.raw", backingFormat: .raw), on: runner)
            #expect(try await QemuImg.readInfo(overlay, on: runner).backingFilename == "a.raw")
            let map = try await QemuImg.readMap(overlay, format: .qcow2, on: runner)
            #expect(map.contains { $0.depth == 1 && $0.data && $0.start <= 1 << 20 && $0.start + $0.length > 1 << 20 })
            try await QemuImg.run(QemuImg.resize(raw, format: .raw, to: .mebibytes(9)), on: runner)
            let empty = folder.appending("empty.raw")
            try await QemuImg.run(QemuImg.create(empty, format: .raw, size: .mebibytes(9)), on: runner)
            #expect(try await QemuImg.areEqual(raw, format: .raw, empty, format: .raw, on: runner) == false)
        }
    }

    @Test(.enabled(if: Here.hasQEMU, "qemu-system-x86_64 is not installed"))
    func noticesThatAnImageIsInUse() async throws {
        try await withProbeGuest { machine, folder in
            let command = QemuImg.resize(folder.appending("probe.raw"), format: .raw, to: .mebibytes(2))
            let error = await #expect(throws: Diagnosis.self) { try await QemuImg.run(command, on: runner) }
            #expect(error?.code == "image.in-use")
            let info = try await QemuImg.readInfo(folder.appending("probe.raw"), shared: true, on: runner)
            #expect(info.format == "raw")
        }
    }
}
