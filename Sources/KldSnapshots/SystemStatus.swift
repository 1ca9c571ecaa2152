public import KldCore
public import KldZFS

/// What `kst` shows: the state of a machine at one moment. What cannot be told says so; nothing that is missing counts as well.
public struct SystemStatus: Sendable, Hashable {
    public enum Level: String, Sendable, Hashable {
        case ok
        /// Neither good nor bad.
        case info
        /// To be looked at some time.
        case notice
        /// Something is broken, or will be.
        case problem
        /// It could not be asked.
        case unknown
    }

    /// One line: a subject, and what is known of it.
    public struct Line: Sendable, Hashable {
        /// Stable: `snapshots`, `units`.
        public var id: String
        public var level: Level
        public var text: String
        public var remedy: String?

        public init(_ id: String, _ level: Level, _ text: String, remedy: String? = nil) {
            self.id = id
            self.level = level
            self.text = text
            self.remedy = remedy
        }
    }

    public struct Pool: Sendable, Hashable {
        public var name: String
        /// `nil` where `zpool list` did not tell.
        public var usage: PoolUsage?
        public var report: PoolReport?
        public var lines: [Line]

        public var state: PoolState { report?.state ?? usage?.health ?? .unknown("?") }
    }

    /// Added up over all datasets while their list is read.
    public struct Datasets: Sendable, Hashable {
        public var filesystems = 0
        public var volumes = 0
        /// Encrypted, and their keys are not loaded.
        public var locked: [String] = []
        public var snapshots = 0
        /// Space that snapshots alone hold, in bytes.
        public var snapshotBytes: UInt64 = 0
        public var held = 0
        public var newest: Timestamp?
        public var newestName: String?
        /// Below what holds the running environment.
        public var environments = 0
        public var rootUsed: ByteCount?
        public var rootRatio: String?

        public init() {}
    }

    public var host: String
    public var now: Timestamp
    public var pools: [Pool]
    /// `nil`: they could not be listed.
    public var datasets: Datasets?
    /// Of the running system.
    public var root: String?
    /// The dataset that boots next; `nil`: it is not known.
    public var next: String?
    public var lines: [Line]

    public var all: [Line] { pools.flatMap(\.lines) + lines }
    public var problems: [Line] { all.filter { $0.level == .problem } }

    /// ``ExitStatus/problemsFound`` where something is broken; notices are no failure.
    public var exitStatus: ExitStatus { problems.isEmpty ? .done : .problemsFound }
}

extension SystemStatus.Pool {
    /// A pool that is this full is slow, and one that is fuller cannot even delete any more.
    static let (nearlyFull, full) = (85, 95)
    /// Distributions scrub once a month.
    static let scrubDays: Int64 = 35

    /// - Parameter boots: the machine boots from it, so each of its disks has an ESP.
    init(name: String, boots: Bool, usage: PoolUsage?, report: PoolReport?, reportProblem: String?, now: Timestamp) {
        self.name = name
        self.usage = usage
        self.report = report
        lines = []
        let state = self.state
        if state != .online {
            add(.problem, "state", "is \(state)" + (report?.message.map { ": \($0)" } ?? ""), report?.advice ?? "zpool status -v \(name)")
        }
        guard let report else {
            add(
                .unknown, "status", "what zpool status says could not be read: \(reportProblem ?? "it does not name this pool")",
                "zpool status \(name)")
            return
        }
        if state == .online, let message = report.message {
            // Such as new features that are not enabled: nothing is wrong with the data.
            add(report.troubles.isEmpty && report.dataErrors == nil ? .notice : .problem, "message", message, report.advice)
        }
        for trouble in report.troubles where trouble.name != name {
            add(
                .problem, "device",
                "\(trouble.name) is \(trouble.state), errors: read \(trouble.readErrors), write \(trouble.writeErrors), checksum \(trouble.checksumErrors)",
                "replace what failed: kldload kdisk replace OLD NEW" + (boots ? ", which gives it its ESP too" : ""))
        }
        if let errors = report.dataErrors { add(.problem, "data", errors, "zpool status -v \(name) names the files; restore them") }
        addScan(report.scan, now)
        addSpace()
    }

    private mutating func add(_ level: SystemStatus.Level, _ id: String, _ text: String, _ remedy: String? = nil) {
        lines.append(SystemStatus.Line("pool.\(id)", level, "\(name): \(text)", remedy: remedy))
    }

    private mutating func addScan(_ scan: PoolReport.Scan?, _ now: Timestamp) {
        guard let scan else {
            return add(.notice, "scrub", "was never scrubbed, or it cannot be told", "zpool scrub \(name)")
        }
        let word = scan.isResilver ? "resilver" : "scrub"
        let percent = scan.percent.map { ", \($0) % done" } ?? ""
        switch scan.state {
        case .running: add(scan.isResilver ? .notice : .info, "scrub", "\(word) under way\(percent)")
        case .paused: add(.notice, "scrub", "\(word) paused\(percent)", "go on with it: zpool scrub \(name)")
        case .canceled: add(.notice, "scrub", "the last \(word) was canceled", "zpool scrub \(name)")
        case .finished:
            let age = scan.ended.map { now.seconds - $0.seconds }
            let when = age.map { "\(Elapsed.text($0)) ago" } ?? "some time ago"
            if scan.errors > 0 {
                add(.problem, "scrub", "the last \(word), \(when), found \(scan.errors) errors", "zpool status -v \(name)")
            } else if let age, age <= Self.scrubDays * 86_400 {
                add(.ok, "scrub", "\(word) \(when), no errors")
            } else {
                add(.notice, "scrub", "\(word) \(when), no errors: that is long ago", "zpool scrub \(name)")
            }
        }
    }

    private mutating func addSpace() {
        guard let usage, let capacity = usage.capacity, let free = usage.free else {
            return add(.unknown, "space", "how full it is could not be read", "zpool list \(name)")
        }
        let remedy = "destroy old snapshots: kldload ksnap list; or add disks"
        let text = "\(capacity) % full, \(free) free"
        if capacity >= Self.full {
            add(.problem, "space", text, remedy)
        } else if capacity >= Self.nearlyFull {
            add(.notice, "space", text, remedy)
        } else {
            add(.ok, "space", text)
        }
        if usage.isReadOnly { add(.notice, "read-only", "imported read-only") }
    }
}

/// How long ago something was, in the largest unit that leaves two or more.
public enum Elapsed {
    public static func text(_ seconds: Int64) -> String {
        let seconds = max(0, seconds)
        for (unit, name) in [(Int64(86_400), "days"), (3600, "h"), (60, "min")] where seconds >= 2 * unit {
            return "\(seconds / unit) \(name)"
        }
        return "\(seconds) s"
    }
}
