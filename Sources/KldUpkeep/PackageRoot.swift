import KldBlock
import KldBoot
import KldBootEnv
import KldCore
import KldExec
import KldFiles
import KldPackages
import KldZFS
import SystemPackage

/// Which of the held packages move.
public enum HeldChoice: Sendable, Hashable {
    /// None.
    case stay
    /// Those that kldload holds: kernel, OpenZFS, boot loader.
    case ours
    /// A person's own holds too.
    case all
}

/// The system whose packages are changed: an environment that does not run, or the running one.
struct PackageRoot: Sendable {
    /// Where it is mounted; `/` for the running one.
    var root: FilePath
    /// For messages.
    var name: String
    var manager: any PackageManager
    /// Names, and beginnings of names before `*`, that kldload holds.
    var patterns: [String]
    var upkeep: Upkeep

    /// - Throws: ``Diagnosis`` `upkeep.no-manager`.
    init(_ root: FilePath, name: String, _ upkeep: Upkeep) throws {
        let found = try PackageFamily.programs.first { try upkeep.files.exists(root.appending($0.path)) }
        guard let manager = found?.family.manager else {
            throw Diagnosis(
                "upkeep.no-manager", "there is no package manager here that kldload knows: apt, dnf, pacman, apk",
                remedies: ["change packages with the system's own tools, after kldload kbe create"], exit: .unavailable)
        }
        self.root = root
        self.name = name
        self.manager = manager
        self.upkeep = upkeep
        patterns = upkeep.patterns(in: root)
    }

    @discardableResult
    func run(_ command: Command) async throws -> CommandOutput {
        var command = command
        // Whoever calls stages what boots, and has taken a snapshot.
        command.environment[ModuleSigning.hookVariable] = "0"
        command.environment[Upkeep.snapshotVariable] = "0"
        return try await upkeep.runner.run(root == "/" ? command : command.isolated(in: root))
    }

    func installed() async throws -> [String: String] {
        Dictionary(
            manager.installed(try await run(manager.listInstalled).output).map { ($0.name, $0.version) }, uniquingKeysWith: { $1 })
    }

    func held() async throws -> Set<String> {
        guard let list = manager.listHeld else { return [] }
        do { return Set(manager.held(try await run(list).output).filter { !$0.isEmpty }) } catch let error as CommandError {
            guard let output = error.failure else { throw error }
            throw Diagnosis(
                "upkeep.holds", "\(manager.family.rawValue) does not say what is held in \(name)",
                remedies: ["dnf 4 holds with a plugin: dnf install python3-dnf-plugin-versionlock"], causes: manager.reasons(output))
        }
    }

    /// `libc6:amd64` is held as `libc6`.
    static func plain(_ name: String) -> String { String(name.prefix { $0 != ":" }) }

    /// Installed packages that kldload holds.
    func ours(_ installed: [String: String]) -> [String] { PackageName.matching(patterns, in: installed.keys.map(Self.plain)) }

    // MARK: holds

    func release(_ names: [String]) async throws {
        guard !names.isEmpty else { return }
        if let command = manager.release(names) {
            try await run(command)
        } else {
            try await writeHolds { $0.filter { !names.contains($0) } }
        }
    }

    func hold(_ names: [String], _ installed: [String: String]) async throws {
        guard !names.isEmpty else { return }
        let packages = names.map { PackageHold.Package($0, version: installed[$0] ?? "") }
        if let command = PackageHold.command(manager.family, packages) {
            try await run(command)
        } else {
            try await writeHolds { Array(Set($0).union(names)).sorted() }
        }
    }

    /// Of pacman, in its own settings.
    private func writeHolds(_ change: ([String]) -> [String]) async throws {
        let file = root.appending("etc/pacman.conf")
        guard let text = PackageHold.pacman(change(try await held().sorted()), in: try upkeep.files.readText(file)) else {
            throw Diagnosis("upkeep.holds", "\(file) has no section [options]", remedies: ["write one: pacman.conf(5)"])
        }
        try upkeep.files.write(text, to: file)
    }

    /// Holds what must be, and reads back that it is. - Returns: everything that is held now.
    ///
    /// - Throws: ``Diagnosis`` `upkeep.holds`.
    func secure(_ wanted: [String], _ installed: [String: String]) async throws -> [String] {
        let wanted = wanted.filter { name in installed.keys.contains { Self.plain($0) == Self.plain(name) } }
        let free = wanted.filter { [held = try await held()] in !held.contains($0) }
        try await hold(free, installed)
        let now = try await held()
        let lacking = wanted.filter { !now.contains($0) }
        guard lacking.isEmpty else {
            throw Diagnosis(
                "upkeep.holds",
                "\(lacking.joined(separator: ", ")) should be held in \(name), and \(manager.family.rawValue) says that they are not",
                remedies: ["kldload kpkg holds says what is held", "hold them by hand, and look at what it prints"])
        }
        return now.sorted()
    }

