/// The state of a pool or of a vdev, as the ZFS tools write it.
///
/// Source: `zpool_state_to_name()` and `vdev_state_str` of OpenZFS 2.3 and 2.4; zpoolconcepts(7).
public enum PoolState: Sendable, Hashable, CustomStringConvertible {
    case online, degraded, faulted, offline, unavailable, removed, suspended
    /// A spare.
    case available, inUse
    /// A state of a newer OpenZFS.
    case unknown(String)

    public init(_ text: some StringProtocol) {
        switch text {
        // OpenZFS 2.3 writes HEALTHY for a vdev in JSON, 2.4 ONLINE.
        case "ONLINE", "HEALTHY": self = .online
        case "DEGRADED": self = .degraded
        case "FAULTED": self = .faulted
        case "OFFLINE", "CLOSED": self = .offline
        case "UNAVAIL", "CANT_OPEN": self = .unavailable
        case "REMOVED": self = .removed
        case "SUSPENDED": self = .suspended
        case "AVAIL": self = .available
        case "INUSE": self = .inUse
        default: self = .unknown(String(text))
        }
    }

    public var description: String {
        switch self {
        case .online: "ONLINE"
        case .degraded: "DEGRADED"
        case .faulted: "FAULTED"
        case .offline: "OFFLINE"
        case .unavailable: "UNAVAIL"
        case .removed: "REMOVED"
        case .suspended: "SUSPENDED"
        case .available: "AVAIL"
        case .inUse: "INUSE"
        case .unknown(let text): text
        }
    }
}
