import ArgumentParser
import Glibc
import KldBoot
import KldBootEnv
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTerminal
import KldZFS
import SystemPackage

/// The console of the recovery image. Its initramfs runs this, and goes on when a dataset was chosen.
struct RecoveryConsoleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recovery-console", abstract: "The console of the recovery image.", shouldDisplay: false)

    func run() async throws {
        let files = LocalFiles()
        guard try files.exists("/scripts/zfs"), Host.isRoot else {
            throw Diagnosis(
                "recovery.not-here", "this is for the recovery image alone",
                remedies: ["kldload boot recovery --next, and restart", "on the live medium: krecovery"], exit: .usage)
        }
        var desk = try RecoveryDesk(files)
        try await desk.run()
    }
}

/// Whoever stands before the console is served here: keys go to a ``RecoveryConsole``, and what it wants done is done to the pool.
private struct RecoveryDesk {
    /// An encrypted dataset keeps something from being done.
    private struct Locked: Error { var dataset: DatasetName }

    private let files: LocalFiles
    private let runner: any CommandRunner = ZFSExplainingRunner(SubprocessRunner())
    private var screen: Screen
    private var console = RecoveryConsole()
    private var pool: RecoveryPool?
    private var system: BootSystem?
    private var found: [ImportablePool] = []
    private var passphrases: [DatasetName: Secret] = [:]
    private var waiting: (action: RecoveryConsole.Action, dataset: DatasetName)?
    /// Of the kernel's messages, which would be written over the screen.
    private let printing: String?

    private static let levels: FilePath = "/proc/sys/kernel/printk"

    init(_ files: LocalFiles) throws {
        self.files = files
        printing = try? files.readText(Self.levels).trimmed
        let names = ((try? files.readText("/sys/class/tty/console/active")) ?? "").words
        // tty0 is whichever terminal is shown; a keyboard types into the first one.
        let terminals = names.compactMap { Screen.Terminal(path: "/dev/\($0 == "tty0" ? "tty1" : $0)") }
        screen = try terminals.isEmpty ? Screen(Screen.Terminal(input: STDIN_FILENO, output: STDOUT_FILENO)) : Screen(terminals)
    }

    mutating func run() async throws {
        try await setKernelMessages("1 4 1 7")
        let mount = Command(
            Tool("mount", package: "mount"), ["-t", "efivarfs", "efivarfs", EFIVariable.folder.string], effect: .changes,
            accepting: Set(0...255))
        if ((try? files.list(EFIVariable.folder)) ?? ["none"]).isEmpty { _ = try? await runner.run(mount) }
        busy("looking for the machine's pool")
        _ = await attempt(.look, on: 0)
        while true {
            if !screen.isBusy { screen.draw(console.lines(columns: screen.columns, rows: screen.rows)) }
            guard let (key, terminal) = try await screen.key() else { return }
            let action = console.handle(key)
            if action == .stays { continue }
            if await attempt(action, on: terminal) { break }
        }
        screen.close()
        if let printing { try await setKernelMessages(printing) }
    }

    private func setKernelMessages(_ levels: String) async throws {
        // Not by renaming another file over it.
        try await runner.run(FileCommand.write(levels + "\n", into: Self.levels))
    }

    /// What takes a while says what it is.
    private func busy(_ text: String) { Self.busy(text, on: screen) }

    private static func busy(_ text: String, on screen: Screen) {
        var form = Form("one moment", [], text: ["", text], keys: "")
        screen.draw(form.lines(step: "", columns: screen.columns, rows: screen.rows))
    }

    private func apply(_ plan: Plan) async throws {
        let screen = screen
        try await PlanRunner(
            runner: runner, files: files, performers: BootPerformers.table.merging(RecoveryPool.performers) { $1 }
        ) { event in
            if event.kind == .stepStarted { Self.busy(event.message, on: screen) }
        }.apply(plan)
    }

    // MARK: What a person wants

    /// - Returns: a dataset was chosen, and the initramfs goes on with it.
    private mutating func attempt(_ action: RecoveryConsole.Action, on terminal: Int) async -> Bool {
        do {
            if case .unlock(let secret) = action { return try await unlock(secret, on: terminal) }
            return try await perform(action, on: terminal)
        } catch let locked as Locked {
            waiting = (action, locked.dataset)
            console.ask(locked.dataset.text)
        } catch {
            let problem = Diagnosis(of: error)
            // Whatever was half done: what is looked at next is the pool as it is, opened to be read.
            try? await open(for: .reading)
            console.refuse(([problem.message] + problem.causes.suffix(2) + problem.remedies.prefix(1)).joined(separator: "; "))
        }
        return false
    }

