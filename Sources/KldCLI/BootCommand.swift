import ArgumentParser
import KldBlock
import KldBoot
import KldBootEnv
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldZFS
import SystemPackage

/// What boots, and whether it did well. Units call most of it.
struct BootCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "boot", abstract: "What this machine boots: refresh it, and judge a boot.",
        subcommands: [Refresh.self, Restore.self, Recovery.self, Pin.self, Check.self, Good.self, GiveUp.self])

    struct Refresh: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Build and stage what the running environment boots, where it has changed; make all ESPs equal.",
            aliases: ["update"])
        @Flag(help: "Print the plan and change nothing.") var dryRun = false
        @Flag(help: "Do nothing, without an error, in a chroot or where the root is not ZFS: for hooks of packages.") var hook = false

        func run() async throws {
            let session = BootSession(dryRun: dryRun)
            // Who calls a package's program while it holds the lock stages by itself.
            if hook, Host.environment([ModuleSigning.hookVariable])[ModuleSigning.hookVariable] == "0" { return }
            if hook, try await !session.isRunningMachine() { return }
            try await session.locked { try await session.refreshAll() }
        }
    }

    struct Pin: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep a kernel of the running environment in the boot menu, however old it is.",
            discussion:
                "Without it the menu keeps the running kernel, the newest and the one before. Without RELEASE: print what is pinned.")
        @Argument(help: "As uname -r prints it.") var release: String?
        @Flag(help: "Do not keep it any more.") var remove = false
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let session = BootSession(dryRun: dryRun)
            guard let release else {
                for release in try PinnedKernels.read(session.files).sorted() { Output.line(release) }
                return
            }
            try await session.locked {
                try await session.apply(PinnedKernels.changing(release, pinned: !remove, session.system()))
            }
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Make the machine start from its disks again: an ESP that is lost, the boot loader, what boots, the firmware's entry.",
            discussion: "What boots stays what it is, where an ESP still says so, or the pool; else it is the running environment.")
        @Argument(help: "A disk of the root pool; default: all of them.") var disk: String?
        @Option(help: ArgumentHelp("Make an empty ESP of this partition: all on it is lost.", valueName: "partition")) var format:
            [String] = []
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws { try await BootSession(dryRun: dryRun).restore(disk.map { Host.absolute($0) }, format: format) }
    }

    struct Recovery: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make the recovery image on every ESP anew of what runs now, where that has changed and has proved itself.")
        @Flag(help: "Start it at the next boot, once.") var next = false
        @Flag(help: "Print the plan and change nothing.") var dryRun = false
        @Flag(help: "What cannot be made now is no error: for units.") var hook = false

        func run() async throws {
            let session = BootSession(dryRun: dryRun)
            do { try await make(session) } catch let problem as Diagnosis where hook && problem.code == "boot.recovery-room" {
                Output.errorLine(problem.rendered)
            }
            guard next else { return }
            let system = try await session.system()
            guard system.esps.contains(where: { $0.recovery != nil }) else {
                throw Diagnosis("boot.no-recovery", "no ESP has a recovery image", remedies: ["kldload boot recovery says why"])
            }
            try await session.apply(RecoveryStaging.startingNext(system.chain, session.files))
        }

        private func make(_ session: BootSession) async throws {
            try Host.needRoot(Diagnosis("boot.not-root", "boot images are made by root", remedies: ["sudo"], exit: .needsRoot))
            let lock = try await FileLock.acquire("/run/kldload/recovery-image.lock") { Output.errorLine("waiting for another run") }
            defer { withExtendedLifetime(lock) {} }
            let staging: RecoveryStaging
            switch try await RecoveryStaging.gather(session.system(), runner: session.runner, files: session.files) {
            case .current: return
            case .later(let why): return Output.errorLine("kldload: the recovery image stays as it is: \(why)")
            case .needed(let found): staging = found
            }
            defer { if !dryRun { try? session.files.remove(RecoveryStaging.scratch) } }
            try await session.apply(Plan("build the recovery image", [Phase("boot", "Boot", staging.building())]))
            try await session.locked {
                // Somebody may have changed what boots meanwhile: then the next run makes it.
                guard
                    case .needed(let now) = try await RecoveryStaging.gather(
                        session.system(), runner: session.runner, files: session.files), now.fingerprint == staging.fingerprint
                else { return Output.errorLine("kldload: what boots has changed meanwhile; the recovery image stays as it is") }
                try await session.apply(Plan("stage the recovery image", [Phase("boot", "Boot", now.placing)]))
            }
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Judge this boot; one on trial that is not good ends with a restart.",
            discussion: "Exit status: 0 good, 2 not. Files in \(BootCheck.hooks) that can be executed are asked too.")
        @Option(help: ArgumentHelp("How long services may take to come up.", valueName: "seconds")) var within = 90

        func run() async throws {
            let session = BootSession(dryRun: false)
            let problems = try await BootCheck.run(runner: session.runner, files: session.files, limit: .seconds(within))
            if problems.isEmpty { return }
            for problem in problems { Output.errorLine("kldload: \(problem)") }
            try await session.leave(because: problems.joined(separator: "; "))
            throw ExitCode(ExitStatus.problemsFound.rawValue)
        }
    }

    struct Good: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Note that this boot is good; report what failed before it.")
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let session = BootSession(dryRun: dryRun)
            try await session.locked {
                let system = try await session.system()
                if dryRun {
                    try await session.apply(BootTrial(system).proven)
                } else {
                    let (rest, failed) = try await BootTrial(system).bless { try await session.apply($0) }
                    session.tell(of: failed)
                    // This boot is good whatever becomes of the rest.
                    try session.files.write("good\n", to: BootTrial.goodMarker)
                    try BlindRestarts.forget(session.files)
                    try BootCheck.remember(session.files)
                    try session.report(BootTrial(system))
                    try await session.apply(rest)
                }
                // Who was booted once leaves the others' boot loader alone.
                if system.current?.once == true { return }
                do { try await session.renewLoaders(system) } catch { Output.errorLine(Diagnosis(of: error).rendered) }
            }
        }
    }

    struct GiveUp: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Leave an environment on trial that does not get on: note the reason and restart.", shouldDisplay: false)
        @Option var reason: String
        @Flag(help: "Nothing is wrong once the boot was noted as good.") var unlessGood = false

        func run() async throws { try await BootSession(dryRun: false).leave(because: reason, unlessGood: unlessGood) }
    }
}

