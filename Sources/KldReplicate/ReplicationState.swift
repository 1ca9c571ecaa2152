import FoundationEssentials
package import KldCore
package import KldFiles
package import SystemPackage

/// What is known of one replication, kept from run to run: what the doctor looks at, and what is measured.
package struct ReplicationState: Sendable, Hashable, Codable {
    package struct Drill: Sendable, Hashable, Codable {
        package var time: Timestamp
        /// `nil`: it was restored, and equal.
        package var problem: String?
        package var files: UInt64
        package var bytes: UInt64

        package init(time: Timestamp, problem: String? = nil, files: UInt64, bytes: UInt64) {
            self.time = time
            self.problem = problem
            self.files = files
            self.bytes = bytes
        }
    }

    package static let currentSchema = "replication/1"
    package static let folder: FilePath = "/var/lib/kldload/replication"

    package var schema = currentSchema
    package var name: String
    package var source: String
    package var target: String
    package var recursive: Bool
    /// In seconds.
    package var maxLag: Int64
    package var lastAttempt: Timestamp?
    package var lastSuccess: Timestamp?
    /// The newest snapshot that arrived whole, of every dataset.
    package var snapshot: String?
    /// When that was taken.
    package var snapshotTime: Timestamp?
    /// Sent by the last run; `nil`: nobody counted.
    package var bytes: UInt64?
    package var bytesTotal: UInt64 = 0
    /// How long the last run took.
    package var seconds: Int64 = 0
    /// Why the last run failed.
    package var problem: String?
    package var drill: Drill?

    package init(_ request: ReplicationRequest) {
        name = request.name
        source = request.source.description
        target = request.target.description
        recursive = request.recursive
        maxLag = request.maxLag
    }

    /// How old the target is, in seconds; `nil`: nothing has arrived yet.
    package func lag(_ now: Timestamp) -> Int64? { snapshotTime.map { max(0, now.seconds - $0.seconds) } }

    /// What somebody should look at, in a few words; `nil`: all is well.
    package func trouble(_ now: Timestamp) -> String? {
        guard let lag = lag(now) else { return "nothing has arrived yet" + (problem.map { ": \($0)" } ?? "") }
        if lag > maxLag { return "\(Self.age(lag)) old, and may be \(Self.age(maxLag))" + (problem.map { ": \($0)" } ?? "") }
        if let problem { return "the last run failed: \(problem)" }
        return drill?.problem.map { "the last restore failed: \($0)" }
    }

    /// `45 min`, `26 h`, `9 d`. - Parameter seconds: not negative.
    package static func age(_ seconds: Int64) -> String {
        if seconds < 7200 { return "\(seconds / 60) min" }
        return seconds < 3 * 86_400 ? "\(seconds / 3600) h" : "\(seconds / 86_400) d"
    }

    package static func path(_ name: String) -> FilePath { folder.appending("\(name).json") }

    /// - Returns: `nil` where there is none yet.
    /// - Throws: ``Diagnosis`` `replicate.state`; ``FileError``.
    package static func read(_ name: String, _ files: any FileSystem) throws -> ReplicationState? {
        let path = path(name)
        guard try files.exists(path) else { return nil }
        do {
            let state = try JSONDecoder().decode(ReplicationState.self, from: Data(try files.read(path)))
            if state.schema == currentSchema { return state }
        } catch let error as FileError { throw error } catch {}
        throw Diagnosis(
            "replicate.state", "\(path) is not what kreplicate writes", remedies: ["remove it: the next replication writes it anew"],
            exit: .badConfiguration)
    }

    /// Every replication of this machine, by name. - Throws: as ``read(_:_:)``.
    package static func all(_ files: any FileSystem) throws -> [ReplicationState] {
        guard try files.exists(folder) else { return [] }
        return try files.list(folder).filter { $0.hasSuffix(".json") }.sorted().compactMap { try read(String($0.dropLast(5)), files) }
    }

    /// Writes it, and the metrics of all. - Throws: ``FileError``.
    package func write(_ files: any FileSystem) throws {
        try files.write(SortedJSON.document(self), to: Self.path(name))
        try Self.measure(files)
    }

    // MARK: metrics

    /// Where node_exporter looks for metrics of others; the second is Debian's.
    static let collectors = ["/var/lib/node_exporter/textfile_collector", "/var/lib/prometheus/node-exporter"]

    /// Writes the metrics of all replications wherever there is somebody to read them.
    package static func measure(_ files: any FileSystem) throws {
        let text = metrics((try? all(files)) ?? [])
        for folder in collectors where try files.exists(FilePath(folder)) {
            try files.write(text, to: FilePath(folder).appending("kldload_replication.prom"))
        }
    }

    /// Source: Prometheus' text format 0.0.4.
    static func metrics(_ states: [ReplicationState]) -> String {
        func escaped(_ text: String) -> String { text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") }
        func family(_ name: String, _ kind: String, _ help: String, _ value: (ReplicationState) -> String?) -> String {
            let lines = states.compactMap { state -> String? in
                guard let value = value(state) else { return nil }
                let labels = "name=\"\(escaped(state.name))\",source=\"\(escaped(state.source))\",target=\"\(escaped(state.target))\""
                return "kldload_replication_\(name){\(labels)} \(value)\n"
            }
            if lines.isEmpty { return "" }
            return "# HELP kldload_replication_\(name) \(help)\n# TYPE kldload_replication_\(name) \(kind)\n" + lines.joined()
        }
        return family("up", "gauge", "1 if the last run succeeded.") { $0.lastAttempt == nil ? nil : $0.problem == nil ? "1" : "0" }
            + family("last_success_timestamp_seconds", "gauge", "End of the last run that succeeded.") {
                $0.lastSuccess.map { "\($0.seconds)" }
            }
            + family("snapshot_timestamp_seconds", "gauge", "When the newest snapshot that arrived was taken.") {
                $0.snapshotTime.map { "\($0.seconds)" }
            }
            + family("max_lag_seconds", "gauge", "How old the target may be.") { "\($0.maxLag)" }
            + family("last_run_bytes", "gauge", "Bytes sent by the last run.") { $0.bytes.map { "\($0)" } }
            + family("sent_bytes_total", "counter", "Bytes sent by all runs.") { "\($0.bytesTotal)" }
            + family("last_run_duration_seconds", "gauge", "How long the last run took.") { "\($0.seconds)" }
            + family("drill_timestamp_seconds", "gauge", "When a restore was tried last.") { $0.drill.map { "\($0.time.seconds)" } }
            + family("drill_passed", "gauge", "1 if what was restored last was equal.") { $0.drill.map { $0.problem == nil ? "1" : "0" } }
    }
}
