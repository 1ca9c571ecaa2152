/// What the offline mirror of a medium can add to which of its root file systems: `mirror.json`.
public struct MirrorInfo: Sendable, Hashable, Codable {
    public static let currentSchema = "mirror/1"
    static let name = "mirror.json"
    public var schema = MirrorInfo.currentSchema
    /// The packages that were installed in a simulation onto it from the mirror alone, each by itself and all at once; by profile.
    public var packages: [String: [String]]

    public init(packages: [String: [String]]) { self.packages = packages }
}
