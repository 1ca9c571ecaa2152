import ArgumentParser
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldSnapshots
import KldTerminal
import KldZFS
import SystemPackage

/// A writable copy that takes no room.
struct KcloneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kclone", abstract: "Clone a dataset, a volume or a snapshot.",
        discussion: """
            The source is POOL/NAME, POOL/NAME@SNAPSHOT, the path that a file system is mounted at, or /dev/zvol/POOL/NAME; without a snapshot
            one is made. The clone is a dataset, or a path that is not there yet. Datasets below the source are not cloned with it, and the
            snapshot cannot be destroyed while the clone needs it.
            """)
    @Argument(help: ArgumentHelp("What to clone.", valueName: "dataset|snapshot|path")) var source: String
    @Argument(help: ArgumentHelp("The clone.", valueName: "dataset|path")) var target: String
    @OptionGroup var making: Making

    func run() async throws {
        let session = StorageSession()
        let storage = try await Storage.gather(runner: session.runner, files: session.files)
        let clone = try DatasetClone(source, to: target, storage: storage, folder: session.folder, files: session.files, now: .current)
        if making.dryRun { return try await session.apply(clone.plan(), dryRun: true) }
        try await clone.apply(runner: session.runner, files: session.files)
        if clone.children > 0 { Output.errorLine("kclone: \(clone.children) datasets below \(clone.source) were not cloned") }
        if clone.mountpoint == nil, !clone.isVolume {
            Output.errorLine("kclone: it is not mounted, for its place is inherited: zfs set mountpoint=PATH \(clone.target)")
        }
        making.show([clone.target.text], as: "datasets")
    }
}

/// A folder that is a dataset.
struct KdirCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kdir", abstract: "Make a folder that is a dataset of its own.",
        discussion: """
            The folder above must be a dataset's mount point; -p makes datasets of those that are not there. A folder right below / belongs to
            the pool, not to the boot environment. A folder with something in it is refused.
            """)
    @Argument(help: ArgumentHelp("Where; absolute.", valueName: "path")) var paths: [String]
    @Flag(name: [.customShort("p"), .customLong("parents")], help: "Folders above that are not there too.") var parents = false
    @Option(
        name: [.customShort("o"), .customLong("option")], help: ArgumentHelp("A property of ZFS; once for each.", valueName: "name=value"))
    var options: [String] = []
    @OptionGroup var making: Making

    func run() async throws {
        let session = StorageSession()
        let storage = try await Storage.gather(runner: session.runner, files: session.files)
        let (plan, names) = try DirectoryDataset.plan(
            paths.map { FilePath($0) }, parents: parents, options: options, storage: storage, files: session.files)
        try await session.apply(plan, dryRun: making.dryRun)
        if !making.dryRun { making.show(names.map(\.text), as: "datasets") }
    }
}

/// What takes how much room.
struct KdfCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kdf", abstract: "How much room datasets take, and may still take.",
        discussion: """
            USED is a dataset with everything below it, SNAPS what its snapshots alone hold, AVAIL what it may still take by the pool and by
            every quota above it, RATIO how much compression saves.
            """)
    @Argument(help: ArgumentHelp("Only these; default: all.", valueName: "dataset|path")) var words: [String] = []
    @Flag(name: .shortAndLong, help: "Those below them too.") var recursive = false
    @OptionGroup var listing: Listing

    func run() async throws {
        let session = StorageSession()
        let report = try await SpaceReport.gather(
            words, recursive: recursive, folder: session.folder, runner: session.runner, files: session.files)
        if listing.quiet {
            Output.raw(report.rows.map { $0.name + "\n" }.joined())
        } else if listing.format == .json {
            Output.line(Self.json(report).rendered)
        } else {
            Output.line(Self.text(report))
        }
    }

    static func text(_ report: SpaceReport) -> String {
        var table = TextTable([
            ("DATASET", .left), ("USED", .right), ("SNAPS", .right), ("AVAIL", .right), ("RATIO", .right), ("QUOTA", .right),
            ("MOUNTPOINT", .left),
        ])
        for row in report.rows {
            let place =
                row.state == "mounted"
                ? row.mountpoint ?? "-" : [row.mountpoint, "(\(row.state))"].compactMap { $0 }.joined(separator: " ")
            table.add([
                row.name, row.used.description, row.snapshots.description, row.available.description, row.ratio,
                row.quota?.description ?? "-",
                place,
            ])
        }
        return table.text + "\n\n" + pools(report.pools)
    }

    static func pools(_ pools: [PoolUsage]) -> String {
        var table = TextTable([
            ("POOL", .left), ("STATE", .left), ("SIZE", .right), ("USED", .right), ("FREE", .right), ("FULL", .right), ("FRAG", .right),
            ("DEDUP", .right),
        ])
        func percent(_ value: Int?) -> String { value.map { "\($0) %" } ?? "?" }
        for pool in pools {
            table.add([
                pool.name, pool.health.description, pool.size?.description ?? "?", pool.allocated?.description ?? "?",
                pool.free?.description ?? "?", percent(pool.capacity), percent(pool.fragmentation), pool.deduplication ?? "?",
            ])
        }
        return table.text
    }

    static func json(_ report: SpaceReport) -> JSONText {
        .object([
            ("schema", .text("space/1")),
            (
                "datasets",
                .list(
                    report.rows.map { row in
                        .object([
                            ("name", .text(row.name)), ("used", .bytes(row.used)), ("usedBySnapshots", .bytes(row.snapshots)),
                            ("available", .bytes(row.available)), ("referenced", .bytes(row.referenced)), ("ratio", .text(row.ratio)),
                            ("quota", .bytes(row.quota)), ("mountpoint", .optional(row.mountpoint)), ("state", .text(row.state)),
                        ])
                    })
            ),
            ("pools", .list(report.pools.map(poolJSON))),
        ])
    }

    static func poolJSON(_ pool: PoolUsage) -> JSONText {
        .object([
            ("name", .text(pool.name)), ("state", .text(pool.health.description)), ("size", .bytes(pool.size)),
            ("allocated", .bytes(pool.allocated)), ("free", .bytes(pool.free)),
            ("capacityPercent", .optional(pool.capacity.map { UInt64($0) })),
            ("fragmentationPercent", .optional(pool.fragmentation.map { UInt64($0) })), ("deduplication", .optional(pool.deduplication)),
        ])
    }
}
