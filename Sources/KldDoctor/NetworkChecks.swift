import FoundationEssentials
import KldCore
import KldExec
import KldFiles
import KldSystemd
import SystemPackage

/// `ip -json …`. Source: ip(8), iproute2 6.15; unknown fields are ignored.
private struct IPRoute: Decodable {
    var dst: String?
    var gateway: String?
    var dev: String?
}

private struct IPLink: Decodable {
    struct Address: Decodable {
        var local: String?
        var prefixlen: Int?
    }
    var ifname: String
    var operstate: String?
    var addr_info: [Address]?
}

extension CheckContext {
    /// The servers that systemd-resolved asks; `nil` where it does not run.
    ///
    /// Source: systemd-resolved.service(8), systemd 252 to 257: they stand in `/run/systemd/resolve/resolv.conf`; where there are none,
    /// those that it falls back to.
    func upstreamServers() throws -> [String]? {
        try text("/run/systemd/resolve/resolv.conf").map { text in
            text.lines.map(\.words).filter { $0.first == "nameserver" && $0.count > 1 }.map { $0[1] }
        }
    }
}

extension Check {
    static let network: [Check] = [
        Check("network.address", "the machine has the addresses and the route that were asked for", .high, address),
        Check("network.resolver", "names can be resolved", .medium, resolver),
        Check("network.hostname", "the machine has its name", .medium, hostname),
    ]

    private static func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        do { return try JSONDecoder().decode(type, from: Data(text.utf8)) } catch {
            throw Diagnosis(
                "verify.unreadable", "ip printed something that is not understood", exit: .bug, causes: [String(text.prefix(200))])
        }
    }

    /// Runs: `ip -json route show default`, `ip -json address show`, reads. The first, with one route:
    /// ```
    /// [{"dst":"default","gateway":"10.0.2.2","dev":"ens3","protocol":"dhcp","prefsrc":"10.0.2.15","metric":1024,"flags":[]}]
    /// ```
    @Sendable private static func address(_ context: CheckContext) async throws -> CheckOutcome {
        guard let network = context.manifest?.network else { return context.withoutManifest }
        if network.method == .none || network.method == .unknown { return .skip("no network was asked for") }
        let ip = Tool("ip", package: "iproute2")
        let links = try decode([IPLink].self, try await context.read(ip, ["-json", "address", "show"]).output)
        let routes = try decode([IPRoute].self, try await context.read(ip, ["-json", "route", "show", "default"]).output)
        let found = links.flatMap { link in
            (link.addr_info ?? []).compactMap { info in
                info.local.map { (link.ifname, "\($0)/\(info.prefixlen ?? 0)") }
            }
        }.filter { $0.0 != "lo" }
        let shown =
            (found.map { "\($0.0) \($0.1)" } + routes.map { "default by \($0.gateway ?? "the link") on \($0.dev ?? "?")" })
            .joined(separator: ", ")
        let actual = shown.isEmpty ? "no address" : shown
        let remedy = "networkctl status; journalctl -u systemd-networkd"
        // A clone's addresses are its own business: cloud-init gives them.
        if context.manifest?.sealed == true {
            return routes.isEmpty ? .fail(expected: "a default route", actual: actual, remedy: remedy) : .ok(actual)
        }
        if network.method == .static, let wanted = network.address, !found.contains(where: { $0.1 == wanted }) {
            return .fail(expected: wanted, actual: actual, remedy: remedy)
        }
        if let iface = network.iface, !found.contains(where: { $0.0 == iface }) {
            return .fail(expected: "an address on \(iface)", actual: actual, remedy: remedy)
        }
        if let gateway = network.gateway, !routes.contains(where: { $0.gateway == gateway }) {
            return .fail(expected: "a default route by \(gateway)", actual: actual, remedy: remedy)
        }
        guard !routes.isEmpty else { return .fail(expected: "a default route", actual: actual, remedy: remedy) }
        return .ok(actual)
    }

    @Sendable private static func resolver(_ context: CheckContext) async throws -> CheckOutcome {
        if context.manifest?.network.method == InstallManifest.NetworkMethod.none { return .skip("no network was asked for") }
        let servers = (try context.text("/etc/resolv.conf") ?? "").lines.map(\.words).filter { $0.first == "nameserver" && $0.count > 1 }
            .map { $0[1] }
        guard !servers.isEmpty else {
            return .fail(
                expected: "a nameserver in /etc/resolv.conf", actual: "there is none",
                remedy: "ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf; systemctl enable --now systemd-resolved")
        }
        if servers.contains(where: { $0.hasPrefix("127.0.0.5") }) {
            let state = try await context.unit("systemd-resolved.service")?.active ?? "unknown"
            guard state == "active" else {
                return .fail(
                    expected: "systemd-resolved behind \(servers[0])", actual: state,
                    remedy: "systemctl enable --now systemd-resolved")
            }
            if try context.upstreamServers()?.isEmpty == true {
                return .warn(
                    expected: "a name server behind \(servers[0])", actual: "systemd-resolved knows none",
                    remedy: "resolvectl dns; a static address needs DNS= in its file in /etc/systemd/network, then networkctl reload")
            }
        }
        return .ok(servers.joined(separator: ", "))
    }

    @Sendable private static func hostname(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        if manifest.sealed { return .skip("a clone is named by its cloud-init data") }
        let file = try context.text("/etc/hostname")?.trimmed ?? "missing"
        let kernel = try context.text("/proc/sys/kernel/hostname")?.trimmed ?? "missing"
        guard file == manifest.hostname, kernel == file else {
            return .fail(
                expected: manifest.hostname, actual: "/etc/hostname: \(file), kernel: \(kernel)",
                remedy: "hostnamectl set-hostname \(manifest.hostname)")
        }
        return .ok(file)
    }
}
