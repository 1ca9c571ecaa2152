import FoundationEssentials
import KldBlock
import KldBoot
import KldBootEnv
public import KldCore
public import KldExec
public import KldFiles
import KldPackages
public import KldPlan
import KldZFS
import SystemPackage

/// The machine that is looked after, and who is told of it.
public struct Upkeep: Sendable {
    public var runner: any CommandRunner
    public var files: any FileSystem
    /// Applies a plan, whose approvals are given.
    public var apply: @Sendable (Plan, [WipeApproval]) async throws -> Void
    public var say: @Sendable (String) -> Void
    /// Asks whether these packages may be removed.
    public var allows: @Sendable ([String]) async throws -> Bool
    public var now: Timestamp

    public init(
        runner: any CommandRunner, files: any FileSystem, now: Timestamp,
        apply: @escaping @Sendable (Plan, [WipeApproval]) async throws -> Void, say: @escaping @Sendable (String) -> Void,
        allows: @escaping @Sendable ([String]) async throws -> Bool = { _ in false }
    ) {
        self.runner = runner
        self.files = files
        self.now = now
        self.apply = apply
        self.say = say
        self.allows = allows
    }

    /// Below it environments are mounted while somebody works in them.
    static let workshop: FilePath = "/run/kldload/upkeep"
    /// What ``KldProperty/upkeep`` says: somebody works on it, or wanted to look at what failed.
    static let working = "working"
    static let kept = "kept"
    /// Tells kldload's own hooks of packages, with 0, that who called takes the snapshot.
    public static let snapshotVariable = "KLDLOAD_SNAPSHOT"

    func system(_ detail: BootSystem.Detail = .environments) async throws -> BootSystem {
        try await BootSystem.gather(detail, runner: runner, files: files)
    }

    /// The environment that runs. - Parameter what: who asks, for the remedy. - Throws: ``Diagnosis`` `be.no-zfs-root`.
    func running(for what: String) throws -> DatasetName {
        guard let root = try files.rootDataset() else { throw Self.noRoot(what) }
        return root
    }

    static func noRoot(_ what: String) -> Diagnosis {
        Diagnosis(
            "be.no-zfs-root", "the root file system is not a dataset of ZFS", remedies: ["\(what) are for installed machines"])
    }

    /// What kldload holds on this machine, as its installation says; none where kldload did not install it.
    func patterns(in root: FilePath) -> [String] {
        InstallManifest.read(files, below: root)?.heldPackages ?? []
    }

    /// Takes away what earlier runs left half made that were killed, or whose power went. Only for whoever holds the lock of boot environments:
    /// nobody works on such an environment then.
    ///
    /// Runs: `zfs get -r -t filesystem com.kldload:upkeep POOL/ROOT`, reads; ends what still runs in them; `umount`, `zfs destroy`.
    public func sweep() async throws {
        let system = try await system(.owners)
        let marks = try PropertyRow.parse(
            await runner.run(ZFS.get(system.top.text, [KldProperty.upkeep], recursive: true, types: ["filesystem"])).output)
        await sweep(system, marks)
    }

    /// What somebody boots stays, whatever it is marked as: he may have come to depend on it.
    func sweep(_ system: BootSystem, _ marks: [PropertyRow]) async {
        for mark in marks where mark.value == Self.working && mark.source == .local {
            guard let environment = system.environments.first(where: { $0.dataset.text == mark.name }) else { continue }
            let isUsed =
                environment.dataset == system.running || system.bootfs == mark.name
                || system.entries.contains { $0.dataset == mark.name && $0.order > 0 }
            if isUsed {
                say(
                    "\(environment.name) stays, though an earlier run left it half made: somebody boots it. "
                        + "If it is well: zfs inherit \(KldProperty.upkeep) \(environment.dataset); else activate another one, and destroy it"
                )
                continue
            }
            say("taking away \(environment.name), which an earlier run left half made")
            await abandon(environment.name, keep: false, snapshot: nil)
        }
    }

    /// Ends whatever runs in an environment, unmounts it, and destroys it, or keeps it for a look. What goes wrong is said, and no error.
    ///
    /// - Parameter snapshot: of which it was to be made: it goes too where the environment was not made any more.
    func abandon(_ name: String, keep: Bool, snapshot: SnapshotName?) async {
        do {
            try await apply(Plan("leave \(name)", [Phase("upkeep", "Upkeep", [Workplace(name).leaving])]), [])
            var system = try await system(.owners)
            guard let environment = system.environments.first(where: { $0.name == name }) else {
                if let snapshot { try await destroy(snapshot) }
                return
            }
            if keep {
                try await runner.run(ZFS.set(environment.dataset, [KldProperty.upkeep: Self.kept]))
                say("kept: \(name); look at it with kldload kbe mount \(name), then kldload kbe destroy \(name)")
                return
            }
            if system.next?.dataset == environment.dataset.text || system.bootfs == environment.dataset.text {
                try await activate(system.environment(system.running.leaf), once: false, system)
                system = try await self.system(.owners)
            }
            let plan = try BootEnvironments(system).destroy(name)
            // It bears kldload's mark, or the plan would not have been made, and this run, or one that was killed, has made it.
            try await apply(plan, plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) })
        } catch {
            say("\(name) could not be taken away: \(Diagnosis(of: error).message); kldload kbe destroy \(name)")
        }
    }

    private func destroy(_ snapshot: SnapshotName) async throws {
        let step = Step(
            "upkeep.snapshot", "Destroy \(snapshot)", [.run(ZFS.destroy(snapshot, recursive: true).unlessNeeded)],
            destroys: [snapshot.description])
        let plan = Plan("leave no snapshot", [Phase("upkeep", "Upkeep", [step])])
        try await apply(plan, plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) })
    }

    /// An environment with its kernels, compared with what lies on the ESPs.
    func staging<Result>(
        _ environment: BootEnvironment, _ system: BootSystem, _ body: (BootTarget) async throws -> Result
    ) async throws -> Result {
        try await BootTarget.with(environment, runner: runner, files: files) {
            try await body($0.compared(system, runner: runner, files: files))
        }
    }

    func activate(_ environment: BootEnvironment, once: Bool, _ system: BootSystem) async throws {
        try await staging(environment, system) { target in
            try await activate(target, once: once, system)
        }
    }

    /// An ESP that takes no write is passed over, and told.
    func activate(_ target: BootTarget, once: Bool, _ system: BootSystem) async throws {
        let after = try await system.applying({ try BootEnvironments($0).activate(target, once: once) }) { try await apply($0, []) }
        for esp in after.damaged.dropFirst(system.damaged.count) { say(esp.warning) }
    }
}
