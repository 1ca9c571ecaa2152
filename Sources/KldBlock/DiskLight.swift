import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// The light of a disk's slot, by which a person finds it.
public struct DiskLight: Sendable, Hashable {
    public enum Way: Sendable, Hashable {
        /// The folder of the enclosure's slot in sysfs.
        case slot(FilePath)
        /// A controller that ledmon knows.
        case ledctl
    }

    /// `/dev/sda`.
    public var disk: String
    public var way: Way

    public init(disk: String, way: Way) {
        self.disk = disk
        self.way = way
    }

    /// The slot of an enclosure that the kernel knows (SES-2), where it has a light; else what ledmon can do.
    ///
    /// Reads `/sys/block/sda/device/enclosure_device:Slot 01/locate`. Source: `drivers/misc/enclosure.c`, Linux 6.12: the link is made for each
    /// device in a slot, and the slot has `locate`, which takes 0 and 1.
    public static func find(_ disk: String, files: any FileSystem) throws -> DiskLight {
        DiskLight(disk: disk, way: try slot(of: disk, files).map { .slot($0) } ?? .ledctl)
    }

    private static func slot(of disk: String, _ files: any FileSystem) throws -> FilePath? {
        let name = disk.leaf
        let place: FilePath
        let names: [String]
        do {
            place = try files.resolve(FilePath("/sys/block/\(name)/device"))
            names = try files.list(place)
        } catch FileError.missing { return nil }
        for link in names.sorted() where link.hasPrefix("enclosure_device:") {
            let slot = try files.resolve(place.appending(link))
            if try files.exists(slot.appending("locate")) { return slot }
        }
        return nil
    }

    /// What the enclosure calls the slot: `Slot 01`; `nil` where the kernel knows no enclosure.
    public var slotName: String? {
        guard case .slot(let folder) = way else { return nil }
        return folder.lastComponent?.string
    }

    /// Runs: `tee SLOT/locate` with 1 or 0, or `ledctl locate=DISK`, `ledctl locate_off=DISK`; changes. Source: ledctl(8), ledmon 0.95 to 1.0.
    public func turned(on: Bool) -> Command {
        switch way {
        case .slot(let folder): FileCommand.write(on ? "1\n" : "0\n", into: folder.appending("locate"))
        case .ledctl: Command(Tool("ledctl", package: "ledmon"), [(on ? "locate=" : "locate_off=") + disk], effect: .changes)
        }
    }

    /// One second of reading, past the kernel's memory: the light of activity goes on. Nothing is written.
    ///
    /// Runs: `timeout 1 dd if=DISK of=/dev/null bs=1M iflag=direct status=none`, reads; timeout ends it with 124. Source: timeout(1), coreutils 9.1.
    public static func blink(_ disk: String) -> Command {
        Command(
            Tool("timeout", package: "coreutils"), ["1", "dd", "if=\(disk)", "of=/dev/null", "bs=1M", "iflag=direct", "status=none"],
            effect: .reads, accepting: [0, 124])
    }
}
