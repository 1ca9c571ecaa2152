import KldBoot
import KldBootEnv
import KldCore
import KldExec
import KldFiles
public import KldPackages
import KldPlan
import KldZFS
public import SystemPackage

/// Changes packages so that the state before stays within reach: in a new boot environment, which the running system does not notice, or in the
/// running one after a snapshot.
public struct PackageWork: Sendable {
    public struct Request: Sendable, Hashable {
        public enum Activation: Sendable, Hashable {
            /// From the next boot on; on trial.
            case trial
            /// At the next boot only.
            case once
            case none
        }

        public var change: PackageRequest
        public var held = HeldChoice.stay
        /// Of the new environment; `nil`: the running one's, with the time.
        public var name: String?
        public var activation = Activation.trial
        /// An environment in which something failed stays for a look.
        public var keep = false
        /// Packages may be removed that nobody named.
        public var removalsAllowed = false
        /// How snapshots are called that are taken before: `pre-upgrade`, `kpkg`.
        public var label: String

        public init(_ change: PackageRequest, label: String) {
            self.change = change
            self.label = label
        }
    }

    /// All that package managers said.
    public static let log: FilePath = "/var/log/kldload/upgrade.log"

    public var upkeep: Upkeep
    public init(_ upkeep: Upkeep) { self.upkeep = upkeep }

    /// `20261121-023300`.
    static func stamp(_ now: Timestamp) -> String { "\(now.digits.prefix(8))-\(now.digits.suffix(6))" }

    /// The running one's name and the time, instead of the time that it has in its name already.
    static func environmentName(_ running: String, _ now: Timestamp, taken: [String]) -> String {
        var parts = running.split(separator: "-", omittingEmptySubsequences: false)
        if parts.count > 2, parts[parts.count - 1].count == 6, parts[parts.count - 2].count == 8,
            parts.suffix(2).allSatisfy({ $0.allSatisfy(\.isNumber) })
        {
            parts.removeLast(2)
        }
        return BootEnvironments.free("\(parts.joined(separator: "-").prefix(40))-\(stamp(now))", taken)
    }

    // MARK: in a new environment

    /// Clones the running environment, changes the clone, looks whether it would boot, and lets it boot next, on trial.
    ///
    /// Only for whoever holds the lock of boot environments. Whatever fails, the running system is as it was, and the clone is destroyed.
    /// - Returns: a report without packages where nothing was to be done: then no environment is left.
    /// - Throws: ``Diagnosis`` of ``PackageRoot/change(_:free:)``, `upkeep.shared`, `upkeep.kernel`; of ``BootStaging/steps()``.
    public func inNewEnvironment(_ request: Request) async throws -> UpkeepReport {
        try await upkeep.sweep()
        let system = try await upkeep.system()
        for esp in system.damaged { upkeep.say(esp.warning) }
        let name = request.name ?? Self.environmentName(system.running.leaf, upkeep.now, taken: system.environments.map(\.name))
        let snapshot = try SnapshotName(system.running, "kbe-\(name)-\(upkeep.now.digits)")
        let making = try BootEnvironments(system).create(name, now: upkeep.now, marks: [KldProperty.upkeep: Upkeep.working])
        do {
            try await upkeep.apply(making, [])
            let report = try await work(request, name)
            // why: the environment goes even when somebody presses Ctrl-C now.
            if report.isEmpty { await Task { await upkeep.abandon(name, keep: false, snapshot: snapshot) }.value }
            return report
        } catch {
            // why: a task of its own does not inherit the cancellation that may have brought us here.
            await Task { await upkeep.abandon(name, keep: request.keep, snapshot: snapshot) }.value
            throw error
        }
    }