    private mutating func unlock(_ secret: Secret, on terminal: Int) async throws -> Bool {
        guard let (action, dataset) = waiting else { return false }
        do { try await runner.run(ZFS.loadKey(dataset, passphrase: secret)) } catch {
            console.ask(dataset.text, problem: Diagnosis(of: error).message)
            return false
        }
        passphrases[dataset] = secret
        console.unlocked()
        return await attempt(action, on: terminal)
    }

    private mutating func perform(_ action: RecoveryConsole.Action, on terminal: Int) async throws -> Bool {
        switch action {
        case .stays, .unlock: break
        case .look: try await look()
        case .open(let guid, let force):
            guard let name = found.first(where: { $0.guid == guid })?.name else { return false }
            pool = RecoveryPool(name: try PoolName(name), guid: guid, force: force)
            try await show()
        case .boot(let name): return try await boot(name)
        case .activate(let name, let once):
            try await enter(name, for: .changing)
            _ = try await inside(["kbe", "activate", name] + (once ? ["--once"] : []))
            try await end("reboot")
        case .clone(let source, let name):
            _ = try await create { try $0.create(name, from: source, now: .current) }
            try await show()
            console.tell("made", ["\(name) is an environment of \(source).", "", "What boots stays what it is."])
        case .rollback(let source, let name):
            _ = try await create { try $0.rollback(source, name: name, now: .current).plan }
            try await enter(name, for: .changing)
            _ = try await inside(["kbe", "activate", name])
            try await show()
            console.tell(
                "gone back", ["\(name), made of \(source), boots next: restart.", "", "The environment of before is kept under its name."])
        case .compare(let old, let new):
            try await enter(new, for: .reading)
            let said = try await inside(["kbe", "diff", old, new])
            try await open(for: .reading)
            console.tell("\(old) and \(new)", said.lines)
        case .enter(let name):
            try await enter(name, for: .changing)
            let shell = try ["/bin/bash", "/bin/sh"].first { try files.exists(FilePath(RescuePool.target.string + $0)) }
            guard let shell else {
                throw Diagnosis("recovery.no-shell", "\(name) has no shell", remedies: ["choose another environment"])
            }
            var text = "you are in \(name)"
            if let pool, let note = try await RescuePool.missingKeys(of: pool.name, runner: runner).note { text += "; \(note)" }
            lend(["chroot", RescuePool.target.string, shell, "-l"], text, on: terminal)
            try await show()
        case .shell: lend(["/bin/sh", "-i"], "this is the recovery image's own shell", on: terminal)
        case .ssh(let network): try await serve(network)
        case .endSSH: try await show()
        case .restart: try await end("reboot")
        case .powerOff: try await end("poweroff")
        }
        return false
    }

    /// Gives one of the terminals to a shell.
    private mutating func lend(_ words: [String], _ text: String, on terminal: Int) {
        busy("a shell has this console; it comes back when that ends")
        screen.close()
        if let path = screen.terminals[terminal].path, let file = try? FileDescriptor.open(FilePath(path), .writeOnly) {
            _ = try? file.closeAfter { try file.writeAll("kldload: \(text); exit brings you back\r\n".utf8) }
        }
        let environment = ["PATH=\(SubprocessRunner.searchPath)", "HOME=/root", "TERM=linux"]
        if screen.run(words, on: terminal, environment: environment) == nil { console.refuse("\(words[0]) could not be started") }
        screen.open()
    }

    // MARK: The pool

    private mutating func look() async throws {
        // Of a console that was ended, it may still be open.
        if let open = try await RescuePool.opened(runner: runner) { try await apply(RecoveryPool(name: open, guid: 0).closing) }
        pool = nil
        let wanted = (try? files.readText("/proc/cmdline")).flatMap { KernelCommandLine(running: $0.trimmed).root }.flatMap {
            $0.split(separator: "/").first.map(String.init)
        }
        // Disks may come late.
        for attempt in 0..<10 {
            if attempt > 0 { try await Task.sleep(for: .seconds(1)) }
            found = try await RecoveryPool.find(wanted, runner: runner)
            if !found.isEmpty { break }
        }
        guard let first = found.first else {
            return console.showNone(["No disk here belongs to a pool.", "", "A controller that needs a driver: see dmesg in a shell."])
        }
        guard found.count == 1 else {
            return console.choose(found.map { ($0.name, $0.guid, $0.state.description) })
        }
        guard !first.lastUsedElsewhere else {
            console.showNone(["The pool \(first.name) was last used by another system."])
            return console.doubt(first.name, first.guid)
        }
        pool = RecoveryPool(name: try PoolName(first.name), guid: first.guid)
        do { try await show() } catch {
            let problem = Diagnosis(of: error)
            pool = nil
            console.showNone([problem.message] + problem.causes + problem.remedies)
        }
    }

    private mutating func close() async throws {
        if let pool { try await apply(pool.closing) }
    }