/// What verbs of boot environments have in common: facts, one at a time, plans applied or shown.
struct BootSession: Sendable {
    var runner: any CommandRunner = ZFSExplainingRunner(SubprocessRunner())
    let files = LocalFiles()
    var dryRun: Bool
    /// Devices of ESPs that a person was told of.
    private let told = Locked<Set<String>>([])

    init(dryRun: Bool) { self.dryRun = dryRun }

    /// A system that was booted from ZFS, and not a tree that somebody is in with chroot(8): of that, mounts look just the same.
    func isRunningMachine() async throws -> Bool {
        guard try files.mounts().contains(where: \.isZFSRoot), try files.exists("/run/systemd/system") else { return false }
        return try await !isVisiting()
    }

    /// Runs: `systemd-detect-virt --chroot`, reads; it ends with 0 in a chroot.
    private func isVisiting() async throws -> Bool {
        let chroot = Command(Tool("systemd-detect-virt", package: "systemd"), ["--chroot"], effect: .reads, accepting: [0, 1])
        do { return try await runner.run(chroot).status == 0 } catch CommandError.toolMissing { return false }
    }

    func needRoot() throws(Diagnosis) {
        try Host.needRoot(
            Diagnosis("boot.not-root", "boot environments are changed by root", remedies: ["put sudo before it"], exit: .needsRoot))
    }

