import KldCore
import KldExec
import KldFiles
import KldSSH
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@testable import KldFleet

@Suite struct FleetHostsTests {
    @Test(arguments: [
        ("web-01", "root@web-01", "web-01"), ("admin@web-01.infra.local", "admin@web-01.infra.local", "web-01.infra.local"),
        ("root@10.100.0.10:2222", "root@10.100.0.10", "[10.100.0.10]:2222"), ("[fd00::1]:2222", "root@fd00::1", "[fd00::1]:2222"),
        ("root@fd00::1", "root@fd00::1", "fd00::1"), ("root@[fd00::1]", "root@fd00::1", "fd00::1"),
    ])
    func `a machine is read as ssh and scp write it, root where nobody is named`(text: String, shown: String, known: String) throws {
        let host = try FleetHosts.host(text)
        #expect(host.description == shown && host.knownName == known)
    }

    @Test(arguments: [
        ("web:0", "fleet.port"), ("web:ssh", "fleet.port"), ("web:", "fleet.port"), ("-oProxyCommand=x", "ssh.destination"),
        ("a b", "ssh.destination"), ("$(x)", "ssh.destination"), ("@web", "ssh.destination"),
    ])
    func `what is none is refused`(text: String, code: String) {
        #expect { try FleetHosts.host(text) } throws: { Diagnosis(of: $0).code == code }
    }

    @Test func `a file holds one machine a line, and comments`() throws {
        let text = "# web\nweb-01\n\n  root@web-02:2222   # the second\n"
        #expect(try FleetHosts.parse(text, "/h").map(\.knownName) == ["web-01", "[web-02]:2222"])
    }

    @Test func `every bad line of a file is told, with its number`() {
        let problem = problem { _ = try FleetHosts.parse("web-01\nweb-02 web-03\nweb:x\nadmin@WEB-01\n", "/etc/hosts.txt") }
        #expect(problem?.code == "fleet.hosts" && problem?.exit == .badConfiguration)
        #expect(
            problem?.causes == [
                "/etc/hosts.txt:2: one machine a line, not 'web-02 web-03'", "/etc/hosts.txt:3: 'x' in 'web:x' is no port",
                "/etc/hosts.txt:4: WEB-01 stands in line 1 already",
            ])
    }

    @Test func `machines come from the command line, or from a file, or from the one that is always looked for`() throws {
        let files = MemoryFiles(["/etc/kldload/fleet-hosts.txt": "web-01\n", "/other": "web-02\n", "/empty": "# none\n"])
        #expect(try FleetHosts.gather([], file: nil, files).map(\.host) == ["web-01"])
        #expect(try FleetHosts.gather([], file: "/other", files).map(\.host) == ["web-02"])
        #expect(try FleetHosts.gather(["a", "b"], file: nil, files).map(\.host) == ["a", "b"])
        for (words, file, code) in [
            (["a", "root@A:22"], nil, "fleet.repeated"), (["a"], "/other", "fleet.two-lists"), ([], "/empty", "fleet.no-hosts"),
            ([], "/missing", "fleet.no-hosts"),
        ] as [([String], FilePath?, String)] {
            #expect { try FleetHosts.gather(words, file: file, files) } throws: { Diagnosis(of: $0).code == code }
        }
    }
}

@Suite struct FleetHealthTests {
    private static func failing(_ status: Int32, _ errors: String, _ output: String = "") -> FakeMachine {
        let machine = FakeMachine()
        machine.change { $0.trouble = CommandOutput(status: status, output: output, errors: errors) }
        return machine
    }

    // ssh's words are those of OpenSSH 9.2, env's of coreutils 9.1, the last but one of ArgumentParser 1.8.
    @Test(
        arguments: [
            (255, "ssh: connect to host web port 22: No route to host\n", FleetHealth.State.unreachable, "ssh.unreachable"),
            (255, "", .unreachable, "ssh.unreachable"),
            (
                255, "No ED25519 host key is known for web and you have requested strict checking.\nHost key verification failed.\n",
                .hostUnknown, "ssh.host-unknown"
            ),
            (
                255, "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\n", .hostChanged,
                "ssh.host-changed"
            ),
            (255, "root@web: Permission denied (publickey).\n", .denied, "ssh.denied"),
            (127, "env: '/usr/lib/kldload/kldload': No such file or directory\n", .foreign, "fleet.foreign"),
            (64, "Error: Unexpected argument 'kfleet'\nUsage: kldload <subcommand>\n", .foreign, "fleet.old"),
            // The command's own word of a connection is not ssh's.
            (
                1, "error[be.no-zfs-root]: the root file system is not a dataset of ZFS\nConnection reset by peer\n", .silent,
                "fleet.refused"
            ),
        ] as [(Int32, String, FleetHealth.State, String)])
    func `why a machine cannot be asked is a state of its own, and the others are told all the same`(
        status: Int32, errors: String, state: FleetHealth.State, code: String
    ) async throws {
        let machines = ["web": Self.failing(status, errors), "db": FakeMachine()]
        let health = await fleet(machines).health(try hosts("web", "db"))
        #expect(health.map(\.state) == [state, .well])
        #expect(health[0].problem?.code == code && health[0].problem?.remedies.isEmpty == false)
        #expect(health[1].report?.running == "debian")
    }

    @Test func `an answer that is not understood is no health`() async throws {
        let health = await fleet(["a": Self.failing(0, "", "{}"), "b": Self.failing(0, "", "motd\n{")]).health(try hosts("a", "b"))
        #expect(health.map(\.problem?.code) == ["fleet.unreadable", "fleet.unreadable"])
    }

