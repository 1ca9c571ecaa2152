public import KldCore

/// A pool that `zpool import` found.
public struct ImportablePool: Sendable, Hashable {
    public var name: String
    public var guid: UInt64
    public var state: PoolState
    public var destroyed: Bool
    /// The paragraph behind `status:`, on one line.
    public var status: String?
    public var action: String?
    /// Vdevs and devices, in order, with their states; the first is the pool itself.
    public var vdevs: [Vdev]

    public struct Vdev: Sendable, Hashable {
        public var name: String
        public var state: PoolState
    }

    /// It was last used under another host id and not exported: import asks for `-f`.
    public var lastUsedElsewhere: Bool { status?.contains("last accessed by another system") == true }
    /// Some other machine has it open right now (multihost).
    public var activeElsewhere: Bool { status?.contains("currently imported by another system") == true }

    /// Reads the output of ``ZPool/importable(devices:)``. Nothing printed: nothing found. One pool (OpenZFS 2.4.4):
    /// ```
    ///   pool: rpool
    ///     id: 14227345870128411364
    ///  state: ONLINE
    /// status: The pool was last accessed by another system.
    /// action: The pool can be imported using its name or numeric identifier and
    /// 	the '-f' flag.
    ///    see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-EY
    /// config:
    ///
    /// 	rpool       ONLINE
    /// 	  vda2      ONLINE
    /// ```
    /// - Throws: ``Diagnosis`` `zfs.unreadable` when an id is missing.
    public static func parse(_ output: String) throws(Diagnosis) -> [ImportablePool] {
        var pools: [ImportablePool] = []
        var key = ""
        for line in output.lines {
            let (label, value) = PoolHealthText.label(of: line)
            if let label {
                key = label
                if label == "pool" {
                    pools.append(ImportablePool(name: value, guid: 0, state: .unknown(""), destroyed: false, vdevs: []))
                    continue
                }
            }
            guard var pool = pools.popLast() else { continue }
            switch (label, key) {
            case ("id"?, _): pool.guid = UInt64(value) ?? 0
            case ("state"?, _):
                pool.state = PoolState(value.words.first ?? "")
                pool.destroyed = value.hasSuffix("(DESTROYED)")
            case ("status"?, _): pool.status = value
            case (nil, "status"): pool.status = (pool.status ?? "") + " " + line.trimmed
            case ("action"?, _): pool.action = value
            case (nil, "action"): pool.action = (pool.action ?? "") + " " + line.trimmed
            case (nil, "config"):
                let words = line.words
                // Headings of classes (`special`, `logs`, `spares`) have no state.
                if words.count >= 2, line.hasPrefix("\t") { pool.vdevs.append(Vdev(name: words[0], state: PoolState(words[1]))) }
            default: break
            }
            pools.append(pool)
        }
        if let broken = pools.first(where: { $0.guid == 0 }) { throw .unreadable("zpool import", "no id for the pool \(broken.name)") }
        return pools
    }
}
