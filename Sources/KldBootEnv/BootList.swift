import KldBoot
public import KldCore
import KldZFS

/// `kbe list`: every environment with what a person asks about it.
public struct BootList: Sendable, Hashable, Codable {
    public struct Snapshot: Sendable, Hashable, Codable {
        public var label: String
        public var used: ByteCount
        public var created: String
    }

    public struct Row: Sendable, Hashable, Codable {
        public var name: String
        public var dataset: String
        public var used: ByteCount
        public var referenced: ByteCount
        /// `2026-11-21T02:33:00Z`.
        public var created: String
        public var origin: String?
        public var mountpoint: String?
        public var runsNow: Bool
        public var bootsNext: Bool
        /// The next boot only.
        public var bootsOnce: Bool
        /// Releases that it has an entry for, the one that boots first.
        public var kernels: [String]
        /// `good`, `on trial, 2 of 3 boots left`, `failed: …`, `never activated`, `another machine's: kldload kbe adopt NAME`,
        /// `half made: a change of its packages has not ended`.
        public var state: String
        /// `nil`: they were not asked for.
        public var snapshots: [Snapshot]?
    }

    public var rows: [Row]

    /// - Parameters:
    ///   - snapshots: whether the system was read with them.
    ///   - reason: what was written down of a failed entry, by its id.
    public init(_ system: BootSystem, snapshots: Bool = false, reason: (String) -> String?) {
        let entries = system.entries
        let next = system.next
        rows = system.environments.map { environment in
            let own = entries.filter { $0.dataset == environment.dataset.text }
            let boots = next?.dataset == environment.dataset.text
            // A boot that is counted ends, for the one after, with what comes next in the order.
            return Row(
                name: environment.name, dataset: environment.dataset.text, used: environment.used, referenced: environment.referenced,
                created: environment.created.description, origin: environment.origin?.description, mountpoint: environment.mountpoint,
                runsNow: environment.dataset == system.running, bootsNext: boots && next?.once != true,
                bootsOnce: boots && next?.once == true,
                kernels: own.map(\.release).reduce(into: []) { if !$0.contains($1) { $0.append($1) } },
                state: Self.refusal(environment, system) ?? Self.state(own.first, reason),
                snapshots: snapshots
                    ? environment.snapshots.map { Snapshot(label: $0.name.label, used: $0.used, created: $0.created.description) } : nil)
        }
    }

    /// Why nothing boots it, whatever its entries say.
    private static func refusal(_ environment: BootEnvironment, _ system: BootSystem) -> String? {
        if environment.isForeign { return "another machine's: kldload kbe adopt \(environment.name)" }
        return system.isHalfMade(environment) ? "half made: a change of its packages has not ended" : nil
    }

    static func state(_ entry: BootEntry?, _ reason: (String) -> String?) -> String {
        guard let entry, entry.order > 0 else { return "never activated" }
        if entry.once, !entry.isExhausted { return "boots once" }
        if entry.once { return "was booted once" + (reason(entry.id).map { ", and was no good: \($0)" } ?? "") }
        guard let counter = entry.counter else { return "good" }
        if counter.left > 0 { return "on trial, \(counter.left) of \(counter.left + counter.done) boots left" }
        return "failed: " + (reason(entry.id) ?? BootTrial.silence)
    }
}
