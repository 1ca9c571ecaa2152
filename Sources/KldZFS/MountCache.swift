import KldCore
public import KldExec

/// The list of a pool's mounts from which systemd makes mount units, as the event daemon keeps it: `/etc/zfs/zfs-list.cache/POOL`.
public enum MountCache {
    /// Columns that zfs-mount-generator reads. Source: zfs-mount-generator(8), OpenZFS 2.4; older generators ignore the last ones.
    private static let columns =
        "name,mountpoint,canmount,atime,relatime,devices,exec,readonly,setuid,nbmand,encroot,keylocation,org.openzfs.systemd:requires,"
        + "org.openzfs.systemd:requires-mounts-for,org.openzfs.systemd:before,org.openzfs.systemd:after,org.openzfs.systemd:wanted-by,"
        + "org.openzfs.systemd:required-by,org.openzfs.systemd:nofail,org.openzfs.systemd:ignore"

    /// As the event daemon asks for it. Runs: `zfs list -H -t filesystem -o COLUMNS -r POOL`, reads.
    public static func list(_ pool: PoolName) -> Command {
        Command(ZFS.tool, ["list", "-H", "-t", "filesystem", "-o", columns, "-r", pool.text], effect: .reads)
    }

    /// The list without the folder that the pool is opened below in front of each path. - Parameter output: of ``list(_:)``.
    public static func text(_ output: String, altroot: String) -> String {
        output.lines.map { line -> String in
            var fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            if fields.count > 1, fields[1] == altroot {
                fields[1] = "/"
            } else if fields.count > 1, fields[1].hasPrefix(altroot + "/") {
                fields[1] = String(fields[1].dropFirst(altroot.count))
            }
            return fields.joined(separator: "\t") + "\n"
        }.joined()
    }
}
