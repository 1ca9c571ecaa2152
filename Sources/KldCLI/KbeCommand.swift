import ArgumentParser
import Glibc
import KldBoot
import KldBootEnv
import KldCore
import KldExec
import KldFiles
import KldFleet
import KldPlan
import KldTerminal
import KldZFS
import SystemPackage

/// Boot environments, with the words of FreeBSD's bectl and those of the seeds.
struct KbeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kbe", abstract: "Boot environments: make one, boot it, go back.",
        discussion: """
            A boot environment is a clone of the root file system, with its kernel and its package database. A newly activated one is on trial:
            if it does not boot well within \(BootEntry.tries) boots, the machine goes back to the one before by itself.
            """,
        subcommands: [
            List.self, Create.self, Activate.self, Current.self, Rollback.self, Rename.self, Mount.self, Unmount.self, Destroy.self,
            Prune.self, Diff.self, Export.self, Import.self, Adopt.self,
        ], defaultSubcommand: List.self)

    struct Change: ParsableArguments {
        @Flag(help: "Print the plan and change nothing.") var dryRun = false
        @Flag(name: [.short, .long], help: "Ask nothing.") var yes = false
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List boot environments. N: runs now, R: boots next, T: boots next, once.")
        @Option(help: "table or json.") var format = TableFormat.table
        @Flag(name: [.short, .customLong("quiet")], help: "Names only.") var quiet = false
        @Flag(name: [.short, .customLong("snapshots")], help: "Their snapshots too.") var snapshots = false

        func run() async throws {
            let system = try await BootSession(dryRun: false).system(snapshots ? .snapshots : .environments)
            let list = BootList(system, snapshots: snapshots) { id in try? LocalFiles().readText(BootTrial.file(id)).trimmed }
            if quiet {
                for row in list.rows { Output.line(row.name) }
            } else if format == .json {
                try Output.json(list)
            } else {
                Output.line(Self.table(list))
            }
        }

        static func table(_ list: BootList) -> String {
            var table = TextTable([
                ("NAME", .left), ("ACTIVE", .left), ("SPACE", .right), ("CREATED", .left), ("KERNEL", .left), ("STATE", .left),
            ])
            for row in list.rows {
                let flags = (row.runsNow ? "N" : "") + (row.bootsNext ? "R" : "") + (row.bootsOnce ? "T" : "")
                table.add([
                    row.name, flags.isEmpty ? "-" : flags, row.used.description, row.created, row.kernels.joined(separator: ","), row.state,
                ])
                for snapshot in row.snapshots ?? [] {
                    table.add(["  @\(snapshot.label)", "-", snapshot.used.description, snapshot.created])
                }
            }
            return table.text
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Clone the running environment, another one, or a snapshot.")
        @Argument(help: "The new environment's name.") var name: String
        @Option(name: [.customShort("e"), .customLong("from")], help: ArgumentHelp("What to clone.", valueName: "name[@snapshot]"))
        var from: String?
        @OptionGroup var change: Change

        func run() async throws {
            let session = BootSession(dryRun: change.dryRun)
            try await session.locked {
                let system = try await session.system(from?.contains("@") == true ? .snapshots : .environments)
                let now = Timestamp.current
                try await session.apply(to: system) { try BootEnvironments($0).create(name, from: from, now: now) }
            }
        }
    }

    struct Activate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Boot this environment from now on, or once.", aliases: ["set-default"])
        @Argument(help: "The environment's name.") var name: String
        @Flag(name: [.customShort("t"), .long], help: "At the next boot only; the one after boots what boots now.") var once = false
        @OptionGroup var change: Change

        func run() async throws {
            let session = BootSession(dryRun: change.dryRun)
            try await session.locked { try await Self.activate(name, once: once, session) }
        }

        static func activate(_ name: String, once: Bool, _ session: BootSession) async throws {
            let system = try await session.system()
            try await session.staging(name, system) { target in
                try await session.apply(to: system) {
                    let plan = try BootEnvironments($0).activate(target, once: once)
                    if plan.steps.isEmpty { Output.errorLine("\(name) is what boots already") }
                    return plan
                }
            }
        }
    }

    struct Current: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the name of the running environment.")
        func run() async throws { Output.line(try BootSystem.running(LocalFiles()).leaf) }
    }

    struct Rollback: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an environment of a snapshot and boot it next; the running one is kept.",
            discussion: "Nothing is rolled back in place: kbe activate brings the environment back that runs now.")
        @Argument(help: "NAME@SNAPSHOT, or a snapshot of the running environment.") var snapshot: String
        @Option(help: "The new environment's name.") var name: String?
        @OptionGroup var change: Change

        func run() async throws {
            let session = BootSession(dryRun: change.dryRun)
            try await session.locked {
                let (plan, fresh) = try BootEnvironments(try await session.system(.snapshots)).rollback(snapshot, name: name, now: .current)
                try await session.apply(plan)
                if change.dryRun { return }
                try await Self.activating(fresh, of: snapshot) {
                    try await Activate.activate(fresh, once: false, session)
                } destroying: {
                    try await Destroy.apply(fresh, try await session.system(.owners), session, keepingOrigin: true)
                } next: {
                    try await session.system().next?.environment
                }
                Output.line(fresh)
            }
        }

        /// What cannot be booted is not left behind. - Parameter next: the environment that boots next, to be told where it is.
        static func activating(
            _ fresh: String, of snapshot: String, _ activate: () async throws -> Void,
            destroying destroy: @escaping @Sendable () async throws -> Void,
            next: @escaping @Sendable () async throws -> String? = { nil }
        ) async throws {
            do { try await activate() } catch {
                // why: a task of its own does not inherit the cancellation that may have brought us here.
                let told = await Task { () async -> String in
                    do { try await destroy() } catch let problem {
                        let boots = (try? await next()).map { "; \($0) boots next" } ?? ""
                        return "\(fresh) stays: \(Diagnosis(of: problem).message)\(boots)"
                    }
                    let source = snapshot.contains("@") ? snapshot : "NAME@\(snapshot)"
                    return "\(fresh) was destroyed again: it was not activated. "
                        + "To mend it before: kldload kbe create \(fresh) --from \(source)"
                }.value
                Output.errorLine("kldload: \(told)")
                throw error
            }
        }
    }

    struct Rename: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Give an environment another name; not the running or chosen one.")
        @Argument var name: String
        @Argument var other: String
        @OptionGroup var change: Change

        func run() async throws {
            let session = BootSession(dryRun: change.dryRun)
            try await session.locked {
                let system = try await session.system()
                try await session.alone(with: system.environment(name)) {
                    try await session.apply(to: system) { try BootEnvironments($0).rename(name, to: other) }
                }
            }
        }
    }

    struct Mount: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Mount an environment, and print where.")
        @Argument var name: String
        @Argument(help: "Default: a folder below /run/kldload/be.") var place: String?
        @OptionGroup var change: Change

        func run() async throws {
            let session = BootSession(dryRun: change.dryRun)
            try await session.locked {
                let (plan, place) = try BootEnvironments(try await session.system()).mount(name, at: place.map { Host.absolute($0) })
                try await session.apply(plan)
                if !change.dryRun { Output.line(place.string) }
            }
        }
    }

    struct Unmount: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Unmount an environment.", aliases: ["umount"])
        @Argument var name: String
        @OptionGroup var change: Change

        func run() async throws {
            let session = BootSession(dryRun: change.dryRun)
            try await session.locked { try await session.apply(BootEnvironments(try await session.system()).unmount(name)) }
        }
    }

    struct Diff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what two environments differ in: packages, kernels, files of /etc.",
            discussion: "Exit status: 0, whether they differ or not.")
        @Argument(help: "The older one.") var name: String
        @Argument(help: "The newer one; default: the running one.") var other: String?
        @Option(help: "table or json.") var format = TableFormat.table

        func run() async throws {
            let session = BootSession(dryRun: false)
            try await session.locked {
                let system = try await session.system()
                let (old, new) = (try system.environment(name), try system.environment(other ?? system.running.leaf))
                let difference = try await session.target(old) { old in
                    try await session.target(new) { try await BootDifference.between(old, $0, runner: session.runner) }
                }
                if format == .json { try Output.json(difference) } else { Output.line(Self.text(difference)) }
            }
        }

        static func text(_ difference: BootDifference) -> String {
            if difference.isEmpty { return "no difference in packages, kernels and /etc" }
            var table = TextTable([("NAME", .left), ("OLD", .left), ("NEW", .left)])
            for change in difference.packages + difference.kernels.map({ .init(name: "Linux", old: $0.old, new: $0.new) }) {
                table.add([change.name, change.old ?? "-", change.new ?? "-"])
            }
            return ([table.text] + difference.files).joined(separator: "\n")
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Write an environment as a stream, to a file or to standard output.")
        @Argument(help: "NAME, or NAME@SNAPSHOT.") var name: String
        @Option(name: .shortAndLong, help: "The file, for root alone; default: standard output.") var output: String?
        @OptionGroup var change: Change

        func run() async throws {
            guard output != nil || isatty(STDOUT_FILENO) == 0 || change.dryRun else {
                throw Diagnosis("be.terminal", "a stream is nothing for a terminal", remedies: ["name a file: --output FILE"], exit: .usage)
            }
            let session = BootSession(dryRun: change.dryRun)
            let target = try StreamTarget(output.map { Host.absolute($0) } ?? "/dev/stdout", session.files)
            // Without the lock: it changes nothing that others plan with, and whoever reads the stream may wait for the lock himself.
            try session.needRoot()
            let system = try await session.system(.snapshots)
            let plan = try BootEnvironments(system).export(name, to: target, now: .current)
            try await session.alone(with: system.environment(String(name.prefix { $0 != "@" }))) { try await session.apply(plan) }
        }
    }

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an environment of a stream, from a file or from standard input.",
            discussion: "It is another machine's, and not booted, until kbe adopt; --own is for a stream that this machine exported itself."
        )
        @Argument var name: String
        @Option(name: .shortAndLong, help: "The file; default: standard input.") var input: String?
        @Flag(help: "This machine exported it itself, and may boot it as it is.") var own = false
        @OptionGroup var change: Change

        func run() async throws {
            let session = BootSession(dryRun: change.dryRun)
            let file = input.map { Host.absolute($0) } ?? "/dev/stdin"
            // Without the lock, which would be held for as long as somebody sends. ZFS lets nobody mount or destroy what it is receiving.
            try session.needRoot()
            try await session.apply(BootEnvironments(try await session.system()).importing(name, from: file, own: own))
        }
    }

    struct Adopt: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an environment that came from another machine this one's own: identity, accounts, network, keys.",
            discussion: "kfleet push does so on every machine; after kbe import of another machine's stream it is for you to do.")
        @Argument(help: "The environment's name.") var name: String
        @Option(help: .hidden) var image: String?
        @OptionGroup var change: Change

        func run() async throws {
            let session = BootSession(dryRun: change.dryRun)
            try await session.locked {
                try await Adoption.sweep(runner: session.runner, files: session.files)
                let plan = try Adoption(try await session.system()).plan(name, image: image)
                try await Host.apply(
                    plan, dryRun: change.dryRun, runner: session.runner,
                    performers: BootPerformers.table.merging(Adoption.performers) { $1 })
            }
        }
    }
}

enum Age {
    static func unreadable(_ text: String) -> Diagnosis {
        Diagnosis("age.unreadable", "'\(text)' is no age", remedies: ["a number with h, d or w: 30d"], exit: .usage)
    }

    /// `30d` and the like, in seconds; `nil` for anything else.
    static func seconds(
        _ text: String, units: [Character: Int64] = ["h": 3600, "d": 86_400, "w": 604_800], in range: ClosedRange<Int64> = 0...100_000
    ) -> Int64? {
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()), range.contains(count) else {
            return nil
        }
        return count * unit
    }
}

extension Timestamp {
    static var current: Timestamp { Timestamp(seconds: Int64(time(nil))) }
}
