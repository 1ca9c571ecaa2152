public import KldExec
import KldCore
import KldFiles
public import SystemPackage

/// A real sshd on the loopback address, with keys and settings of its own, for one test.
public struct SSHServer: Sendable {
    /// Gone afterwards. Holds `client`, whom it lets in, and `stranger`, whom it does not, each with its `.pub`; and `host.pub`.
    public var folder: FilePath
    public var port: UInt16
    /// Who runs the test.
    public var user: String
    /// With the server's key in it.
    public var knownHosts: FilePath { folder.appending("known_hosts") }
    /// Whose keys let somebody in.
    public var authorized: FilePath { folder.appending("authorized") }

    private static let program = "/usr/sbin/sshd"
    public static let isInstalled = [program, "ssh", "scp", "sftp", "ssh-keygen", "ssh-keyscan"].allSatisfy {
        SubprocessRunner.find($0, path: "/usr/local/bin:/usr/bin:/bin") != nil
    }

    /// Starts it, runs the body, and ends it.
    public static func with(_ body: (SSHServer) async throws -> Void) async throws {
        let (runner, files) = (SubprocessRunner(), LocalFiles())
        try await Scratch.with { folder in
            let user = try await runner.run(Command("id", ["-un"], effect: .reads)).output.trimmed
            let server = SSHServer(folder: folder, port: UInt16.random(in: 20_000..<32_000), user: user)
            for key in ["host", "client", "stranger"] {
                let words = ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", folder.appending(key).string]
                try await runner.run(Command("ssh-keygen", words, effect: .changes))
            }
            try files.write(try files.read(folder.appending("client.pub")), to: server.authorized, mode: .secret)
            try files.write(try server.line(of: "host"), to: server.knownHosts)
            let settings = folder.appending("sshd_config")
            try files.write(
                """
                Port \(server.port)
                ListenAddress 127.0.0.1
                HostKey \(folder.appending("host"))
                AuthorizedKeysFile \(server.authorized)
                PidFile none
                StrictModes no
                UsePAM no
                PasswordAuthentication no
                KbdInteractiveAuthentication no
                PermitRootLogin prohibit-password
                Subsystem sftp internal-sftp

                """, to: settings)
            // sshd wants this folder when it runs as root; a package's unit makes it at boot.
            if user == "root" { try files.makeDirectory("/run/sshd", mode: .directory) }
            let process = Task { _ = try await runner.run(Command(Tool(program), ["-D", "-e", "-f", settings.string], effect: .changes)) }
            defer { process.cancel() }
            for _ in 0..<100 {
                let scan = Command("ssh-keyscan", ["-p", String(server.port), "-T", "1", "127.0.0.1"], effect: .reads, accepting: [0, 1])
                if try await runner.run(scan).output.contains("ssh-ed25519") { break }
                try await Task.sleep(for: .milliseconds(100))
            }
            try await body(server)
            process.cancel()
            _ = try? await process.value
        }
    }

    /// A line of a known_hosts file that takes this server for whoever has that key. Source: sshd(8).
    public func line(of key: String) throws -> String {
        let words = try LocalFiles().readText(folder.appending("\(key).pub")).words
        return "[127.0.0.1]:\(port) \(words.prefix(2).joined(separator: " "))\n"
    }
}
