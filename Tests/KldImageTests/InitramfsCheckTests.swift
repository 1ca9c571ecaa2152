import KldBoot
import KldCore
import KldDistro
import KldTestSupport
import Testing

@testable import KldImage

@Suite("What an initramfs must hold")
struct InitramfsCheckTests {
    /// As lsinitramfs prints it, shortened to what counts. Source: initramfs-tools 0.148.
    static let target =
        [
            "zfs", "spl", "vfat", "efivarfs", "nvme", "vmd", "ahci", "sd_mod", "xhci-pci", "ehci-pci", "usb-storage", "uas", "mmc_block",
            "sdhci-pci", "megaraid_sas", "mpt3sas", "mpi3mr", "smartpqi", "hpsa", "aacraid", "virtio_blk", "virtio_scsi", "xen-blkfront",
            "mptspi", "vmw_pvscsi", "ata_piix", "hv_storvsc", "usbhid", "hid-generic",
        ].map { "usr/lib/modules/6.12.48/kernel/\($0).ko.xz" } + [
            "usr/sbin/zpool", "usr/sbin/zfs", "usr/sbin/mount.zfs", "scripts/local-top/kldload-hostid",
            "scripts/local-top/kldload-environment", "scripts/local-premount/kldload-pool", "etc/default/zfs",
        ]

    let check = InitramfsCheck.of(.target)

    func problems(_ names: [String], size: ByteCount = .mebibytes(60), builtin: [String] = []) -> [String] {
        check.problems(names, size: size, builtin: builtin)
    }

    @Test("one that holds everything is fine")
    func whole() { #expect(problems(Self.target) == []) }

    @Test("whatever it lacks is named", arguments: target.dropLast())
    func lacking(_ name: String) throws {
        let found = problems(Self.target.filter { $0 != name })
        let file = try #require(name.split(separator: "/").last).replacing(".xz", with: "")
        #expect(found == ["lacks \(file)"])
    }

    @Test("a module that is part of the kernel is there, and one of another name is not")
    func builtin() {
        let rest = Self.target.filter { !$0.contains("sd_mod") && !$0.contains("usb-storage") }
        #expect(problems(rest, builtin: ["kernel/drivers/scsi/sd_mod.ko", "kernel/drivers/usb/storage/usb_storage.ko"]) == [])
        #expect(problems(rest + ["x/notsd_mod.ko", "x/usb-storage.kox", "x/sd_mod.conf"]) == ["lacks sd_mod.ko, usb-storage.ko"])
    }

    @Test("nothing that belongs to one machine is in it", arguments: ["etc/hostid", "etc/zfs/zpool.cache", "main/etc/hostid"])
    func forbidden(_ name: String) {
        #expect(problems(Self.target + [name]).first?.hasPrefix("holds etc/") == true)
        #expect(problems(Self.target + ["etc/hostid.d", "usr/share/etc-hostid"]) == [])
    }

    @Test("neither a few bytes nor more than the ESP has room for")
    func size() {
        #expect(problems(Self.target, size: .mebibytes(7)) == ["is 7 MiB, less than 8 MiB"])
        #expect(problems(Self.target, size: .mebibytes(300)) == ["is 300 MiB, more than 256 MiB"])
    }

    @Test("it travels as the parameters of a step")
    func parameters() {
        for kind in [PayloadSpec.Kind.target, .live] { #expect(InitramfsCheck(InitramfsCheck.of(kind).parameters) == .of(kind)) }
        #expect(InitramfsCheck([:]) == nil)
    }

    @Test("dracut's list is read from among its other lines")
    func dracut() {
        // lsinitrd, dracut 106.
        let list = """
            Image: /boot/initrd.img-6.12.48+deb13-amd64: 45M
            ========================================================================
            Version: dracut-106-6

            dracut modules:
            dmsquash-live
            ========================================================================
            drwxr-xr-x  13 root     root            0 Jan  1 00:00 .
            crw-r--r--   1 root     root       5,   1 Jan  1 00:00 dev/console
            lrwxrwxrwx   1 root     root            7 Jan  1 00:00 bin -> usr/bin
            -rwxr-xr-x   1 root     root         9876 Jan  1 00:00 usr/sbin/dmsquash-live-root
            -rw-r--r--   1 root     root        12345 Jan  1 00:00 usr/lib/modules/6.12.48/kernel/fs/overlayfs/overlay.ko.xz
            ========================================================================

            """
        let names = InitramfsBuilder.names(.dracut, list)
        #expect(names.contains("usr/sbin/dmsquash-live-root") && names.contains("bin"))
        #expect(names.contains("usr/lib/modules/6.12.48/kernel/fs/overlayfs/overlay.ko.xz"))
        #expect(!names.contains("dmsquash-live"))
    }

    @Test("a builder that there is no recipe for is refused", arguments: [InitramfsKind.mkinitcpio, .mkinitfs, .dracut])
    func unsupported(_ kind: InitramfsKind) {
        var spec = DistroSpec.debian13
        spec.initramfs = kind
        #expect(problem { _ = try InitramfsBuilder.of(spec, .target) }?.code == "distro.unsupported")
    }
}
