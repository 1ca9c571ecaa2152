import KldBlock
import KldExec
import SystemPackage
import Testing

@Suite("FAT file systems that nobody mounts")
struct FATImageTests {
    @Test("what mkfs.vfat and mtools are told")
    func commands() {
        let image = FATImage("/x/disk.raw@@1048576")
        let commands = [
            image.format(["-n", "KLDBOOT"]), image.format(["-I"], effect: .destroys), image.makeFolders(["EFI", "EFI/BOOT"]),
            image.copyIn("/a/b", to: "EFI/b"), image.copyIn("/a/b", to: "b", keepsTime: true), image.copyOut(to: "/out"),
        ]
        #expect(
            commands.map { "\($0.effect.rawValue): \($0)" } == [
                "changes: mkfs.vfat -n KLDBOOT /x/disk.raw@@1048576", "destroys: mkfs.vfat -I /x/disk.raw@@1048576",
                "changes: mmd -i /x/disk.raw@@1048576 ::EFI ::EFI/BOOT", "changes: mcopy -i /x/disk.raw@@1048576 /a/b ::EFI/b",
                "changes: mcopy -m -i /x/disk.raw@@1048576 /a/b ::b", "changes: mcopy -s -n -i /x/disk.raw@@1048576 '::*' /out",
            ])
        #expect(commands.allSatisfy { $0.environment["SOURCE_DATE_EPOCH"] == nil })
    }

    @Test("a build's files have the build's time")
    func time() {
        let image = FATImage("/x/esp.img", epoch: 7)
        for command in [image.format([]), image.makeFolders(["a"]), image.copyIn("/a", to: "a"), image.copyOut(to: "/out")] {
            #expect(command.environment["SOURCE_DATE_EPOCH"] == "7")
        }
    }
}