    /// Opens the pool anew: nothing of it is mounted then, and what was unlocked is unlocked again.
    private mutating func open(for purpose: RecoveryPool.Purpose) async throws {
        guard let pool else { return }
        try await apply(pool.closing)
        try await apply(pool.opening(for: purpose))
        for (dataset, secret) in passphrases { try await runner.run(ZFS.loadKey(dataset, passphrase: secret)) }
    }

    /// Opens it to be read, and shows what it holds.
    private mutating func show() async throws {
        try await open(for: .reading)
        guard let pool else { return }
        let system = try await pool.system(runner: runner, files: files)
        self.system = system
        console.show(RecoveryView(system))
    }

    /// - Throws: ``Locked`` while a passphrase is missing that environments need. Nobody is asked for others.
    private func requireKeys() async throws {
        guard let pool, let locked = try await RescuePool.missingKeys(of: pool.name, runner: runner).needed.first else { return }
        throw Locked(dataset: locked)
    }

    /// Makes datasets. - Parameter plan: of what the pool holds.
    private mutating func create(_ plan: (BootEnvironments) throws -> Plan) async throws {
        guard let system else { return }
        try await requireKeys()
        let plan = try plan(BootEnvironments(system))
        try await open(for: .changing)
        try await apply(plan)
    }

    /// Mounts an environment with all that belongs to it.
    private mutating func enter(_ name: String, for purpose: RecoveryPool.Purpose) async throws {
        try await requireKeys()
        try await open(for: purpose)
        guard let pool else { return }
        let tree = try await RescuePool.tree(name, of: pool.name, runner: runner, files: files)
        try await apply(tree.mounting(Host.executable))
    }

    /// Runs this program in the environment that is mounted. - Returns: what it says.
    private func inside(_ words: [String]) async throws -> String {
        busy(words.joined(separator: " "))
        do {
            return try await runner.run(
                Command(Tool(RescuePool.tool.string, package: "kldload"), words, effect: .changes).inside(RescuePool.target)
            ).output
        } catch CommandError.failed(_, let output) {
            throw Diagnosis(
                "recovery.inside", "kldload \(words.joined(separator: " ")) failed",
                remedies: ["a shell in the environment shows more"], causes: output.errors.lines.suffix(3))
        }
    }

    // MARK: Leave

    private mutating func boot(_ name: String) async throws -> Bool {
        guard let environment = try system?.bootable(name) else { return false }
        try await enter(name, for: .reading)
        guard try RecoveryPool.hasModules(files) else {
            try await open(for: .reading)
            console.offerRestart(name)
            return false
        }
        try await open(for: .booting)
        // The tool's copy is of no use there.
        try? files.remove(RescuePool.tool.removingLastComponent())
        try files.write(environment.dataset.text + "\n", to: RecoveryImage.choice)
        return true
    }

    private mutating func end(_ program: String) async throws {
        busy(program == "reboot" ? "restarting" : "powering off")
        try await close()
        screen.close()
        try await runner.run(FileCommand.sync())
        try await runner.run(Command(Tool(program, package: "busybox"), ["-f"], effect: .changes))
        // The kernel takes a moment.
        try await Task.sleep(for: .seconds(30))
    }

    private mutating func serve(_ network: RecoveryNetwork) async throws {
        guard let usual = system?.running.leaf else { return }
        try await enter(usual, for: .changing)
        // Their homes may have passphrases of their own.
        if let pool, RecoveryPool.authorizedKeys(files).isEmpty,
            let locked = try await RescuePool.missingKeys(of: pool.name, runner: runner).others.first
        {
            throw Locked(dataset: locked)
        }
        let plan = try RecoveryPool.serving(files)
        busy("asking for an address")
        let said = try await RecoveryPool.connect({ network.words(for: $0) }, runner: runner, files: files)
        try await apply(plan)
        let keys = try await RecoveryPool.fingerprints(runner: runner, files: files)
        console.serve(
            ["ssh root@ADDRESS opens a shell in \(usual), which may be changed.", "", "The network says:"] + said.map { "  \($0)" }
                + ["", "Keys of this host:"] + keys.map { "  \($0)" })
    }
}

extension RecoveryView {
    init(_ system: BootSystem) {
        self.init(
            pool: system.pool.text, release: system.release,
            environments: system.environments.map { environment in
                Environment(
                    name: environment.name, created: Self.day(environment.created), used: environment.used.description,
                    boots: environment.dataset.text == system.bootfs,
                    snapshots: environment.snapshots.reversed().map {
                        Snapshot(label: $0.name.label, created: Self.minute($0.created), used: $0.used.description)
                    })
            })
    }

    /// `2026-11-21`, in UTC.
    private static func day(_ time: Timestamp) -> String { String(time.description.prefix(10)) }
    /// `2026-11-21 02:33`.
    private static func minute(_ time: Timestamp) -> String { "\(day(time)) \(time.description.dropFirst(11).prefix(5))" }
}
