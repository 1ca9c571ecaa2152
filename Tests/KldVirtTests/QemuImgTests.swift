import KldCore
import KldExec
import KldVirt
import SystemPackage
import Testing

@Suite("qemu-img")
struct QemuImgTests {
    @Test func hasTheseCommandLines() {
        let lines = [
            QemuImg.info("/i/a.qcow2"), QemuImg.info("a:b", format: .raw), QemuImg.measure("/i/a.raw", format: .raw),
            QemuImg.create("/i/a.raw", format: .raw, size: .gibibytes(8)),
            QemuImg.createOverlay("/i/o.qcow2", backing: "golden.qcow2", backingFormat: .qcow2),
            QemuImg.convert("/i/a.raw", format: .raw, to: "/o/a.qcow2", as: .qcow2),
            QemuImg.convert("/i/a.qcow2", format: .qcow2, to: "/dev/sdx", as: .raw),
            QemuImg.resize("/i/a.raw", format: .raw, to: .gibibytes(9)),
        ].map { "\($0.effect.rawValue): \($0)" }
        #expect(
            lines.joined(separator: "\n") == """
                reads: qemu-img info --output json /i/a.qcow2
                reads: qemu-img info --output json -f raw ./a:b
                reads: qemu-img measure --output json -f raw -O qcow2 /i/a.raw
                changes: qemu-img create -q -f raw /i/a.raw 8589934592
                changes: qemu-img create -q -f qcow2 -b golden.qcow2 -F qcow2 /i/o.qcow2
                changes: qemu-img convert -q -f raw -O qcow2 /i/a.raw /o/a.qcow2
                destroys: qemu-img convert -q -f qcow2 -O raw /i/a.qcow2 /dev/sdx
                changes: qemu-img resize -q -f raw /i/a.raw 9663676416
                """)
    }

    @Test func describesAnOverlay() throws {
        let info = try QemuImageInfo.parse(RecordedImages.overlayInfo)
        #expect(info.format == "qcow2")
        #expect(info.virtualSize == .mebibytes(8))
        #expect(info.backingFile == "a.qcow2")
        #expect(info.otherFile(than: "ov.qcow2") == "a.qcow2")
    }

    @Test func describesADiskThatIsAllInItsFile() throws {
        let info = try QemuImageInfo.parse(RecordedImages.vmdkInfo)
        #expect(info.format == "vmdk")
        #expect(info.extents == ["a.vmdk"])
        #expect(info.otherFile(than: "a.vmdk") == nil)
        #expect(info.otherFile(than: "b.vmdk") == "a.vmdk")
    }

    @Test func saysWhenItsAnswerIsUnknown() {
        #expect(throws: Diagnosis.self) { try QemuImageInfo.parse("Formatting …") }
        #expect(throws: Diagnosis.self) { try QemuImageMeasure.parse("Formatting …") }
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
    func knowsThatAnImageIsInUse(errors: String) {
        #expect(QemuImg.isLocked(errors))
    }

    @Test func leavesOtherFailuresAsTheyAre() {
        #expect(!QemuImg.isLocked("qemu-img: Could not open 'nofile': Could not open 'nofile': No such file or directory"))
    }
}
