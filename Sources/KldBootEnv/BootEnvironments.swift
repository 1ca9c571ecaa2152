import KldBlock
import KldBoot
public import KldCore
import KldExec
import KldFiles
public import KldPlan
public import KldZFS
public import SystemPackage

/// The verbs of `kbe`, each as a plan. Semantics and words are those of FreeBSD's `bectl`. Source: bectl(8), FreeBSD 14.2.
public struct BootEnvironments: Sendable, Hashable {
    public var system: BootSystem
    public init(_ system: BootSystem) { self.system = system }

    var names: [String] { system.environments.map(\.name) }

    /// Of every environment: mounted by the initramfs alone, and destroyed by nobody who does not know it.
    static let properties: ZFSProperties = ["canmount": "noauto", "mountpoint": "/", KldProperty.owner: KldProperty.ownerValue]

    static func plan(_ title: String, _ steps: [Step]) -> Plan { Plan(title, [Phase("be", "Boot environments", steps)]) }

    // MARK: create

    /// A snapshot and its clone, with every dataset below. A clone of what is another machine's is that, too.
    ///
    /// - Parameters:
    ///   - source: an environment, or a snapshot of one as `NAME@LABEL`; `nil`: the running one.
    ///   - now: goes into the snapshot's name, so that names never collide.
    ///   - marks: more properties of the environment, set in the moment in which it is made.
    /// - Throws: ``Diagnosis`` `be.name`, `be.exists`, `be.unknown`, `be.no-snapshot`, `be.half-made`, `be.incomplete-snapshot`.
    ///
    /// Runs: `zfs snapshot -r SOURCE@kbe-NAME-TIME`, `zfs clone -o canmount=noauto …` for each dataset, `zfs rename` where there are
    /// several; changes. A clone of what runs gets a line in the boot menu, last of all.
    public func create(_ name: String, from source: String? = nil, now: Timestamp, marks: ZFSProperties = [:]) throws -> Plan {
        let steps = try creation(name, from: source, now: now, marks: marks)
        // What bears another mark is somebody's work in progress.
        let line = marks.isEmpty && [nil, system.running.leaf].contains(source) ? try entering(name) : []
        return Self.plan("create boot environment \(name)", steps + line)
    }

    func creation(_ name: String, from source: String?, now: Timestamp, marks: ZFSProperties = [:]) throws -> [Step] {
        try BootEnvironment.check(name: name, taken: names)
        let (origin, label) = try self.origin(source)
        let fresh = try SnapshotName(origin.dataset, "kbe-\(name)-\(now.digits)")
        let from = label ?? fresh.label
        if let label { try origin.requireWhole(label) }
        let dataset = try system.top.appending(name)
        // Several clones are no environment before the last one is there: until then nothing lists them, and nothing boots them.
        let isDeep = !origin.children.isEmpty
        let top = isDeep ? try system.top.appending(BootEnvironment.unfinished + name) : dataset
        let isForeign = origin.isForeign(label)
        // A clone has no user property of what it is a clone of.
        let properties = Self.properties.merging(marks).merging(isForeign ? [KldProperty.identity: KldProperty.foreign] : [:])
        var clones = [ZFS.clone(try SnapshotName(origin.dataset, from), to: top, properties: properties)]
        for (child, kept) in origin.children.sorted(by: { $0.key < $1.key }) {
            let path = String(child.text.dropFirst(origin.dataset.text.count + 1))
            let properties: ZFSProperties = [
                "canmount": kept.isHolder ? "off" : "noauto", KldProperty.owner: KldProperty.ownerValue, "mountpoint": kept.mountpoint,
            ]
            clones.append(ZFS.clone(try SnapshotName(child, from), to: try top.appending(path), properties: properties))
        }
        if isDeep { clones.append(ZFS.rename(top, to: dataset)) }
        var steps = sweeping
        if label == nil {
            steps.append(
                Step(
                    "be.snapshot", "Snapshot of \(origin.name)", [.run(ZFS.snapshot(fresh, recursive: isDeep))],
                    undo: [Self.forgetting(fresh)]))
        }
        steps.append(
            Step(
                "be.clone", "Clone it as \(dataset)", clones.map { .run($0) }, undo: isDeep ? [Self.sweeping(below: system.top)] : []))
        return steps
    }

