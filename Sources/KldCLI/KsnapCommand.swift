import ArgumentParser
import Glibc
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldSnapshots
import KldTerminal
import KldZFS

/// Snapshots by hand.
struct KsnapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ksnap", abstract: "Snapshots: make them, look at them, go back to one, destroy them.",
        discussion: """
            A dataset is named as POOL/NAME, or by a path in it, which begins with / or ./; a snapshot as POOL/NAME@LABEL, or by its path below
            .zfs/snapshot. Without words, ksnap makes a snapshot of everything that makes up this machine.
            """,
        subcommands: [Create.self, List.self, Rollback.self, Destroy.self, Diff.self, Hold.self, Release.self],
        defaultSubcommand: Create.self)

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Snapshot datasets, all at one instant.",
            discussion: """
                The first word is the label, unless it holds a / or a pool is called so; without one it is manual- and the time. Without
                datasets it is the running boot environment and every other dataset of its pool, except containers and those with
                com.sun:auto-snapshot=false. Datasets of one pool are one transaction: all of them, or none.
                """)
        @Argument(help: ArgumentHelp("A label, then datasets or paths.", valueName: "label|dataset|path")) var words: [String] = []
        @Option(name: .customLong("name"), help: ArgumentHelp("The label.", valueName: "label")) var label: String?
        @Flag(name: .shortAndLong, help: "With everything below each of them.") var recursive = false
        @OptionGroup var making: Making

        func run() async throws {
            let session = StorageSession()
            let storage = try await Storage.gather(runner: session.runner, files: session.files)
            let creation = try SnapshotCreation(
                words, label: label, recursive: recursive, storage: storage, folder: session.folder, files: session.files, now: .current)
            if making.dryRun { return try await session.apply(creation.plan().plan, dryRun: true) }
            making.show(try await creation.apply(runner: session.runner, files: session.files).map(\.description), as: "snapshots")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List snapshots, the newest first.")
        @Argument(help: ArgumentHelp("Only of these; default: all.", valueName: "dataset|path")) var words: [String] = []
        @Flag(name: .shortAndLong, help: "Those of the datasets below too.") var recursive = false
        @Flag(help: "The tags that hold them too.") var holds = false
        @OptionGroup var listing: Listing

        func run() async throws {
            let session = StorageSession()
            let list = try await SnapshotList.gather(
                words, recursive: recursive, holds: holds, folder: session.folder, runner: session.runner, files: session.files)
            if listing.quiet {
                // One write, however many there are.
                Output.raw(list.rows.map { $0.name + "\n" }.joined())
            } else if listing.format == .json {
                Output.line(Self.json(list).rendered)
            } else {
                Output.line(Self.table(list))
            }
        }

        static func table(_ list: SnapshotList) -> String {
            var table = TextTable([
                ("SNAPSHOT", .left), ("CREATED", .left), ("USED", .right), ("REFER", .right), ("HOLDS", .left), ("CLONES", .left),
            ])
            for row in list.rows {
                let tags = list.holds.map { $0[row.name]?.joined(separator: ",") ?? "-" } ?? (row.holds > 0 ? String(row.holds) : "-")
                table.add([
                    row.name, row.created.description, row.used.description, row.referenced.description, tags,
                    row.clones.isEmpty ? "-" : row.clones.joined(separator: ","),
                ])
            }
            return table.text + "\n\(list.rows.count) snapshots"
        }

        static func json(_ list: SnapshotList) -> JSONText {
            .object([
                ("schema", .text("snapshots/1")),
                (
                    "snapshots",
                    .list(
                        list.rows.map { row in
                            .object([
                                ("name", .text(row.name)), ("dataset", .text(row.dataset)), ("label", .text(row.label)),
                                ("created", .text(row.created.description)), ("used", .bytes(row.used)),
                                ("referenced", .bytes(row.referenced)),
                                ("holds", .number(UInt64(row.holds))), ("tags", list.holds.map { .texts($0[row.name] ?? []) } ?? .none),
                                ("clones", .texts(row.clones)),
                            ])
                        })
                ),
            ])
        }
    }

    struct Rollback: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a dataset back to a snapshot; what was written since is lost.",
            discussion: """
                A dataset or a path stands for its newest snapshot. Newer snapshots and bookmarks must each be named with --destroy, for ZFS
                destroys them. What is lost is told first, and the snapshot's name has to be typed; --yes does instead where the command
                line names it. Boot environments go back with kbe rollback, which loses nothing.
                """)
        @Argument(help: ArgumentHelp("What to go back to.", valueName: "snapshot|dataset|path")) var word: String
        @Option(help: ArgumentHelp("A newer snapshot that may go; once for each.", valueName: "label")) var destroy: [String] = []
        @OptionGroup var change: KbeCommand.Change

        func run() async throws {
            let session = StorageSession()
            let back = try await SnapshotRollback.gather(word, folder: session.folder, runner: session.runner, files: session.files)
            let plan = try back.plan(destroying: destroy)
            if change.dryRun {
                Output.line(back.losses.joined(separator: "\n"))
                return try await session.apply(plan, dryRun: true)
            }
            let approvals = try await StorageSession.approvals(
                for: plan, word: back.target.name, named: back.isNamed, yes: change.yes, losses: back.losses,
                again: (["kldload ksnap rollback '\(back.target.name)'"] + destroy.map { "--destroy '\($0)'" } + ["--yes"]).joined(
                    separator: " "))
            try await session.apply(plan, approvals: approvals, dryRun: false)
            Output.line(back.target.name)
        }
    }

    struct Destroy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Destroy snapshots; never one that is held, cloned, or a boot environment's.",
            discussion: "What would go, and how much room that gives back, is told first. DATASET@A,B,C names several.")
        @Argument(help: ArgumentHelp("What to destroy.", valueName: "snapshot")) var words: [String]
        @Flag(name: .shortAndLong, help: "The same label of every dataset below too.") var recursive = false
        @Flag(help: "Those of boot environments too.") var bootEnvironments = false
        @OptionGroup var change: KbeCommand.Change

        func run() async throws {
            let session = StorageSession()
            let destruction = try await SnapshotDestruction.gather(
                words, recursive: recursive, folder: session.folder, runner: session.runner, files: session.files)
            let plan = try destruction.plan(environments: bootEnvironments)
            let losses =
                destruction.rows.map { "destroys \($0.name) of \($0.created)" } + ["gives back \(destruction.reclaimed ?? ByteCount(0))"]
            if change.dryRun {
                Output.line(losses.joined(separator: "\n"))
                return try await session.apply(plan, dryRun: true)
            }
            let count = destruction.rows.count
            let approvals = try await StorageSession.approvals(
                for: plan, word: count == 1 ? destruction.rows[0].name : "\(count) snapshots", named: true, yes: change.yes, losses: losses,
                again: "the same with --yes")
            try await session.apply(plan, approvals: approvals, dryRun: false)
        }
    }

    struct Diff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show which files changed since a snapshot, or between two.",
            discussion: "Of a path, only what changed at it or below it. Exit status: 0, whether something changed or not. Root is needed.")
        @Argument(
            help: ArgumentHelp("The older one; a dataset or a path stands for its newest snapshot.", valueName: "snapshot|dataset|path"))
        var old: String
        @Argument(help: ArgumentHelp("The newer one; default: now.", valueName: "snapshot")) var new: String?
        @OptionGroup var listing: Listing

        func run() async throws {
            let session = StorageSession()
            let difference = try await SnapshotDifference.gather(
                old, new, folder: session.folder, runner: session.runner, files: session.files)
            if listing.quiet {
                Output.raw(difference.changes.map { ($0.newPath ?? $0.path) + "\n" }.joined())
            } else if listing.format == .json {
                Output.line(Self.json(difference).rendered)
            } else {
                Output.line(Self.table(difference))
            }
        }

        static func table(_ difference: SnapshotDifference) -> String {
            if difference.changes.isEmpty { return "nothing changed since \(difference.old)" }
            var table = TextTable([("CHANGE", .left), ("TYPE", .left), ("PATH", .left)])
            for change in difference.changes {
                table.add([change.kind.rawValue, change.type, change.path + (change.newPath.map { " -> \($0)" } ?? "")])
            }
            return table.text
        }

        static func json(_ difference: SnapshotDifference) -> JSONText {
            .object([
                ("schema", .text("changes/1")), ("old", .text(difference.old.description)), ("new", .optional(difference.new?.description)),
                (
                    "changes",
                    .list(
                        difference.changes.map { change in
                            .object([
                                ("change", .text(change.kind.rawValue)), ("type", .text(change.type)), ("path", .text(change.path)),
                                ("newPath", .optional(change.newPath)),
                            ])
                        })
                ),
            ])
        }
    }

    struct Hold: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Keep snapshots from being destroyed, until they are released.")
        @Argument(help: "Why, in a word.") var tag: String
        @Argument(help: ArgumentHelp("What to keep.", valueName: "snapshot")) var words: [String]
        @Flag(name: .shortAndLong, help: "The same label of every dataset below too.") var recursive = false
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws { try await Self.apply(tag, words, release: false, recursive, dryRun: dryRun) }

        static func apply(_ tag: String, _ words: [String], release: Bool, _ recursive: Bool, dryRun: Bool) async throws {
            let session = StorageSession()
            let plan = try await SnapshotHolding.plan(
                tag, words, release: release, recursive: recursive, folder: session.folder, runner: session.runner, files: session.files)
            try await session.apply(plan, dryRun: dryRun)
        }
    }

    struct Release: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take a hold away: ksnap list --holds shows them.")
        @Argument(help: "The hold's tag.") var tag: String
        @Argument(help: ArgumentHelp("What it holds.", valueName: "snapshot")) var words: [String]
        @Flag(name: .shortAndLong, help: "The same label of every dataset below too.") var recursive = false
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws { try await Hold.apply(tag, words, release: true, recursive, dryRun: dryRun) }
    }
}
