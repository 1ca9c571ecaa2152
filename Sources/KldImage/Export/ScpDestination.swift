package import KldAnswers
package import KldCore
package import KldSSH
package import SystemPackage

/// Where finished images are uploaded: the `KLDLOAD_EXPORT_SCP_*` answers.
package struct ScpDestination: Sendable, Hashable {
    package var account: SSHDestination
    /// A folder on that machine.
    package var folder: FilePath
    package var password: Secret?

    /// - Parameter host: a name, an IPv4 or an IPv6 address without brackets.
    /// - Throws: ``Diagnosis`` `ssh.destination` or `image.upload-destination` when a part could be taken for an option, or holds what a remote
    ///   shell or sftp would expand: scp before OpenSSH 9.0 hands the path to a shell.
    package init(
        host: String, port: UInt16 = 22, user: String = "root", folder: FilePath = "/root/", login: Answers.Export.Login = .automatic,
        knownHosts: FilePath? = nil
    ) throws(Diagnosis) {
        guard folder.string.isPlain(besides: Answers.Export.Target.pathSigns), !folder.string.hasPrefix("-") else {
            throw Diagnosis(
                "image.upload-destination", "'\(folder)' is not a path to upload to",
                remedies: ["use letters, digits and -_.+/@=, only; a path without ~ is below the user's home unless it begins with /"],
                exit: .badAnswers)
        }
        account = try SSHDestination(host: host, user: user, port: port, knownHosts: knownHosts)
        self.folder = folder.isEmpty ? "." : folder
        switch login {
        case .automatic: break
        case .key(let file): account.identity = file
        case .password(let word): password = word
        }
    }

    /// What the answers say.
    /// - Throws: as ``init(host:port:user:folder:login:knownHosts:)``.
    package init(_ target: Answers.Export.Target) throws(Diagnosis) {
        try self.init(
            host: target.host, user: target.user, folder: FilePath(target.path), login: target.login, knownHosts: target.knownHosts)
    }

    package var host: String { account.host }

    /// - Parameter helper: the program that prints the password, where there is one; `nil`: a person types it.
    package func commands(helper: FilePath? = nil) -> ScpCommands {
        var account = account
        if password != nil { account.password = helper.map(SSHDestination.Password.printed(by:)) ?? .typed }
        return ScpCommands(account, folder: folder)
    }
}
