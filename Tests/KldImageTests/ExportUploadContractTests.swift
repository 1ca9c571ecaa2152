import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldImage
import KldSSH
import KldTestSupport
import SystemPackage
import Testing

/// Uploads to a real sshd on the loopback address, with keys and configuration of its own.
@Suite(.enabled(if: SSHServer.isInstalled, "openssh-server or openssh-client is not installed")) struct ExportUploadContractTests {
    let runner = SubprocessRunner()
    let files = LocalFiles()

    func withServer(_ body: (SSHServer) async throws -> Void) async throws {
        try await SSHServer.with { server in
            try files.makeDirectory(server.inbox, mode: .directory)
            try await body(server)
        }
    }

    func tool(_ name: String, _ arguments: [String]) async throws {
        _ = try await runner.run(Command(Tool(name), arguments, effect: .changes))
    }

    func upload(_ server: SSHServer, to destination: ScpDestination, _ names: [String]) async throws -> [String] {
        for name in names { try files.write("content of \(name)", to: server.folder.appending(name)) }
        return try await ScpUpload(to: destination, runner: runner, files: files, scratch: server.folder.appending("scratch"))
            .upload(names.map { server.folder.appending($0) })
    }

    @Test func filesArriveWholeAndReplaceOlderOnes() async throws {
        try await withServer { server in
            try files.write("old", to: server.inbox.appending("img.qcow2"))
            let paths = try await upload(server, to: server.destination(), ["img.qcow2", "img.qcow2.sha256", "img.manifest.json"])
            #expect(paths.first == server.inbox.appending("img.qcow2").string)
            #expect(try files.list(server.inbox) == ["img.manifest.json", "img.qcow2", "img.qcow2.sha256"])
            #expect(try files.readText(server.inbox.appending("img.qcow2")) == "content of img.qcow2")
        }
    }

    @Test func aTrialLeavesNothingAndMissesTheFolder() async throws {
        try await withServer { server in
            let name = try ExportName(sanitising: "img")
            let scratch = server.folder.appending("scratch")
            try await ScpUpload(to: try server.destination(), runner: runner, files: files, scratch: scratch).tryOut(name)
            #expect(try files.list(server.inbox) == [])
            #expect(try !files.exists(scratch))
            var elsewhere = try server.destination()
            elsewhere.folder = server.folder.appending("nowhere")
            let upload = ScpUpload(to: elsewhere, runner: runner, files: files, scratch: scratch)
            await #expect(throws: CommandError.self) { try await upload.tryOut(name) }
            #expect(try !files.exists(scratch))
        }
    }

    @Test func whatIsToldAfterAFailureUploadsTheFiles() async throws {
        try await withServer { server in
            let file = server.folder.appending("a.raw")
            try files.write("content", to: file)
            try await runner.run(server.destination().commands().byHand([file]))
            #expect(try files.readText(server.inbox.appending("a.raw")) == "content")
        }
    }

    @Test func anUnknownHostKeyIsRefused() async throws {
        try await withServer { server in
            let empty = server.folder.appending("empty")
            try files.write("", to: empty)
            let destination = try server.destination(knownHosts: empty)
            let problem = try await #require(throws: Diagnosis.self) { try await upload(server, to: destination, ["a.raw"]) }
            #expect(problem.code == "ssh.host-unknown")
            #expect(try files.list(server.inbox) == [])
            #expect(try files.readText(empty) == "")
        }
    }

    @Test func aChangedHostKeyIsRefused() async throws {
        try await withServer { server in
            let other = server.folder.appending("other")
            try files.write(try server.line(of: "stranger"), to: other)
            let destination = try server.destination(knownHosts: other)
            let problem = try await #require(throws: Diagnosis.self) { try await upload(server, to: destination, ["a.raw"]) }
            #expect(problem.code == "ssh.host-changed")
        }
    }

    @Test func aStrangersKeyAndAWrongPasswordAreDenied() async throws {
        try await withServer { server in
            for login in [Answers.Export.Login.key(server.folder.appending("stranger")), .password(Secret("wrong"))] {
                let destination = try server.destination(login)
                let problem = try await #require(throws: Diagnosis.self) { try await upload(server, to: destination, ["a.raw"]) }
                #expect(problem.code == "ssh.denied")
                #expect(try !files.exists(server.folder.appending("scratch")))
            }
        }
    }

    @Test func aMissingFolderIsAFailureOfTheCopy() async throws {
        try await withServer { server in
            let destination = try ScpDestination(
                host: "127.0.0.1", port: server.port, user: server.user, folder: server.folder.appending("nowhere"),
                login: .key(server.folder.appending("client")), knownHosts: server.knownHosts)
            await #expect(throws: CommandError.self) { try await upload(server, to: destination, ["a.raw"]) }
        }
    }

    /// A server that takes passwords needs an account with one, which a test must not make; so this shows that ssh runs our helper and
    /// takes what it prints: as the passphrase of a key, which it asks for in the same way.
    @Test func theHelperAnswersSSH() async throws {
        try await withServer { server in
            let (secret, helper) = (server.folder.appending("secret"), server.folder.appending("askpass"))
            try files.write("correct horse\n", to: secret, mode: .secret)
            try files.write(Array(AskPass.helper(secret: secret).utf8), to: helper, mode: 0o700)
            let key = server.folder.appending("locked").string
            try await tool("ssh-keygen", ["-q", "-t", "ed25519", "-N", "correct horse", "-C", "test", "-f", key])
            try files.write(try files.read(server.folder.appending("locked.pub")), to: server.folder.appending("authorized"), mode: .secret)
            var command = try server.destination(.password(Secret(""))).commands(helper: helper).copy(
                server.folder.appending("host.pub"), name: "x")
            command.arguments = command.arguments.map { $0.hasPrefix("PubkeyAuthentication") ? "PubkeyAuthentication=yes" : $0 }
            command.arguments = command.arguments.map { $0.hasPrefix("Preferred") ? "PreferredAuthentications=publickey" : $0 }
            command.arguments.insert(contentsOf: ["-i", key], at: 0)
            _ = try await runner.run(command)
            #expect(try files.list(server.inbox) == [".x.partial"])
        }
    }
}

extension SSHServer {
    fileprivate var inbox: FilePath { folder.appending("inbox") }

    fileprivate func destination(
        _ login: Answers.Export.Login? = nil, knownHosts other: FilePath? = nil
    ) throws -> ScpDestination {
        try ScpDestination(
            host: "127.0.0.1", port: port, user: user, folder: inbox, login: login ?? .key(folder.appending("client")),
            knownHosts: other ?? knownHosts)
    }
}
