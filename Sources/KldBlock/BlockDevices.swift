import FoundationEssentials
public import KldCore
public import KldExec

/// A disk as lsblk shows it, with all that lies on it.
public struct BlockDevice: Sendable, Hashable, Codable {
    /// `/dev/vda`.
    public var path: String
    public var name: String
    public var size: ByteCount
    /// `disk`, `part`, `crypt`, `lvm`, `raid1`, `rom`, `loop`.
    public var type: String
    public var readOnly: Bool
    public var removable: Bool
    public var serial: String?
    public var model: String?
    public var wwn: String?
    /// `usb`, `nvme`, `sata`, `virtio`.
    public var transport: String?
    public var filesystem: String?
    public var label: String?
    public var partitionLabel: String?
    /// The GUID by which the firmware knows a partition.
    public var partitionID: String?
    public var partitionTable: String?
    public var mountpoints: [String]
    public var logicalSectorBytes: Int
    public var children: [BlockDevice]

    enum CodingKeys: String, CodingKey {
        case path, name, size, type, serial, model, wwn, label, mountpoints, children
        case readOnly = "ro"
        case removable = "rm"
        case transport = "tran"
        case filesystem = "fstype"
        case partitionLabel = "partlabel"
        case partitionID = "partuuid"
        case partitionTable = "pttype"
        case logicalSectorBytes = "log-sec"
    }

    public init(
        path: String, size: ByteCount, type: String = "disk", serial: String? = nil, filesystem: String? = nil, mountpoints: [String] = [],
        children: [BlockDevice] = []
    ) {
        self.path = path
        self.name = String(path.split(separator: "/").last ?? "")
        self.size = size
        self.type = type
        self.readOnly = false
        self.removable = false
        self.serial = serial
        self.filesystem = filesystem
        self.mountpoints = mountpoints
        self.logicalSectorBytes = 512
        self.children = children
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        path = try values.decode(String.self, forKey: .path)
        name = try values.decode(String.self, forKey: .name)
        size = try values.decode(ByteCount.self, forKey: .size)
        type = try values.decode(String.self, forKey: .type)
        readOnly = try values.decodeIfPresent(Bool.self, forKey: .readOnly) ?? false
        removable = try values.decodeIfPresent(Bool.self, forKey: .removable) ?? false
        func text(_ key: CodingKeys) throws -> String? {
            let value = try values.decodeIfPresent(String.self, forKey: key)?.trimmed
            return value?.isEmpty == true ? nil : value
        }
        serial = try text(.serial)
        model = try text(.model)
        wwn = try text(.wwn)
        transport = try text(.transport)
        filesystem = try text(.filesystem)
        label = try text(.label)
        partitionLabel = try text(.partitionLabel)
        partitionID = try text(.partitionID)
        partitionTable = try text(.partitionTable)
        mountpoints = try (values.decodeIfPresent([String?].self, forKey: .mountpoints) ?? []).compactMap { $0 }
        logicalSectorBytes = try values.decodeIfPresent(Int.self, forKey: .logicalSectorBytes) ?? 512
        children = try values.decodeIfPresent([BlockDevice].self, forKey: .children) ?? []
    }

    /// This device and everything on top of it.
    public var tree: [BlockDevice] { [self] + children.flatMap(\.tree) }
    /// Where anything of it is mounted, `[SWAP]` included.
    public var allMountpoints: [String] { tree.flatMap(\.mountpoints) }
    /// No table, no signature, nothing on top.
    public var isEmpty: Bool { filesystem == nil && partitionTable == nil && children.isEmpty }

    /// Whether both are one disk: by its name, or by two of its paths, which are two devices to the kernel until dm-multipath joins them.
    /// Some vendors gave one WWN to many disks; their serial numbers differ. Source: multipath(8), multipath-tools 0.11.
    package func isSameDisk(as other: BlockDevice) -> Bool {
        if path == other.path { return true }
        let joined = children.filter { $0.type == "mpath" }.map(\.path)
        if other.children.contains(where: { joined.contains($0.path) }) { return true }
        guard let wwn, wwn == other.wwn else { return false }
        return serial == nil || other.serial == nil || serial == other.serial
    }
}

/// Runs lsblk and reads it. Source: lsblk(8), util-linux 2.41.
public enum ListBlockDevices {
    /// Runs: `lsblk --json --bytes --tree --output …`.
    public static let command = Command(
        Tool("lsblk", package: "util-linux"),
        [
            "--json", "--bytes", "--tree", "--output",
            "PATH,NAME,SIZE,TYPE,RO,RM,SERIAL,MODEL,WWN,TRAN,FSTYPE,LABEL,PARTLABEL,PTTYPE,MOUNTPOINTS,LOG-SEC,PARTUUID",
        ], effect: .reads)

    private struct Document: Decodable { var blockdevices: [BlockDevice] }

    /// - Throws: ``Diagnosis`` `block.unreadable` when the text is not lsblk's JSON.
    public static func parse(_ text: String) throws -> [BlockDevice] {
        do { return try JSONDecoder().decode(Document.self, from: Data(text.utf8)).blockdevices } catch {
            throw Diagnosis("block.unreadable", "lsblk printed something that is not understood", exit: .bug, causes: ["\(error)"])
        }
    }
}