    /// - Throws: ``Diagnosis`` `be.unknown`, `be.no-snapshot`, `be.half-made`: no copy of such a one bears the mark.
    func origin(_ source: String?) throws -> (BootEnvironment, label: String?) {
        guard let source else { return (try system.environment(system.running.leaf), nil) }
        let parts = source.split(separator: "@", omittingEmptySubsequences: false).map(String.init)
        let environment = try system.environment(parts[0])
        if system.isHalfMade(environment) { throw Diagnosis.halfMade(environment) }
        guard parts.count > 1 else { return (environment, nil) }
        guard parts.count == 2, environment.snapshots.contains(where: { $0.name.label == parts[1] }) else {
            throw Diagnosis(
                "be.no-snapshot", "there is no snapshot \(source)",
                remedies: environment.snapshots.isEmpty
                    ? ["\(environment.name) has none"] : ["one of: " + environment.snapshots.map(\.name.label).joined(separator: ", ")],
                exit: .inputMissing)
        }
        return (environment, parts[1])
    }

    // MARK: activate

    /// What boots next: always, on trial, or once.
    ///
    /// - Throws: ``Diagnosis`` `boot.menu-choice`; as ``BootStaging/steps()``.
    public func activate(_ target: BootTarget, once: Bool = false) throws -> Plan {
        if once, let always = system.told.always {
            throw Diagnosis(
                "boot.menu-choice", "somebody has chosen \(always) in the boot menu for every start, and nothing can be started once",
                remedies: ["kldload kbe activate NAME, for good, forgets that choice"])
        }
        let steps = try BootStaging(system, target, once ? .once : .always).steps()
        // The recovery image is somebody's wish still: it comes first, and this after it.
        let single = system.told.once.flatMap { RecoveryImage.isMeant(by: $0) ? nil : ($0, EFIVariable.oneShot) }
        let chosen = [single, system.told.always.map { ($0, EFIVariable.always) }].compactMap { $0 }
        let forgetting = Step(
            "be.menu-choice", "Forget that \(chosen.map(\.0).joined(separator: ", ")) was chosen in the boot menu",
            chosen.flatMap { EFIVariable.removing($0.1) })
        return Self.plan("activate boot environment \(target.environment.leaf)", steps + (chosen.isEmpty ? [] : [forgetting]))
    }

    /// A new environment of a snapshot, to be booted: the running one stays as it is, and can be gone back to.
    ///
    /// - Parameter snapshot: `NAME@LABEL`, or `LABEL` of the running environment.
    /// - Returns: the plan that makes the environment, and its name; activating it is a second plan, made when its kernels can be seen.
    /// - Throws: as ``create(_:from:now:)``; ``Diagnosis`` `boot.foreign`.
    public func rollback(_ snapshot: String, name: String? = nil, now: Timestamp) throws -> (plan: Plan, name: String) {
        let source = snapshot.contains("@") ? snapshot : "\(system.running.leaf)@\(snapshot)"
        let (environment, given) = try origin(source)
        if environment.isForeign(given) {
            // Made the machine's own, an environment leaves its snapshots as they came.
            throw Diagnosis.foreign(
                source, remedies: ["kldload kbe create NEW --from \(source), and kldload kbe adopt NEW, then kldload kbe activate NEW"])
        }
        let label = String(source.split(separator: "@").last ?? "")
        let name = name ?? Self.free("\(label.prefix(40))-back", names)
        return (Self.plan("roll back to \(source)", try creation(name, from: source, now: now)), name)
    }

