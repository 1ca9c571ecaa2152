package import KldExec
package import SystemPackage

/// The command lines that copy files to another machine. Source: scp(1), sftp(1), OpenSSH 9.2.
package struct ScpCommands: Sendable, Hashable {
    private static let tool = Tool("scp", package: "openssh-client")
    private static let sftp = Tool("sftp", package: "openssh-client")

    package var account: SSHDestination
    /// On that machine.
    package var folder: FilePath

    package init(_ account: SSHDestination, folder: FilePath) {
        self.account = account
        self.folder = folder
    }

    /// `.NAME.partial` in the same folder.
    package func partial(_ name: String) -> String { remote(".\(name).partial") }
    package func remote(_ name: String) -> String { folder.appending(name).string }

    /// Copies one file under its temporary name. Without `-q`, which would silence ssh too, and with it why a connection failed.
    ///
    /// Runs: `scp … FILE USER@HOST:FOLDER/.NAME.partial`, changes (the other machine).
    package func copy(_ file: FilePath, name: String) -> Command {
        Command(
            Self.tool, options + ["--", local(file), "\(account.bracketed):\(partial(name))"], effect: .changes,
            environment: account.environment)
    }

    /// What a person types to copy files under their own names.
    package func byHand(_ files: [FilePath]) -> Command {
        Command(Self.tool, options + ["--"] + files.map(local) + ["\(account.bracketed):\(folder)"], effect: .changes)
    }

    /// A relative path with a colon would be taken for a host.
    private func local(_ file: FilePath) -> String { file.isAbsolute ? file.string : "./" + file.string }

    /// Gives all files their names, in order; the server replaces older ones in one step (`posix-rename@openssh.com`).
    ///
    /// Runs: `sftp … -b - USER@HOST`, changes (the other machine).
    package func rename(_ names: [String]) -> Command { batch(names.map { "rename \(partial($0)) \(remote($0))" }) }

    /// Removes what a failed upload left. Runs: `sftp … -b - USER@HOST`, destroys (our own partial files on the other machine).
    package func removePartials(_ names: [String]) -> Command {
        var command = batch(names.map { "-rm \(partial($0))" })
        command.effect = .destroys
        return command
    }

    private func batch(_ lines: [String]) -> Command {
        // -b turns BatchMode on, and the first mention of an option counts: so ours, which a password needs off, stand before it.
        Command(
            Self.sftp, options + ["-b", "-", "--", account.bracketed], effect: .changes, input: .text(lines.map { $0 + "\n" }.joined()),
            environment: account.environment)
    }

    private var options: [String] { account.options(port: "-P") }
}

/// Hands a password to ssh without it ever being on a command line or in an environment: a helper that prints a private file.
package enum AskPass {
    /// The helper's text. ssh runs it with the question as argument, which it ignores. The path of `secret` holds no quote.
    package static func helper(secret: FilePath) -> String { "#!/bin/sh\nexec cat '\(secret.string)'\n" }
}
