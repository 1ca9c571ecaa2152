import KldCore
public import KldExec

/// A device of a pool, and what would be left without it.
public struct PoolDevice: Sendable, Hashable {
    public var pool: String
    public var poolState: PoolState
    /// `data`, `special`, `dedup`, `logs`, `l2cache`, `spares`.
    public var kind: String
    /// The top-level vdev: `mirror-0`, `raidz2-1`; of a single device its own name.
    public var vdev: String
    /// How many devices of that vdev may be lost.
    public var parity: Int
    /// The children of that vdev, other than the one that this device is or lies in, from which nothing can be read, or not all.
    public var lost: Int
    /// How many others it has.
    public var others: Int
    /// Paths of other devices of the vdev that are ONLINE.
    public var siblings: [String]
    /// `replacing-0`, `spare-0`: it lies beside another one for the same place; `nil`: it has its place alone.
    public var place: String?
    public var path: String?
    /// As `zpool status` calls it.
    public var name: String
    public var guid: UInt64?
    public var state: PoolState
    public var hasErrors: Bool

    public init(
        pool: String, poolState: PoolState = .online, kind: String = "data", vdev: String, parity: Int, lost: Int = 0, others: Int = 1,
        siblings: [String] = [], place: String? = nil, path: String?, name: String? = nil, guid: UInt64?, state: PoolState = .online,
        hasErrors: Bool = false
    ) {
        self.pool = pool
        self.poolState = poolState
        self.kind = kind
        self.vdev = vdev
        self.parity = parity
        self.lost = lost
        self.others = others
        self.siblings = siblings
        self.place = place
        self.path = path
        self.name = name ?? path ?? ""
        self.guid = guid
        self.state = state
        self.hasErrors = hasErrors
    }

    /// ZFS has no complaint about it.
    public var isHealthy: Bool { [.online, .available].contains(state) && !hasErrors }

    /// Another device is taking its place, or it another one's.
    public var isReplacing: Bool { place?.hasPrefix("replacing-") == true }

    /// ZFS reads from it.
    public var isReadable: Bool { [.online, .degraded].contains(state) }

    /// `mirror`, `raidz2`, `draid2:10d:12c:1s`; of a single device `disk`.
    public var layout: String {
        guard vdev != name, let dash = vdev.lastIndex(of: "-"), vdev[vdev.index(after: dash)...].allSatisfy(\.isNumber) else {
            return "disk"
        }
        return String(vdev[..<dash])
    }
}

extension PoolStatus {
    /// Every device, class after class.
    public var members: [PoolDevice] {
        let top = [("data", root?.children ?? [])] + classes.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        return top.flatMap { kind, vdevs in vdevs.flatMap { members(of: $0, kind) } }
    }

    private func members(of top: Vdev, _ kind: String) -> [PoolDevice] {
        let parity = Self.parity(of: top)
        // A place in the vdev; in each one device, or several while one takes the place of another.
        let places = Self.isPlace(top) || top.children.isEmpty ? [top] : top.children
        return places.flatMap { place -> [PoolDevice] in
            let others = places.filter { $0 != place }
            let siblings = others.flatMap(\.leaves).filter { $0.state == .online }.compactMap(\.path)
            return place.leaves.map { leaf in
                PoolDevice(
                    pool: name, poolState: state, kind: kind,
                    vdev: Self.isPlace(top) || top.children.isEmpty ? leaf.path ?? leaf.name : top.name,
                    parity: parity, lost: others.count { !isWhole($0) }, others: others.count, siblings: siblings,
                    place: place.tree.last { Self.isPlace($0) && $0 != leaf && $0.leaves.contains(leaf) }?.name, path: leaf.path,
                    name: leaf.path ?? leaf.name, guid: leaf.guid, state: leaf.state,
                    hasErrors: leaf.hasErrors)
            }
        }
    }

    /// A device that is being filled beside another one has not all yet; a spare that stands in has, once it was filled.
    private func isWhole(_ place: Vdev) -> Bool {
        if place.state == .online || place.state == .degraded && place.children.isEmpty { return true }
        return place.name.hasPrefix("spare-") && place.leaves.contains { $0.state == .online } && scan?.isFilled == true
    }

    private static func isPlace(_ vdev: Vdev) -> Bool { ["replacing", "spare"].contains { vdev.name.hasPrefix($0 + "-") } }

    /// `mirror-0`, `raidz2-0`, `draid1:4d:6c:1s-0`. Source: zpoolconcepts(7), OpenZFS 2.4.
    private static func parity(of top: Vdev) -> Int {
        if top.name.hasPrefix("mirror-") { return max(0, top.children.count - 1) }
        for kind in ["raidz", "draid"] where top.name.hasPrefix(kind) {
            return top.name.dropFirst(kind.count).first?.wholeNumberValue ?? 1
        }
        return 0
    }

