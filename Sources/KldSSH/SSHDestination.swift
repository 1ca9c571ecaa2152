package import KldCore
package import KldExec
package import SystemPackage

/// A machine that is reached over ssh, and by what.
package struct SSHDestination: Sendable, Hashable, CustomStringConvertible {
    /// A name, an alias of the user's ssh settings, an IPv4 or an IPv6 address without brackets.
    package let host: String
    /// `nil`: whom ssh's own settings say.
    package let user: String?
    package var port: UInt16?
    /// A private key without passphrase, and no other; `nil`: whatever the running user's ssh has.
    package var identity: FilePath?
    /// The only file of known host keys that counts; `nil`: the running user's and the system's.
    package var knownHosts: FilePath?

    /// - Throws: ``Diagnosis`` `ssh.destination` when a part could be taken for an option, or for something that a shell expands.
    package init(host: String, user: String? = nil, port: UInt16? = nil, identity: FilePath? = nil, knownHosts: FilePath? = nil)
        throws(Diagnosis)
    {
        func refuse(_ what: String, _ value: String) -> Diagnosis {
            Diagnosis(
                "ssh.destination", "'\(value)' cannot be the \(what) of a machine to log in to",
                remedies: ["HOST or USER@HOST; an IPv6 address in brackets: root@[fd00::1]"], exit: .usage)
        }
        guard !host.isEmpty, !host.hasPrefix("-"), host.isPlain(besides: ".-_:%") else { throw refuse("name", host) }
        if let user { guard !user.isEmpty, !user.hasPrefix("-"), user.isPlain(besides: ".-_@+") else { throw refuse("user", user) } }
        self.host = host
        self.user = user
        self.port = port
        self.identity = identity
        self.knownHosts = knownHosts
    }

    /// Reads `HOST`, `USER@HOST` or `USER@[ADDRESS]`.
    /// - Throws: as ``init(host:user:port:identity:knownHosts:)``.
    package init(_ text: String) throws(Diagnosis) {
        let parts = text.split(separator: "@" as Character, omittingEmptySubsequences: false).map(String.init)
        var host = parts.last ?? ""
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        try self.init(host: host, user: parts.count > 1 ? parts.dropLast().joined(separator: "@") : nil)
    }

    /// `root@backup.infra.local`, `backup-host`; ssh(1) takes an IPv6 address without brackets.
    package var description: String { (user.map { "\($0)@" } ?? "") + host }

    /// As known_hosts names it: `host`, or `[host]:port`.
    package var knownName: String { port.map { $0 == 22 ? host : "[\(host)]:\($0)" } ?? host }
}

/// What ssh, scp and sftp have in common. Source: ssh(1), ssh_config(5), OpenSSH 9.2.
package enum SSH {
    package static let tool = Tool("ssh", package: "openssh-client")

    /// Host keys are never taken on trust, and a connection that is dead is noticed.
    package static func trust(knownHosts: FilePath?) -> [String] {
        var options = ["StrictHostKeyChecking=yes", "UpdateHostKeys=no", "ConnectTimeout=20", "ServerAliveInterval=15"]
        if let knownHosts { options += ["UserKnownHostsFile=\"\(knownHosts.string)\"", "GlobalKnownHostsFile=/dev/null"] }
        return options
    }

    /// For a login by one key and nothing else.
    package static let keyOnly = ["BatchMode=yes", "IdentitiesOnly=yes", "PreferredAuthentications=publickey"]
}

extension Command {
    /// The same command on another machine, with the same streams and exit status; 255 where the connection failed. Nothing is ever asked.
    ///
    /// The other end hands one text to the account's shell, so the words are quoted as `sh` reads them; `env` sees to it that the tools of
    /// administration are found, and that they speak English.
    ///
    /// Runs: `ssh -o … [-p PORT] [-i KEY] -- USER@HOST "env PATH=… LC_ALL=C.UTF-8 TOOL ARGUMENTS…"`.
    package func over(_ host: SSHDestination) -> Command {
        var options = SSH.trust(knownHosts: host.knownHosts)
        if host.identity == nil { options.append("BatchMode=yes") } else { options += SSH.keyOnly }
        var words = options.flatMap { ["-o", $0] }
        if let port = host.port { words += ["-p", String(port)] }
        if let identity = host.identity { words += ["-i", identity.string] }
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        let text = (["env", path, "LC_ALL=C.UTF-8", tool.name] + arguments).map(Command.quoted).joined(separator: " ")
        var copy = self
        copy.tool = SSH.tool
        copy.arguments = words + ["--", host.description, text]
        // OpenSSH 9.2.
        copy.statusWithoutReader = 255
        return copy
    }
}
