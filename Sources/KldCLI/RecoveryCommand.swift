import ArgumentParser
import Glibc
import KldBootEnv
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldZFS
import SystemPackage

/// `krecovery`: a machine that does not start, helped from the live medium.
struct RecoveryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "krecovery", abstract: "Help a machine that does not start, from the live medium.",
        discussion: """
            Each verb opens the machine's pool below \(RescuePool.target) where it is not open yet, and leaves it open for the next one;
            krecovery export closes it. Nothing is forced, and nothing is rolled back in place: what was there stays.
            """,
        subcommands: [
            Import.self, ListEnvironments.self, ListSnapshots.self, Activate.self, Rollback.self, Chroot.self, ExportLogs.self,
            ReinstallBootloader.self, Export.self,
        ])

    struct Pool: ParsableArguments {
        @Option(help: "The pool's name or number, where there are several.") var pool: String?
        @Flag(name: [.short, .long], help: "The machine that used the pool last is switched off: do not ask.") var yes = false
    }

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Open the machine's pool, and show its boot environment at \(RescuePool.target).")
        @Argument(help: "The pool's name or number, where there are several.") var pool: String?
        @Option(name: .customLong("as"), help: ArgumentHelp("Give the pool this name, for good.", valueName: "name")) var other: String?
        @Flag(name: [.short, .long], help: "The machine that used the pool last is switched off: do not ask.") var yes = false

        func run() async throws {
            let rescue = try await RecoverySession.open(pool: pool, as: other.map { try PoolName($0) }, yes: yes)
            let tree = try await rescue.enter(nil)
            Output.line("\(tree.environment) is at \(RescuePool.target)")
        }
    }

    struct ListEnvironments: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list-be", abstract: "List the machine's boot environments.")
        @OptionGroup var pool: Pool

        func run() async throws { try await RecoverySession.inside(pool, ["kbe", "list"]) }
    }

    struct ListSnapshots: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list-snapshots", abstract: "List snapshots, the oldest first.")
        @Argument(help: "A dataset, with all below it; default: the boot environments.") var dataset: String?
        @OptionGroup var pool: Pool

        func run() async throws {
            let rescue = try await RecoverySession.open(pool)
            let name = try dataset.map { try DatasetName($0) } ?? rescue.pool.dataset.appending("ROOT")
            let command = Command(
                ZFS.tool, ["list", "-r", "-t", "snapshot", "-o", "name,creation,used", "-s", "creation", name.text], effect: .reads)
            Output.line(try await rescue.session.runner.run(command).output.trimmed)
        }
    }

    struct Activate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Boot this environment from now on.", discussion: "Of NAME@SNAPSHOT the environment counts; see rollback.")
        @Argument(help: "The environment's name.") var name: String
        @OptionGroup var pool: Pool

        func run() async throws { try await RecoverySession.inside(pool, ["kbe", "activate", RecoverySession.environment(name)]) }
    }

    struct Rollback: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an environment of a snapshot and boot it; what boots now is kept.")
        @Argument(help: "NAME@SNAPSHOT.") var snapshot: String
        @Option(help: "The new environment's name.") var name: String?
        @OptionGroup var pool: Pool

        func run() async throws {
            let leaf = snapshot.leaf
            try await RecoverySession.inside(pool, ["kbe", "rollback", leaf] + (name.map { ["--name", $0] } ?? []))
        }
    }

    struct Chroot: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "A shell inside a boot environment, with everything mounted.")
        @Argument(help: "The environment's name; default: the one that boots.") var name: String?
        @OptionGroup var pool: Pool

        func run() async throws {
            let rescue = try await RecoverySession.open(pool)
            let tree = try await rescue.enter(name)
            let shell = try ["/bin/bash", "/bin/sh"].first {
                try rescue.session.files.exists(FilePath(RescuePool.target.string + $0))
            }
            guard let shell else {
                throw Diagnosis(
                    "recovery.no-shell", "\(tree.environment) has no shell", remedies: ["choose another environment: krecovery list-be"])
            }
            Output.errorLine("you are in \(tree.environment); exit brings you back, krecovery export closes the pool")
            throw RecoverySession.become("chroot", [RescuePool.target.string, shell, "-l"])
        }
    }

    struct ReinstallBootloader: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "reinstall-bootloader",
            abstract: "Make the machine start from its disks again: ESP, boot loader, what boots, the firmware's entry.",
            discussion: "A partition that holds no ESP any more is made one when its name is typed, or given with --format.")
        @Argument(help: "A disk of the machine's pool; default: all of them.") var disk: String?
        @Argument(help: ArgumentHelp("Where the machine is mounted; always \(RescuePool.target).", visibility: .hidden)) var target: String?
        @Option(help: ArgumentHelp("Make an empty ESP of this partition: all on it is lost.", valueName: "partition")) var format:
            [String] = []
        @Flag(help: "Print the plan and change nothing.") var dryRun = false
        @OptionGroup var pool: Pool

        func run() async throws {
            let words = (disk.map { [$0] } ?? []) + format.flatMap { ["--format", $0] } + (dryRun ? ["--dry-run"] : [])
            try await RecoverySession.inside(pool, ["boot", "restore"] + words)
        }
    }

    struct ExportLogs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "export-logs", abstract: "Pack the machine's logs, and what its disks and its firmware say, into one file.")
        @Argument(help: "The folder that gets the file.") var folder: String
        @OptionGroup var pool: Pool

        func run() async throws {
            let rescue = try await RecoverySession.open(pool)
            _ = try await rescue.enter(nil)
            let file = Host.absolute(folder).appending("krecovery-\(rescue.pool)-\(Timestamp.current.digits).tar.gz")
            let report = await RecoveryReport.gather(rescue.pool, runner: rescue.session.runner)
            try await rescue.session.apply(report.packing(into: file))
            Output.line(file.string)
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Unmount everything and close the pool.", aliases: ["close"])

        func run() async throws {
            let session = BootSession(dryRun: false)
            try await session.locked {
                try await RescuePool.load(session.runner)
                guard let pool = try await RescuePool.opened(runner: session.runner) else {
                    Output.errorLine("no pool is open")
                    return
                }
                try await session.apply(RescuePool.closing(pool))
                Output.line("\(pool) is closed: the machine can be started")
            }
        }
    }
}

