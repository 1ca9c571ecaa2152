public import KldCore
public import KldExec
public import KldFiles
import KldZFS
public import SystemPackage

/// The file systems and volumes of a machine, and which of them a person means by a word.
public struct Storage: Sendable, Hashable {
    public struct Dataset: Sendable, Hashable {
        public var name: String
        public var isVolume: Bool
        /// The property: a path, `none`, `legacy`; of a volume nothing.
        public var mountpoint: String
        public var isMounted: Bool
        /// It only holds others: `canmount=off`.
        public var isContainer: Bool
        /// Encrypted, and its key is not loaded.
        public var isLocked: Bool
        public var origin: String?
        /// `com.sun:auto-snapshot` is not `false`.
        public var isWorthSnapshots: Bool

        public init(
            name: String, isVolume: Bool = false, mountpoint: String = "none", isMounted: Bool = false, isContainer: Bool = false,
            isLocked: Bool = false, origin: String? = nil, isWorthSnapshots: Bool = true
        ) {
            self.name = name
            self.isVolume = isVolume
            self.mountpoint = mountpoint
            self.isMounted = isMounted
            self.isContainer = isContainer
            self.isLocked = isLocked
            self.origin = origin
            self.isWorthSnapshots = isWorthSnapshots
        }

        init(_ line: ListLine) {
            self.init(
                name: String(line["name"]), isVolume: line["type"] == "volume", mountpoint: String(line["mountpoint"]),
                isMounted: line["mounted"] == "yes", isContainer: line["canmount"] == "off", isLocked: line["keystatus"] == "unavailable",
                origin: line.text("origin"), isWorthSnapshots: line["com.sun:auto-snapshot"] != "false")
        }

        public var pool: String { String(name.prefix { $0 != "/" }) }
        func isWithin(_ other: String) -> Bool { name == other || name.hasPrefix(other + "/") }
    }

    static let columns = [
        "name", "type", "mountpoint", "canmount", "mounted", "keystatus", "origin", "com.sun:auto-snapshot",
    ]

    public var datasets: [Dataset]
    public var mounts: [MountInfo]

    public init(datasets: [Dataset], mounts: [MountInfo]) {
        self.datasets = datasets
        self.mounts = mounts
    }

    /// Runs: `zfs list -Hp -t filesystem,volume -o …`, reads; and reads `/proc/self/mountinfo`.
    public static func gather(runner: any CommandRunner, files: any FileSystem) async throws -> Storage {
        let output = try await runner.run(ZFS.list(of: [], columns: columns, types: ["filesystem", "volume"])).output
        var datasets: [Dataset] = []
        try ListLine.each(output, columns: columns) { datasets.append(Dataset($0)) }
        return Storage(datasets: datasets, mounts: try files.mountInfo())
    }

    public func dataset(_ name: String) -> Dataset? { datasets.first { $0.name == name } }

    /// The dataset that is mounted at `/`; `nil` on the live medium.
    public var root: String? { mounts.last { $0.place == "/" && $0.type == "zfs" }?.source }

    /// Whether a dataset is a boot environment's, or one that holds them: never rolled back in place, nor cloned or pruned by hand.
    public func isBootEnvironment(_ name: String) -> Bool {
        if let root {
            // `rpool/ROOT`; a root that is the pool's own top stands for itself.
            let parent = root.split(separator: "/").count > 2 ? String(root[..<(root.lastIndex(of: "/") ?? root.endIndex)]) : root
            if name == parent || name.hasPrefix(parent + "/") { return true }
        }
        return datasets.contains { $0.mountpoint == "/" && !$0.isContainer && (name == $0.name || name.hasPrefix($0.name + "/")) }
    }

    // MARK: what a word means

    /// What somebody named.
    public struct Place: Sendable, Hashable {
        public var dataset: String
        /// The snapshot of it that was named: `rpool/home@x`, or a path below `.zfs/snapshot/x`.
        public var label: String?
        /// The path that was given, absolute and without links; `nil` where a dataset was named.
        public var path: String?
    }

