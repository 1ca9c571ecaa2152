import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldImage
import KldSSH
import KldTestSupport
import SystemPackage
import Testing

@Suite struct ExportUploadTests {
    static func destination(_ login: Answers.Export.Login = .key("/root/.ssh/id_ed25519")) throws -> ScpDestination {
        try ScpDestination(
            host: "images.infra.local", folder: "/var/lib/libvirt/images/", login: login, knownHosts: "/etc/kldload/known_hosts")
    }

    /// The destination that these answers name.
    static func target(_ lines: String...) throws -> ScpDestination? {
        let start = ["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=/dev/vda", "KLDLOAD_HOSTNAME=h", "KLDLOAD_EXPORT_FORMAT=qcow2"]
        return try Answers((start + lines).joined(separator: "\n")).export.target.map { try ScpDestination($0) }
    }

    @Test func answersBecomeADestination() throws {
        #expect(
            try Self.target(
                "KLDLOAD_EXPORT_SCP_HOST=images.infra.local", "KLDLOAD_EXPORT_SCP_PATH=/var/lib/libvirt/images/",
                "KLDLOAD_EXPORT_SCP_KEY=/root/.ssh/id_ed25519", "KLDLOAD_EXPORT_SCP_KNOWN_HOSTS=/etc/kldload/known_hosts")
                == Self.destination())
        #expect(try Self.target() == nil)
        let plain = try #require(try Self.target("KLDLOAD_EXPORT_SCP_HOST=h.example", "KLDLOAD_EXPORT_SCP_PASS=battery-staple"))
        #expect(plain.account.user == "root")
        #expect(plain.folder == "/root/")
        #expect(plain.password == Secret("battery-staple"))
        let automatic = try #require(try Self.target("KLDLOAD_EXPORT_SCP_HOST=h.example"))
        #expect(automatic.password == nil && automatic.account.identity == nil)
    }

    @Test(arguments: [
        ("-oProxyCommand=x", "root", "/a"), ("h", "-l", "/a"), ("h", "root", "/a;b"), ("h", "root", "~/a"), ("h", "root", "/a b"),
        ("h", "root", "/a*"), ("h/x", "root", "/a"), ("", "root", "/a"), ("h", "root", "$HOME"),
    ])
    func partsThatCouldMeanSomethingElseAreRefused(host: String, user: String, folder: String) throws {
        let problem = try #require(throws: Diagnosis.self) {
            try ScpDestination(host: host, user: user, folder: FilePath(folder))
        }
        #expect(["image.upload-destination", "ssh.destination"].contains(problem.code))
    }

    @Test func filesAreCopiedUnderATemporaryNameAndThenRenamed() async throws {
        let runner = ScriptedRunner.accepting
        let upload = ScpUpload(to: try Self.destination(), runner: runner, files: MemoryFiles(), scratch: "/run/kldload/upload")
        #expect(
            try await upload.upload(["/out/a.qcow2", "b.json"]) == ["/var/lib/libvirt/images/a.qcow2", "/var/lib/libvirt/images/b.json"])
        let options =
            "-o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o ConnectTimeout=20 -o ServerAliveInterval=15 "
            + "-o 'UserKnownHostsFile=\"/etc/kldload/known_hosts\"' -o GlobalKnownHostsFile=/dev/null -o BatchMode=yes -o IdentitiesOnly=yes "
            + "-o PreferredAuthentications=publickey -P 22 -i /root/.ssh/id_ed25519"
        #expect(
            runner.commands.map(\.description) == [
                "scp \(options) -- /out/a.qcow2 root@images.infra.local:/var/lib/libvirt/images/.a.qcow2.partial",
                "scp \(options) -- ./b.json root@images.infra.local:/var/lib/libvirt/images/.b.json.partial",
                "sftp \(options) -b - -- root@images.infra.local",
            ])
        #expect(
            runner.commands.last?.input
                == .text(
                    "rename /var/lib/libvirt/images/.a.qcow2.partial /var/lib/libvirt/images/a.qcow2\n"
                        + "rename /var/lib/libvirt/images/.b.json.partial /var/lib/libvirt/images/b.json\n"))
    }

    @Test func aPasswordIsNeverInArgumentsOrEnvironment() async throws {
        let files = MemoryFiles()
        let runner = ScriptedRunner([
            { command in
                #expect(!command.arguments.joined().contains("hunter2"))
                #expect(!command.environment.values.joined().contains("hunter2"))
                #expect(command.environment["SSH_ASKPASS"] == "/run/kldload/upload/askpass")
                #expect(files.mode(of: "/run/kldload/upload/secret") == .secret)
                #expect(files.texts["/run/kldload/upload/secret"] == "hunter2\n")
                return CommandOutput()
            }
        ])
        let upload = ScpUpload(
            to: try Self.destination(.password(Secret("hunter2"))), runner: runner, files: files, scratch: "/run/kldload/upload")
        try await upload.upload(["/out/a.qcow2"])
        #expect(runner.commands.count == 2)
        #expect(files.texts.isEmpty)
    }

    @Test(arguments: [
        (
            "No ED25519 host key is known for images.infra.local and you have requested strict checking.\nHost key verification failed.",
            "ssh.host-unknown"
        ),
        ("@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.", "ssh.host-changed"),
        ("root@images.infra.local: Permission denied (publickey).", "ssh.denied"),
    ])
    func failuresOfTheConnectionAreNamed(text: String, code: String) async throws {
        let runner = ScriptedRunner([{ _ in CommandOutput(status: 255, errors: text) }])
        let upload = ScpUpload(to: try Self.destination(), runner: runner, files: MemoryFiles(), scratch: "/run/x")
        let problem = try await #require(throws: Diagnosis.self) { try await upload.upload(["/out/a.qcow2"]) }
        #expect(problem.code == code)
        #expect(runner.commands.count == 1)
        if code == "ssh.host-unknown" { #expect(problem.remedies[0].hasPrefix("ssh-keyscan -p 22 images.infra.local")) }
    }

    @Test func anUploadIsTriedOutWithAnEmptyFile() async throws {
        let files = MemoryFiles()
        let runner = ScriptedRunner([
            { command in
                if command.tool.name == "scp" { #expect(files.texts["/run/x/empty"] == "") }
                return CommandOutput()
            }
        ])
        try await ScpUpload(to: try Self.destination(), runner: runner, files: files, scratch: "/run/x")
            .tryOut(try ExportName(sanitising: "img"))
        #expect(runner.commands.map(\.tool.name) == ["scp", "sftp"])
        let target = "root@images.infra.local:/var/lib/libvirt/images/.img.trial.partial"
        let words = runner.commands.first?.arguments ?? []
        #expect(words.suffix(2) == ["/run/x/empty", target])
        #expect(runner.commands.last?.input == .text("-rm /var/lib/libvirt/images/.img.trial.partial\n"))
        #expect(files.texts.isEmpty)
        let refusal = "root@images.infra.local: Permission denied (publickey)."
        let denied = ScriptedRunner([{ _ in CommandOutput(status: 255, errors: refusal) }])
        let problem = try await #require(throws: Diagnosis.self) {
            try await ScpUpload(to: try Self.destination(), runner: denied, files: files, scratch: "/run/x")
                .tryOut(try ExportName(sanitising: "img"))
        }
        #expect(problem.code == "ssh.denied")
        #expect(files.texts.isEmpty)
    }

    @Test func aFailedUploadSaysWhatUploadsTheFilesThatAreThere() async throws {
        let paths: [FilePath] = ["/out/a.qcow2", "b.json"]
        for login in [Answers.Export.Login.key("/root/.ssh/id_ed25519"), .password(Secret("hunter2"))] {
            let destination = try Self.destination(login)
            let upload = ScpUpload(to: destination, runner: ScriptedRunner.accepting, files: MemoryFiles(), scratch: "/run/x")
            let error = CommandError.failed(Command("scp", [], effect: .changes), CommandOutput(status: 1, errors: "No space left"))
            let told = Diagnosis(of: upload.telling(error, of: paths))
            #expect(told.code == "command.failed" && told.remedies.count == error.diagnosis.remedies.count + 2)
            let line = try #require(told.remedies.last)
            #expect(line.hasPrefix("scp ") && line.contains(" -o StrictHostKeyChecking=yes "))
            #expect(line.contains(" -P 22 ") && line.hasSuffix(" -- /out/a.qcow2 ./b.json root@images.infra.local:/var/lib/libvirt/images"))
            #expect(!line.contains("hunter2"))
            #expect(upload.telling(CancellationError(), of: paths) is CancellationError)
        }
    }

    @Test func aConnectionThatBreaksIsNamedAndCleanedUpAfter() async throws {
        let broken = CommandOutput(status: 255, errors: "client_loop: send disconnect: Broken pipe")
        let runner = ScriptedRunner([{ command in command.tool.name == "scp" ? broken : CommandOutput() }])
        let upload = ScpUpload(to: try Self.destination(), runner: runner, files: MemoryFiles(), scratch: "/run/x")
        let problem = try await #require(throws: Diagnosis.self) { try await upload.upload(["/out/a.qcow2"]) }
        #expect(problem.code == "ssh.unreachable" && problem.exit == .tryAgain)
        #expect(runner.commands.last?.effect == .destroys)
    }

    @Test func aFailedCopyIsCleanedUp() async throws {
        let runner = ScriptedRunner([
            { command in command.tool.name == "scp" ? CommandOutput(status: 1, errors: "scp: write: No space left") : CommandOutput() }
        ])
        let upload = ScpUpload(to: try Self.destination(), runner: runner, files: MemoryFiles(), scratch: "/run/x")
        await #expect(throws: CommandError.self) { try await upload.upload(["/out/a.qcow2"]) }
        #expect(runner.commands.last?.input == .text("-rm /var/lib/libvirt/images/.a.qcow2.partial\n"))
        #expect(runner.commands.last?.effect == .destroys)
    }
}