    @Test func `what is ill is named`() async throws {
        let machine = FakeMachine()
        machine.change { state in
            state.report.pools = [.init(name: "rpool", state: "ONLINE"), .init(name: "tank", state: "DEGRADED")]
            state.failing["debian"] = ["zfs.pool.health"]
            state.report.good = false
            state.report.problems = ["units: 1 unit failed"]
        }
        let health = await fleet(["a": machine]).health(try hosts("a"))
        #expect(health[0].state == .ill)
        #expect(
            health[0].report?.findings == [
                "tank is DEGRADED", "units: 1 unit failed", "kldload-doctor: zfs.pool.health",
                "debian was not noted as good since it started",
            ])
    }

    @Test func `one question is asked of each, and no more at a time than is allowed`() async throws {
        let counts = Mutex((now: 0, most: 0, all: 0))
        struct Slow: CommandRunner {
            let machine = FakeMachine()
            let enter: @Sendable () -> Void
            let leave: @Sendable () -> Void
            func run(_ command: Command) async throws -> CommandOutput {
                enter()
                for _ in 0..<20 { await Task.yield() }
                leave()
                return try await machine.run(command)
            }
            func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "") }
        }
        let slow = Slow {
            counts.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1), $0.all + 1) }
        } leave: {
            counts.withLock { $0.now -= 1 }
        }
        let names = (0..<20).map { "web-\($0)" }
        let many = Fleet(limit: 3600, parallel: 3) { _ in slow }
        let health = await many.health(try names.map { try FleetHosts.host($0) })
        #expect(health.map(\.host.host) == names && health.allSatisfy { $0.state == .well })
        let (_, most, all) = counts.withLock { $0 }
        #expect(most <= 3 && all == 20)
    }

    @Test func `a machine that hangs is left when its time is over`() async throws {
        struct Hanging: CommandRunner {
            func run(_ command: Command) async throws -> CommandOutput {
                try await Task.sleep(for: .seconds(3600))
                return CommandOutput()
            }
            func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "") }
        }
        let health = await Fleet(limit: 0) { _ in Hanging() }.health(try hosts("a"))
        #expect(health.map(\.state) == [.timeout] && health[0].problem?.exit == .tryAgain)
    }

    @Test func `what a machine says of itself comes back as it was`() throws {
        var report = FleetReport(
            host: "web", version: "1.2", boot: "b", running: "debian", dataset: "rpool/ROOT/debian", good: true,
            environments: [.init(name: "debian", state: "good", image: "18446744073709551615")])
        report.failed = ["a.b"]
        #expect(FleetReport(json: try report.json) == report)
        report.schema = "fleet-host/2"
        #expect(FleetReport(json: try report.json) == nil)
    }
}

/// Against a real sshd: nothing of kldload is installed for it.
@Suite(.enabled(if: SSHServer.isInstalled, "openssh-server or openssh-client is not installed")) struct FleetContractTests {
    @Test func `a real ssh's words are told apart`() async throws {
        let installed = try LocalFiles().exists("/usr/lib/kldload/kldload")
        try await SSHServer.with { server in
            let files = LocalFiles()
            let (empty, changed) = (server.folder.appending("empty"), server.folder.appending("changed"))
            try files.write("", to: empty)
            try files.write(try server.line(of: "stranger"), to: changed)
            func host(_ port: UInt16, _ key: String, _ known: FilePath) throws -> SSHDestination {
                try SSHDestination(
                    host: "127.0.0.1", user: server.user, port: port, identity: server.folder.appending(key), knownHosts: known)
            }
            let asked = [
                try host(server.port, "client", empty), try host(server.port, "client", changed),
                try host(server.port, "stranger", server.knownHosts), try host(1, "client", server.knownHosts),
                try host(server.port, "client", server.knownHosts),
            ]
            let health = await Fleet(limit: 60) { _ in SubprocessRunner() }.health(asked)
            #expect(health.prefix(4).map(\.state) == [.hostUnknown, .hostChanged, .denied, .unreachable])
            if !installed { #expect(health.last?.state == .foreign) }
        }
    }

    @Test func `a real ssh brings what a machine says, and what it is told, word by word`() async throws {
        try await SSHServer.with { server in
            let files = LocalFiles()
            var report = FleetReport(
                host: "web", version: "1", boot: "b", running: "debian", dataset: "rpool/ROOT/debian", good: true,
                environments: [.init(name: "debian", state: "good")])
            (report.failed, report.warned) = ([], [])
            // With a space in its path: the words go through the shell of an account.
            let place = server.folder.appending("a place")
            try files.write(try report.json, to: place.appending("report"))
            let tool = place.appending("kldload")
            try files.write(
                "#!/bin/sh\necho \"$@\" >>'\(place)/told'\ncase $2 in self) cat '\(place)/report';; *) echo 'error[be.unknown]: no' >&2; exit 66;; esac\n",
                to: tool, mode: .script)
            var one = Fleet(limit: 60) { _ in SubprocessRunner() }
            one.tools.kldload = Tool(tool.string)
            let host = try SSHDestination(
                host: "127.0.0.1", user: server.user, port: server.port, identity: server.folder.appending("client"),
                knownHosts: server.knownHosts)
            let health = await one.health([host])
            #expect(health.map(\.state) == [.well] && health.first?.report == report)
            let fleet = one
            let problem = await problem { _ = try await fleet.run(fleet.tools.activate("it's"), on: host) }
            #expect(problem?.code == "fleet.refused" && problem?.causes == ["error[be.unknown]: no"])
            #expect(try files.readText(place.appending("told")) == "kfleet self\nkbe activate it's\n")
        }
    }
}
