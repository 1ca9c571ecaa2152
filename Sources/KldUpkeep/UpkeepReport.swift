public import KldBoot
public import KldBootEnv

/// What became of packages, for people and programs.
public struct UpkeepReport: Sendable, Hashable, Codable {
    /// The new environment; `nil`: in the running one.
    public var environment: String?
    /// What goes back to the state before: `debian`, or `debian@pre-upgrade-…`.
    public var before: String
    public var packages: [BootDifference.Change] = []
    /// Releases of Linux that were not there before.
    public var kernels: [String] = []
    public var dkms: [DKMS.Row] = []
    /// `off`, `signed by this machine's key`.
    public var signatures = "off"
    /// Files of `/etc` with a package's new settings beside the ones in force.
    public var settings: [String] = []
    /// Units whose programs or libraries were replaced while they run.
    public var services: [String] = []
    /// Held packages after it, verified.
    public var held: [String] = []
    /// What may go wrong.
    public var doubts: [String] = []
    /// The new environment boots next, on trial.
    public var bootsNext = false
    public var rebootNeeded = false

    public init(environment: String?, before: String) {
        self.environment = environment
        self.before = before
    }

    public var isEmpty: Bool { packages.isEmpty }
}
