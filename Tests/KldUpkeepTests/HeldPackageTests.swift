import KldCore
import KldExec
import KldPackages
import KldTestSupport
import KldZFS
import Synchronization
import SystemPackage
import Testing

@testable import KldUpkeep

/// A system of apt that holds OpenZFS, of which a newer one waits.
private final class HeldMachine: CommandRunner {
    private let holds = Mutex<Set<String>>(["zfs-dkms"])
    /// Somebody presses Ctrl-C when the first command like this one runs.
    private let interrupts: @Sendable (Command) -> Bool
    private let canHold: Bool
    /// What goes with the upgrade.
    private let removes: Bool

    init(canHold: Bool = true, removes: Bool = false, interrupts: @escaping @Sendable (Command) -> Bool = { _ in false }) {
        self.canHold = canHold
        self.removes = removes
        self.interrupts = interrupts
    }

    var isHeld: Bool { holds.withLock { $0.contains("zfs-dkms") } }

    private static func cancelThisTask() {
        withUnsafeCurrentTask { task in if let task { task.cancel() } }
    }

    func run(_ command: Command) async throws -> CommandOutput {
        if interrupts(command) { Self.cancelThisTask() }
        // A real one is ended at once there.
        try Task.checkCancellation()
        let words = command.arguments
        switch (command.tool.name, words.first ?? "") {
        case ("dpkg-query", _): return CommandOutput(output: "ii \tnano\t1\nii \tzfs-dkms\t1\n")
        case ("apt-mark", "showhold"): return CommandOutput(output: holds.withLock { $0.sorted().map { $0 + "\n" }.joined() })
        case ("apt-mark", "unhold"): holds.withLock { $0.subtract(words.dropFirst()) }
        case ("apt-mark", "hold"):
            guard canHold else { throw CommandError.failed(command, CommandOutput(status: 100)) }
            holds.withLock { $0.formUnion(words.dropFirst()) }
        case ("apt-get", _) where words.contains("-s"):
            return CommandOutput(output: "Inst zfs-dkms [1] (2 test [all])\n" + (removes ? "Remv nano [1]\n" : ""))
        case ("apt-get", _): break
        default: throw Unscripted(what: command.description)
        }
        return CommandOutput()
    }

    func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "\(pipeline)") }
}

/// Texts in the order in which they came.
private final class Texts: Sendable {
    private let kept = Mutex<[String]>([])
    func add(_ text: String) { kept.withLock { $0.append(text) } }
    var all: [String] { kept.withLock { $0 } }
}

@Suite("What an upgrade in place lets go of")
struct HeldPackageTests {
    /// Moves OpenZFS in the running system. - Returns: what it failed with, what was said, and whether all was held at each question.
    private func upgrade(_ machine: HeldMachine) async throws -> (problem: Diagnosis?, said: [String], asked: [String]) {
        let (said, asked) = (Texts(), Texts())
        var root = try PackageRoot(
            "/", name: "debian",
            Upkeep(
                runner: machine, files: MemoryFiles(["/usr/bin/apt-get": ""]), now: Timestamp(seconds: 1_700_000_000),
                apply: { _, _ in }, say: { said.add($0) },
                allows: { _ in
                    asked.add(machine.isHeld ? "held" : "free")
                    return false
                }))
        root.patterns = ["zfs-dkms"]
        var request = PackageWork.Request(.upgrade, label: "pre-upgrade")
        request.held = .ours
        let (system, wanted) = (root, request)
        let problem = await Task {
            await KldTestSupport.problem { _ = try await system.change(wanted, free: .gibibytes(10)) }
        }.value
        return (problem, said.all, asked.all)
    }

    @Test("whenever somebody interrupts it, it is held again")
    func interrupted() async throws {
        let moments: [@Sendable (Command) -> Bool] = [
            { $0.arguments.first == "unhold" }, { $0.arguments.contains("-s") }, { $0.arguments.contains("--print-uris") },
            { $0.effect == .changes && $0.arguments.contains("full-upgrade") },
        ]
        for moment in moments {
            let machine = HeldMachine(interrupts: moment)
            let (problem, said, _) = try await upgrade(machine)
            #expect(problem?.code == "interrupted")
            #expect(machine.isHeld && !said.contains { $0.hasPrefix("not held") })
        }
    }

    @Test("where it cannot be held again, that is said")
    func lost() async throws {
        let machine = HeldMachine(canHold: false)
        let (problem, said, _) = try await upgrade(machine)
        #expect(problem != nil && !machine.isHeld)
        #expect(said.contains { $0.hasPrefix("not held any more in debian: zfs-dkms") })
    }

    @Test("while somebody is asked, it is held")
    func asked() async throws {
        let machine = HeldMachine(removes: true)
        let (problem, _, asked) = try await upgrade(machine)
        #expect(problem?.code == "upkeep.removals")
        #expect(asked == ["held"] && machine.isHeld)
    }
}
