import KldCore

/// How much a failed check matters.
public enum Severity: String, Sendable, Hashable, Codable, CaseIterable {
    /// The machine will not boot, loses data, or lets strangers in.
    case critical
    case high, medium, low
}

/// What a check found.
public enum CheckOutcome: Sendable, Hashable {
    case ok(String)
    /// Not as intended, but nothing is broken by it.
    case warn(expected: String, actual: String, remedy: String)
    case fail(expected: String, actual: String, remedy: String)
    /// It does not apply here, or cannot be asked.
    case skip(String)
}

/// One question about an installed machine. It reads; what it mounts, or keeps for the next time, is named where it is done.
public struct Check: Sendable {
    /// Stable and dotted; the first part is the subsystem: `zfs.hostid`.
    public let id: String
    public let title: String
    public let severity: Severity
    /// It reads or computes so much that others are done before it is.
    let isSlow: Bool
    public let run: @Sendable (CheckContext) async throws -> CheckOutcome

    public init(
        _ id: String, _ title: String, _ severity: Severity, slow: Bool = false,
        _ run: @escaping @Sendable (CheckContext) async throws -> CheckOutcome
    ) {
        self.id = id
        self.title = title
        self.severity = severity
        isSlow = slow
        self.run = run
    }

    public var subsystem: String { String(id.prefix { $0 != "." }) }

    /// Every check, in the order in which a person would look.
    public static let all: [Check] =
        pool + hostID + layout + boot + espChecks + users + ssh + network + packages + secrets + services + region + system
}
