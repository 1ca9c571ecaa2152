import KldCore
import KldExec
import KldFiles
import KldTestSupport
import KldZFS
import SystemPackage

@testable import KldSnapshots

/// A machine with odd names: a root environment and another, a locked dataset, a volume, a clone of a clone, a folder in UTF-8.
enum Machine {
    static let now = Timestamp(seconds: 1_786_000_000)
    static let stamp = "20260806-070640"

    /// `zfs list -Hp -o` of ``Storage/columns``.
    static let list = """
        rpool\tfilesystem\tnone\toff\tno\t-\t-\t-
        rpool/ROOT\tfilesystem\tnone\toff\tno\t-\t-\t-
        rpool/ROOT/debian\tfilesystem\t/\tnoauto\tyes\t-\t-\t-
        rpool/ROOT/next\tfilesystem\t/\tnoauto\tno\t-\trpool/ROOT/debian@kbe-next\t-
        rpool/home\tfilesystem\t/home\ton\tyes\t-\t-\t-
        rpool/home/my data\tfilesystem\t/home/my data\ton\tyes\t-\t-\t-
        rpool/home/J_rg\tfilesystem\t/home/Jörg\ton\tyes\t-\t-\t-
        rpool/locked\tfilesystem\t/locked\ton\tno\tunavailable\t-\t-
        rpool/srv\tfilesystem\t/srv\ton\tyes\t-\t-\t-
        rpool/var\tfilesystem\t/var\toff\tno\t-\t-\t-
        rpool/var/cache\tfilesystem\t/var/cache\ton\tyes\t-\t-\tfalse
        rpool/vms\tfilesystem\tnone\toff\tno\t-\t-\tfalse
        rpool/vms/web server\tvolume\t-\t-\t-\t-\t-\tfalse
        tank\tfilesystem\t/tank\ton\tyes\t-\t-\t-

        """

    static let mounts = """
        22 1 0:21 / / rw,relatime shared:1 - zfs rpool/ROOT/debian rw,xattr,posixacl
        23 22 0:5 / /dev rw shared:2 - devtmpfs udev rw
        30 22 0:31 / /home rw shared:3 - zfs rpool/home rw
        31 30 0:32 / /home/my\\040data rw shared:4 - zfs rpool/home/my\\040data rw
        32 30 0:33 / /home/Jörg rw shared:5 - zfs rpool/home/J_rg rw
        33 22 0:34 / /srv rw shared:6 - zfs rpool/srv rw
        34 22 0:35 / /var/cache rw shared:7 - zfs rpool/var/cache rw
        35 22 0:36 / /tmp rw shared:8 - tmpfs tmpfs rw
        36 22 0:37 / /tank rw shared:9 - zfs tank rw
        37 22 8:1 / /boot/efi rw - vfat /dev/vda1 rw

        """

    static let storageCommand = ZFS.list(of: [], columns: Storage.columns, types: ["filesystem", "volume"])

    static func files(_ more: [String: String] = [:]) -> MemoryFiles {
        var texts = [
            "/proc/self/mountinfo": mounts, "/home/my data/letter": "x", "/home/Jörg/x": "", "/srv/www/index": "", "/tank/x": "",
            "/etc/fstab": "", "/var/lib/x": "", "/tmp/x": "",
        ]
        texts.merge(more) { $1 }
        return MemoryFiles(texts)
    }

    static func storage(_ list: String = list, mounts: String = mounts) throws -> Storage {
        // As it is gathered, without a runner.
        var datasets: [Storage.Dataset] = []
        try ListLine.each(list, columns: Storage.columns) { datasets.append(Storage.Dataset($0)) }
        return Storage(datasets: datasets, mounts: MountInfo.parse(mounts))
    }

    /// Answers `zfs list` of file systems, and what a test scripts.
    static func runner(_ table: [Command: String] = [:], list: String = list) -> ScriptedRunner {
        ScriptedRunner([
            { command in command == storageCommand ? CommandOutput(output: list) : nil },
            { command in table[command].map { CommandOutput(output: $0) } },
        ])
    }

    static func snapshot(_ name: String, txg: Int, holds: Int = 0, clones: String = "-", used: Int = 100) -> String {
        let type = name.contains("#") ? "bookmark" : "snapshot"
        return "\(name)\t\(type)\t\(type == "bookmark" ? "-" : String(used))\t200\t\(1_785_000_000 + txg)\t\(txg)\t\(holds)\t\(clones)\n"
    }
}
