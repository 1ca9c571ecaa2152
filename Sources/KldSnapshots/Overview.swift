public import KldCore
public import KldExec
public import KldFiles
import SystemPackage

/// `kldload-overview`: everything that a machine may do, in one look. What is not installed says so.
public struct Overview: Sendable, Hashable {
    public struct Section: Sendable, Hashable {
        public var title: String
        public var lines: [SystemStatus.Line]
    }
    public var status: SystemStatus
    public var sections: [Section]

    /// Runs: what ``SystemStatus/gather(runner:files:now:)`` runs, and one command for each part that there may be; reads.
    public static func gather(runner: any CommandRunner, files: any FileSystem, now: Timestamp) async throws -> Overview {
        let status = try await SystemStatus.gather(runner: runner, files: files, now: now)
        let services = ["units", "service", "services", "restart"]
        let ask = { (probe: Probe) in try await probe.line(runner) }
        return Overview(
            status: status,
            sections: [
                Section(title: "ZFS", lines: status.pools.flatMap(\.lines) + status.lines.filter { !services.contains($0.id) }),
                Section(title: "Virtual machines", lines: [try await ask(.machines)]),
                Section(title: "Containers", lines: [try await ask(.containers)]),
                Section(title: "Kubernetes", lines: [try await cluster(runner, files)]),
                Section(title: "GPU", lines: [try await ask(.gpu)]),
                Section(title: "Network", lines: links(files) + [try await ask(.mesh)]),
                Section(title: "eBPF", lines: [try await ask(.programs)]),
                Section(title: "Services", lines: status.lines.filter { services.contains($0.id) }),
            ])
    }

    /// A question to a program that may not be there.
    struct Probe: Sendable {
        var id: String
        var command: Command
        /// From what it prints.
        var text: @Sendable (String) -> String

        init(_ id: String, _ tool: Tool, _ words: [String], _ text: @escaping @Sendable (String) -> String) {
            self.id = id
            command = Command(tool, words, effect: .reads)
            self.text = text
        }

        func line(_ runner: any CommandRunner) async throws -> SystemStatus.Line {
            do { return SystemStatus.Line(id, .info, text(try await runner.run(command).output)) } catch CommandError.toolMissing(let tool)
            {
                return SystemStatus.Line(id, .info, "\(tool.name) is not installed")
            } catch let error as CancellationError { throw error } catch {
                let problem = Diagnosis(of: error)
                // What the program says itself tells more than its exit status.
                return SystemStatus.Line(id, .unknown, ([problem.message] + problem.causes.suffix(1)).joined(separator: ": "))
            }
        }

        /// virsh(1), libvirt 11: ` 1    web    running`, ` -    db    shut off`.
        static let machines = Probe("machines", Tool("virsh", package: "libvirt-clients"), ["--quiet", "--readonly", "list", "--all"]) {
            let lines = $0.lines
            return "\(lines.count { $0.words.last == "running" }) of \(lines.count) run"
        }
        /// podman-ps(1), Podman 5: one state a line. Those of the user who asks.
        static let containers = Probe("containers", "podman", ["ps", "--all", "--format", "{{.State}}"]) {
            let lines = $0.lines
            return "\(lines.count { $0 == "running" }) of \(lines.count) run"
        }
        /// nvidia-smi(1): `NVIDIA A2, 12, 410, 15356, 41`.
        static let gpu = Probe(
            "gpu", "nvidia-smi",
            ["--query-gpu=name,utilization.gpu,memory.used,memory.total,temperature.gpu", "--format=csv,noheader,nounits"]
        ) {
            let cards = $0.lines.map { line -> String in
                let parts = line.split(separator: ",").map(\.trimmed)
                return parts.count == 5 ? "\(parts[0]): \(parts[1]) % busy, \(parts[2]) of \(parts[3]) MiB, \(parts[4]) °C" : line
            }
            return cards.isEmpty ? "no card" : cards.joined(separator: "; ")
        }
        /// wg(8): `wg0⇥PUBLIC-KEY⇥SECONDS`, a peer a line.
        static let mesh = Probe("wireguard", Tool("wg", package: "wireguard-tools"), ["show", "all", "latest-handshakes"]) {
            let peers = $0.lines.map { $0.split(separator: "\t").map(String.init) }.filter { $0.count == 3 }
            let names = Set(peers.map { $0[0] }).sorted()
            if peers.isEmpty { return "WireGuard has no peer" }
            return "WireGuard \(names.joined(separator: ", ")): \(peers.count { $0[2] != "0" }) of \(peers.count) peers were heard"
        }
        /// bpftool-prog(8): a program begins with its number, `6: cgroup_device  tag …`; more of it follows, set in.
        static let programs = Probe("ebpf", "bpftool", ["prog", "list"]) { output in
            "\(output.split(separator: "\n").count { $0.first?.isNumber == true }) programs are loaded"
        }
    }

    /// kubectl(1), Kubernetes 1.30: `node-1⇥Ready⇥control-plane…`, columns by spaces. Nobody logs in anywhere for it: a machine that is no node and
    /// has no configuration is not asked.
    private static func cluster(_ runner: any CommandRunner, _ files: any FileSystem) async throws -> SystemStatus.Line {
        let configuration = ["/etc/kubernetes/admin.conf", "/root/.kube/config"].first { (try? files.exists(FilePath($0))) == true }
        guard let configuration else { return SystemStatus.Line("kubernetes", .info, "this machine has no configuration of a cluster") }
        let probe = Probe(
            "kubernetes", "kubectl", ["--kubeconfig", configuration, "--request-timeout=5s", "get", "nodes", "--no-headers"]
        ) {
            let lines = $0.lines
            return "\(lines.count { $0.words.dropFirst().first == "Ready" }) of \(lines.count) nodes are ready"
        }
        return try await probe.line(runner)
    }

    /// Reads `/sys/class/net/*/operstate`. Source: Linux `Documentation/ABI/testing/sysfs-class-net`.
    private static func links(_ files: any FileSystem) -> [SystemStatus.Line] {
        let folder: FilePath = "/sys/class/net"
        let names = ((try? files.list(folder)) ?? []).filter { $0 != "lo" }
        if names.isEmpty { return [SystemStatus.Line("links", .notice, "there is no network interface")] }
        let states = names.map { name in
            let state = (try? files.read(folder.appending(name).appending("operstate"))).map { String(decoding: $0, as: UTF8.self).trimmed }
            return "\(name) \(state ?? "?")"
        }
        return [SystemStatus.Line("links", .info, states.joined(separator: ", "))]
    }
}
