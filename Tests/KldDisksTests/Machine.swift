import KldBlock
import KldCore
import KldExec
import KldInstall
import KldTestSupport
import KldZFS
import Synchronization

@testable import KldDisks

/// A machine that kldload installed on a mirror, with a third disk that nobody uses.
enum Machine {
    static let now = Timestamp(seconds: 1_796_000_000)
    static let byID = "/dev/disk/by-id/"
    static let (first, second): (UInt64, UInt64) = (12_841_765_308_123_764_671, 1_527_839_927_278_881_561)

    /// lsblk of util-linux 2.41, what OpenZFS 2.4.4 tells, and the links of udev 257.
    static let listing = """
        {"blockdevices":[
          \(installed("vda")),
          \(installed("vdb")),
          {"path":"/dev/vdc","name":"vdc","size":8589934592,"type":"disk","serial":"spare0","model":"QEMU DISK","mountpoints":[null]}
        ]}
        """

    static func installed(_ name: String) -> String {
        """
        {"path":"/dev/\(name)","name":"\(name)","size":8589934592,"type":"disk","serial":"disk-\(name)","pttype":"gpt","mountpoints":[null],"children":[
          {"path":"/dev/\(name)1","name":"\(name)1","size":1073741824,"type":"part","fstype":"vfat","label":"EFI","partlabel":"EFI system partition","mountpoints":[null]},
          {"path":"/dev/\(name)2","name":"\(name)2","size":7514095616,"type":"part","fstype":"zfs_member","label":"rpool","partlabel":"kldload rpool","mountpoints":[null]}]}
        """
    }

    static let status = """
        {"output_version":{"command":"zpool status","vers_major":0,"vers_minor":1},"pools":{"rpool":{"name":"rpool","state":"STATE","pool_guid":1,
        "error_count":0,"vdevs":{"rpool":{"name":"rpool","vdev_type":"root","guid":1,"state":"STATE","vdevs":{
        "mirror-0":{"name":"mirror-0","vdev_type":"mirror","guid":7,"state":"STATE","vdevs":{
        "/dev/disk/by-id/virtio-disk0-part2":{"name":"/dev/disk/by-id/virtio-disk0-part2","vdev_type":"disk","guid":12841765308123764671,
        "path":"/dev/disk/by-id/virtio-disk0-part2","state":"ONLINE","read_errors":0,"write_errors":0,"checksum_errors":0},
        SECOND}}}}}}}}
        """
    static func member(_ path: String, _ guid: UInt64, _ state: String) -> String {
        """
        "\(path)":{"name":"\(path)","vdev_type":"disk","guid":\(guid),"path":"\(path)","state":"\(state)","read_errors":0,"write_errors":0,"checksum_errors":0}
        """
    }
    static func status(second state: String) -> String {
        status.replacing("SECOND", with: member("\(byID)virtio-disk1-part2", second, state))
            .replacing("STATE", with: state == "ONLINE" ? "ONLINE" : "DEGRADED")
    }
    /// While the third disk takes the second one's place.
    static func filling(_ new: String = "ONLINE") -> String {
        let old = member("\(byID)virtio-disk1-part2", second, "FAULTED")
        let both = "\(old),\(member("\(byID)virtio-spare0-part2", 42, new))"
        return status.replacing(
            "SECOND", with: #""replacing-1":{"name":"replacing-1","vdev_type":"replacing","guid":8,"state":"DEGRADED","vdevs":{\#(both)}}"#
        )
        .replacing("STATE", with: "DEGRADED")
    }
    static let filled = status.replacing("SECOND", with: member("\(byID)virtio-spare0-part2", 42, "ONLINE")).replacing(
        "STATE", with: "ONLINE")

    static let links = [
        "\(byID)virtio-disk0": "/dev/vda", "\(byID)virtio-disk0-part2": "/dev/vda2", "\(byID)virtio-disk1": "/dev/vdb",
        "\(byID)virtio-disk1-part2": "/dev/vdb2", "\(byID)virtio-spare0": "/dev/vdc", "\(byID)virtio-spare0-part2": "/dev/vdc2",
        "/dev/disk/by-path/pci-0000:00:05.0": "/dev/vdb",
    ]

    static func files(_ more: [String: String] = [:], without missing: [String] = []) -> MemoryFiles {
        MemoryFiles(
            [
                "/proc/meminfo": "MemTotal:       16316412 kB\n", "/sys/class/net/lo": "", "/sys/module/zfs/version": "2.4.4\n",
                "/proc/sys/kernel/hostname": "web-01\n",
            ].merging(more) { $1 }, links: links.filter { !missing.contains($0.key) })
    }

    static func rows(_ passports: [UInt64: [String: String]]) -> String {
        passports.sorted { $0.key < $1.key }.map { guid, values in
            "d\(guid)\tguid\t\(guid)\t-\n"
                + values.sorted { $0.key < $1.key }.map { "d\(guid)\tcom.kldload:disk.\($0)\t\($1)\tlocal\n" }.joined()
        }.joined()
    }

    static let zpoolGet = "zpool get -Hp -o name,property,value,source all rpool all-vdevs"

    /// What the tools print, by command line.
    static func tools(
        _ status: String = status(second: "ONLINE"), listing: String = listing, passports: [UInt64: [String: String]] = [:],
        version: String = "2.4.4"
    ) -> [String: String] {
        [
            ListBlockDevices.command.description: listing,
            "zpool list -vHPp -o name,bootfs,altroot":
                "rpool\trpool/ROOT/debian\t-\n\tmirror-0\n\t/dev/disk/by-id/virtio-disk0-part2\n\t/dev/disk/by-id/virtio-disk1-part2\n",
            "zfs --version": "zfs-\(version)\nzfs-kmod-\(version)\n", "zpool status -j --json-int -p -P": status,
            "zdb -l /dev/vda2": "    name: 'rpool'\n    pool_guid: 1\n    guid: \(first)\n",
            // Asked of a device that the pool does not use now.
            "zdb -l /dev/vdb2": "    name: 'rpool'\n    pool_guid: 1\n    guid: \(second)\n",
            "zfs get -Hp -o name,property,value,source all rpool": "rpool\ttype\tfilesystem\t-\n", zpoolGet: rows(passports),
        ]
    }

    static func inventory(
        _ status: String = status(second: "ONLINE"), listing: String = listing, passports: [UInt64: [String: String]] = [:],
        without missing: [String] = []
    ) async throws -> DiskInventory {
        try await DiskInventory.gather(
            runner: ScriptedRunner(tools(status, listing: listing, passports: passports)), files: files(without: missing))
    }
}

/// Counts from zero.
final class Counter: Sendable {
    private let count = Mutex(0)
    func next() -> Int {
        count.withLock { count in
            defer { count += 1 }
            return count
        }
    }
}

/// Whether the pool was given the new disk.
final class Given: Sendable {
    private let state = Mutex(false)
    func given() { state.withLock { $0 = true } }
    var isGiven: Bool { state.withLock { $0 } }
}