    /// Two at once would each plan with what the other one changes: the second waits. So do the package manager's hooks and what judges a boot:
    /// who has a question asks before, and no stream is waited for in here.
    func locked(_ body: () async throws -> Void) async throws {
        try needRoot()
        let lock = try await FileLock.acquire("/run/kldload/boot.lock") { Output.errorLine("waiting for another kbe") }
        defer { withExtendedLifetime(lock) {} }
        try await TemporaryMount.sweep(runner: runner, files: files)
        try await body()
    }

    /// Held while an environment is sent, which takes as long as its reader does: ZFS destroys nothing meanwhile, and menus must not say it did.
    ///
    /// - Throws: ``Diagnosis`` `lock.held`.
    func alone(with environment: BootEnvironment, _ body: () async throws -> Void) async throws {
        let lock = dryRun ? nil : try FileLock(FilePath("/run/kldload/export-\(environment.name).lock"))
        defer { withExtendedLifetime(lock) {} }
        try await body()
    }

    /// - Parameter silently: who asks says himself which ESPs are damaged.
    func system(_ detail: BootSystem.Detail = .environments, silently: Bool = false) async throws -> BootSystem {
        var system = try await BootSystem.gather(detail, visiting: isVisiting(), runner: runner, files: files)
        // What is entered then must count before what an ESP still says that comes back one day, with its disk: orders are counted in hundreds.
        if system.entries.isEmpty { system.floor = Int(Timestamp.current.seconds / 60) }
        if !silently { tell(of: system.damaged) }
        return system
    }

    /// Says once of each ESP that it is passed over, and what helps.
    func tell(of damaged: [BootSystem.Damaged]) {
        for esp in damaged {
            let isNews = told.withLock { $0.insert(esp.device).inserted }
            if isNews { Output.errorLine("kldload: \(esp.warning)") }
        }
    }

    func target<Result>(_ environment: BootEnvironment, _ body: (BootTarget) async throws -> Result) async throws -> Result {
        try await BootTarget.with(environment, runner: runner, files: files, body)
    }

    /// What a plan needs that stages an environment, for as long as `body` works; what may go wrong with it is said.
    @discardableResult
    func staging<Result>(_ name: String, _ system: BootSystem, _ body: (BootTarget) async throws -> Result) async throws -> Result {
        try await target(system.environment(name)) { found in
            let target = try await found.compared(system, runner: runner, files: files)
            for doubt in BootGate(system, target).doubts { Output.errorLine("kldload: \(doubt.text): \(doubt.remedy)") }
            return try await body(target)
        }
    }

    /// Builds and stages what an environment boots, where that has changed. - Parameter name: `nil`: the running one.
    @discardableResult
    func refresh(
        _ system: BootSystem, of name: String? = nil, _ choice: BootStaging.Choice = .unchanged
    ) async throws -> BootSystem {
        try await staging(name ?? system.running.leaf, system) { target in
            try await apply(to: system) { system in
                let staged = try BootStaging(system, target, choice).steps()
                return Plan("refresh what boots", [Phase("boot", "Boot", staged)])
            }
        }
    }

    /// Makes what the running environment boots, the boot loader and every ESP what they should be. What cannot be done keeps nothing of the
    /// rest from it: ESPs are healed also where nothing can be staged.
    func refreshAll() async throws {
        let system = try await self.system()
        try await Diagnosis.collecting([
            { try await refresh(system) }, { try await renewLoaders(system) },
            {
                let after = dryRun ? system : try await self.system()
                try await apply(to: after) { BootTrial($0).equal }
            },
        ])
    }

    /// Makes shim and the boot loader on every ESP what the running environment has.
    @discardableResult
    func renewLoaders(_ system: BootSystem) async throws -> BootSystem {
        guard let staging = try await LoaderStaging.gather(system, runner: runner, files: files) else { return system }
        return try await apply(to: system) { Plan("renew the boot loader", [Phase("boot", "Boot", staging.steps(on: $0.esps))]) }
    }

