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
}
