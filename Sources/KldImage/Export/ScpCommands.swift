import KldCore
package import KldExec
import KldSSH
package import SystemPackage

/// The command lines of an upload. Source: scp(1), sftp(1), ssh_config(5), OpenSSH 9.2; `SSH_ASKPASS_REQUIRE` needs 8.4.
package struct ScpCommands: Sendable, Hashable {
    private static let tool = Tool("scp", package: "openssh-client")
    private static let sftp = Tool("sftp", package: "openssh-client")

    package var destination: ScpDestination
    /// The program that prints the password; see ``AskPass``.
    package var askPass: FilePath?

    package init(_ destination: ScpDestination, askPass: FilePath? = nil) {
        self.destination = destination
        self.askPass = askPass
    }

    /// `.NAME.partial` in the same folder.
    package func partial(_ name: String) -> String { remote(".\(name).partial") }
    package func remote(_ name: String) -> String { destination.folder.appending(name).string }

    /// Copies one file under its temporary name. Without `-q`, which would silence ssh too, and with it why a connection failed.
    ///
    /// Runs: `scp … FILE USER@HOST:FOLDER/.NAME.partial`, changes (the other machine).
    package func copy(_ file: FilePath, name: String) -> Command {
        Command(
            Self.tool, options + ["-P", String(destination.port), "--", local(file), "\(destination.account):\(partial(name))"],
            effect: .changes, environment: environment)
    }

    /// What a person types to copy files under their own names; where a password is wanted, scp asks for it.
    package func byHand(_ files: [FilePath]) -> Command {
        let target = "\(destination.account):\(destination.folder)"
        return Command(
            Self.tool, options + ["-P", String(destination.port), "--"] + files.map(local) + [target], effect: .changes)
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
            Self.sftp, options + ["-P", String(destination.port), "-b", "-", "--", destination.account], effect: .changes,
            input: .text(lines.map { $0 + "\n" }.joined()), environment: environment)
    }

    /// Host keys are never taken on trust (`StrictHostKeyChecking=yes`); nothing is ever asked.
    private var options: [String] {
        var options = SSH.trust(knownHosts: destination.knownHosts)
        switch destination.credential {
        case .key(let file):
            options += SSH.keyOnly
            return ["-i", file.string] + options.flatMap { ["-o", $0] }
        case .password:
            options += ["BatchMode=no", "NumberOfPasswordPrompts=1", "PubkeyAuthentication=no"]
            options += ["PreferredAuthentications=password,keyboard-interactive"]
        case .user: options += ["BatchMode=yes"]
        }
        return options.flatMap { ["-o", $0] }
    }

    private var environment: [String: String] {
        guard case .password = destination.credential, let askPass else { return [:] }
        return ["SSH_ASKPASS": askPass.string, "SSH_ASKPASS_REQUIRE": "force"]
    }
}

/// Hands a password to ssh without it ever being on a command line or in an environment: a helper that prints a private file.
package enum AskPass {
    /// The helper's text. ssh runs it with the question as argument, which it ignores. `secret` needs no quoting: see ``ScpUpload``.
    package static func helper(secret: FilePath) -> String { "#!/bin/sh\nexec cat '\(secret.string)'\n" }
}
