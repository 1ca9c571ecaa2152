package import SystemPackage

/// A network card of a guest: on QEMU's user network (DHCP, DNS and TFTP inside the QEMU process; needs no privileges), or on a tap device.
package struct MachineNetwork: Sendable, Hashable {
    /// A port of this host's loopback address that reaches a port of the guest.
    package struct HostForward: Sendable, Hashable {
        package enum TransportProtocol: String, Sendable, Hashable { case tcp, udp }
        package var transport: TransportProtocol
        package var hostPort: UInt16
        package var guestPort: UInt16

        package init(_ transport: TransportProtocol = .tcp, host: UInt16, guest: UInt16) {
            self.transport = transport
            hostPort = host
            guestPort = guest
        }
    }

    /// The tap device that the card is the other end of; what is said below of QEMU's own network does not hold then.
    package var tap: String?
    package var hostForwards: [HostForward]
    /// Nothing but the forwards passes: the guest reaches neither this host nor anything beyond.
    package var restricted: Bool
    /// Six pairs of hexadecimal digits. QEMU's own default is the same for every machine.
    package var mac: String?
    /// What DHCP tells the machine that it is called.
    package var hostName: String?
    /// The folder that QEMU's TFTP server shows, and the file that DHCP names to a card that boots from the network.
    package var tftpRoot: FilePath?
    package var bootFile: String?
    /// The place in the firmware's boot order; `nil` also leaves out the card's boot ROM, which saves seconds under emulation.
    package var bootIndex: Int?
    /// Whether a card that boots has QEMU's boot ROM, which is iPXE. `false`: the firmware's own driver starts from the card.
    package var bootROM: Bool

    package init(
        tap: String? = nil, hostForwards: [HostForward] = [], restricted: Bool = false, mac: String? = nil, hostName: String? = nil,
        tftpRoot: FilePath? = nil,
        bootFile: String? = nil, bootIndex: Int? = nil, bootROM: Bool = true
    ) {
        self.tap = tap
        self.hostForwards = hostForwards
        self.restricted = restricted
        self.mac = mac
        self.hostName = hostName
        self.tftpRoot = tftpRoot
        self.bootFile = bootFile
        self.bootIndex = bootIndex
        self.bootROM = bootROM
    }

    /// The `-netdev` and `-device` of this card. - Parameter index: the card's place in the machine, from 0.
    func arguments(index: Int) -> [String] {
        let id = "net\(index)"
        var backend: [String]
        if let tap {
            backend = ["tap", "id=\(id)", "ifname=\(tap)", "script=no", "downscript=no"]
        } else {
            backend = ["user", "id=\(id)"]
            if restricted { backend.append("restrict=on") }
            if let hostName { backend.append("hostname=\(escaped(hostName))") }
            if let tftpRoot { backend.append("tftp=\(escaped(tftpRoot))") }
            if let bootFile { backend.append("bootfile=\(escaped(bootFile))") }
            backend += hostForwards.map { "hostfwd=\($0.transport.rawValue):127.0.0.1:\($0.hostPort)-:\($0.guestPort)" }
        }
        var device = ["virtio-net-pci", "netdev=\(id)"]
        if let mac { device.append("mac=\(mac)") }
        if let bootIndex { device.append("bootindex=\(bootIndex)") }
        if bootIndex == nil || !bootROM { device.append("romfile=") }
        return ["-netdev", backend.joined(separator: ","), "-device", device.joined(separator: ",")]
    }
}
