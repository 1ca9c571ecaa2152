import KldCore
import SystemPackage

/// A file system that is mounted. Source: proc(5), `/proc/pid/mounts`, Linux man-pages 6.9; a space is written `\040`.
public struct MountPoint: Sendable, Hashable {
    /// A device, a dataset, or a word.
    public var source: String
    public var place: String
    public var type: String

    package init(source: String, place: String, type: String) {
        self.source = source
        self.place = place
        self.type = type
    }

    public var isZFSRoot: Bool { place == "/" && type == "zfs" }
}

extension FileSystem {
    /// What this process sees mounted, the oldest first. - Throws: ``FileError``.
    public func mounts() throws -> [MountPoint] {
        let text = String(decoding: try read("/proc/self/mounts"), as: UTF8.self)
        return text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").map { $0.withoutOctalEscapes() }
            return words.count > 2 ? MountPoint(source: words[0], place: words[1], type: words[2]) : nil
        }
    }

    /// The dataset that is seen at a place; `nil`: none of ZFS' is mounted there. - Throws: ``FileError``.
    public func dataset(at place: String) throws -> String? { try mounts().last { $0.place == place && $0.type == "zfs" }?.source }
}
