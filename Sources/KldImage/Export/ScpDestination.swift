public import KldAnswers
public import KldCore
public import SystemPackage

/// Where finished images are uploaded: the `KLDLOAD_EXPORT_SCP_*` answers.
public struct ScpDestination: Sendable, Hashable {
    public enum Credential: Sendable, Hashable {
        /// A private key without passphrase.
        case key(FilePath)
        case password(Secret)
        /// Whatever the running user's ssh has: agent, default keys, configuration.
        case user
    }

    /// A name, an IPv4 or an IPv6 address without brackets.
    public var host: String
    public var port: UInt16
    public var user: String
    /// A folder on the host.
    public var folder: FilePath
    public var credential: Credential
    /// The only file of known host keys that counts; `nil`: the running user's and the system's.
    public var knownHosts: FilePath?

    /// - Throws: ``Diagnosis`` `image.upload-destination` when a part could be taken for an option, or holds what a remote shell or
    ///   sftp would expand: scp before OpenSSH 9.0 hands the path to a shell.
    public init(
        host: String, port: UInt16 = 22, user: String = "root", folder: FilePath = "/root/", credential: Credential = .user,
        knownHosts: FilePath? = nil
    ) throws(Diagnosis) {
        func refuse(_ what: String, _ value: String) -> Diagnosis {
            Diagnosis(
                "image.upload-destination", "'\(value)' is not a \(what) to upload to",
                remedies: ["use letters, digits and -_.+/@=, only; a path without ~ is below the user's home unless it begins with /"],
                exit: .badAnswers)
        }
        guard host.isPlain(besides: ".-_:%"), !host.isEmpty, !host.hasPrefix("-") else { throw refuse("host", host) }
        guard user.isPlain(besides: ".-_@+"), !user.isEmpty, !user.hasPrefix("-") else { throw refuse("user", user) }
        guard folder.string.isPlain(besides: Answers.Export.Target.pathSigns), !folder.string.hasPrefix("-") else {
            throw refuse("path", folder.string)
        }
        self.host = host
        self.port = port
        self.user = user
        self.folder = folder.isEmpty ? "." : folder
        self.credential = credential
        self.knownHosts = knownHosts
    }

    /// What the answers say.
    /// - Throws: as ``init(host:port:user:folder:credential:knownHosts:)``.
    public init(_ target: Answers.Export.Target) throws(Diagnosis) {
        let credential: Credential =
            switch target.login {
            case .automatic: .user
            case .key(let file): .key(file)
            case .password(let word): .password(word)
            }
        try self.init(
            host: target.host, user: target.user, folder: FilePath(target.path), credential: credential, knownHosts: target.knownHosts)
    }

    /// `root@images.infra.local`, `root@[fd00::1]`.
    package var account: String { "\(user)@\(host.contains(":") ? "[\(host)]" : host)" }

    /// As known_hosts names it: `host`, or `[host]:port`.
    package var knownName: String { port == 22 ? host : "[\(host)]:\(port)" }
}
