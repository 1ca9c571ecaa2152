import ArgumentParser
import KldCore
import KldPackages
import KldTerminal
import KldUpkeep

/// Packages, changed so that there is a way back.
struct KpkgCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kpkg", abstract: "Install and remove packages in a new boot environment, or in place after a snapshot.",
        subcommands: [
            Install.self, Remove.self, Upgrade.self, Update.self, Search.self, List.self, Info.self, Hold.self, Unhold.self, Holds.self,
        ])

    struct Names: ParsableArguments {
        @Argument(help: ArgumentHelp("Names of packages.", valueName: "package")) var packages: [String]

        func validate() throws {
            if let odd = packages.first(where: { !PackageName.isPlain($0) }) {
                throw ValidationError("'\(odd)' is no name of a package")
            }
        }
    }

    struct Install: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Install packages.", aliases: ["add"])
        @OptionGroup var names: Names
        @OptionGroup var options: WorkOptions
        func run() async throws { try await options.run(.init(.install(names.packages), label: "kpkg")) }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove packages; their settings stay.")
        @OptionGroup var names: Names
        @OptionGroup var options: WorkOptions
        func run() async throws { try await options.run(.init(.remove(names.packages), label: "kpkg")) }
    }

    struct Upgrade: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Upgrade everything that is not held: kupgrade.")
        @OptionGroup var upgrade: UpgradeOptions
        func run() async throws { try await upgrade.run() }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Read the archive's lists anew; no package changes.")
        func run() async throws {
            try KpkgCommand.needRoot()
            try await KpkgCommand.work().refresh()
        }
    }

    struct Search: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Find packages by a word.")
        @Argument var word: String
        func run() async throws { Output.raw(try await KpkgCommand.work().ask { $0.search(word) }) }
    }

    struct Info: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "What is known of a package.")
        @OptionGroup var names: Names
        func run() async throws {
            for name in names.packages { Output.raw(try await KpkgCommand.work().ask { $0.describe(name) }) }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List installed packages.")
        @Option(help: "table or json.") var format = TableFormat.table
        @Flag(name: [.short, .customLong("quiet")], help: "Names only.") var quiet = false

        func run() async throws {
            let packages = try await KpkgCommand.work().installed()
            if quiet {
                for package in packages { Output.line(package.name) }
            } else if format == .json {
                try Output.json(packages.map { ["name": $0.name, "version": $0.version] })
            } else {
                var table = TextTable([("PACKAGE", .left), ("VERSION", .left)])
                for package in packages { table.add([package.name, package.version]) }
                Output.line(table.text)
            }
        }
    }

    struct Hold: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Keep packages at their version.")
        @OptionGroup var names: Names
        @OptionGroup var change: KbeCommand.Change
        func run() async throws { try await KpkgCommand.hold(names.packages, true, change) }
    }

    struct Unhold: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let packages move again; kernel, OpenZFS and boot loader are moved by kupgrade --kernel.")
        @OptionGroup var names: Names
        @OptionGroup var change: KbeCommand.Change
        func run() async throws { try await KpkgCommand.hold(names.packages, false, change) }
    }

    struct Holds: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What is held, by whom, and what waits for it.",
            discussion: "Exit status: 0; 2 if something is free to move that kldload should hold.")
        @Option(help: "table or json.") var format = TableFormat.table
        @Flag(name: [.short, .customLong("quiet")], help: "Names only.") var quiet = false

        func run() async throws {
            let list = try await HeldList.gather(BootSession.forPackages(dryRun: false).upkeep())
            if quiet {
                for row in list.rows { Output.line(row.name) }
            } else if format == .json {
                try Output.json(list)
            } else {
                var table = TextTable([("PACKAGE", .left), ("INSTALLED", .left), ("WAITING", .left), ("HELD BY", .left)])
                for row in list.rows {
                    table.add([row.name, row.installed ?? "-", row.waiting ?? "-", row.ours ? "kldload" : "you"])
                }
                Output.line(table.text)
            }
            guard list.free.isEmpty else {
                Output.errorLine("kldload: free to move: \(list.free.joined(separator: ", ")); kldload kpkg hold holds them")
                throw ExitCode(ExitStatus.problemsFound.rawValue)
            }
        }
    }

    static func work() -> PackageWork { PackageWork(BootSession.forPackages(dryRun: false).upkeep()) }

    private static func needRoot() throws {
        try Host.needRoot(Diagnosis("upkeep.not-root", "packages are changed by root", remedies: ["sudo"], exit: .needsRoot))
    }

    private static func hold(_ names: [String], _ wanted: Bool, _ change: KbeCommand.Change) async throws {
        if change.dryRun { return Output.line("\(wanted ? "hold" : "let go of") \(names.joined(separator: ", "))") }
        try needRoot()
        let held = try await work().hold(names, wanted, force: change.yes)
        for name in held { Output.line(name) }
    }
}
