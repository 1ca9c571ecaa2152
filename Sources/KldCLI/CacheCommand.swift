import ArgumentParser
import KldCore
import KldImage
import KldTerminal

struct CacheCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache", abstract: "What builds keep, so that the next one is quick: list it, verify it, prune it.",
        discussion: "It lies in $XDG_CACHE_HOME/kldload, else ~/.cache/kldload. Whatever is removed is built again when it is needed.",
        subcommands: [List.self, Verify.self, Prune.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List what is kept, the longest unused first.")
        @Option(help: "table or json.") var format = TableFormat.table

        func run() async throws {
            let entries = try await Host.cache.entries()
            if format == .json {
                try Output.json(entries)
                return
            }
            var table = TextTable([("NAME", .left), ("SIZE", .right), ("USED", .left)])
            for entry in entries { table.add([entry.name, entry.size.description, CacheCommand.used(entry)]) }
            table.add(["", ByteCount(entries.reduce(0) { $0 + $1.size.bytes }).description])
            Output.line(table.text)
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read all of it, and compare it with what was written.",
            discussion: "A build reads again only what was touched since. What is damaged is built again when it is needed.")

        func run() async throws {
            let damaged = try await Host.cache.verify { Output.errorLine("\($0.name) (\($0.size))") }
            guard damaged.isEmpty else {
                throw Diagnosis(
                    "cache.damaged", "what was built and kept is not what was written",
                    remedies: ["look after the disk; builds mend the cache"],
                    causes: damaged.map(\.name))
            }
        }
    }

    struct Prune: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove what was not used for some time, and what killed builds left.",
            discussion: "What was used within the last day is never removed: a build may be at it.")
        @Option(help: ArgumentHelp("Days, hours or weeks: 30d, 12h, 6w.", valueName: "age")) var olderThan = "30d"
        @Flag(help: "Say what would go, and remove nothing.") var dryRun = false

        func run() async throws {
            guard let age = Age.seconds(olderThan) else { throw Age.unreadable(olderThan) }
            let cache = Host.cache
            let entries = try await cache.prunable(olderThan: age, now: Timestamp.current.seconds)
            for entry in entries {
                if !dryRun { try cache.remove(entry) }
                Output.line("\(entry.name) (\(entry.size), \(CacheCommand.used(entry)))")
            }
            let sum = ByteCount(entries.reduce(0) { $0 + $1.size.bytes })
            Output.errorLine(dryRun ? "would free \(sum)" : "freed \(sum)")
        }
    }

    private static func used(_ entry: ArtifactCache.Entry) -> String {
        entry.partial ? "unfinished" : entry.used.map { Timestamp(seconds: $0).description } ?? "never"
    }
}