    private func work(_ request: Request, _ name: String) async throws -> UpkeepReport {
        let (system, environment) = try await whole(name)
        var report = UpkeepReport(environment: name, before: system.running.leaf)
        if request.activation != .none {
            // What would keep it from being booted is known before minutes of work: a full ESP, a key that is gone.
            try await upkeep.staging(environment, system) { try Self.check(request, $0, system) }
        }
        let place = Workplace(name)
        try await upkeep.apply(place.opening(BootEnvironments(system)), [])
        let packages = try PackageRoot(place.root, name: name, upkeep)
        let before = kernels(in: place.root)
        let free = try await available(system)
        guard let outcome = try await packages.change(request, free: free) else { return report }
        (report.packages, report.held, report.settings) = (outcome.changes, outcome.held, outcome.settings)
        try await packages.run(packages.manager.clean)
        let fresh = kernels(in: place.root).filter { !before.contains($0) }
        report.kernels = fresh
        report.dkms = try await dkms(packages)
        report.signatures = try await sign(
            place.root, system, changed: !fresh.isEmpty || report.packages.contains { $0.name.hasSuffix("-dkms") })

        var shared = SharedFolders(pool: system.pool.text, environment: system.running.text, mounts: try upkeep.files.mounts())
        try shared.compare(with: place.root, upkeep.files)
        try shared.check(name)
        // What all environments share gets nothing of one that will not be booted, and it stays there when that one goes.
        let (judged, found) = try await whole(name)
        try await upkeep.staging(found, judged) { target in
            try Self.check(target, fresh: fresh, report.dkms)
            try Self.check(request, target, judged)
        }
        try await upkeep.apply(shared.adding(from: place.root), [])
        try await upkeep.apply(place.closing(shared.places), [])

        let (now, ready) = try await whole(name)
        try await upkeep.staging(ready, now) { target in
            report.doubts = BootGate(now, target).doubts.map { "\($0.text): \($0.remedy)" }
            try Self.check(request, target, now)
            // It is whole from here on: who comes later must not take it for half made.
            try await upkeep.runner.run(ZFS.inherit(ready.dataset, KldProperty.upkeep))
            if request.activation != .none { try await upkeep.activate(target, once: request.activation == .once, now) }
        }
        report.bootsNext = request.activation != .none
        report.rebootNeeded = report.bootsNext
        return report
    }

    /// The machine with the environment that is being made, as it will be when that is whole: without the mark that keeps others from booting it.
    private func whole(_ name: String) async throws -> (BootSystem, BootEnvironment) {
        var system = try await upkeep.system()
        for index in system.environments.indices where system.environments[index].name == name {
            system.environments[index].isHalfMade = false
        }
        return (system, try system.environment(name))
    }

    /// That an environment can boot as it was asked for. - Throws: as ``BootEnvironments/activate(_:once:)``.
    private static func check(_ request: Request, _ target: BootTarget, _ system: BootSystem) throws {
        if request.activation != .none { _ = try BootEnvironments(system).activate(target, once: request.activation == .once) }
    }

    /// A kernel that came with the change must be the one that boots: another one means that its module or its initramfs was not made.
    ///
    /// - Throws: ``Diagnosis`` `upkeep.kernel`.
    static func check(_ target: BootTarget, fresh: [String], _ dkms: [DKMS.Row]) throws(Diagnosis) {
        guard let newest = fresh.max(by: KernelRelease.precedes), let boots = target.kernels.first?.release,
            KernelRelease.precedes(boots, newest)
        else { return }
        throw Diagnosis(
            "upkeep.kernel", "Linux \(newest) came with the change, and has not all that it needs to boot: OpenZFS, initramfs, modules",
            remedies: ["read why the module was not built: \(log)", "upgrade without it: kldload kupgrade, without --kernel"],
            exit: .failed,
            causes: dkms.filter { $0.release == newest || $0.release == nil }.map(\.text))
    }

    /// Releases that have a kernel, whatever else they lack.
    func kernels(in root: FilePath) -> [String] {
        let prefix = "vmlinuz-"
        return ((try? upkeep.files.list(root.appending("boot"))) ?? []).filter { $0.hasPrefix(prefix) }.map {
            String($0.dropFirst(prefix.count))
        }
    }

    /// Runs: `zfs get available DATASET`, reads.
    func available(_ system: BootSystem) async throws -> ByteCount {
        let rows = try PropertyRow.parse(await upkeep.runner.run(ZFS.get(system.running.text, ["available"])).output)
        return ByteCount(rows.first?.value.flatMap { UInt64($0) } ?? 0)
    }

    func dkms(_ packages: PackageRoot) async throws -> [DKMS.Row] {
        guard try upkeep.files.exists(packages.root.appending(DKMS.program)) else { return [] }
        return DKMS.parse(try await packages.run(DKMS.status).output)
    }

