public import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import KldZFS
public import SystemPackage

/// `kclone`: a writable copy of a dataset, a volume or a snapshot, which takes no room until it is written to.
public struct DatasetClone: Sendable, Hashable {
    public var source: DatasetName
    /// The snapshot that is cloned; `nil`: one that is made now.
    public var label: String?
    public var target: DatasetName
    var properties: ZFSProperties
    /// Where it will be mounted; `nil`: nowhere.
    public var mountpoint: String?
    public var isVolume: Bool
    /// Datasets below the source, which are not cloned.
    public var children: Int
    public var now: Timestamp

    /// - Parameters:
    ///   - source: `DATASET`, `DATASET@SNAPSHOT`, the path that a file system is mounted at or its `.zfs/snapshot/NAME`, or `/dev/zvol/…`.
    ///   - destination: a dataset, or a path that is not there yet.
    /// - Throws: ``Diagnosis`` `clone.inside`, `clone.other-pool`, `clone.boot-environment`, `clone.volume-path`, `dataset.exists`,
    ///   `dataset.no-parent`, `dataset.locked`, `directory.…` and those of ``Storage/place(_:in:_:)``; ``NameError``.
    public init(
        _ source: String, to destination: String, storage: Storage, folder: FilePath, files: any FileSystem, now: Timestamp
    ) throws {
        let place = try storage.place(source, in: folder, files)
        let dataset = try storage.known(place.dataset)
        try storage.refuseLocked(dataset)
        let top = storage.mountPlace(dataset.name)
        if let path = place.path, !dataset.isVolume, path != top, !path.hasSuffix("/.zfs/snapshot/\(place.label ?? "")") {
            throw Diagnosis(
                "clone.inside", "\(path) is a folder in \(dataset.name): only whole datasets are cloned",
                remedies: [
                    "clone all of it: kldload kclone \(top ?? dataset.name) \(destination)", "or copy the folder: cp -a --reflink=auto",
                ],
                exit: .usage)
        }
        self.source = try DatasetName(dataset.name)
        label = place.label
        isVolume = dataset.isVolume
        children = storage.datasets.count { $0.name.hasPrefix(dataset.name + "/") }
        self.now = now
        if Storage.isPath(destination) {
            let path = (destination.hasPrefix("/") ? FilePath(destination) : folder.appending(destination)).lexicallyNormalized()
            (target, properties, mountpoint) = try Self.placed(at: path, dataset, storage, files)
        } else {
            target = try DatasetName(destination)
            properties = [:]
            mountpoint = try Self.inherited(target, isVolume: dataset.isVolume, storage, files)
        }
        guard target.pool == self.source.pool else {
            throw Diagnosis(
                "clone.other-pool", "a clone of \(self.source) lies in its pool, and \(target) does not",
                remedies: ["copy it instead: zfs send \(self.source)@SNAPSHOT | zfs receive -u \(target)"], exit: .usage)
        }
        if storage.isBootEnvironment(target.text) {
            throw Diagnosis(
                "clone.boot-environment", "\(target) would be a boot environment that nothing boots",
                remedies: ["kldload kbe create \(target.leaf) makes one, with its kernel and its line in the boot menu"], exit: .usage)
        }
    }

    private static func placed(
        at path: FilePath, _ source: Storage.Dataset, _ storage: Storage, _ files: any FileSystem
    ) throws -> (DatasetName, ZFSProperties, String?) {
        if source.isVolume {
            throw Diagnosis(
                "clone.volume-path", "\(source.name) is a volume, and is not mounted at a path",
                remedies: ["name a dataset: kldload kclone \(source.name) \(source.name)-copy"], exit: .usage)
        }
        try storage.refuseTaken(path, files)
        if let place = try storage.placement(of: path), place.name.pool == source.pool {
            return (place.name, place.properties, path.string)
        }
        // Its folder is no dataset: the pool's name and the path.
        let name = try DatasetName(source.pool).appending(path.components.map { Storage.component($0.string) }.joined(separator: "/"))
        try refuse(name, storage)
        return (name, ["mountpoint": path.string], path.string)
    }

    /// Where a dataset of this name is mounted by what it inherits.
    private static func inherited(_ name: DatasetName, isVolume: Bool, _ storage: Storage, _ files: any FileSystem) throws -> String? {
        try refuse(name, storage)
        guard !isVolume, let parent = name.parent.flatMap({ storage.dataset($0.text) }), parent.mountpoint.hasPrefix("/") else {
            return nil
        }
        let path = FilePath(parent.mountpoint).appending(name.leaf)
        try storage.refuseTaken(path, files)
        return path.string
    }

    private static func refuse(_ name: DatasetName, _ storage: Storage) throws {
        if storage.dataset(name.text) != nil { throw Storage.exists(name.text) }
        guard let parent = name.parent, storage.dataset(parent.text) != nil else {
            throw Diagnosis(
                "dataset.no-parent", "\(name) has nothing above it",
                remedies: name.parent.map { ["make that first: zfs create -p \($0)"] } ?? ["name a dataset in a pool: POOL/NAME"],
                exit: .inputMissing)
        }
    }

    /// With the snapshot's name that is tried at the given attempt, counted from 1.
    ///
    /// Runs: `zfs snapshot SOURCE@kclone-NAME-TIME` where no snapshot was named, `zfs clone [-o mountpoint=PATH] SNAPSHOT TARGET`; changes.
    public func plan(attempt: Int = 1) throws -> Plan {
        let made = "kclone-\(target.leaf)-\(now.digits)" + (attempt > 1 ? "-\(attempt)" : "")
        let origin = try SnapshotName(source, label ?? made)
        var steps: [Step] = []
        if label == nil { steps.append(Step(Self.taking, "Snapshot of \(source)", [.run(ZFS.snapshot(origin))])) }
        steps.append(
            Step("clone.make", "Clone it as \(target)", [.run(ZFS.clone(origin, to: target, properties: properties))]))
        return Plan("clone \(source) as \(target)", [Phase("clone", "Clone", steps)])
    }

    private static let taking = "clone.snapshot"

    /// Clones. Two at once of the same dataset take snapshots of different names.
    /// - Throws: ``Diagnosis`` of ZFS; where the snapshot was made and the clone was not, a remedy names it.
    public func apply(runner: any CommandRunner, files: any FileSystem) async throws {
        var attempt = 1
        while true {
            let plan = try plan(attempt: attempt)
            do { return try await PlanRunner(runner: runner, files: files).apply(plan) } catch var problem as Diagnosis where label == nil {
                // What went wrong in which step is its first cause.
                let taking = problem.causes.contains { $0.hasPrefix("step: \(Self.taking) ") }
                if taking, problem.code == "zfs.dataset-exists", attempt < 100 {
                    attempt += 1
                    continue
                }
                if !taking, let step = plan.steps.first, case .run(let command)? = step.actions.first, let name = command.arguments.last {
                    problem.remedies.append(
                        "the snapshot that was made for it is not needed: kldload ksnap destroy \(SnapshotRollback.word(name))")
                }
                throw problem
            }
        }
    }
}
