import KldCore
public import KldExec
public import KldFiles
public import KldZFS
public import SystemPackage

/// `ksnap list`: snapshots, the newest first.
public struct SnapshotList: Sendable, Hashable {
    public var rows: [SnapshotRow]
    /// The tags that keep each; `nil`: they were not asked for.
    public var holds: [String: [String]]?

    package init(rows: [SnapshotRow], holds: [String: [String]]?) {
        self.rows = rows
        self.holds = holds
    }

    /// - Parameters:
    ///   - words: datasets and paths; none for everything.
    ///   - holds: ask for the tags too, of those that have some.
    ///
    /// Runs: `zfs list -Hp -t snapshot …`, reads: once, however many there are. For words, `zfs list` of the file systems too; for tags, once
    /// `zfs holds`.
    public static func gather(
        _ words: [String], recursive: Bool, holds: Bool, folder: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws -> SnapshotList {
        var datasets: [String] = []
        if !words.isEmpty {
            let storage = try await Storage.gather(runner: runner, files: files)
            datasets = try words.map { try storage.place($0, in: folder, files).dataset }
        }
        var rows = try SnapshotRow.parse(await runner.run(ZFS.snapshots(of: datasets, recursive: recursive)).output)
        // Transactions are counted by each pool; the name decides what neither time nor count does.
        rows.sort { ($0.created, $0.transaction, $0.name) > ($1.created, $1.transaction, $1.name) }
        return SnapshotList(rows: rows, holds: holds ? try await tags(of: rows, runner) : nil)
    }

    /// Runs: `zfs holds -H NAME…` of those that are held, reads; nothing when none is.
    static func tags(of rows: [SnapshotRow], _ runner: any CommandRunner) async throws -> [String: [String]] {
        let held = rows.filter { $0.holds > 0 }.map(\.name)
        if held.isEmpty { return [:] }
        return Dictionary(grouping: SnapshotHold.parse(try await runner.run(ZFS.holds(held)).output), by: \.snapshot).mapValues {
            $0.map(\.tag)
        }
    }
}
