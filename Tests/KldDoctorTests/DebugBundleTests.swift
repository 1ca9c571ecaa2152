import FoundationEssentials
import KldCore
@testable import KldDoctor
import KldExec
import KldFiles
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@Suite struct `A debug bundle` {
    private static let made = Timestamp(seconds: 1_796_000_000)

    private static func pack(_ runner: any CommandRunner, doctor: String = "{}\n", limit: Duration = .seconds(60)) async throws -> [UInt8] {
        let bytes = Mutex<[UInt8]>([])
        try await DebugBundle(host: "box.example.org", now: made, version: "2.0.0", runner: runner, limit: limit).pack(
            doctor: doctor, into: { piece in bytes.withLock { $0 += piece } })
        return bytes.withLock { $0 }
    }

    @Test func `is named after host and time, whatever the host is called`() {
        func name(_ host: String) -> String { DebugBundle(host: host, now: Self.made, version: "1", runner: ScriptedRunner([])).name }
        #expect(name("box.example.org") == "kldload-debug-box-example-org-20261130005320")
        #expect(name("../../etc/ü x") == "kldload-debug-------etc---x-20261130005320")
    }

    @Test func `is an archive that tar reads: files of root alone, in one folder, with a report of what is in it`() async throws {
        let archive = try await Self.pack(
            ScriptedRunner([
                { $0.tool.name == "find" ? CommandOutput(output: "/var/log/kldload/install.jsonl\n") : CommandOutput(output: "said\n") }
            ]))
        try await Scratch.with { folder in
            let files = LocalFiles()
            try files.write(archive, to: folder.appending("x.tar"), mode: 0o600)
            let listed = try await SubprocessRunner().run(
                Command("tar", ["--list", "--verbose", "--file", folder.appending("x.tar").string], effect: .reads)
            ).output.lines
            #expect(listed.count > 30)
            #expect(
                listed.allSatisfy { $0.hasPrefix("-rw------- root/root") && $0.contains(" kldload-debug-box-example-org-20261130005320/") })
            try await SubprocessRunner().run(
                Command("tar", ["--extract", "--file", folder.appending("x.tar").string, "--directory", folder.string], effect: .changes))
            let place = folder.appending("kldload-debug-box-example-org-20261130005320")
            #expect(try files.readText(place.appending("zfs/zpool-status.txt")) == "said\n")
            #expect(try files.readText(place.appending("kldload/install.jsonl")) == "said\n")
            let report = try files.readText(place.appending("report.json"))
            #expect(report.contains(#""schema" : "debug-bundle/1""#) && report.contains(#""command" : "zpool status -v -t""#))
        }
    }

    /// A suspended pool: whatever asks it never comes back.
    @Test func `is made although commands hang, and says which`() async throws {
        let archive = try await Self.pack(Hanging(tools: ["zpool", "zfs"]), limit: .milliseconds(30))
        let text = String(decoding: archive, as: UTF8.self)
        #expect(text.contains("zpool did not end within") && text.contains("/versions/module.txt"))
    }

    @Test func `says why something is missing, and keeps what was printed before`() async throws {
        let text = String(
            decoding: try await Self.pack(
                ScriptedRunner([
                    { command in
                        if command.tool.name == "dkms" { throw CommandError.toolMissing(command.tool) }
                        return CommandOutput(status: command.tool.name == "modinfo" ? 1 : 0, output: "half\n", errors: "it broke\n")
                    }
                ])), as: UTF8.self)
        #expect(text.contains("the program dkms is not installed"))
        #expect(text.contains("half\n\n--- standard error\nit broke") && text.contains("it ended with 1"))
    }

    @Test func `keeps the end of what is long`() async throws {
        let long = String(repeating: String(repeating: "x", count: 100_000) + "\n", count: 45) + "the last line\n"
        let archive = try await Self.pack(ScriptedRunner([{ CommandOutput(output: $0.tool.name == "journalctl" ? long : "") }]))
        #expect(archive.count < 3 * DebugBundle.mostBytes)
        let text = String(decoding: archive, as: UTF8.self)
        #expect(text.contains("the last line") && text.contains(#""isTruncated" : true"#))
    }

    @Test func `asks for the stacks of what waits in the kernel`() async throws {
        let runner = ScriptedRunner([
            { command in
                command.tool.name == "ps"
                    ? CommandOutput(
                        output: "LWP PID STAT WCHAN ELAPSED RSS COMMAND\n  77 70 D<l txg_wait 10 0 txg_sync\n 80 80 S x 1 1 bash\n")
                    : CommandOutput()
            }
        ])
        _ = try await Self.pack(runner)
        #expect(runner.commands.last?.description == "tail --lines=+1 --verbose -- /proc/77/stack")
    }

    @Test func `reads, and nothing that holds secrets`() async throws {
        let runner = ScriptedRunner([{ _ in CommandOutput(output: "/var/log/kldload/install.jsonl\n") }])
        _ = try await Self.pack(runner)
        #expect(runner.commands.allSatisfy { $0.effect == .reads })
        for command in runner.commands {
            for word in ["shadow", "answers", "cloud", "/etc/ssh", "zed.d", ".key", "wireguard", "/root", "/home", "args", "cmd,"] {
                #expect(!command.description.contains(word), "\(command)")
            }
        }
    }

    /// One canary in every form in which secrets turn up in logs and outputs.
    @Test func `holds no canary`() async throws {
        let canary = "c4nary-Xy77"
        let hostile = """
            Nov 29 10:00:00 box app[1]: password=\(canary) user=admin
            Nov 29 10:00:00 box app[1]: login with Password: "\(canary)", then more
            {"KLDLOAD_ZFS_PASSPHRASE": "\(canary)", "token" : "\(canary)"}
            KLDLOAD_WIFI_PSK='\(canary)'
            sudo: admin : COMMAND=/usr/bin/curl --password \(canary) --token=\(canary) https://u:\(canary)@host/x?api_key=\(canary)&y=1
            Authorization: Bearer \(canary) \(canary)
            PrivateKey = \(canary)
            -----BEGIN OPENSSH PRIVATE KEY-----
            \(canary)
            -----END OPENSSH PRIVATE KEY-----
            admin:$y$j9T$\(canary)$aaaaaaaaaaaaaaaaaaaaaaaaaaa:20600:0
            root:$6$salt$\(canary).aaaaaaaaaaa:1
            ACTIVATION_KEY=\(canary)

            """
        #expect(Redaction.text(hostile).lines.filter { $0.contains(canary) } == [])
        let archive = try await Self.pack(ScriptedRunner([{ _ in CommandOutput(output: hostile, errors: hostile) }]), doctor: hostile)
        let text = String(decoding: archive.filter { $0 != 0 }, as: UTF8.self)
        #expect(text.lines.filter { $0.contains(canary) } == [])
        #expect(text.contains("user=admin") && text.contains("COMMAND=/usr/bin/curl"))
    }

    @Test(arguments: [
        "rpool  encryption  aes-256-gcm  -", "rpool  keylocation  prompt  local",
        "sshd[9]: Failed password for admin from 192.0.2.1 port 5",
        "errors: No known data errors", "path: /dev/disk/by-id/nvme-a$b",
        "2026-11-29.10:00:00 zpool create -o ashift=12 rpool mirror a b [user 0 (root) on box:linux]", "https://host/path?x=1#y",
        "$PATH costs $5",
        "tokens of the scheduler", "",
    ])
    func `leaves alone what is no secret`(line: String) { #expect(Redaction.text(line) == line) }

    @Test func `shows what it would ask`() {
        #expect(DebugBundle.contents.contains("zfs/zpool-events.txt: zpool events -v | tail --lines=5000"))
    }
}

/// Some tools never end; the others say nothing.
private struct Hanging: CommandRunner {
    var tools: Set<String>
    func run(_ command: Command) async throws -> CommandOutput {
        guard tools.contains(command.tool.name) else { return CommandOutput() }
        await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
        return CommandOutput()
    }
    func run(pipeline: [Command]) async throws -> CommandOutput { try await run(pipeline[0]) }
}
