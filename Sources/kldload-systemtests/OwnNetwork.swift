import Glibc
import KldCore
import KldExec
import KldFiles
import KldImage
import KldVirt
import SystemPackage

/// A network apart from this host's, where anybody is root: a bridge with a server's address, and the card of one machine on it.
///
/// Source: user_namespaces(7), network_namespaces(7).
struct OwnNetwork: Sendable {
    static let server = "10.0.1.5"
    /// Of a machine that is on it; a medium may come before it.
    static let card = MachineNetwork(tap: "tap0", bootIndex: 1, bootROM: false)

    private let lab: Laboratory
    /// Keeps the namespaces of the server's side; the other, behind a cable to the bridge, is the network's DHCP server with its own.
    private let holder: Int32
    private let router: Int32

    /// Runs `body` with such a network, which is gone afterwards.
    ///
    /// Runs: `unshare --map-root-user --net sleep infinity`, and `ip -batch -` in it; util-linux 2.38, iproute2 6.1.
    static func with<Result: Sendable>(_ lab: Laboratory, _ body: (OwnNetwork) async throws -> Result) async throws -> Result {
        let unshare = ["unshare", "--net", "--map-root-user"] + holding
        let holder = try await hold(lab, unshare)
        defer { holder.kill(SIGKILL) }
        let server = try await process(of: holder, lab)
        let router = try await hold(lab, entering(server) + ["unshare", "--net"] + holding)
        defer { router.kill(SIGKILL) }
        let network = OwnNetwork(lab: lab, holder: server, router: try await process(of: router, lab))
        try await network.set(
            """
            link set lo up
            link add br0 type bridge
            address add \(Self.server)/24 dev br0
            link set br0 up
            tuntap add dev tap0 mode tap
            link set tap0 master br0 up
            link add cable type veth peer name eth0 netns \(network.router)
            link set cable master br0 up

            """, in: network.holder)
        try await network.set("address add 10.0.1.1/24 dev eth0\nlink set eth0 up\n", in: network.router)
        return try await body(network)
    }

    /// After what changes namespaces: that forgets whom to die with.
    private static let dying = ["setpriv", "--pdeathsig", "KILL"]
    private static let holding = dying + ["sleep", "infinity"]

    private static func entering(_ process: Int32) -> [String] {
        ["nsenter", "--target=\(process)", "--user", "--net", "--preserve-credentials"]
    }

    private static func path(_ name: String) throws -> FilePath {
        guard let path = SubprocessRunner.find(name, path: SubprocessRunner.searchPath) else {
            throw ScenarioSkipped("\(name) is not installed: apt-get install util-linux")
        }
        return path
    }

    private static func hold(_ lab: Laboratory, _ line: [String]) async throws -> ChildProcess {
        let log = try FileDescriptor.open(
            lab.folder.appending("network.log"), .writeOnly, options: [.create, .append], permissions: .ownerReadWrite)
        defer { try? log.close() }
        return try await ChildProcess.start(try path(line[0]), Array(line.dropFirst()), errors: log)
    }

    /// Once it is in namespaces of its own: then it is `sleep`.
    private static func process(of holder: ChildProcess, _ lab: Laboratory) async throws -> Int32 {
        for _ in 0..<100 {
            guard let process = holder.process else { break }
            if try lab.files.readText(FilePath("/proc/\(process)/comm")).trimmed == "sleep" { return process }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw ScenarioSkipped("no network of one's own here: \(try lab.files.readText(lab.folder.appending("network.log")))")
    }

    private func set(_ lines: String, in process: Int32) async throws {
        let line = Self.entering(process) + ["ip", "-batch", "-"]
        try await lab.workshop.runner.run(
            Command(Tool(line[0], package: "util-linux"), Array(line.dropFirst()), effect: .changes, input: .text(lines)))
    }

    /// QEMU with its cards on this network.
    func inside(_ qemu: QEMU) throws -> QEMU {
        let line = Self.entering(holder)
        var copy = qemu
        copy.starter = [try Self.path(line[0]).string] + line.dropFirst() + Self.dying
        return copy
    }

    enum Place { case server, router }

    /// Runs `body` while programs serve this network; what ends one of them early is told.
    func serving<Result>(_ programs: [(place: Place, line: [String])], _ body: () async throws -> Result) async throws -> Result {
        let (runner, lab) = (lab.workshop.runner, lab)
        let servers = programs.map { place, line in
            let words = Self.entering(place == .server ? holder : router) + line
            let command = Command(Tool(words[0], package: "util-linux"), Array(words.dropFirst()), effect: .changes)
            return Task {
                do { try await runner.run(command) } catch  where !Task.isCancelled { lab.log("\(line[0]) has ended: \(error)") }
            }
        }
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        // The next ones want the same ports.
        for server in servers {
            server.cancel()
            _ = try? await server.value
        }
        return try result.get()
    }

    /// dnsmasq as an example of an export has it.
    func dnsmasq(_ configuration: FilePath) -> [String] {
        Self.dnsmasq + ["--conf-file=\(configuration)", "--dhcp-leasefile=\(lab.folder.appending("server.leases"))"]
    }

    /// The DHCP server that a network has: it knows nothing of what machines start from.
    var dhcp: [String] {
        Self.dnsmasq + [
            "--conf-file=/dev/null", "--port=0", "--dhcp-range=10.0.1.100,10.0.1.200,255.255.255.0,1h",
            "--dhcp-leasefile=\(lab.folder.appending("router.leases"))",
        ]
    }

    /// It becomes nobody else: who is root by a map alone may not drop groups.
    private static let dnsmasq = ["dnsmasq", "--no-daemon", "--pid-file="]

    func web(_ folder: FilePath) -> [String] {
        ["python3", "-m", "http.server", "80", "--bind", Self.server, "--directory", folder.string]
    }
}