    /// Signs modules that were built anew, where this machine signs what it boots. All of them, whatever they bear: where an earlier run ended
    /// between a module and the initramfs, the module is signed and its copy in there is not.
    ///
    /// - Returns: for the report.
    func sign(_ root: FilePath, _ system: BootSystem, changed: Bool) async throws -> String {
        switch system.signing {
        case .off: return "off"
        case .keyless: return "this machine's key is gone"
        case .by:
            guard changed else { return "signed by this machine's key" }
            for release in kernels(in: root) {
                guard !ModuleSigning.modules(in: root, release, upkeep.files).isEmpty else { continue }
                let initramfs = root.appending("boot/initrd.img-\(release)")
                // One that is made later takes the modules as they are then.
                let action = ModuleSigning.signing(
                    root: root, release: release, with: MachineOwnerKey(),
                    initramfs: try upkeep.files.exists(initramfs) ? initramfs : nil)
                let step = Step("upkeep.sign", "Sign the modules of Linux \(release)", [action])
                try await upkeep.apply(Plan("sign modules", [Phase("upkeep", "Upkeep", [step])]), [])
            }
            return "signed by this machine's key"
        }
    }

    // MARK: in the running one

    /// Takes a snapshot, then changes the running environment.
    ///
    /// Only for whoever holds the lock of boot environments.
    /// - Parameter refresh: stages what boots, where that has changed.
    /// - Throws: as ``inNewEnvironment(_:)``; what failed stays as it is, and the error says how to go back.
    public func inPlace(_ request: Request, refresh: () async throws -> Void) async throws -> UpkeepReport {
        let system = try await upkeep.system(.snapshots)
        let environment = try system.environment(system.running.leaf)
        let label = BootEnvironments.free("\(request.label)-\(Self.stamp(upkeep.now))", environment.snapshots.map(\.name.label))
        let snapshot = try SnapshotName(system.running, label)
        var report = UpkeepReport(environment: nil, before: "\(environment.name)@\(label)")
        let packages = try PackageRoot("/", name: environment.name, upkeep)
        let before = kernels(in: "/")
        let step = Step(
            "upkeep.snapshot", "Snapshot \(snapshot)",
            [.run(ZFS.snapshot(snapshot, recursive: !environment.children.isEmpty, properties: [SnapshotLabel.mark: request.label]))])
        try await upkeep.apply(Plan("snapshot of \(environment.name)", [Phase("upkeep", "Upkeep", [step])]), [])
        do {
            guard let outcome = try await packages.change(request, free: try await available(system)) else {
                try await forget(snapshot)
                return report
            }
            (report.packages, report.held, report.settings) = (outcome.changes, outcome.held, outcome.settings)
            report.kernels = kernels(in: "/").filter { !before.contains($0) }
            report.dkms = try await dkms(packages)
            let modules = !report.kernels.isEmpty || report.packages.contains { $0.name.hasSuffix("-dkms") }
            report.signatures = try await sign("/", system, changed: modules)
            try await refresh()
            report.services = RestartNeeds.units(upkeep.files)
            report.rebootNeeded = modules || report.services.contains { RestartNeeds.needReboot.contains($0) }
        } catch {
            var problem = Diagnosis(of: error)
            problem.remedies.append("go back to the state before: kldload kbe rollback \(report.before), and reboot")
            throw problem
        }
        if let kind = ScheduledSnapshots.Kind(rawValue: request.label) { await prune(kind) }
        return report
    }

    /// Of the snapshots that were taken before such a change those go that are beyond what is kept. What goes wrong is said, and no error.
    private func prune(_ kind: ScheduledSnapshots.Kind) async {
        do {
            let plan = try await ScheduledSnapshots.gather(kind, upkeep).pruned(kind)
            // Each bears the mark of one that kldload took by itself.
            try await upkeep.apply(plan, plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) })
        } catch { upkeep.say("older snapshots stay: \(Diagnosis(of: error).message)") }
    }

    private func forget(_ snapshot: SnapshotName) async throws {
        let step = Step(
            "upkeep.snapshot", "Nothing changed: destroy \(snapshot)", [.run(ZFS.destroy(snapshot, recursive: true))],
            destroys: [snapshot.description])
        let plan = Plan("no snapshot", [Phase("upkeep", "Upkeep", [step])])
        // Made a moment ago, by this run.
        try await upkeep.apply(plan, plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) })
    }
}
