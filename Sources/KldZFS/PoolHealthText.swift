import KldCore

/// What can be told from `zpool status` in text, for OpenZFS before 2.3.
public struct PoolHealthText: Sendable, Hashable {
    public var name: String
    public var state: PoolState
    /// The paragraph behind `status:`, on one line.
    public var status: String?
    /// No known data errors.
    public var withoutDataErrors: Bool
    /// Devices and vdevs with a state other than ONLINE or with counted errors, as printed.
    public var troubled: [String]

    public var isHealthy: Bool { state == .online && withoutDataErrors && troubled.isEmpty }

    /// Reads the output of ``ZPool/statusOfAll(json:)`` without JSON. One pool (OpenZFS 2.1.11):
    /// ```
    ///   pool: rpool
    ///  state: ONLINE
    /// config:
    ///
    /// 	NAME                           STATE     READ WRITE CKSUM
    /// 	rpool                          ONLINE       0     0     0
    /// 	  /dev/disk/by-id/ata-A-part2  ONLINE       0     0     0
    ///
    /// errors: No known data errors
    /// ```
    public static func parse(_ output: String) -> [PoolHealthText] {
        var pools: [PoolHealthText] = []
        var key = ""
        for line in output.lines {
            let (label, value) = Self.label(of: line)
            if let label {
                key = label
                if label == "pool" {
                    pools.append(PoolHealthText(name: value, state: .unknown(""), withoutDataErrors: false, troubled: []))
                    continue
                }
            }
            guard var pool = pools.popLast() else { continue }
            switch (label, key) {
            case ("state"?, _): pool.state = PoolState(value)
            case ("status"?, _): pool.status = value
            case (nil, "status"): pool.status = (pool.status ?? "") + " " + line.trimmed
            case ("errors"?, _): pool.withoutDataErrors = value == "No known data errors"
            case (nil, "config"):
                let words = line.words
                // NAME STATE READ WRITE CKSUM, and remarks behind.
                if words.count >= 5, words[0] != "NAME" {
                    let clean = words[2...4].allSatisfy { $0 == "0" || $0 == "-" }
                    if PoolState(words[1]) != .online || !clean { pool.troubled.append(words.joined(separator: " ")) }
                } else if words.count == 2, words[1] != "AVAIL" {
                    pool.troubled.append(words.joined(separator: " "))
                }
            default: break
            }
            pools.append(pool)
        }
        return pools
    }

    /// `  scan: scrub repaired …` is a label; lines below `config:` begin with a TAB and are none.
    static func label(of line: String) -> (String?, String) {
        guard !line.hasPrefix("\t"), let colon = line.firstIndex(of: ":") else { return (nil, "") }
        let name = line[..<colon].trimmed
        guard !name.isEmpty, !name.contains(" ") else { return (nil, "") }
        return (name, line[line.index(after: colon)...].trimmed)
    }
}