    /// The wish itself, or with the first number that nobody has.
    public static func free(_ wish: String, _ taken: [String]) -> String {
        let allowed = wish.map { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) ? $0 : "-" }
        let plain = String(allowed.drop { !$0.isLetter && !$0.isNumber })
        let lower = Set(taken.map { $0.lowercased() })
        if !lower.contains(plain.lowercased()) { return plain }
        return (2...).lazy.map { "\(plain)-\($0)" }.first { !lower.contains($0.lowercased()) } ?? plain
    }

    // MARK: destroy

    /// Takes an environment away: first what boots it, then its datasets, then the snapshot that it was made of, if kldload made that.
    ///
    /// What was cloned from it is promoted before, dataset by dataset: other environments keep what they need.
    /// - Parameter keepingOrigin: that snapshot stays too: somebody has named it.
    /// - Throws: ``Diagnosis`` `be.unknown`, `be.running`, `be.active`, `be.fallback`, `be.mounted`, `be.foreign`.
    ///
    /// Runs: `zfs set com.kldload:identity=… SNAPSHOT` where the two differ in it, `zfs promote CLONE`, changes; `zfs destroy -r DATASET`, `zfs destroy -r ORIGIN`, destroys.
    public func destroy(_ name: String, keepingOrigin: Bool = false) throws -> Plan {
        let environment = try system.environment(name)
        try refuse(environment, "destroyed")
        guard environment.owned else {
            throw Diagnosis(
                "be.foreign", "\(environment.dataset) does not bear kldload's mark: it was made by somebody else",
                remedies: [
                    "zfs destroy it yourself, if it is not needed",
                    "or hand it over: zfs set \(KldProperty.owner)=\(KldProperty.ownerValue) \(environment.dataset)",
                ])
        }
        var steps = sweeping + unstaging(environment)
        let heirs = self.heirs(of: environment)
        let heir = heirs.first { $0.origin.dataset == environment.dataset }
        if !heirs.isEmpty {
            var actions: [Action] = []
            if let heir, heir.environment.isForeign != environment.isForeign {
                // What moves inherits from another dataset then, and stays what it is.
                let identity = environment.isForeign ? KldProperty.foreign : KldProperty.own
                let newest = environment.snapshots.firstIndex { $0.name == heir.origin } ?? -1
                for snapshot in environment.snapshots.prefix(newest + 1) where snapshot.isForeign == environment.isForeign {
                    actions.append(.run(ZFS.set(snapshot.name, [KldProperty.identity: identity])))
                }
            }
            actions += heirs.map { .run(ZFS.promote($0.dataset)) }
            let names = Set(heirs.map(\.environment.name)).sorted().joined(separator: ", ")
            steps.append(Step("be.promote", "Leave \(names) what it was cloned from", actions))
        }
        steps.append(
            Step(
                "be.destroy", "Destroy \(environment.dataset)", [.run(ZFS.destroy(environment.dataset, recursive: true))],
                destroys: [environment.dataset.text]))
        // An heir has taken over the origin as well.
        if !keepingOrigin, heir == nil, let origin = environment.origin, origin.label.hasPrefix("kbe-"),
            !system.environments.contains(where: { $0.dataset != environment.dataset && $0.origin == origin })
        {
            // With those below it, of a deep environment.
            let destroy = ZFS.destroy(origin, recursive: true).unlessNeeded
            steps.append(Step("be.origin", "Destroy the snapshot it was made of", [.run(destroy)], destroys: [origin.description]))
        }
        return Self.plan("destroy boot environment \(environment.name)", steps)
    }

    private func refuse(_ environment: BootEnvironment, _ what: String) throws(Diagnosis) {
        if environment.dataset == system.running {
            throw Diagnosis(
                "be.running", "\(environment.name) is running, and cannot be \(what)",
                remedies: ["kldload kbe activate another one, and reboot"],
                exit: .failed)
        }
        if system.next?.dataset == environment.dataset.text || system.bootfs == environment.dataset.text {
            throw Diagnosis(
                "be.active", "\(environment.name) is what boots next, and cannot be \(what)",
                remedies: ["kldload kbe activate another one before"],
                exit: .failed)
        }
        if BootTrial(system).fallbacks.contains(environment.dataset.text) {
            let running = system.running.leaf
            throw Diagnosis(
                "be.fallback",
                "\(environment.name) is what this machine can go back to while \(running) is on trial, and cannot be \(what)",
                remedies: [
                    "wait until kldload kbe list calls \(running) good; what boots once is to be activated for that: kldload kbe activate \(running)",
                    "or go back to it: kldload kbe activate \(environment.name), and reboot",
                ], exit: .failed)
        }
        if let place = environment.mountpoint {
            throw Diagnosis(
                "be.mounted", "\(environment.name) is mounted at \(place)", remedies: ["kldload kbe unmount \(environment.name)"],
                exit: .failed)
        }
    }

    private func unstaging(_ environment: BootEnvironment, keeping files: Set<String> = []) -> [Step] {
        let gone = system.entries.filter { $0.dataset == environment.dataset.text }
        return system.esps.compactMap {
            $0.removing(
                gone, keeping: system.needed(without: gone).union(files), "be.unstage.\($0.name)",
                "Take \(environment.name) off \($0.device)")
        }
    }

    /// Environments that were made long ago and that nothing needs, oldest first.
    ///
    /// - Parameter age: in seconds.
    /// - Returns: names for ``destroy(_:)``, one after another. Running, chosen, mounted and foreign ones are never among them, nor what a
    ///   trial can go back to.
    public func prunable(olderThan age: Int64, now: Timestamp) -> [String] {
        system.environments
            .filter { $0.created.seconds <= now.seconds - age && $0.owned && (try? refuse($0, "destroyed")) != nil }
            .sorted { $0.created < $1.created }.map(\.name)
    }

    // MARK: rename, mount, unmount

    /// Another name, for the dataset and for what boots it.
    ///
    /// - Throws: ``Diagnosis`` as ``destroy(_:)``, `be.name`, `be.exists`.
    ///
    /// Runs: `zfs rename OLD NEW`, changes. Its lines in the boot menu follow; of an image that starts only the old name they go, and activating
    /// it makes new ones.
    public func rename(_ name: String, to other: String) throws -> Plan {
        let environment = try system.environment(name)
        try refuse(environment, "renamed")
        try BootEnvironment.check(name: other, taken: names.filter { $0 != environment.name })
        let dataset = try system.top.appending(other)
        let rename = Step("be.rename", "Rename it to \(dataset)", [.run(ZFS.rename(environment.dataset, to: dataset))])
        let lines = try renaming(environment, to: other)
        let gone = unstaging(environment, keeping: lines.files)
        // A line that nothing replaces says which dataset it boots, and goes before.
        return Self.plan(
            "rename boot environment \(environment.name)", lines.steps.isEmpty ? gone + [rename] : [rename] + lines.steps + gone)
    }

    /// - Parameter place: `nil`: `/run/kldload/be/NAME`.
    /// - Throws: ``Diagnosis`` `be.unknown`, `be.mounted`.
    ///
    /// Runs: `mount -t zfs -o zfsutil DATASET PLACE`, and with `X-mount.mkdir` of every dataset below it that has a mount point, changes.
    /// Source: mount(8), util-linux 2.37 to 2.41.
    public func mount(_ name: String, at place: FilePath? = nil) throws -> (plan: Plan, place: FilePath) {
        let environment = try system.environment(name)
        if let mounted = environment.mountpoint {
            throw Diagnosis(
                "be.mounted", "\(environment.name) is mounted at \(mounted)", remedies: ["kldload kbe unmount \(environment.name)"],
                exit: .failed)
        }
        let place = place ?? FilePath("/run/kldload/be").appending(environment.name)
        var actions: [Action] = [.makeDirectory(place, mode: 0o700), .run(Self.mounting(environment.dataset, at: place))]
        let inside = environment.children.compactMap { child, kept in kept.place.map { (child, $0) } }
        for (child, mountpoint) in inside.sorted(by: { $0.1 < $1.1 }) {
            // As `zfs mount` does, which makes the folder where it is not there.
            let command = Self.mounting(child, at: FilePath(place.string + mountpoint), options: ["X-mount.mkdir"])
            actions.append(.run(command))
        }
        return (Self.plan("mount boot environment \(environment.name)", [Step("be.mount", "Mount it at \(place)", actions)]), place)
    }

    private static func mounting(_ dataset: DatasetName, at place: FilePath, options: [String] = []) -> Command {
        MountCommand.mount(dataset.text, at: place, type: "zfs", options: ["zfsutil"] + options)
    }

    /// - Throws: ``Diagnosis`` `be.unknown`, `be.running`, `be.not-mounted`.
    ///
    /// Runs: `umount --recursive PLACE`, changes.
    public func unmount(_ name: String) throws -> Plan {
        let environment = try system.environment(name)
        guard environment.dataset != system.running else {
            throw Diagnosis("be.running", "\(environment.name) is running, and cannot be unmounted", remedies: ["nothing is to do"])
        }
        guard let place = environment.mountpoint else {
            throw Diagnosis("be.not-mounted", "\(environment.name) is not mounted", remedies: ["kldload kbe list says what is"])
        }
        // Somebody may be in it: that is an error here.
        var command = MountCommand.unmount(FilePath(place))
        command.acceptedExitStatuses = [0]
        return Self.plan("unmount boot environment \(environment.name)", [Step("be.unmount", "Unmount \(place)", [.run(command)])])
    }
}