    /// The state of every imported pool, with the GUID of each vdev, whatever OpenZFS it is.
    ///
    /// Runs: `zpool status -j --json-int -p -P`; before OpenZFS 2.3 `zpool status -p -P`, `zpool status -p -P -g`; reads.
    /// - Throws: ``Diagnosis`` `zfs.unreadable`; what the runner throws.
    public static func all(_ versions: OpenZFSVersions, runner: any CommandRunner) async throws -> [PoolStatus] {
        if versions.tools?.hasJSON == true { return try parse(json: await runner.run(ZPool.statusOfAll(json: true)).output) }
        let names = try await runner.run(ZPool.statusOfAll(json: false)).output
        return try parse(text: names, guids: await runner.run(ZPool.guidsOfAll()).output)
    }

    /// Reads the vdevs of two outputs of OpenZFS before 2.3, the second with GUIDs in the place of names, line by line the same. One pool (2.1.11):
    /// ```
    ///   pool: rpool
    ///  state: ONLINE
    /// config:
    ///
    /// ⇥NAME                             STATE     READ WRITE CKSUM
    /// ⇥rpool                            ONLINE       0     0     0
    /// ⇥  mirror-0                       ONLINE       0     0     0
    /// ⇥    /dev/disk/by-id/ata-A-part2  ONLINE       0     0     0
    /// ⇥    9834532098                   UNAVAIL      0     0     0  was /dev/disk/by-id/ata-B-part2
    /// ⇥special
    /// ⇥  /dev/disk/by-id/ata-C-part1    ONLINE       0     0     0
    /// ```
    /// - Throws: ``Diagnosis`` `zfs.unreadable` when the two do not fit together.
    static func parse(text: String, guids: String) throws(Diagnosis) -> [PoolStatus] {
        let (names, numbers) = (rows(text), rows(guids))
        guard names.count == numbers.count, zip(names, numbers).allSatisfy({ $0.pool == $1.pool && $0.depth == $1.depth }) else {
            throw .unreadable("zpool status -g", "it has other vdevs than zpool status")
        }
        let states = Dictionary(PoolReport.text(text).map { ($0.name, $0.state) }) { first, _ in first }
        var pools: [PoolStatus] = []
        var index = 0
        while index < names.count {
            let pool = names[index].pool
            var status = PoolStatus(name: pool, state: states[pool] ?? .unknown("?"), errors: 0, classes: [:])
            var kind: String?
            while index < names.count, names[index].pool == pool {
                let row = names[index]
                if row.depth == 0, row.words.count == 1 {
                    kind = row.words[0] == "cache" ? "l2cache" : row.words[0]
                    index += 1
                    continue
                }
                let vdev = tree(names, numbers, &index)
                if let kind { status.classes[kind, default: []].append(vdev) } else { status.root = vdev }
            }
            pools.append(status)
        }
        return pools
    }

    /// A line of the `config:` part.
    struct Row {
        var pool: String
        var depth: Int
        var words: [String]
    }

    static func rows(_ text: String) -> [Row] {
        var rows: [Row] = []
        var (pool, inside) = ("", false)
        for line in text.lines {
            let (label, value) = PoolHealthText.label(of: line)
            if let label {
                inside = label == "config"
                if label == "pool" { pool = value }
                continue
            }
            let words = line.words
            guard inside, line.hasPrefix("\t"), words.first != "NAME", !words.isEmpty else { continue }
            rows.append(Row(pool: pool, depth: line.dropFirst().prefix { $0 == " " }.count / 2, words: words))
        }
        return rows
    }

    /// The vdev of a row, and of all that are deeper behind it.
    private static func tree(_ names: [Row], _ numbers: [Row], _ index: inout Int) -> Vdev {
        let row = names[index]
        let was = row.words.firstIndex(of: "was").flatMap { $0 + 1 < row.words.count ? row.words[$0 + 1] : nil }
        let counts = row.words.count > 4 ? row.words[2...4].map { UInt64($0) ?? 0 } : [0, 0, 0]
        let name = was ?? row.words[0]
        var vdev = Vdev(
            name: name, guid: UInt64(numbers[index].words[0]), path: name.hasPrefix("/") ? name : nil,
            state: PoolState(row.words.count > 1 ? row.words[1] : ""), readErrors: counts[0], writeErrors: counts[1],
            checksumErrors: counts[2], children: [])
        index += 1
        while index < names.count, names[index].pool == row.pool, names[index].depth > row.depth {
            vdev.children.append(tree(names, numbers, &index))
        }
        return vdev
    }
}

extension PoolStatus.Vdev {
    /// The devices below it, or itself.
    var leaves: [PoolStatus.Vdev] { children.isEmpty ? [self] : children.flatMap(\.leaves) }
}

extension ZPool {
    /// Runs: `zpool status -p -P -g`, reads: GUIDs of vdevs instead of their names.
    static func guidsOfAll() -> Command { Command(tool, ["status", "-p", "-P", "-g"], effect: .reads) }
}
