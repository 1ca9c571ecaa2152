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
    /// Network cards of the last good boot that had a driver for one: `VENDOR:DEVICE`, as PCI numbers them. All environments share it.
    static let cards: FilePath = "/var/lib/kldload/boot/network-cards"

    /// Looks once a second until nothing is wrong, or the time is over.
    ///
    /// Runs: `systemctl show UNIT…` with every unit that the installation named, `zpool list`, reads; then the files in ``hooks``. A unit that
    /// its owner has disabled, masked or uninstalled is not asked for. That the kernel's modules are there, and a driver for a network card that
    /// had one before, is read from /usr/lib/modules and /sys.
    /// - Parameter limit: how long services may take to come up.
    /// - Returns: what is still wrong at the end, what could not be asked among it; none for a good boot.
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
        let units = try await answers { try await unitProblems(runner, files) }
        let pools = try await answers {
            try await PoolRow.all(runner: runner).filter { ![.online, .degraded].contains($0.health) }.map {
                "pool \($0.name) is \($0.health)"
            }
        }
        return units + pools + [modules(files), network(files)].compactMap { $0 }
    }

    /// What cannot be asked is wrong as well: an error of the check's own would keep an environment that is no good.
    private static func answers(_ body: () async throws -> [String]) async throws -> [String] {
        do { return try await body() } catch {
            try Task.checkCancellation()
            let problem = Diagnosis(of: error)
            return [([problem.message] + problem.causes.suffix(1)).joined(separator: ": ")]
        }
    }

    private static func unitProblems(_ runner: any CommandRunner, _ files: any FileSystem) async throws -> [String] {
        let units = try units(files)
        let states = units.isEmpty ? [] : UnitState.parse(try await runner.run(Systemctl.show(units)).output)
        return units.compactMap { unit in
            guard let state = states.first(where: { $0.names.contains(unit) }) else { return "\(unit) is unknown" }
            return state.isTurnedOff || state.active == "active" ? nil : "\(unit) is \(state.active)"
        }
    }

    /// An environment without its kernel's modules has only what its initramfs held: an ESP, say, cannot be mounted.
    private static func modules(_ files: any FileSystem) -> String? {
        guard let release = try? KernelRelease.running(files) else { return nil }
        let there = ["/usr/lib/modules", "/lib/modules"].contains { (try? files.exists(FilePath("\($0)/\(release)"))) == true }
        return there ? nil : "the running kernel, Linux \(release), has no modules here"
    }

    /// A cable that is out, a silent DHCP server, or a card that never had a driver here, is no fault of the environment.
    private static func network(_ files: any FileSystem) -> String? {
        guard !hasNetworkDevice(files), let known = try? files.readText(cards).lines else { return nil }
        let lost = networkCards(files).filter { known.contains($0.id) }.map(\.place)
        return lost.isEmpty ? nil : "no driver has taken the network card \(lost.joined(separator: ", "))"
    }

    /// Notes, after a good boot, which network cards the next ones must have a driver for.
    ///
    /// - Throws: ``FileError``.
    public static func remember(_ files: any FileSystem) throws {
        let ids = Set(networkCards(files).map(\.id)).sorted()
        guard hasNetworkDevice(files), !ids.isEmpty else { return }
        let text = ids.joined(separator: "\n") + "\n"
        if (try? files.readText(cards)) != text { try files.write(text, to: cards) }
    }

    /// Source: sysfs-bus-pci (Linux ABI documentation), `class`: 0x02 is a network controller; `vendor`, `device`.
    private static func networkCards(_ files: any FileSystem) -> [(place: String, id: String)] {
        let bus: FilePath = "/sys/bus/pci/devices"
        func read(_ card: String, _ name: String) -> String { (try? files.readText(bus.appending(card).appending(name)).trimmed) ?? "" }
        return ((try? files.list(bus)) ?? []).filter { read($0, "class").hasPrefix("0x02") }.map {
            ($0, "\(read($0, "vendor")):\(read($0, "device"))")
        }
    }

    private static func hasNetworkDevice(_ files: any FileSystem) -> Bool {
        let links: FilePath = "/sys/class/net"
        return ((try? files.list(links)) ?? []).contains { (try? files.status(links.appending($0).appending("device"))) ?? nil != nil }
    }

    /// An environment that has lost the list has lost more, and would prove itself with no service looked at.
    private static func units(_ files: any FileSystem) throws -> [String] {
        struct Units: Decodable { var units: [String] }
        let bytes = try files.read(FilePath(InstallManifest.path))
        do { return try JSONDecoder().decode(Units.self, from: Data(bytes)).units } catch {
            throw Diagnosis(
                "boot.no-units", "\(InstallManifest.path) does not say which services this machine needs",
                remedies: ["take it from another environment: kldload kbe mount NAME"])
        }
    }

    private static func hookProblems(_ runner: any CommandRunner, _ files: any FileSystem) async throws -> [String] {
        var problems: [String] = []
        for name in (try? files.list(hooks)) ?? [] {
            let path = hooks.appending(name)
            problems += try await answers {
                guard let status = try files.status(path), status.kind == .file, status.mode.bits & 0o111 != 0 else { return [] }
                let output = try await runner.run(Command(Tool(path.string), [], effect: .changes, accepting: Set(0...255)))
                if output.status == 0 { return [] }
                let last = (output.errors + "\n" + output.output).lines.first.map { ": \($0)" } ?? ""
                return ["\(path) ended with \(output.status)\(last)"]
            }
        }
        return problems
    }
}