/// An open pool.
private struct RecoverySession {
    let session: BootSession
    let pool: PoolName

    /// Runs a tool of kldload's inside the environment that boots; does not return.
    static func inside(_ pool: RecoveryCommand.Pool, _ words: [String]) async throws {
        let rescue = try await open(pool)
        _ = try await rescue.enter(nil)
        throw become("chroot", [RescuePool.target.string, RescuePool.tool.string] + words)
    }

    static func environment(_ name: String) -> String {
        let dataset = name.split(separator: "@", maxSplits: 1).first.map(String.init) ?? name
        return dataset.leaf
    }

    static func open(_ pool: RecoveryCommand.Pool) async throws -> RecoverySession { try await open(pool: pool.pool, yes: pool.yes) }

    static func open(pool wanted: String?, as other: PoolName? = nil, yes: Bool) async throws -> RecoverySession {
        let session = BootSession(dryRun: false)
        var opened: PoolName?
        try await session.locked {
            try await RescuePool.load(session.runner)
            if let pool = try await RescuePool.opened(runner: session.runner) {
                let guid = try await PoolRow.of(pool, runner: session.runner)?.guid.map { String($0) }
                guard wanted == nil || wanted == pool.text || wanted == guid, other == nil || other == pool else {
                    throw Diagnosis("recovery.open", "the pool \(pool) is open", remedies: ["krecovery export closes it"], exit: .usage)
                }
                opened = pool
                // Whoever opened it was asked for the keys that nothing here needs.
                try await unlock(pool, session) { _ in true }
                return
            }
            guard try wanted != nil || !session.files.mounts().contains(where: \.isZFSRoot) else {
                throw Diagnosis(
                    "recovery.running", "this machine runs from a pool of its own: krecovery is for one that does not start",
                    remedies: [
                        "kldload kbe list, kldload kbe activate, kldload kbe rollback; kldload boot restore",
                        "another machine's disks: krecovery import NAME",
                    ],
                    exit: .usage)
            }
            let found = try await RescuePool.find(wanted, runner: session.runner, files: session.files)
            if found.isInUse, !yes { try await ask(found) }
            try await session.apply(found.opening(as: other))
            opened = try await RescuePool.opened(runner: session.runner)
            if let opened { try await unlock(opened, session) }
        }
        guard let opened else { throw Diagnosis("recovery.not-open", "the pool was not opened", exit: .bug) }
        return RecoverySession(session: session, pool: opened)
    }

