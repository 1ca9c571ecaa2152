public import KldCore

/// What `zpool status` says of one pool, the same of every version: from JSON since OpenZFS 2.3, from text before.
public struct PoolReport: Sendable, Hashable {
    /// A vdev or device that is not as it should be.
    public struct Trouble: Sendable, Hashable {
        public var name: String
        public var state: PoolState
        public var readErrors: UInt64
        public var writeErrors: UInt64
        public var checksumErrors: UInt64
    }

    /// The latest scrub or resilver.
    public struct Scan: Sendable, Hashable {
        public enum State: String, Sendable, Hashable { case running, paused, finished, canceled }
        public var isResilver: Bool
        public var state: State
        public var errors: UInt64
        /// When it ended; `nil` while it runs.
        public var ended: Timestamp?
        /// While it runs, in per cent; at most 100.
        public var percent: Int?
    }

    public var name: String
    public var state: PoolState
    /// What is wrong, in OpenZFS's words, on one line; `nil` when nothing is.
    public var message: String?
    /// What OpenZFS advises.
    public var advice: String?
    /// `No known data errors` is `nil`; else what is said of them.
    public var dataErrors: String?
    public var troubles: [Trouble]
    /// `nil`: there never was one, or it cannot be told.
    public var scan: Scan?

    /// - Parameter json: whether the output is that of `zpool status -j`.
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(_ output: String, json: Bool) throws -> [PoolReport] {
        json ? try PoolStatus.parse(json: output).map { PoolReport($0) } : text(output)
    }

    init(_ status: PoolStatus) {
        name = status.name
        state = status.state
        message = status.status
        advice = status.action
        dataErrors = status.errors == 0 ? nil : "\(status.errors) data errors"
        let all = (status.root?.tree ?? []) + status.classes.sorted { $0.key < $1.key }.flatMap { $0.value.flatMap(\.tree) }
        troubles = all.filter { ![.online, .available, .inUse].contains($0.state) || $0.hasErrors }.map {
            Trouble(
                name: $0.path ?? $0.name, state: $0.state, readErrors: $0.readErrors, writeErrors: $0.writeErrors,
                checksumErrors: $0.checksumErrors)
        }
        scan = status.scan.map { scan in
            let runs = scan.state == "SCANNING"
            return Scan(
                isResilver: scan.function == "RESILVER",
                state: runs ? (scan.isPaused ? .paused : .running) : scan.state == "CANCELED" ? .canceled : .finished, errors: scan.errors,
                ended: runs ? nil : scan.endTime.map { Timestamp(seconds: Int64(clamping: $0)) },
                percent: runs && scan.total > 0 ? Int(min(100, Double(scan.issued) / Double(scan.total) * 100)) : nil)
        }
    }

    /// Reads the text of OpenZFS before 2.3, with `-p -P`, in UTC. One pool (OpenZFS 2.1.11):
    /// ```
    ///   pool: rpool
    ///  state: DEGRADED
    /// status: One or more devices could not be used because the label is missing or
    /// ⇥invalid.
    /// action: Replace the device using 'zpool replace'.
    ///    see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-4J
    ///   scan: scrub in progress since Sun Aug  9 00:24:08 2026
    /// ⇥1.18G scanned at 606M/s, 0.38G issued at 190M/s, 1.18G total
    /// ⇥0B repaired, 32.20% done, 00:00:04 to go
    /// config:
    ///
    /// ⇥NAME                             STATE     READ WRITE CKSUM
    /// ⇥rpool                            DEGRADED     0     0     0
    /// ⇥  mirror-0                       DEGRADED     0     0     0
    /// ⇥    /dev/disk/by-id/ata-A-part2  ONLINE       0     0     0
    /// ⇥    9834532098                   UNAVAIL      0     0     0  was /dev/disk/by-id/ata-B-part2
    ///
    /// errors: No known data errors
    /// ```
    static func text(_ output: String) -> [PoolReport] {
        var pools: [PoolReport] = []
        var key = ""
        for line in output.lines {
            let (label, value) = PoolHealthText.label(of: line)
            if let label { key = label }
            if label == "pool" {
                pools.append(PoolReport(name: value))
                continue
            }
            guard var pool = pools.popLast() else { continue }
            let more = label == nil ? line.trimmed : value
            switch key {
            case "state" where label != nil: pool.state = PoolState(value)
            case "status": pool.message = pool.message.map { "\($0) \(more)" } ?? more
            case "action": pool.advice = pool.advice.map { "\($0) \(more)" } ?? more
            case "errors" where label != nil: pool.dataErrors = value == "No known data errors" ? nil : value
            case "scan": pool.read(scan: more)
            case "config" where label == nil: pool.read(device: line.words)
            default: break
            }
            pools.append(pool)
        }
        return pools
    }

    /// Before anything was read: nothing that is missing counts as well.
    private init(name: String) {
        self.name = name
        state = .unknown("?")
        dataErrors = "nothing is said of data errors"
        troubles = []
    }

    private mutating func read(device words: [String]) {
        // NAME STATE READ WRITE CKSUM, and remarks behind; a spare has no numbers.
        guard words.count > 1, words[0] != "NAME" else { return }
        let counts = words.count > 4 ? words[2...4].map { UInt64($0) ?? 0 } : [0, 0, 0]
        let state = PoolState(words[1])
        guard ![.online, .available, .inUse].contains(state) || counts.contains(where: { $0 > 0 }) else { return }
        let old = words.firstIndex(of: "was").flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
        troubles.append(
            Trouble(name: old ?? words[0], state: state, readErrors: counts[0], writeErrors: counts[1], checksumErrors: counts[2]))
    }

    /// `scrub repaired 0B in 00:00:07 with 0 errors on DATE`, `resilvered …`, `scrub in progress since DATE`, `scrub paused since DATE`,
    /// `scrub canceled on DATE`, `none requested`; then lines of progress. Source: `print_scan_scrub_resilver_status()`, OpenZFS 2.1 to 2.4.
    private mutating func read(scan text: String) {
        let words = text.words
        if text.contains("% done"), let mark = words.first(where: { $0.hasSuffix("%") }) {
            // Deleting data while it runs makes it more than a hundred.
            scan?.percent = Double(mark.dropLast()).map { Int(min(100, max(0, $0))) }
        }
        guard let first = words.first, ["scrub", "resilver", "resilvered"].contains(first), words.count > 2 else { return }
        func place(_ word: String) -> Int? { words.firstIndex(of: word).map { $0 + 1 } }
        let state: Scan.State =
            words.contains("canceled") ? .canceled : words.contains("paused") ? .paused : words.contains("progress") ? .running : .finished
        if words[1] == "started" { return }
        let errors = place("with").flatMap { $0 < words.count ? UInt64(words[$0]) : nil } ?? 0
        let ended = state == .finished || state == .canceled ? place("on").flatMap { Timestamp(ctime: words[$0...]) } : nil
        scan = Scan(isResilver: first.hasPrefix("resilver"), state: state, errors: errors, ended: ended)
    }
}

extension Timestamp {
    /// `Sun Aug  9 00:24:08 2026`, in UTC. Source: ctime(3), Linux man-pages 6.9.
    init?(ctime words: ArraySlice<String>) {
        let words = Array(words)
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard words.count >= 5, let month = months.firstIndex(of: words[1]) else { return nil }
        func two(_ text: String) -> String { text.count == 1 ? "0\(text)" : text }
        self.init("\(words[4])-\(two(String(month + 1)))-\(two(words[2]))T\(words[3])Z")
    }
}
