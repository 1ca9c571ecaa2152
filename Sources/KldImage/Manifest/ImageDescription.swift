public import KldCore

/// What is in an image, as far as its build knows. Flat in the JSON of ``ImageManifest``.
public struct ImageDescription: Sendable, Hashable, Codable {
    /// The state of the package mirror that the image was made from: enough to find the same packages again.
    public struct Mirror: Sendable, Hashable, Codable {
        /// Where the image itself gets packages of this suite from, without user and password. The build may have asked another mirror of the
        /// same archive; which one, an image does not tell, and ``index`` is the same on both.
        public var url: String
        public var suite: String
        /// Of the signed index (`InRelease`, `repomd.xml`), which names the digests of everything else.
        public var index: FileDigest?
        /// The index's own date.
        public var date: Timestamp?

        public init(url: String, suite: String, index: FileDigest? = nil, date: Timestamp? = nil) {
            self.url = url
            self.suite = suite
            self.index = index
            self.date = date
        }
    }

    /// `debian`.
    public var distro: String
    /// `trixie`.
    public var suite: String
    /// `server`.
    public var profile: String
    /// In the distribution's words: `amd64`.
    public var architecture: String
    /// `6.12.43+deb13-amd64`; `nil` when unknown.
    public var kernel: String?
    /// `2.3.4`; `nil` when unknown.
    public var openzfs: String?
    /// Of what was installed (the rootfs archive); `nil` when the disk was not made from one.
    public var payload: FileDigest?
    public var mirrors: [Mirror]
    public var inputs: BuildInputs
    public var created: Timestamp
    /// kldload's own version.
    public var kldload: String
    /// Machine identity, keys and logs were removed.
    public var sealed: Bool

    public init(
        distro: String, suite: String, profile: String, architecture: String = "amd64", kernel: String? = nil, openzfs: String? = nil,
        payload: FileDigest? = nil, mirrors: [Mirror] = [], inputs: [String: String] = [:], created: Timestamp, kldload: String,
        sealed: Bool = true
    ) {
        self.distro = distro
        self.suite = suite
        self.profile = profile
        self.architecture = architecture
        self.kernel = kernel
        self.openzfs = openzfs
        self.payload = payload
        self.mirrors = mirrors
        self.inputs = BuildInputs(inputs)
        self.created = created
        self.kldload = kldload
        self.sealed = sealed
    }
}
