public import KldExec

extension ZPool {
    /// The state of every imported pool and of every vdev.
    /// - Parameter json: needs ``OpenZFSVersion/hasJSON``; read by ``PoolStatus/parse(json:)``. Text is read by ``PoolHealthText/parse(_:)``.
    ///
    /// Runs: `zpool status [-j --json-int] -p -P`, reads.
    public static func statusOfAll(json: Bool) -> Command {
        Command(tool, ["status"] + (json ? ["-j", "--json-int"] : []) + ["-p", "-P"], effect: .reads)
    }
}

/// The cache of OpenZFS in memory, as far as a person asks about it.
///
/// Source: `/proc/spl/kstat/zfs/arcstats`, OpenZFS 2.1 to 2.4; a name, a type and a value a line:
/// ```
/// c_max                           4    1021313024
/// ```
public struct ARCStats: Sendable, Hashable {
    public static let path = "/proc/spl/kstat/zfs/arcstats"
    /// Bytes.
    public var size: UInt64
    /// The most and the least that it may have, in bytes.
    public var most: UInt64
    public var least: UInt64

    /// What it gives back when others ask for memory.
    public var evictable: UInt64 { size > least ? size - least : 0 }

    /// - Returns: `nil` where one of the three is missing.
    public static func parse(_ text: String) -> ARCStats? {
        let values = values(text)
        guard let size = values["size"], let most = values["c_max"], let least = values["c_min"] else { return nil }
        return ARCStats(size: size, most: most, least: least)
    }

    /// How often what was asked for was in the cache since the module was loaded, in per cent; `nil` where nothing was asked for, or it is not told.
    public static func hitPercent(_ text: String) -> Int? {
        let values = values(text)
        guard let hits = values["hits"].map(Double.init), let misses = values["misses"].map(Double.init), hits + misses > 0 else {
            return nil
        }
        return Int(hits / (hits + misses) * 100)
    }

    private static func values(_ text: String) -> [Substring: UInt64] {
        var values: [Substring: UInt64] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            if words.count == 3 { values[words[0]] = UInt64(words[2]) }
        }
        return values
    }
}
