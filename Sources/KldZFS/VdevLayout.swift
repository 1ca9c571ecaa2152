public import KldCore

/// How the root vdevs of a pool are put together.
public enum VdevTopology: Sendable, Hashable {
    case single
    case mirror
    /// - Parameter parity: 1 to 3.
    case raidz(parity: Int)
    /// Mirrors of two, striped.
    case mirrorStripe

    /// As in `KLDLOAD_ZFS_TOPOLOGY`: `single`, `mirror`, `raidz1`, `raidz2`, `raidz3`, `mirror-stripe`; `raidz` is `raidz1`.
    public init?(_ text: String) {
        switch text {
        case "single", "stripe": self = .single
        case "mirror": self = .mirror
        case "raidz", "raidz1": self = .raidz(parity: 1)
        case "raidz2": self = .raidz(parity: 2)
        case "raidz3": self = .raidz(parity: 3)
        case "mirror-stripe": self = .mirrorStripe
        default: return nil
        }
    }

    public var text: String {
        switch self {
        case .single: "single"
        case .mirror: "mirror"
        case .raidz(let parity): "raidz\(parity)"
        case .mirrorStripe: "mirror-stripe"
        }
    }

    /// The number of disks it needs at least.
    public var fewestDisks: Int {
        switch self {
        case .single: 1
        case .mirror: 2
        case .raidz(let parity): parity + 2
        case .mirrorStripe: 4
        }
    }
}

public enum VdevLayoutError: Error, Sendable, Hashable, Diagnosable {
    case disks(VdevTopology, count: Int)
    case repeated(String)
    case notAbsolute(String)
    /// So many special disks do not make vdevs that survive as many losses as the root vdevs.
    case special(VdevTopology, count: Int, width: Int)

    public var diagnosis: Diagnosis {
        switch self {
        case .disks(let topology, let count):
            let rule =
                switch topology {
                case .single: "exactly one disk"
                case .mirror: "two disks or more"
                case .raidz: "\(topology.fewestDisks) disks or more"
                case .mirrorStripe: "an even number of disks, four or more"
                }
            return Diagnosis(
                "zfs.vdev.count", "the topology \(topology.text) needs \(rule), and \(count) were given",
                remedies: ["name the disks in KLDLOAD_DISK and KLDLOAD_ZFS_DATA_DISKS, or choose another KLDLOAD_ZFS_TOPOLOGY"],
                exit: .badAnswers)
        case .repeated(let disk):
            return Diagnosis(
                "zfs.vdev.repeated", "the disk \(disk) is named twice", remedies: ["name every disk once"], exit: .badAnswers)
        case .notAbsolute(let disk):
            return Diagnosis(
                "zfs.vdev.path", "'\(disk)' is not the full path of a device",
                remedies: ["use the stable name in /dev/disk/by-id"], exit: .badAnswers)
        case .special(let topology, let count, let width):
            return Diagnosis(
                "zfs.vdev.special",
                "a special vdev beside \(topology.text) must survive \(width - 1) lost disks too: it needs a multiple of \(width) disks, "
                    + "and \(count) were given",
                remedies: ["a pool is lost with its special vdev: give it \(width) disks, or none"], exit: .badAnswers)
        }
    }
}

/// The vdevs of a pool as `zpool create` takes them.
public struct VdevLayout: Sendable, Hashable {
    public let topology: VdevTopology
    /// Full paths of the root vdevs' disks or partitions, in order.
    public let disks: [String]
    /// Full paths of the special vdevs' disks or partitions.
    public let special: [String]

    /// - Throws: ``VdevLayoutError``.
    public init(_ topology: VdevTopology, disks: [String], special: [String] = []) throws(VdevLayoutError) {
        self.topology = topology
        self.disks = disks
        self.special = special
        let fits =
            switch topology {
            case .single: disks.count == 1
            case .mirror, .raidz: disks.count >= topology.fewestDisks
            case .mirrorStripe: disks.count >= topology.fewestDisks && disks.count.isMultiple(of: 2)
            }
        guard fits else { throw .disks(topology, count: disks.count) }
        var seen: Set<String> = []
        for disk in disks + special {
            guard disk.hasPrefix("/") else { throw .notAbsolute(disk) }
            guard seen.insert(disk).inserted else { throw .repeated(disk) }
        }
        guard special.count.isMultiple(of: width) else { throw .special(topology, count: special.count, width: width) }
    }

    /// How many disks of one vdev can hold the same data, that is, the losses it survives and one.
    private var width: Int {
        switch topology {
        case .single: 1
        case .mirror: disks.count
        case .raidz(let parity): parity + 1
        case .mirrorStripe: 2
        }
    }

    /// The devices of each vdev, the root vdevs first. What one has beyond the smallest of its own vdev is lost, not what it has beyond others'.
    public var vdevs: [[String]] { rootVdevs + specialVdevs }

    private var rootVdevs: [[String]] { topology == .mirrorStripe ? VdevLayout.parts(of: 2, disks) : [disks] }

    private var specialVdevs: [[String]] { VdevLayout.parts(of: width == 1 ? special.count : width, special) }

    private static func parts(of width: Int, _ disks: [String]) -> [[String]] {
        guard width > 0 else { return [] }
        return stride(from: 0, to: disks.count, by: width).map { Array(disks[$0..<min($0 + width, disks.count)]) }
    }

    /// The vdev part of `zpool create`'s command line: `mirror A B mirror C D special mirror E F`.
    ///
    /// Source: zpoolconcepts(7), OpenZFS 2.4.
    public var words: [String] {
        let root: [String] =
            switch topology {
            case .single: disks
            case .mirror: ["mirror"] + disks
            case .raidz(let parity): ["raidz\(parity)"] + disks
            case .mirrorStripe: VdevLayout.mirrors(rootVdevs)
            }
        guard !special.isEmpty else { return root }
        return root + ["special"] + VdevLayout.mirrors(specialVdevs)
    }

    /// Needed for exactly one shape: `zpool create` takes vdevs of unequal redundancy for a mistake ("mismatched replication level").
    ///
    /// The special vdevs of all other layouts have the width that `check_replication()` of OpenZFS asks for: that of the root
    /// mirrors, or one more than the parity.
    public var mismatch: Force? {
        topology == .single && special.count > 1 ? Force(because: "the special vdev is a mirror, the root vdev a single disk") : nil
    }

    private static func mirrors(_ vdevs: [[String]]) -> [String] { vdevs.flatMap { ($0.count > 1 ? ["mirror"] : []) + $0 } }
}
