import KldBlock
import Testing

@Suite("The mount table")
struct MountTableTests {
    static let installed = """
        # File systems of the pool are mounted by ZFS. Every disk carries a copy of this ESP, under one serial number.
        UUID=1234-ABCD /boot/efi vfat umask=0077,nofail 0 2

        """

    @Test("the ESP's serial number changes, and nothing else; twice is once")
    func serial() {
        let table = MountTable(Self.installed)
        #expect(table.espMountPoint == "/boot/efi")
        let fresh = table.namingESP("0BAD-CAFE")
        #expect(fresh.text == Self.installed.replacing("1234-ABCD", with: "0BAD-CAFE"))
        #expect(fresh.namingESP("0BAD-CAFE") == fresh)
    }

    @Test(
        "other lines stay as they are",
        arguments: [
            "", "# UUID=1234-ABCD /boot/efi vfat defaults 0 2\n", "LABEL=EFI /boot/efi vfat defaults 0 2",
            "UUID=1234-ABCD /srv/usb vfat noauto 0 0\n", "UUID=6d2b /boot/efi ext4 defaults 0 2\n", "UUID=1234-ABCD\n",
        ])
    func others(_ text: String) {
        #expect(MountTable(text).espMountPoint == nil)
        #expect(MountTable(text).namingESP("0BAD-CAFE").text == text)
    }

    @Test("a line keeps its blanks, and its unit is named as systemd names it")
    func blanks() {
        let table = MountTable("\tUUID=1234-ABCD\t/efi  vfat  noauto 0 0\n/dev/zvol/swap none swap sw 0 0")
        #expect(table.namingESP("0BAD-CAFE").text == "\tUUID=0BAD-CAFE\t/efi  vfat  noauto 0 0\n/dev/zvol/swap none swap sw 0 0")
        #expect(table.espMountPoint.map(MountTable.unit) == "efi.mount")
        #expect(MountTable.unit("/boot/efi") == "boot-efi.mount")
    }
}
