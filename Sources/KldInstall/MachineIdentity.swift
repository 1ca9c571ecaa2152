import KldCore
public import KldFiles
import SystemPackage

/// By what a machine is known again: what its firmware and its network cards say of themselves.
public struct MachineIdentity: Sendable, Hashable, Codable {
    /// `nil` where the firmware says none.
    public var serial: String?
    public var uuid: String?
    /// `52:54:00:12:34:56`, of each network card, sorted.
    public var addresses: [String]

    public init(serial: String? = nil, uuid: String? = nil, addresses: [String] = []) {
        self.serial = serial
        self.uuid = uuid
        self.addresses = addresses
    }

    /// Reads `product_serial` and `product_uuid` of `/sys/class/dmi/id`, which are root's alone, and `/sys/class/net/*/address` of what has a
    /// device behind it. Source: Linux `drivers/firmware/dmi-id.c`, sysfs-class-net, 6.12.
    public static func read(_ files: any FileSystem) -> MachineIdentity {
        MachineIdentity(
            serial: serialNumber(files), uuid: text("/sys/class/dmi/id/product_uuid", files)?.lowercased(),
            addresses: Set(cards(files).compactMap { text("\(net)/\($0)/address", files)?.lowercased() }).sorted())
    }

    private static let net = "/sys/class/net"

    /// The interfaces that have a device behind them. Not those that are made of others: bonds, bridges, VLANs; nor the file `bonding_masters`.
    static func cards(_ files: any FileSystem) -> [String] {
        ((try? files.list(FilePath(net))) ?? []).filter { (try? files.exists(FilePath("\(net)/\($0)/device"))) == true }
    }

    /// The serial number alone; `nil` also for who is not root.
    package static func serialNumber(_ files: any FileSystem) -> String? { text("/sys/class/dmi/id/product_serial", files) }

    private static func text(_ path: String, _ files: any FileSystem) -> String? {
        guard let text = try? files.readText(FilePath(path)).trimmed, !text.isEmpty else { return nil }
        return text
    }

    /// Whether both are one machine: a serial number, a UUID or a card's address of it is the other's too. What is empty, or what many boards
    /// have in common, tells nothing.
    public func isSame(as other: MachineIdentity) -> Bool {
        func meet(_ own: String?, _ others: String?) -> Bool {
            guard let own, own == others, !Self.common.contains(own) else { return false }
            return own.count > 3 && own.contains(where: \.isNumber) && Self.varies(own)
        }
        return meet(serial, other.serial) || meet(uuid, other.uuid)
            || addresses.contains { Self.varies($0) && $0 != Self.everyGuest && other.addresses.contains($0) }
    }

    /// What firmware holds whose maker never filled it in; more of it has no digit ("To Be Filled By O.E.M."), or one alone.
    private static let common: Set = ["0123456789", "123456789", "1234567890", "03000200-0400-0500-0006-000700080009"]

    /// Of QEMU's first card, where nobody gave it another one. Source: qemu(1), 10.0, `-nic`.
    private static let everyGuest = "52:54:00:12:34:56"

    private static func varies(_ name: String) -> Bool { Set(name.filter { $0.isLetter || $0.isNumber }).count > 1 }
}
