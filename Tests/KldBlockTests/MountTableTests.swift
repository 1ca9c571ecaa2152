import KldBlock
import Testing

@Suite("The mount table")
struct MountTableTests {
    static let installed = """
        # By hand.
        UUID=1234-ABCD /boot/efi vfat umask=0077,nofail 0 2

        """

    @Test("the ESP's serial number changes, and nothing else; twice is once")
    func serial() {
        let table = MountTable(Self.installed)
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
        #expect(MountTable(text).namingESP("0BAD-CAFE").text == text)
    }

    @Test("a line keeps its blanks")
    func blanks() {
        let table = MountTable("\tUUID=1234-ABCD\t/efi  vfat  noauto 0 0\n/dev/zvol/swap none swap sw 0 0")
        #expect(table.namingESP("0BAD-CAFE").text == "\tUUID=0BAD-CAFE\t/efi  vfat  noauto 0 0\n/dev/zvol/swap none swap sw 0 0")
    }
}
