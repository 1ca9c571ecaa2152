public import KldExec

/// A device or file that an imported pool is made of.
public struct PoolVdev: Sendable, Hashable {
    public var pool: String
    public var path: String
    public init(pool: String, path: String) {
        self.pool = pool
        self.path = path
    }

    /// Reads the output of ``ZPool/realDevices()``, its `config:` part: after `  pool: rpool`, lines such as
    /// `⇥  /dev/vda3  ONLINE  0  0  0` (OpenZFS 2.3.2).
    public static func parse(_ text: String) -> [PoolVdev] {
        PoolStatus.rows(text).compactMap { row in
            row.words.first.flatMap { $0.hasPrefix("/") ? PoolVdev(pool: row.pool, path: $0) : nil }
        }
    }
}

extension ZPool {
    /// What imported pools are made of, without links. Who may not ask, and who has no module, gets status 1.
    ///
    /// Runs: `zpool status -L -P`, reads. Source: zpool-status(8), OpenZFS 2.1 to 2.4.
    public static func realDevices() -> Command { Command(tool, ["status", "-L", "-P"], effect: .reads, accepting: [0, 1]) }
}
