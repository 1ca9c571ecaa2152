import KldCore
import KldExec
import KldTestSupport
import KldVirt
import SystemPackage
import Testing

@Suite("qemu-img")
struct QemuImgTests {
    @Test func hasTheseCommandLines() {
        let lines = [
            QemuImg.info("/i/a.qcow2"), QemuImg.info("a:b", format: .raw, shared: true),
            QemuImg.create("/i/a.raw", format: .raw, size: .gibibytes(8)),
            QemuImg.createOverlay("/i/o.qcow2", backing: "golden.qcow2", backingFormat: .qcow2),
            QemuImg.convert("/i/a.raw", format: .raw, to: "/o/a.qcow2", as: .qcow2(.zstd)),
            QemuImg.convert("/i/a.raw", format: .raw, to: "/o/a.qcow2", as: .qcow2(.none)),
            QemuImg.convert("/i/a.raw", format: .raw, to: "/o/a.vmdk", as: .vmdk),
            QemuImg.convert("/i/a.raw", format: .raw, to: "/o/a.vhd", as: .vhd),
            QemuImg.convert("/i/a.qcow2", format: .qcow2, to: "/dev/sdx", as: .raw),
            QemuImg.compare("/i/a.raw", format: .raw, with: "/i/a.vhd", format: .vpc),
            QemuImg.map("/i/a.qcow2", format: .qcow2), QemuImg.resize("/i/a.raw", format: .raw, to: .gibibytes(9)),
        ].map { "\($0.effect.rawValue): \($0)" }
        #expect(
            lines.joined(separator: "\n") == """
                reads: qemu-img info --output json /i/a.qcow2
                reads: qemu-img info --output json -U -f raw ./a:b
                changes: qemu-img create -q -f raw /i/a.raw 8589934592
                changes: qemu-img create -q -f qcow2 -b golden.qcow2 -F qcow2 /i/o.qcow2
                changes: qemu-img convert -q -f raw -O qcow2 -c -o compression_type=zstd /i/a.raw /o/a.qcow2
                changes: qemu-img convert -q -f raw -O qcow2 /i/a.raw /o/a.qcow2
                changes: qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized /i/a.raw /o/a.vmdk
                changes: qemu-img convert -q -f raw -O vpc -o subformat=fixed,force_size=on /i/a.raw /o/a.vhd
                destroys: qemu-img convert -q -f qcow2 -O raw /i/a.qcow2 /dev/sdx
                reads: qemu-img compare -q -f raw -F vpc /i/a.raw /i/a.vhd
                reads: qemu-img map --output json -f qcow2 /i/a.qcow2
                changes: qemu-img resize -q -f raw /i/a.raw 9663676416
                """)
    }

    @Test func describesAnOverlay() throws {
        let info = try ImageInfo(json: RecordedImages.overlayInfo)
        #expect(info.format == "qcow2")
        #expect(info.virtualSize == .mebibytes(8))
        #expect(info.actualSize == ByteCount(200_704))
        #expect(info.backingFilename == "a.qcow2")
        #expect(info.backingFormat == "qcow2")
        #expect(info.compressionType == "zlib")
        #expect(!info.isCorrupt && !info.isDirty)
    }

    @Test func describesAStreamOptimizedDisk() throws {
        let info = try ImageInfo(json: RecordedImages.vmdkInfo)
        #expect(info.subformat == "streamOptimized")
        #expect(info.backingFilename == nil)
    }

    @Test func mapsAnOverlay() throws {
        let map = try ImageExtent.list(json: RecordedImages.overlayMap)
        #expect(map.count == 3)
        #expect(map[1] == ImageExtent(start: 1_048_576, length: 65536, depth: 1, zero: false, data: true))
    }

    @Test func saysWhenItsAnswerIsUnknown() {
        #expect(throws: Diagnosis.self) { try ImageInfo(json: "Formatting …") }
    }

    @Test(arguments: [
        """
        qemu-img: Could not open 'a.qcow2': Failed to get shared "write" lock
        Is another process using the image [a.qcow2]?
        """,
        """
        qemu-img: a.qcow2: error while converting qcow2: Failed to get "write" lock
        Is another process using the image [a.qcow2]?
        """,
    ])
    func namesTheImageThatIsInUse(errors: String) async throws {
        let runner = ScriptedRunner([{ _ in CommandOutput(status: 1, errors: errors) }])
        let error = await #expect(throws: Diagnosis.self) { try await QemuImg.readInfo("a.qcow2", on: runner) }
        #expect(error?.code == "image.in-use")
        #expect(error?.message == "the disk image a.qcow2 is in use by another process")
        #expect(error?.exit == .tryAgain)
    }

    @Test func leavesOtherFailuresAsTheyAre() async throws {
        let errors = "qemu-img: Could not open 'nofile': Could not open 'nofile': No such file or directory"
        let runner = ScriptedRunner([{ _ in CommandOutput(status: 1, errors: errors) }])
        await #expect(throws: CommandError.self) { try await QemuImg.readInfo("nofile", on: runner) }
    }
}