    /// A dataset by its name, a snapshot by its, or a path: then the mounted file system that holds it, or the volume behind a device.
    ///
    /// - Parameters:
    ///   - word: a path begins with `/` or `.`; `folder/file` is a dataset.
    ///   - folder: what relative paths begin in.
    /// - Throws: ``Diagnosis`` `dataset.unknown`, `dataset.not-zfs`; ``FileError`` for a path that is not there; ``NameError``.
    public func place(_ word: String, in folder: FilePath, _ files: any FileSystem) throws -> Place {
        if Self.isPath(word) { return try place(path: word.hasPrefix("/") ? FilePath(word) : folder.appending(word), files) }
        if word.contains("@") {
            let name = try SnapshotName(word)
            return Place(dataset: try known(name.dataset.text).name, label: name.label)
        }
        return Place(dataset: try known(word).name)
    }

    static func isPath(_ word: String) -> Bool {
        word.hasPrefix("/") || word == "." || word == ".." || word.hasPrefix("./") || word.hasPrefix("../")
    }

    /// - Throws: ``Diagnosis`` `dataset.unknown`.
    public func known(_ name: String) throws(Diagnosis) -> Dataset {
        if let found = dataset(name) { return found }
        let hint = didYouMean(name, datasets.map(\.name), most: 3)
        throw Diagnosis(
            "dataset.unknown", "there is no dataset \(name)", remedies: hint + ["see what there is: zfs list; a path begins with / or ./"],
            exit: .inputMissing)
    }

    private func place(path given: FilePath, _ files: any FileSystem) throws -> Place {
        let plain = given.lexicallyNormalized()
        // Before links are followed: they lead to /dev/zd0, which says nothing.
        let devices = "/dev/zvol/"
        if plain.string.hasPrefix(devices) {
            // udev's zvol_id writes a space as `+`.
            let wanted = plain.string.dropFirst(devices.count)
            guard let volume = datasets.first(where: { $0.isVolume && ($0.name == wanted || $0.name.replacing(" ", with: "+") == wanted) })
            else {
                throw Diagnosis(
                    "dataset.unknown", "there is no dataset \(wanted)",
                    remedies: ["a partition of a volume is not cloned alone: name the volume"],
                    exit: .inputMissing)
            }
            return Place(dataset: volume.name, path: plain.string)
        }
        let path = try files.resolve(plain).string
        let parts = path.split(separator: "/").map(String.init)
        if let mark = parts.indices.first(where: { parts[$0] == ".zfs" && parts.indices.contains($0 + 2) && parts[$0 + 1] == "snapshot" }) {
            let above = "/" + parts[..<mark].joined(separator: "/")
            return Place(dataset: try holder(of: above).dataset, label: parts[mark + 2], path: path)
        }
        var found = try holder(of: path)
        found.path = path
        return found
    }

    /// The file system that holds a path: of the mounts that it lies in the one that goes deepest, and of several at one place the last.
    private func holder(of path: String) throws(Diagnosis) -> Place {
        func holds(_ mount: MountInfo) -> Bool { mount.place == "/" || path == mount.place || path.hasPrefix(mount.place + "/") }
        var best: MountInfo?
        for mount in mounts where holds(mount) {
            if let other = best, other.place.utf8.count > mount.place.utf8.count { continue }
            best = mount
        }
        guard let best, best.type == "zfs" else {
            throw Diagnosis(
                "dataset.not-zfs", "\(path) is not on ZFS: it lies on \(best?.type ?? "nothing that is mounted")",
                remedies: ["name a dataset, or a path in one: kldload kdf"], exit: .usage)
        }
        // A snapshot that is mounted somewhere.
        let parts = best.source.split(separator: "@").map(String.init)
        return Place(dataset: parts[0], label: parts.count > 1 ? parts[1] : nil)
    }

    /// Where a dataset is mounted now, as this process sees it.
    public func mountPlace(_ name: String) -> String? { mounts.last { $0.type == "zfs" && $0.source == name }?.place }
}

/// Sequences of names that have a pool in common.
extension Sequence where Element == SnapshotName {
    /// By pool, in the order in which the pools come.
    var byPool: [[SnapshotName]] {
        var groups: [[SnapshotName]] = []
        for name in self {
            if let index = groups.firstIndex(where: { $0[0].dataset.pool == name.dataset.pool }) {
                groups[index].append(name)
            } else {
                groups.append([name])
            }
        }
        return groups
    }
}
