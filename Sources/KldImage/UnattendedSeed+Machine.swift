import KldCore
public import KldFiles
import KldInstall
import SystemPackage

extension UnattendedSeed {
    /// How a folder of answers may call this machine.
    public struct Machine: Sendable, Hashable {
        /// `52:54:00:12:34:56`, of the card that the machine was started from, else of the one that has the default route, else of the first wired
        /// one that has a cable.
        public var mac: String?
        public var serial: String?
        /// What the network's DHCP server calls it, in lower case and without its domain.
        public var host: String?

        public init(mac: String? = nil, serial: String? = nil, host: String? = nil) {
            self.mac = mac
            self.serial = serial
            self.host = host
        }

        /// Reads `/proc/cmdline`, `/proc/net/route`, `/proc/net/ipv6_route`, `/sys/class/net`, the serial number and, as
        /// cloud-init does too, `/run/systemd/netif/leases`. Source: cloud-init 25.1, `networkd_load_leases`.
        ///
        /// - Parameter isUp: `false`: the network may still be coming up, so a cable says nothing yet.
        public static func read(_ files: any FileSystem, isUp: Bool = true) -> Machine {
            func text(_ path: String) -> String? {
                guard let text = try? files.readText(FilePath(path)).trimmed, !text.isEmpty else { return nil }
                return text
            }
            let routes = (text("/proc/net/route") ?? "").lines.dropFirst().map(\.words)
            let other = (text("/proc/net/ipv6_route") ?? "").lines.map(\.words).filter { $0.count > 9 && $0[1] == "00" && $0.last != "lo" }
            let routed =
                routes.first { $0.count > 2 && $0[1] == "00000000" }?[0] ?? other.first { $0[0].allSatisfy { $0 == "0" } }?.last
            let interface = routed ?? (isUp ? connected(files, text) : nil)
            let mac = startedFrom(text("/proc/cmdline") ?? "") ?? interface.flatMap { text("/sys/class/net/\($0)/address") }
            let lease = interface.flatMap { text("/sys/class/net/\($0)/ifindex") }.flatMap { text("/run/systemd/netif/leases/\($0)") }
            let host = lease?.lines.first { $0.hasPrefix("HOSTNAME=") }?.dropFirst("HOSTNAME=".count).prefix { $0 != "." }
            return Machine(mac: mac, serial: MachineIdentity.serialNumber(files), host: host?.lowercased())
        }

        /// The first wired card, as the kernel counts them, that has a cable. Source: sysfs-class-net, Linux 6.12: `type` 1 is Ethernet, which
        /// wireless cards call themselves too.
        private static func connected(_ files: any FileSystem, _ text: (String) -> String?) -> String? {
            let net = "/sys/class/net"
            func has(_ name: String, _ part: String) -> Bool { (try? files.exists(FilePath("\(net)/\(name)/\(part)"))) == true }
            let cards = ((try? files.list(FilePath(net))) ?? []).filter { name in
                text("\(net)/\(name)/type") == "1" && text("\(net)/\(name)/carrier") == "1" && has(name, "device") && !has(name, "phy80211")
            }
            return cards.min { index($0, text) < index($1, text) }
        }

        private static func index(_ name: String, _ text: (String) -> String?) -> Int {
            text("/sys/class/net/\(name)/ifindex").flatMap { Int($0) } ?? .max
        }

        /// The card that a boot over the network names: `BOOTIF=01-52-54-00-12-34-56`, where 01 means Ethernet. Of several it is the one by which
        /// people know the machine. Source: syslinux.zytor.com, SYSAPPEND, 6.04.
        private static func startedFrom(_ commandLine: String) -> String? {
            guard let word = UnattendedSeed.split(commandLine).last(where: { $0.hasPrefix("BOOTIF=") }) else { return nil }
            let pairs = word.dropFirst("BOOTIF=".count).lowercased().replacing("-", with: ":").split(separator: ":")
            guard pairs.count == 7, pairs[0] == "01", pairs.allSatisfy({ $0.utf8.count == 2 && $0.allSatisfy(\.isHexDigit) }) else {
                return nil
            }
            return pairs.dropFirst().joined(separator: ":")
        }

        /// Only what may stand in an address by itself.
        static func plain(_ name: String?) -> String? {
            let allowed = name.map { $0.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) } } ?? false
            return allowed ? name : nil
        }
    }
}
