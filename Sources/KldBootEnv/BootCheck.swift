import FoundationEssentials
import KldBoot
import KldCore
public import KldExec
public import KldFiles
import KldSystemd
import KldZFS
public import SystemPackage

/// What a boot must reach to count as good: what the machine is for, not everything that could be wrong with it.
public enum BootCheck {
    /// Executable files of the machine's owner; each must end with 0. They run in the order of their names.
    public static let hooks: FilePath = "/etc/kldload/boot-check.d"

    /// Looks once a second until nothing is wrong, or the time is over.
    ///
    /// Runs: `systemctl is-active UNIT` for every unit that the installation named, `zpool list`, reads; then the files in ``hooks``.
    /// That the kernel's modules are there, and a driver for the network card, is read from /usr/lib/modules and /sys.
    /// - Parameter limit: how long services may take to come up.
    /// - Returns: what is still wrong at the end; none for a good boot.
    public static func run(
        runner: any CommandRunner, files: any FileSystem, limit: Duration, clock: any Clock<Duration> = ContinuousClock()
    ) async throws -> [String] {
        var problems = try await look(runner, files)
        var waited = Duration.zero
        while !problems.isEmpty, waited < limit {
            try await clock.sleep(for: .seconds(1))
            waited += .seconds(1)
            problems = try await look(runner, files)
        }
        guard problems.isEmpty else { return problems }
        return try await hookProblems(runner, files)
    }

    private static func look(_ runner: any CommandRunner, _ files: any FileSystem) async throws -> [String] {
        var problems: [String] = []
        for unit in units(files) {
            let state = try await runner.run(Systemctl.isActive(unit)).output.trimmed
            if state != "active" { problems.append("\(unit) is \(state.isEmpty ? "unknown" : state)") }
        }
        for pool in try PoolRow.parse(await runner.run(ZPool.list()).output) where ![.online, .degraded].contains(pool.health) {
            problems.append("pool \(pool.name) is \(pool.health)")
        }
        problems += [modules(files), network(files)].compactMap { $0 }
        return problems
    }

    /// An environment without its kernel's modules has only what its initramfs held: an ESP, say, cannot be mounted.
    private static func modules(_ files: any FileSystem) -> String? {
        guard let release = try? KernelRelease.running(files) else { return nil }
        let there = ["/usr/lib/modules", "/lib/modules"].contains { (try? files.exists(FilePath("\($0)/\(release)"))) == true }
        return there ? nil : "the running kernel, Linux \(release), has no modules here"
    }

    /// A cable that is out, or a silent DHCP server, is no fault of the environment.
    ///
    /// Source: sysfs-bus-pci (Linux ABI documentation), `class`: 0x02 is a network controller.
    private static func network(_ files: any FileSystem) -> String? {
        let bus: FilePath = "/sys/bus/pci/devices"
        let links: FilePath = "/sys/class/net"
        let cards = ((try? files.list(bus)) ?? []).filter { card in
            ((try? files.read(bus.appending(card).appending("class"))) ?? []).starts(with: Array("0x02".utf8))
        }
        let devices = ((try? files.list(links)) ?? []).filter { name in
            (try? files.status(links.appending(name).appending("device"))) ?? nil != nil
        }
        guard !cards.isEmpty, devices.isEmpty else { return nil }
        return "no driver has taken the network card \(cards.joined(separator: ", "))"
    }

    private static func units(_ files: any FileSystem) -> [String] {
        struct Units: Decodable { var units: [String] }
        guard let bytes = try? files.read(FilePath(InstallManifest.path)) else { return [] }
        return (try? JSONDecoder().decode(Units.self, from: Data(bytes)))?.units ?? []
    }

    private static func hookProblems(_ runner: any CommandRunner, _ files: any FileSystem) async throws -> [String] {
        var problems: [String] = []
        for name in (try? files.list(hooks)) ?? [] {
            let path = hooks.appending(name)
            guard let status = try files.status(path), status.kind == .file, status.mode.bits & 0o111 != 0 else { continue }
            let output = try await runner.run(Command(Tool(path.string), [], effect: .changes, accepting: Set(0...255)))
            if output.status != 0 {
                let last = (output.errors + "\n" + output.output).lines.first.map { ": \($0)" } ?? ""
                problems.append("\(path) ended with \(output.status)\(last)")
            }
        }
        return problems
    }
}
