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
    /// Goes before ``identity``; `nil`: none is ever asked for.
    package var password: Password?
    /// The only file of known host keys that counts; `nil`: the running user's and the system's.
    package var knownHosts: FilePath?

    /// Who gives ssh the password.
    package enum Password: Sendable, Hashable {
        /// Whoever sits at the terminal.
        case typed
        /// A program: see ``AskPass``.
        case printed(by: FilePath)
    }

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

    /// `root@images.infra.local`, `root@[fd00::1]`: as scp(1) and sftp(1) take it, with a colon and a path after it.
    package var bracketed: String { (user.map { "\($0)@" } ?? "") + (host.contains(":") ? "[\(host)]" : host) }

    /// As known_hosts names it: `host`, or `[host]:port`.
    package var knownName: String { port.map { $0 == 22 ? host : "[\(host)]:\($0)" } ?? host }

    /// What ssh, scp and sftp are told in the same words: host keys are never taken on trust, a connection that is dead is noticed, and nobody
    /// is asked for anything but a password that is to be given. Source: ssh_config(5), OpenSSH 9.2.
    ///
    /// - Parameter flag: that of the port: `-p` for ssh, `-P` for scp and sftp.
    package func options(port flag: String) -> [String] {
        var settings = ["StrictHostKeyChecking=yes", "UpdateHostKeys=no", "ConnectTimeout=20", "ServerAliveInterval=15"]
        if let knownHosts { settings += ["UserKnownHostsFile=\"\(knownHosts.string)\"", "GlobalKnownHostsFile=/dev/null"] }
        let key = password == nil ? identity : nil
        if password != nil {
            settings += ["BatchMode=no", "NumberOfPasswordPrompts=1", "PubkeyAuthentication=no"]
            settings.append("PreferredAuthentications=password,keyboard-interactive")
        } else {
            settings.append("BatchMode=yes")
            if key != nil { settings += ["IdentitiesOnly=yes", "PreferredAuthentications=publickey"] }
        }
        var words = settings.flatMap { ["-o", $0] }
        if let port { words += [flag, String(port)] }
        if let key { words += ["-i", key.string] }
        return words
    }

    /// Of ssh, scp and sftp. Source: ssh(1), OpenSSH 9.2; `SSH_ASKPASS_REQUIRE` needs 8.4.
    package var environment: [String: String] {
        guard case .printed(by: let helper)? = password else { return [:] }
        return ["SSH_ASKPASS": helper.string, "SSH_ASKPASS_REQUIRE": "force"]
    }
}

/// ssh on this machine.
package enum SSH {
    package static let tool = Tool("ssh", package: "openssh-client")

    /// The key exchanges that this OpenSSH can do, one name a line: `mlkem768x25519-sha256`. Runs: `ssh -Q kex`, reads. Source: ssh(1),
    /// OpenSSH 10.0.
    package static let keyExchanges = Command(tool, ["-Q", "kex"], effect: .reads)
}

extension Command {
    /// The same command on another machine, with the same streams and exit status; 255 where the connection failed.
    ///
    /// The other end hands one text to the account's shell, so the words are quoted as `sh` reads them; `env` sees to it that the tools of
    /// administration are found, and that they speak English.
    ///
    /// Runs: `ssh -o … [-p PORT] [-i KEY] -- USER@HOST "env PATH=… LC_ALL=C.UTF-8 TOOL ARGUMENTS…"`.
    package func over(_ host: SSHDestination) -> Command {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        let text = (["env", path, "LC_ALL=C.UTF-8", tool.name] + arguments).map(Command.quoted).joined(separator: " ")
        var copy = self
        copy.tool = SSH.tool
        copy.arguments = host.options(port: "-p") + ["--", host.description, text]
        copy.environment.merge(host.environment) { $1 }
        // OpenSSH 9.2.
        copy.statusWithoutReader = 255
        return copy
    }
}
