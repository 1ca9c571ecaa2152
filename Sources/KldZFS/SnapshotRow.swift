public import KldCore
public import KldExec

/// A snapshot, or a bookmark, as `zfs list` tells of it. The names are not checked: ZFS gave them.
public struct SnapshotRow: Sendable, Hashable {
    static let columns = ["name", "type", "used", "referenced", "creation", "createtxg", "userrefs", "clones"]

    /// The full name: `rpool/home@before`, or `rpool/home#sent` of a bookmark.
    public var name: String
    /// Space that only it holds: what destroying it alone would give back. Zero for a bookmark.
    public var used: ByteCount
    public var referenced: ByteCount
    public var created: Timestamp
    /// Counts up in a pool: two of one second have an order all the same.
    public var transaction: UInt64
    /// How many holds keep it.
    public var holds: Int
    public var clones: [String]

    public init(
        name: String, used: ByteCount = ByteCount(0), referenced: ByteCount = ByteCount(0), created: Timestamp = Timestamp(seconds: 0),
        transaction: UInt64 = 0, holds: Int = 0, clones: [String] = []
    ) {
        self.name = name
        self.used = used
        self.referenced = referenced
        self.created = created
        self.transaction = transaction
        self.holds = holds
        self.clones = clones
    }

    private var mark: String.Index { name.firstIndex { $0 == "@" || $0 == "#" } ?? name.endIndex }
    public var dataset: String { String(name[..<mark]) }
    /// What follows the `@` or `#`.
    public var label: String { String(name[mark...].dropFirst()) }
    public var isBookmark: Bool { mark < name.endIndex && name[mark] == "#" }

    /// Reads the output of ``ZFS/snapshots(of:recursive:bookmarks:)``. A snapshot and a bookmark (columns as in OpenZFS 2.4.4):
    /// ```
    /// rpool/home@before⇥snapshot⇥8192⇥98304⇥1786000000⇥5312⇥1⇥rpool/copy,rpool/other
    /// rpool/home#sent⇥bookmark⇥-⇥-⇥1786000000⇥5312⇥-⇥-
    /// ```
    /// - Returns: in ZFS's order: by dataset, and of each the oldest first.
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(_ output: String) throws -> [SnapshotRow] {
        var rows: [SnapshotRow] = []
        try ListLine.each(output, columns: columns) { line in
            rows.append(
                SnapshotRow(
                    name: String(line["name"]), used: line.bytes("used") ?? ByteCount(0),
                    referenced: line.bytes("referenced") ?? ByteCount(0),
                    created: Timestamp(seconds: Int64(clamping: line.number("creation") ?? 0)), transaction: line.number("createtxg") ?? 0,
                    holds: Int(clamping: line.number("userrefs") ?? 0),
                    clones: line["clones"].split(separator: ",").map(String.init)))
        }
        return rows
    }
}

extension ZFS {
    /// The snapshots of datasets, in one call.
    ///
    /// - Parameters:
    ///   - datasets: their own snapshots only; empty for every snapshot there is.
    ///   - recursive: those of the datasets below too.
    ///   - bookmarks: these too.
    ///
    /// Runs: `zfs list -Hp [-r | -d 1] -t snapshot[,bookmark] -o … [DATASET…]`, reads. Read by ``SnapshotRow/parse(_:)``.
    public static func snapshots(of datasets: [String], recursive: Bool = false, bookmarks: Bool = false) -> Command {
        list(
            of: datasets, columns: SnapshotRow.columns, types: ["snapshot"] + (bookmarks ? ["bookmark"] : []),
            depth: datasets.isEmpty ? nil : 1, recursive: recursive)
    }

    /// These snapshots, by their full names. It fails when one of them is not there.
    ///
    /// Runs: `zfs list -Hp -t snapshot -o … NAME@LABEL…`, reads. Read by ``SnapshotRow/parse(_:)``.
    public static func snapshots(named names: [SnapshotName]) -> Command {
        list(of: names.map(\.description), columns: SnapshotRow.columns, types: ["snapshot"])
    }

    /// Snapshots of several datasets of one pool in one transaction: all of them hold the same instant, or none is made.
    ///
    /// Runs: `zfs snapshot [-r] A@LABEL B@LABEL …`, changes. Source: zfs-snapshot(8), OpenZFS 2.1 to 2.4.
    public static func snapshot(set names: [SnapshotName], recursive: Bool = false) -> Command {
        Command(tool, ["snapshot"] + (recursive ? ["-r"] : []) + names.map(\.description), effect: .changes)
    }