    // MARK: the change itself

    /// Of one change: the same in an environment that does not run and in the running one.
    struct Outcome: Sendable {
        var before: [String: String]
        var after: [String: String]
        var held: [String]
        var settings: [String]
        var changes: [BootDifference.Change] {
            Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }.sorted().map {
                BootDifference.Change(name: $0, old: before[$0], new: after[$0])
            }
        }
    }

    /// Changes packages.
    ///
    /// - Returns: `nil` where nothing is to be done.
    /// - Throws: ``Diagnosis`` `upkeep.archive`, `upkeep.removals`, `upkeep.no-room`, `upkeep.packages`, `upkeep.held-moved`, `upkeep.holds`.
    func change(_ request: PackageWork.Request, free: ByteCount) async throws -> Outcome? {
        let before = try await installed()
        let heldBefore = try await held()
        if case .remove = request.change {} else { try await refresh() }
        let ours = Set(self.ours(before))
        let released: [String] =
            switch request.held {
            case .stay: []
            case .ours: heldBefore.filter { patterns.isEmpty || ours.contains($0) }.sorted()
            case .all: heldBefore.sorted()
            }
        // Held again before anybody is asked: who walks away from a question leaves nothing open.
        let (transaction, download): (PackageTransaction, ByteCount?) = try await letting(released, go: before) {
            let transaction = try await preview(request.change, before)
            if transaction.isEmpty { return (transaction, nil) }
            return (transaction, try await downloadSize(request.change))
        }
        if transaction.isEmpty { return nil }
        let stay = heldBefore.subtracting(released)
        // A held package that is named moves with pacman, and with it alone: better known before.
        try refuse(moved: transaction.changes.filter { stay.contains($0.name) && $0.old != $0.new }.map(\.name))
        try await checkRemovals(transaction, request)
        if let download { try checkRoom(download, free: free) }
        let settings = try leftBeside()
        upkeep.say("\(transaction.changes.count) packages change in \(name)")
        let said: CommandOutput
        let after: [String: String]
        let held: [String]
        do {
            try await release(released)
            said = try await apply(request.change)
            after = try await installed()
            try refuse(moved: stay.filter { before[$0] != nil && before[$0] != after[$0] }.sorted())
            held = try await secure(Array(heldBefore.union(self.ours(after))).sorted(), after)
        } catch {
            // In the running system what was released must not stay so.
            if root == "/" { await holdAgain(released, as: before) }
            throw error
        }
        let failures = manager.failures(said)
        guard failures.isEmpty else {
            throw Diagnosis(
                "upkeep.packages", "\(manager.family.rawValue) changed the packages of \(name), and scripts of theirs failed",
                remedies: ["read all that it said: \(PackageWork.log)"], causes: Array(failures.prefix(8)))
        }
        // pacman does not say before what it will remove because another package takes its place.
        let gone = before.keys.filter { after[$0] == nil && !transaction.removals.contains($0) }.map(Self.plain).sorted()
        try await checkRemovals(gone, request)
        let fresh = try leftBeside().filter { settings[$0.key] != $0.value }.keys.sorted()
        return Outcome(before: before, after: after, held: held, settings: fresh)
    }

    private func apply(_ change: PackageRequest) async throws -> CommandOutput {
        do { return try await run(manager.apply(change)) } catch {
            guard let output = (error as? CommandError)?.failure else { throw error }
            throw Diagnosis(
                "upkeep.packages", "\(manager.family.rawValue) could not change the packages of \(name)",
                remedies: ["read all that it said: \(PackageWork.log)"], causes: manager.reasons(output))
        }
    }

    /// Lets go of held packages for as long as `body` works.
    private func letting<Result>(
        _ names: [String], go installed: [String: String], _ body: () async throws -> Result
    ) async throws -> Result {
        let result: Result
        do {
            try await release(names)
            result = try await body()
            try await hold(names, installed)
        } catch {
            await holdAgain(names, as: installed)
            throw error
        }
        return result
    }

    /// Holds what was let go of, when something failed or somebody interrupts.
    private func holdAgain(_ names: [String], as before: [String: String]) async {
        if names.isEmpty { return }
        // why: a task of its own does not inherit the cancellation that may have brought us here; in one that is cancelled no command runs.
        let problem = await Task { () async -> Diagnosis? in
            do {
                // As they are now: some may have moved, and apk would move them back.
                try await hold(names, (try? await installed()) ?? before)
                return nil
            } catch { return Diagnosis(of: error) }
        }.value
        guard let problem else { return }
        upkeep.say("not held any more in \(name): \(names.joined(separator: ", ")): \(problem.message); kldload kpkg hold holds them")
    }

    /// - Throws: ``Diagnosis`` `upkeep.held-moved`.
    private func refuse(moved: [String]) throws {
        guard !moved.isEmpty else { return }
        throw Diagnosis(
            "upkeep.held-moved", "packages move in \(name) that are held: \(moved.joined(separator: ", "))",
            remedies: ["move them with the others: kldload kupgrade --held"], exit: .failed)
    }

    /// Reads the archive's lists anew.
    ///
    /// - Throws: ``Diagnosis`` `upkeep.archive`.
    func refresh() async throws {
        let said: CommandOutput
        do { said = try await run(manager.refresh) } catch let error as CommandError {
            guard let output = error.failure else { throw error }
            throw unreadable(manager.reasons(output))
        }
        // apk goes on without a repository that it does not trust, and ends well.
        let failures = manager.failures(said)
        guard failures.isEmpty else { throw unreadable(failures) }
    }

    private func unreadable(_ causes: [String]) -> Diagnosis {
        Diagnosis(
            "upkeep.archive", "the package archive cannot be read",
            remedies: ["is there a network? is the archive's address right, in /etc/apt/sources.list.d?"], exit: .unavailable,
            causes: causes)
    }

    func preview(_ change: PackageRequest, _ installed: [String: String]? = nil) async throws -> PackageTransaction {
        try await preview(manager.preview(change), installed)
    }

    /// - Parameter installed: versions by name, for package managers that do not say what was there before; `nil`: they are read.
    func preview(_ command: Command, _ installed: [String: String]? = nil) async throws -> PackageTransaction {
        let said: CommandOutput
        do { said = try await run(command) } catch let error as CommandError {
            guard let output = error.failure else { throw error }
            throw impossible(manager.reasons(output))
        }
        let failures = manager.failures(said)
        guard failures.isEmpty else { throw impossible(failures) }
        let transaction = manager.transaction(said.output)
        if !transaction.changes.contains(where: { $0.old == nil }) { return transaction }
        guard let installed else { return transaction.filled(from: try await self.installed()) }
        return transaction.filled(from: installed)
    }

    private func impossible(_ causes: [String]) -> Diagnosis {
        Diagnosis(
            "upkeep.packages", "\(manager.family.rawValue) cannot do that", remedies: ["kldload kpkg search WORD finds a package's name"],
            exit: .failed, causes: causes)
    }

    private func checkRemovals(_ transaction: PackageTransaction, _ request: PackageWork.Request) async throws {
        try await checkRemovals(transaction.removals, request)
    }

    private func checkRemovals(_ removals: [String], _ request: PackageWork.Request) async throws {
        var named: Set<String> = []
        if case .remove(let names) = request.change { named = Set(names) }
        let more = removals.filter { !named.contains($0) && !named.contains(Self.plain($0)) }
        if more.isEmpty || request.removalsAllowed { return }
        guard try await upkeep.allows(more) else {
            throw Diagnosis(
                "upkeep.removals", "packages would be removed that nobody named: \(more.joined(separator: ", "))",
                remedies: ["look at them, and say --yes"], exit: .failed)
        }
    }

    /// `nil` where the package manager does not say it before.
    private func downloadSize(_ change: PackageRequest) async throws -> ByteCount? {
        guard let apt = manager as? Apt else { return nil }
        return apt.downloadSize(try await run(apt.addresses(change)).output)
    }

    /// A pool must not be filled by an upgrade: what is downloaded lies there packed and unpacked, and so does what an initramfs is made of.
    private func checkRoom(_ size: ByteCount, free: ByteCount) throws {
        let need = ByteCount(size.bytes * 5) + .mebibytes(768)
        guard free < need else { return }
        throw Diagnosis(
            "upkeep.no-room", "the pool has \(free) free, and the packages may need \(need) (\(size) are downloaded)",
            remedies: ["destroy environments and snapshots that are not needed: kldload kbe list, kldload kbe prune --older-than 30d"],
            exit: .cannotCreate)
    }

    /// Settings that packages left beside those in force, with what they say.
    private func leftBeside() throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        var folders = ["/etc"]
        while let folder = folders.popLast() {
            let place = FilePath(root == "/" ? folder : root.string + folder)
            for name in (try? upkeep.files.list(place)) ?? [] {
                guard let kind = try upkeep.files.status(place.appending(name))?.kind else { continue }
                if kind == .directory { folders.append("\(folder)/\(name)") }
                if kind == .file, manager.leftBeside.contains(where: name.hasSuffix) {
                    found["\(folder)/\(name)"] = try? upkeep.files.read(place.appending(name))
                }
            }
        }
        return found
    }
}
