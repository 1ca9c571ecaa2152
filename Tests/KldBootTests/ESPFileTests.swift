import KldCore
import KldExec
import KldPlan
import SystemPackage
import Testing

@testable import KldBoot

@Suite("What a cut write leaves on an ESP")
struct ESPFileTests {
    @Test(
        "is known by the name that the file was to get, on both chains",
        arguments: [
            "kldload-debian-6.12.48+deb13-amd64.1.efi", "vmlinuz-6.12.48+deb13-amd64.1", "initrd-6.12.48+deb13-amd64.2",
            "hostid-01234567.cpio", "recovery.efi",
        ])
    func leftover(name: String) throws {
        let actions = ESPFile.place("/boot/x", as: "\(BootEntry.imageFolder)/\(name)", on: "/esp")
        guard case .run(let copy) = try #require(actions.first) else { throw CancellationError() }
        let hidden = try #require(copy.arguments.last)
        #expect(hidden == "/esp/EFI/kldload/.\(name).new" && ESPFile.isLeftover(hidden.leaf))
        #expect(!ESPFile.isLeftover(name) && !ESPFile.isLeftover(".\(name)") && !ESPFile.isLeftover("\(name).new"))
    }

    @Test("others' hidden files are none", arguments: [".new", ".notes.new", ".theirs.efi.new", ".shimx64.efi.new", ".kldload-x.conf.new"])
    func foreign(name: String) { #expect(!ESPFile.isLeftover(name)) }

    @Test("a loader reads entries by their suffix, in any letters; what was to become one is none")
    func menu() {
        #expect(["a.conf", "A.CONF", "kldload-x.env"].allSatisfy(BootEntry.isInMenu))
        #expect(!["a.conf.kldload-12-345", ".a.conf.new", "a.txt"].contains(where: BootEntry.isInMenu))
    }
}
