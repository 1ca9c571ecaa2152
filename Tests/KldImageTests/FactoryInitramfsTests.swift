import KldCore
import KldTestSupport
import Testing

@testable import KldImage

@Suite("The factory's initramfs")
struct FactoryInitramfsTests {
    static let dependencies = """
        kernel/drivers/virtio/virtio.ko.xz:
        kernel/drivers/virtio/virtio_ring.ko.xz: kernel/drivers/virtio/virtio.ko.xz
        kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz kernel/drivers/virtio/virtio.ko.xz
        kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz kernel/drivers/virtio/virtio.ko.xz
        kernel/fs/squashfs/squashfs.ko.xz:
        kernel/fs/overlayfs/overlay.ko.xz:
        updates/dkms/spl.ko.xz:
        updates/dkms/zfs.ko.xz: updates/dkms/spl.ko.xz
        kernel/drivers/net/other.ko.xz: kernel/fs/overlayfs/overlay.ko.xz

        """

    @Test("modules stand after those that they need, once each, and no others are there")
    func order() throws {
        #expect(
            try FactoryInitramfs.loadOrder(dependencies: Self.dependencies, builtin: "kernel/fs/ext4/ext4.ko\n") == [
                "kernel/drivers/virtio/virtio.ko.xz", "kernel/drivers/virtio/virtio_ring.ko.xz", "kernel/drivers/virtio/virtio_pci.ko.xz",
                "kernel/drivers/block/virtio_blk.ko.xz", "kernel/fs/squashfs/squashfs.ko.xz", "kernel/fs/overlayfs/overlay.ko.xz",
                "updates/dkms/spl.ko.xz", "updates/dkms/zfs.ko.xz",
            ])
    }

    @Test("what the kernel has built in is not loaded, in either spelling of its name")
    func builtin() throws {
        let builtin = "kernel/drivers/virtio/virtio-pci.ko\nkernel/drivers/block/virtio_blk.ko\nkernel/fs/squashfs/squashfs.ko\n"
        #expect(
            try FactoryInitramfs.loadOrder(dependencies: Self.dependencies, builtin: builtin)
                == ["kernel/fs/overlayfs/overlay.ko.xz", "updates/dkms/spl.ko.xz", "updates/dkms/zfs.ko.xz"])
    }

    @Test("a kernel without one of them is an error that names it")
    func missing() throws {
        let problem = problem {
            _ = try FactoryInitramfs.loadOrder(dependencies: "kernel/fs/squashfs/squashfs.ko.xz:\n", builtin: "")
        }
        #expect(problem?.code == "live.no-module")
        #expect(problem?.message.contains("virtio_pci") == true)
    }
}
