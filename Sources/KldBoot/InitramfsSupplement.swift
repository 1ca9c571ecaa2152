public import KldCore

/// Small archives that a UKI carries behind the distribution's initramfs, so that nothing of one machine lies in a shared one.
public enum InitramfsSupplement {
    /// `/etc/hostid`, which OpenZFS reads when it imports the root pool.
    public static func hostID(_ id: HostID) -> [UInt8] {
        var archive = CPIOArchive()
        archive.add(directory: "etc")
        archive.add(file: "etc/hostid", content: id.fileContent)
        return archive.finished
    }

    /// A supplement behind an initramfs, where nobody else joins the two: the kernel looks for the next archive at a multiple of four, and
    /// skips zeros on its way there. Source: Linux `Documentation/driver-api/early-userspace/buffer-format.rst` (6.12).
    public static func joined(_ initramfs: [UInt8], _ supplement: [UInt8]) -> [UInt8] {
        var whole = initramfs
        whole.pad(to: 4)
        return whole + supplement
    }
}
