import KldCore
public import KldExec

/// One file that differs between a snapshot and what came after it.
public struct SnapshotChange: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
        case added, removed, modified, renamed
    }
    public var kind: Kind
    /// `file`, `folder`, `link`, …
    public var type: String
    /// As it is now; of one that was removed, as it was.
    public var path: String
    /// The new path of one that was renamed.
    public var newPath: String?

    private static let kinds: [Substring: Kind] = ["+": .added, "-": .removed, "M": .modified, "R": .renamed]
    private static let types: [Substring: String] = [
        "F": "file", "/": "folder", "@": "link", "B": "block device", "C": "character device", "|": "pipe", "=": "socket",
    ]

    /// Reads the output of ``ZFS/diff(_:_:)``, made by `libzfs_diff.c`; what is not plain ASCII comes as `\` and four octal digits (OpenZFS 2.1 to 2.4):
    /// ```
    /// M⇥/⇥/srv/
    /// +⇥F⇥/srv/J\0303\0266rg\0040one
    /// R⇥F⇥/srv/old⇥/srv/new
    /// M⇥F⇥/srv/linked⇥(+1)
    /// ```
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(_ output: String) throws -> [SnapshotChange] {
        var changes: [SnapshotChange] = []
        for line in output.utf8.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false).map { Substring($0) }
            guard fields.count >= 3, let kind = kinds[fields[0]] else { throw Diagnosis.unreadable("zfs diff", String(Substring(line))) }
            changes.append(
                SnapshotChange(
                    kind: kind, type: types[fields[1]] ?? "other", path: fields[2].withoutOctalEscapes(digits: 4),
                    newPath: kind == .renamed && fields.count > 3 ? fields[3].withoutOctalEscapes(digits: 4) : nil))
        }
        return changes
    }
}

extension ZFS {
    /// What changed in a mounted file system since a snapshot of it: until another snapshot, or until now.
    ///
    /// Runs: `zfs diff -FH A@X [A@Y | A]`, reads. Read by ``SnapshotChange/parse(_:)``. Source: zfs-diff(8), OpenZFS 2.1 to 2.4.
    public static func diff(_ old: SnapshotName, _ new: SnapshotName?) -> Command {
        Command(tool, ["diff", "-FH", old.description, new?.description ?? old.dataset.text], effect: .reads)
    }
}
