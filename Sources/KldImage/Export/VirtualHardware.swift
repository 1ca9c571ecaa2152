public import KldCore

/// The machine that an OVF descriptor asks for.
public struct VirtualHardware: Sendable, Hashable, Codable {
    /// What the disk hangs on.
    public enum DiskController: String, Sendable, Hashable, Codable, CaseIterable {
        /// LSI Logic parallel SCSI: VMware and VirtualBox both have it, Linux drives it with `mptspi`.
        case lsiLogic
        /// VMware's paravirtual SCSI (`vmw_pvscsi`). VirtualBox does not have it.
        case paravirtualSCSI
        /// SATA. Both have it; every kernel's initramfs holds `ahci`.
        case sata
    }
    public enum NetworkAdapter: String, Sendable, Hashable, Codable, CaseIterable {
        case vmxNet3 = "VmxNet3"
        case e1000 = "E1000"
    }

    /// 1 to 128.
    public var processors: Int
    /// Whole MiB.
    public var memory: ByteCount
    public var controller: DiskController
    public var adapter: NetworkAdapter
    /// The name of the port group or network on the importing side; importers ask for it.
    public var network: String
    public var secureBoot: Bool

    public init(
        processors: Int = 2, memory: ByteCount = .gibibytes(4), controller: DiskController = .lsiLogic, adapter: NetworkAdapter = .vmxNet3,
        network: String = "VM Network", secureBoot: Bool = false
    ) {
        self.processors = min(max(processors, 1), 128)
        self.memory = memory
        self.controller = controller
        self.adapter = adapter
        self.network = network
        self.secureBoot = secureBoot
    }
}
