import KldFiles
import KldPackages

/// Where the packages of a build come from.
public struct BuildArchive: Sendable, Hashable, ExpressibleByStringLiteral {
    /// The archive's address, ending in `/debian`.
    public var mirror: String
    /// The security archive's address; `nil`: the mirror's sibling.
    public var security: String?

    public init(_ mirror: String, security: String? = nil) {
        self.mirror = mirror
        self.security = security
    }

    public init(stringLiteral mirror: String) { self.init(mirror) }

    /// The archive that was named; else the one that this machine's apt uses, with the security archive that it uses beside it.
    ///
    /// - Parameters:
    ///   - mirror: its security archive is its sibling: what this machine's apt uses may be of another place, or not to be reached.
    ///   - fallback: where apt uses none.
    static func choose(_ mirror: String?, files: any FileSystem, otherwise fallback: String) -> BuildArchive {
        if let mirror { return BuildArchive(mirror) }
        guard let own = HostArchive.find(files: files) else { return BuildArchive(fallback) }
        return BuildArchive(own, security: HostArchive.security(files: files))
    }
}
