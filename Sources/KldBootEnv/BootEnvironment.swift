public import KldCore
public import KldZFS

/// A dataset that a machine can boot: a child of `POOL/ROOT`, with everything that goes back when one goes back.
public struct BootEnvironment: Sendable, Hashable {
    public struct Snapshot: Sendable, Hashable {
        public var name: SnapshotName
        public var used: ByteCount
        public var created: Timestamp
        /// It holds what another machine was.
        public var isForeign: Bool

        public init(name: SnapshotName, used: ByteCount, created: Timestamp, isForeign: Bool = false) {
            self.name = name
            self.used = used
            self.created = created
            self.isForeign = isForeign
        }
    }

    /// A dataset below it.
    public struct Child: Sendable, Hashable {
        /// As the machine sees it that runs the environment: a path, `legacy` or `none`.
        public var mountpoint: String
        /// `canmount=off`: it is there for what lies below it, and is never mounted.
        public var isHolder: Bool
        /// The snapshot that it was cloned from.
        public var origin: SnapshotName?
        /// Of its snapshots, oldest first. Known where they were asked for.
        public var labels: [String]

        public init(_ mountpoint: String, isHolder: Bool = false, origin: SnapshotName? = nil, labels: [String] = []) {
            self.mountpoint = mountpoint
            self.isHolder = isHolder
            self.origin = origin
            self.labels = labels
        }

        /// Where it is mounted in its environment; `nil`: nowhere.
        var place: String? { !isHolder && mountpoint.hasPrefix("/") ? mountpoint : nil }
    }

    public var dataset: DatasetName
    public var used: ByteCount
    public var referenced: ByteCount
    public var created: Timestamp
    /// The snapshot that it was cloned from.
    public var origin: SnapshotName?
    /// Of this dataset, oldest first. Known where they were asked for.
    public var snapshots: [Snapshot]
    /// Datasets below it: they go back with it.
    public var children: [DatasetName: Child]
    /// It bears kldload's own mark, set on itself. Known where it was asked for.
    public var owned: Bool
    /// Where it is mounted now.
    public var mountpoint: String?
    /// It came from another machine, and was not made this one's own yet.
    public var isForeign: Bool
    /// A change of its packages has not ended, or has ended too early: see ``KldProperty/upkeep``.
    public var isHalfMade: Bool

    public init(
        dataset: DatasetName, used: ByteCount = ByteCount(0), referenced: ByteCount = ByteCount(0),
        created: Timestamp = Timestamp(seconds: 0),
        origin: SnapshotName? = nil, snapshots: [Snapshot] = [], children: [DatasetName: Child] = [:], owned: Bool = true,
        mountpoint: String? = nil, isForeign: Bool = false, isHalfMade: Bool = false
    ) {
        self.dataset = dataset
        self.used = used
        self.referenced = referenced
        self.created = created
        self.origin = origin
        self.snapshots = snapshots
        self.children = children
        self.owned = owned
        self.mountpoint = mountpoint
        self.isForeign = isForeign
        self.isHalfMade = isHalfMade
    }

    public var name: String { dataset.leaf }

    /// Whether a snapshot holds what another machine was. - Parameter label: `nil`: of one that is taken now.
    func isForeign(_ label: String?) -> Bool {
        label.map { label in snapshots.contains { $0.name.label == label && $0.isForeign } } ?? isForeign
    }

    /// The longest name: it stands in file names on FAT, beside the kernel's.
    static let longestName = 64

    /// A name that can be a dataset, a file on FAT and a line of a menu at once.
    ///
    /// - Parameter taken: names that exist; one that differs from them in case only is refused, for FAT does not tell the two apart.
    /// - Throws: ``Diagnosis`` `be.name`, `be.exists`.
    public static func check(name: String, taken: [String] = []) throws(Diagnosis) {
        let first = name.first.map { $0.isASCII && ($0.isLetter || $0.isNumber) } ?? false
        let plain = name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
        guard first, plain, name.count <= longestName, !name.hasSuffix(".") else {
            throw Diagnosis(
                "be.name", "'\(name)' cannot be the name of a boot environment",
                remedies: ["use letters, digits and . _ - only, at most \(longestName), beginning with a letter or a digit"], exit: .usage)
        }
        guard let same = taken.first(where: { $0.lowercased() == name.lowercased() }) else { return }
        throw Diagnosis(
            "be.exists", same == name ? "there is a boot environment \(name) already" : "\(name) differs from \(same) in case only",
            remedies: ["choose another name", "see what there is: kldload kbe list"], exit: .cannotCreate)
    }
}
