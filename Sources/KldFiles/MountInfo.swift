import KldCore
import SystemPackage

/// A mount with its place in the tree of mounts. Source: proc_pid_mountinfo(5), Linux man-pages 6.9:
/// ```
/// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
/// ```
public struct MountInfo: Sendable, Hashable {
    public var id: Int
    /// Of the mount that it is attached to.
    public var parent: Int
    /// Where it is mounted, as this process sees it.
    public var place: String
    public var type: String
    /// A device, a dataset, or a word.
    public var source: String
    /// Of the mount, and of what is mounted: `ro` in either keeps writers out.
    public var options: Set<String>

    public var isReadOnly: Bool { options.contains("ro") }

    /// Lines that are not understood are left out.
    public static func parse(_ text: String) -> [MountInfo] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 10, let id = Int(words[0]), let parent = Int(words[1]), let dash = words[6...].firstIndex(of: "-"),
                dash + 2 < words.count
            else { return nil }
            let options = (words[5] + "," + (dash + 3 < words.count ? words[dash + 3] : "")).split(separator: ",").map(String.init)
            return MountInfo(
                id: id, parent: parent, place: words[4].withoutOctalEscapes(), type: words[dash + 1],
                source: words[dash + 2].withoutOctalEscapes(), options: Set(options))
        }
    }

    /// What hides this mount from whoever looks at its place: something on top of it, or on a folder above it.
    public func cover(in mounts: [MountInfo]) -> MountInfo? {
        mounts.first { other in
            other.id != id && other.source != source
                && (other.parent == id && other.place == place
                    || other.parent == parent && place.hasPrefix(other.place + "/"))
        }
    }
}

extension FileSystem {
    /// What this process sees mounted. - Throws: ``FileError``.
    public func mountInfo() throws -> [MountInfo] { MountInfo.parse(String(decoding: try read("/proc/self/mountinfo"), as: UTF8.self)) }
}
