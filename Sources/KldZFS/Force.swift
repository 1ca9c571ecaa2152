/// Leave to override a check of ZFS (`-f`). It cannot be had without saying why, so that each use can be found and reviewed.
public struct Force: Sendable, Hashable {
    public let reason: String
    public init(because reason: String) { self.reason = reason }
}
