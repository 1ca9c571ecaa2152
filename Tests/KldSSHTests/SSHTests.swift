import KldCore
import KldExec
import KldFiles
import KldSSH
import KldTestSupport
import SystemPackage
import Testing

@Suite struct SSHCommandTests {
    @Test(arguments: [
        ("backup-host", "backup-host", "backup-host"), ("root@backup.infra.local", "root@backup.infra.local", "backup.infra.local"),
        ("root@[fd00::1]", "root@fd00::1", "fd00::1"), ("me@corp@host", "me@corp@host", "host"),
    ])
    func `hosts are read as ssh writes them`(text: String, shown: String, known: String) throws {
        let host = try SSHDestination(text)
        #expect(host.description == shown && host.knownName == known)
    }

    @Test(arguments: ["", "-oProxyCommand=x", "root@", "@host", "-l@host", "a b", "h;x", "$(x)@h", "h/x"])
    func `what could be an option, or mean something to a shell, is refused`(text: String) {
        #expect { try SSHDestination(text) } throws: { Diagnosis(of: $0).code == "ssh.destination" }
    }

    @Test func `a command goes over with its words quoted, its effect and its exit statuses`() throws {
        var host = try SSHDestination("root@backup")
        let plain = Command("zfs", ["list", "a b", "it's", "$x"], effect: .reads, accepting: [0, 1]).over(host)
        #expect(plain.effect == .reads && plain.acceptedExitStatuses == [0, 1] && plain.tool.name == "ssh")
        #expect(plain.arguments.suffix(3).first == "--" && plain.arguments.dropLast().last == "root@backup")
        #expect(
            plain.arguments.last
                == "env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 zfs list 'a b' 'it'\\''s' '$x'")
        #expect(plain.arguments.prefix(2) == ["-o", "StrictHostKeyChecking=yes"] && plain.arguments.contains("BatchMode=yes"))
        host.port = 2222
        host.identity = "/root/.ssh/backup"
        host.knownHosts = "/etc/kldload/known_hosts"
        let keyed = Command("true", [], effect: .reads).over(host).description
        #expect(keyed.contains("-o IdentitiesOnly=yes -o PreferredAuthentications=publickey -p 2222 -i /root/.ssh/backup -- root@backup "))
        #expect(keyed.contains("UserKnownHostsFile=\"/etc/kldload/known_hosts\"") && keyed.contains("GlobalKnownHostsFile=/dev/null"))
        #expect(host.knownName == "[backup]:2222")
    }

    @Test func `a password goes before a key, and nobody else is asked`() throws {
        var host = try SSHDestination(host: "fd00::1", user: "root", port: 2222, identity: "/root/.ssh/backup")
        host.password = .printed(by: "/run/askpass")
        let copy = ScpCommands(host, folder: "/srv").copy("a.raw", name: "a.raw")
        let settings = ["BatchMode=no", "NumberOfPasswordPrompts=1", "PubkeyAuthentication=no"]
        #expect(settings.allSatisfy(copy.arguments.contains) && !copy.arguments.contains("-i"))
        #expect(copy.arguments.suffix(5) == ["-P", "2222", "--", "./a.raw", "root@[fd00::1]:/srv/.a.raw.partial"])
        #expect(copy.environment == ["SSH_ASKPASS": "/run/askpass", "SSH_ASKPASS_REQUIRE": "force"])
        host.password = .typed
        #expect(host.environment.isEmpty && host.options(port: "-p").contains("BatchMode=no"))
    }

    // Printed by OpenSSH 9.2.
    @Test(arguments: [
        ("@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\n", SSHProblem.hostChanged),
        ("No ED25519 host key is known for backup and you have requested strict checking.\nHost key verification failed.\n", .hostUnknown),
        ("root@backup: Permission denied (publickey,password).\n", .denied),
        ("ssh: connect to host 127.0.0.1 port 28732: Connection refused\n", .unreachable),
        ("ssh: Could not resolve hostname nosuch.invalid: Name or service not known\n", .unreachable),
        ("client_loop: send disconnect: Broken pipe\n", .unreachable),
        ("cannot open 'backup/x': dataset does not exist\n", nil), ("", nil),
    ])
    func `why a connection failed is told from its words`(errors: String, problem: SSHProblem?) {
        #expect(SSHProblem(errors) == problem)
    }
}

/// Commands over a real sshd on the loopback address, with keys and settings of its own.
@Suite(.enabled(if: SSHServer.isInstalled, "openssh-server or openssh-client is not installed")) struct SSHContractTests {
    let runner = SubprocessRunner()
    let files = LocalFiles()

    func withServer(_ body: (SSHDestination, FilePath) async throws -> Void) async throws {
        try await SSHServer.with { server in
            try await body(
                SSHDestination(
                    host: "127.0.0.1", user: server.user, port: server.port, identity: server.folder.appending("client"),
                    knownHosts: server.knownHosts),
                server.folder)
        }
    }

    @Test func `words arrive as they were, and streams and exit statuses come back`() async throws {
        try await withServer { host, _ in
            let words = ["a b", "it's", "$HOME", "*", "", "ö\u{2028}", "#x", "~"]
            let printed = try await runner.run(Command("printf", ["%s\\n"] + words, effect: .reads).over(host)).output
            #expect(printed == words.map { $0 + "\n" }.joined())
            let echoed = try await runner.run(pipeline: [
                Command("printf", ["through"], effect: .reads), Command("cat", [], effect: .reads).over(host),
                Command("tr", ["a-z", "A-Z"], effect: .reads),
            ])
            #expect(echoed.output == "THROUGH")
            let failed = await #expect(throws: CommandError.self) {
                try await runner.run(Command("ls", ["/nowhere/at all"], effect: .reads).over(host))
            }
            #expect(failed?.failure?.status == 2 && failed?.failure?.errors.contains("/nowhere/at all") == true)
        }
    }

    @Test func `of a pull whose reader fails, the reader is to blame`() async throws {
        try await withServer { host, _ in
            let failed = await #expect(throws: CommandError.self) {
                try await runner.run(pipeline: [
                    Command("cat", ["/dev/zero"], effect: .reads).over(host), Command("ls", ["/nowhere"], effect: .reads),
                ])
            }
            #expect(failed?.failure?.errors.contains("/nowhere") == true)
        }
    }

    @Test func `an unknown host key is refused, and not learnt`() async throws {
        try await withServer { host, folder in
            var host = host
            host.knownHosts = folder.appending("empty")
            try files.write("", to: folder.appending("empty"))
            let failed = await #expect(throws: CommandError.self) { try await runner.run(Command("true", [], effect: .reads).over(host)) }
            let errors = try #require(failed?.failure?.errors)
            #expect(SSHProblem(errors) == .hostUnknown)
            #expect(SSHProblem(errors)?.diagnosis(of: host, errors: errors).code == "ssh.host-unknown")
            #expect(try files.readText(folder.appending("empty")) == "")
        }
    }
}