    /// Destroys snapshots of one dataset, all or none.
    ///
    /// - Parameter dryRun: destroy nothing, and tell what would be; read by ``DestroyPreview``.
    ///
    /// Runs: `zfs destroy [-nvp] DATASET@A,B,C`, destroys (reads when dry). Source: zfs-destroy(8), OpenZFS 2.1 to 2.4.
    public static func destroy(_ dataset: DatasetName, snapshots labels: [String], dryRun: Bool = false) -> Command {
        Command(
            tool, ["destroy"] + (dryRun ? ["-nvp"] : []) + ["\(dataset)@\(labels.joined(separator: ","))"],
            effect: dryRun ? .reads : .destroys)
    }

    /// Runs: `zfs destroy DATASET#LABEL`, destroys.
    public static func destroy(_ dataset: DatasetName, bookmark label: String) -> Command {
        Command(tool, ["destroy", "\(dataset)#\(label)"], effect: .destroys)
    }

    /// Goes back to the newest snapshot of a dataset; what was written since is lost. It fails where a newer snapshot or bookmark exists: `-r`,
    /// which destroys those, is never given.
    ///
    /// Runs: `zfs rollback DATASET@LABEL`, destroys. Source: zfs-rollback(8), OpenZFS 2.4.
    public static func rollback(to name: SnapshotName) -> Command {
        Command(tool, ["rollback", name.description], effect: .destroys)
    }

    /// The holds of snapshots. Runs: `zfs holds -H NAME@LABEL…`, reads. Read by ``SnapshotHold/parse(_:)``.
    public static func holds(_ names: [String]) -> Command { Command(tool, ["holds", "-H"] + names, effect: .reads) }

    /// Keeps snapshots from being destroyed. Runs: `zfs hold [-r] TAG NAME@LABEL…`, changes.
    public static func hold(_ names: [SnapshotName], tag: String, recursive: Bool) -> Command {
        Command(tool, ["hold"] + (recursive ? ["-r"] : []) + [tag] + names.map(\.description), effect: .changes)
    }

    /// Takes holds away. Runs: `zfs release [-r] TAG NAME@LABEL…`, changes.
    public static func release(_ names: [SnapshotName], tag: String, recursive: Bool) -> Command {
        Command(tool, ["release"] + (recursive ? ["-r"] : []) + [tag] + names.map(\.description), effect: .changes)
    }

    /// How much a dataset was written to since a snapshot of it: the property `written@LABEL`.
    ///
    /// Runs: `zfs get -Hp -o name,property,value,source written@LABEL DATASET`, reads. Read by ``PropertyRow``. Source: zfsprops(7), OpenZFS 2.4.
    public static func written(since name: SnapshotName) -> Command { get(name.dataset.text, ["written@\(name.label)"]) }
}

/// One hold of one snapshot.
public struct SnapshotHold: Sendable, Hashable {
    public var snapshot: String
    public var tag: String

    public init(snapshot: String, tag: String) {
        self.snapshot = snapshot
        self.tag = tag
    }

    /// Reads the output of ``ZFS/holds(_:)``; a hold a line, its time in words at the end (OpenZFS 2.4.4):
    /// ```
    /// rpool/home@before⇥audit⇥Thu Aug  6 07:06 2026
    /// ```
    public static func parse(_ output: String) -> [SnapshotHold] {
        output.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: "\t").map(String.init)
            return fields.count > 1 ? SnapshotHold(snapshot: fields[0], tag: fields[1]) : nil
        }
    }
}

/// What `zfs destroy -nvp` says would go.
public struct DestroyPreview: Sendable, Hashable {
    public var names: [String]
    /// Nothing of it is freed while a clone or a newer snapshot still holds the same blocks.
    public var reclaimed: ByteCount

    /// Reads (OpenZFS 2.4.4):
    /// ```
    /// destroy⇥rpool/home@before
    /// reclaim⇥8192
    /// ```
    public static func parse(_ output: String) -> DestroyPreview {
        var preview = DestroyPreview(names: [], reclaimed: ByteCount(0))
        for line in output.split(separator: "\n") {
            let fields = line.split(separator: "\t").map(String.init)
            guard fields.count == 2 else { continue }
            if fields[0] == "destroy" { preview.names.append(fields[1]) }
            if fields[0] == "reclaim" { preview.reclaimed = ByteCount(UInt64(fields[1]) ?? 0) }
        }
        return preview
    }
}