    /// Makes the machine start from its disks again: an ESP that is lost, the boot loader, what boots, the firmware's entry.
    ///
    /// - Parameters:
    ///   - disk: this one alone; `nil`: every disk of the root pool.
    ///   - format: partitions that become empty ESPs; all on them is lost.
    func restore(_ disk: FilePath?, format: [String] = []) async throws {
        try await locked {
            let restore = try await BootRestore.gather(disk: disk, runner: runner, files: files)
            // By the kernel's name, whatever link was typed.
            let format = try format.map { try files.resolve(Host.absolute($0)).string }
            let plan = try restore.formatting(format, serial: .random(in: 1 ... .max))
            let named = format.compactMap { WipeApproval(typed: $0, disk: $0) }
            if dryRun {
                try await apply(plan)
            } else {
                if let lost = restore.lost.first(where: { !format.contains($0.path) }), !Host.isAttended {
                    throw Diagnosis.lostESP(lost.path, command: "")
                }
                try await apply(plan, approvals: Host.approvals(for: plan, given: named))
                if !plan.steps.isEmpty { try await restore.awaitESPs(plan.destroys, runner: runner, files: files) }
            }
            if dryRun, !plan.steps.isEmpty {
                Output.line("then: shim and the boot loader, what boots, and the firmware's entry")
                return
            }
            let system = try await self.system()
            let renewed = try await renewLoaders(system)
            // Where no entry says any more what boots, the pool does; else it is what runs.
            let said = system.next.map { next in system.environments.contains { $0.dataset.text == next.dataset } } ?? false
            let meant = system.environments.first { $0.dataset.text == system.bootfs }?.name
            let written = try await refresh(system, of: said ? nil : meant, said ? .unchanged : .always)
            var after = dryRun ? system : try await self.system()
            after = try await apply(to: after) { BootTrial($0).equal }
            let damaged = after.damaged + written.damaged + renewed.damaged
            let fresh = try await BootRestore.gather(disk: disk, runner: runner, files: files)
            try await apply(
                try await fresh.entering(LoaderStaging.label(files), except: damaged, runner: runner, files: files))
            // The others have what they need; but this is what was asked for.
            if let first = damaged.first(where: { fresh.includes($0.device) }) { throw first.problem }
        }
    }

    /// Makes a plan and does it, or shows it. An ESP that takes no write is passed over, and told: see ``BootSystem/applying(_:_:)``.
    @discardableResult
    func apply(
        to system: BootSystem, approvals: [WipeApproval] = [], _ plan: (BootSystem) throws -> Plan
    ) async throws -> BootSystem {
        let after = try await system.applying(plan) { try await apply($0, approvals: approvals) }
        tell(of: after.damaged)
        return after
    }

    /// Shows a plan, or does it; what it does, on standard error.
    func apply(_ plan: Plan, approvals: [WipeApproval] = []) async throws {
        try await Host.apply(plan, approvals: approvals, dryRun: dryRun, runner: runner, performers: BootPerformers.table)
    }

    /// See ``BootLeaving``.
    func leave(because reason: String, unlessGood: Bool = false) async throws {
        // An environment that was to be booted once is counted for as long as it runs.
        if unlessGood, try files.exists(BootTrial.goodMarker) { return }
        try await BootLeaving.leave(because: reason, runner: runner, files: files) {
            try await system()
        } say: {
            Output.errorLine($0)
        }
    }

    func report(_ trial: BootTrial) throws {
        let failures = trial.failures { id in try? files.readText(BootTrial.file(id)).trimmed }
        let notice = BootTrial.notice(failures, running: trial.system.running.leaf)
        if dryRun { return }
        if notice.isEmpty {
            try files.remove(BootTrial.notice)
        } else {
            Output.error(notice)
            try files.write(notice, to: BootTrial.notice)
        }
    }
}