    private static func ask(_ pool: RescuePool) async throws {
        let user = "\(pool.label.hostName ?? "a machine") (host id \(pool.label.hostID?.description ?? "none"))"
        let refused = Diagnosis(
            "recovery.in-use", "the pool \(pool.name) was last used by \(user), and was not closed there",
            remedies: ["if that is the machine that does not start, or it is switched off: krecovery import \(pool.name) --yes"],
            exit: .failed)
        guard Host.isAttended else { throw refused }
        let typed = try await Host.ask(
            "the pool \(pool.name) was last used by \(user), and was not closed there.\nTwo machines that use it at once destroy it. Type the pool's name if only this one does: "
        )
        guard typed == pool.name else { throw refused }
    }

    /// - Parameter stays: what is left locked without a word, where no environment needs it.
    private static func unlock(
        _ pool: PoolName, _ session: BootSession, leaving stays: (DatasetName) -> Bool = { _ in false }
    ) async throws {
        let missing = try await RescuePool.missingKeys(of: pool, runner: session.runner)
        for dataset in missing.needed {
            guard Host.isAttended else {
                throw Diagnosis(
                    "recovery.locked", "\(dataset) is encrypted, and nobody can be asked for its passphrase",
                    remedies: ["zfs load-key \(dataset), then again"], exit: .inputMissing)
            }
            _ = try await unlock(dataset, session)
        }
        var left = RescuePool.MissingKeys()
        for dataset in missing.others where !stays(dataset) {
            if Host.isAttended, try await unlock(dataset, session, isNeeded: false) { continue }
            left.others.append(dataset)
        }
        if let note = left.note { Output.errorLine("kldload: \(note)") }
    }

    /// Asks for a passphrase. - Returns: whether it is unlocked; one that is not needed need not be.
    private static func unlock(_ dataset: DatasetName, _ session: BootSession, isNeeded: Bool = true) async throws -> Bool {
        for attempt in 1...3 {
            let typed = try await Host.secret("passphrase of \(dataset)\(isNeeded ? "" : ", or Enter to leave it locked"): ")
            if typed == nil, isNeeded { throw CancellationError() }
            guard let typed, isNeeded || !typed.isEmpty else { return false }
            do {
                try await session.runner.run(ZFS.loadKey(dataset, passphrase: Secret(typed)))
                return true
            } catch  where attempt < 3 || !isNeeded { Output.errorLine(Diagnosis(of: error).message) }
        }
        return false
    }

    /// Mounts an environment, unless it is mounted already. - Parameter name: `nil`: the one that boots.
    func enter(_ name: String?) async throws -> RescuePool.Tree {
        let mounted = try RescuePool.mounted(session.files)
        let tree = try await RescuePool.tree(name.map(Self.environment), of: pool, runner: session.runner, files: session.files)
        let isWhole = try ["/proc", "/run"].allSatisfy { place in
            try session.files.mounts().contains { $0.place == RescuePool.target.string + place }
        }
        if try mounted == tree.environment.text && isWhole && session.files.exists(RescuePool.tool) { return tree }
        try await session.locked {
            if mounted != nil { try await session.apply(RescuePool.leaving) }
            try await session.apply(tree.mounting(Host.executable))
            guard let id = RescuePool.foreign(session.files) else { return }
            let locked = try await RescuePool.missingKeys(of: pool, runner: session.runner).others
            try await session.apply(RescuePool.reopening(pool, by: id))
            try await Self.unlock(pool, session) { locked.contains($0) }
            try await session.apply(tree.mounting(Host.executable))
        }
        return tree
    }

    /// Replaces this process by another program. - Returns: why that failed.
    static func become(_ program: String, _ words: [String]) -> Diagnosis {
        var pointers: [UnsafeMutablePointer<CChar>?] = ([program] + words).map { strdup($0) } + [nil]
        // What an interrupt does is the program's own business, but an ignored signal would stay ignored.
        signal(SIGPIPE, SIG_DFL)
        execvp(program, &pointers)
        return Diagnosis(
            "recovery.cannot-run", "cannot run \(program): \(String(cString: strerror(errno)))", remedies: ["apt-get install coreutils"],
            exit: .unavailable)
    }
}
