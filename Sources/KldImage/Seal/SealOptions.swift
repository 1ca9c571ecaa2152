/// What may stay in a sealed image, and what its clones are told.
package struct SealOptions: Sendable, Hashable, Codable {
    /// The administrator whose authorised keys may stay. Everybody's passwords are locked all the same.
    package var keepUser: String?
    /// The lines of `authorized_keys` that may stay: those that came from the answers, as they were written there.
    package var keepAuthorizedKeys: [String]
    /// Where cloud-init looks for a clone's personality, in this order.
    package var datasources: [String]
    /// Whether the network settings that kldload wrote stay: those of an image's answers do, those of an exported machine do not.
    package var keepNetwork: Bool

    /// Source of the order: the product's automation guide. `None` comes last: it always matches.
    package static let allDatasources = ["NoCloud", "ConfigDrive", "OpenStack", "Azure", "GCE", "Ec2", "None"]

    package init(
        keepUser: String? = nil, keepAuthorizedKeys: [String] = [], datasources: [String] = allDatasources, keepNetwork: Bool = false
    ) {
        self.keepUser = keepUser
        self.keepAuthorizedKeys = keepAuthorizedKeys
        self.datasources = datasources
        self.keepNetwork = keepNetwork
    }
}
