import Foundation
import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage

extension BlockDevice {
    /// A disk, changed as a test needs it.
    static func disk(_ name: String, gibibytes: UInt64 = 100, _ change: (inout BlockDevice) -> Void = { _ in }) -> BlockDevice {
        var disk = BlockDevice(path: "/dev/\(name)", size: .gibibytes(gibibytes))
        change(&disk)
        return disk
    }

    static func part(_ name: String, _ filesystem: String? = nil, mounted: [String] = [], on: [BlockDevice] = []) -> BlockDevice {
        BlockDevice(
            path: "/dev/\(name)", size: .gibibytes(10), type: "part", filesystem: filesystem, mountpoints: mounted, children: on)
    }

    static func mapped(_ name: String, type: String, _ filesystem: String? = nil, on: [BlockDevice] = []) -> BlockDevice {
        BlockDevice(path: "/dev/mapper/\(name)", size: .gibibytes(9), type: type, filesystem: filesystem, children: on)
    }

    static func raid(_ name: String, _ level: String = "raid1", on: [BlockDevice] = []) -> BlockDevice {
        BlockDevice(path: "/dev/\(name)", size: .gibibytes(9), type: level, children: on)
    }
}

/// Machines as the tests know them.
enum Machines {
    /// A virtual machine: four empty disks, with the names that QEMU's serial numbers give them.
    static let virtual = MachineFacts(
        disks: ["vda", "vdb", "vdc", "vdd"].map { BlockDevice.disk($0, gibibytes: 20) },
        stableNames: Dictionary(
            uniqueKeysWithValues: ["a", "b", "c", "d"].enumerated().map { ("/dev/vd\($1)", "/dev/disk/by-id/virtio-disk\($0)") }),
        firmwareEntries: true, interfaces: ["enp1s0"])

    /// Without stable names: what a kernel without udev shows.
    static func plain(_ disks: BlockDevice...) -> MachineFacts { MachineFacts(disks: disks) }

    /// One disk that has seen everything: an ESP, LUKS with LVM in it, a mirror with another disk, and a pool.
    static let used: MachineFacts = {
        let array = BlockDevice.raid("md127", on: [.part("md127p1", "xfs")])
        let volumes = [BlockDevice.mapped("vg-root", type: "lvm", "ext4"), .mapped("vg-swap", type: "lvm", "swap")]
        let first = BlockDevice.disk("sda", gibibytes: 100) {
            $0.partitionTable = "gpt"
            $0.children = [
                .part("sda1", "vfat"), .part("sda2", "crypto_LUKS", on: [.mapped("luks-1", type: "crypt", "LVM2_member", on: volumes)]),
                .part("sda3", "linux_raid_member", on: [array]), .part("sda4", "zfs_member"),
            ]
        }
        let second = BlockDevice.disk("sdb", gibibytes: 100) {
            $0.partitionTable = "gpt"
            $0.children = [.part("sdb1", "linux_raid_member", on: [array])]
        }
        let whole = BlockDevice.disk("sdc", gibibytes: 100) { $0.filesystem = "zfs_member" }
        return MachineFacts(
            disks: [first, second, whole],
            stableNames: ["/dev/sda": "/dev/disk/by-id/ata-A", "/dev/sdb": "/dev/disk/by-id/ata-B", "/dev/sdc": "/dev/disk/by-id/ata-C"])
    }()
}

extension MachineFacts {
    /// What lsblk prints on this machine.
    var listing: String {
        let disks = (try? JSONEncoder().encode(disks)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return #"{"blockdevices":\#(disks)}"#
    }
    /// The links of udev.
    var links: [String: String] { Dictionary(uniqueKeysWithValues: stableNames.map { ($1, $0) }) }
}

let identity = InstallRequest.Identity(hostID: HostID(0x0123_4567) ?? .random(), espSerial: 0xCAFE_F00D)

/// The shortest answers that are enough, with others after them.
func answers(disk: String = "/dev/vda", _ lines: String...) throws -> Answers {
    try Answers((["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=\(disk)", "KLDLOAD_HOSTNAME=host"] + lines).joined(separator: "\n"))
}

func request(_ answers: Answers, _ facts: MachineFacts, sealed: Bool = false) throws -> InstallRequest {
    let spec = try DistroSpec.find(distro: answers.distro.rawValue, suite: answers.release, backports: answers.backports)
    return InstallRequest(
        answers: answers, facts: facts, spec: spec, profile: ProfileSpec.all.first { $0.id == answers.profile.rawValue } ?? .core,
        payload: InstallRequest.Payload(
            sealed
                ? .archive("/dev/disk/by-id/virtio-kldload-payload")
                : .stream(root: "/dev/disk/by-id/virtio-kldload-stream", rest: "/dev/disk/by-id/virtio-kldload-rest"),
            kernel: "6.12.48+deb13-amd64", openZFS: "2.3.2-2"),
        identity: identity, sealed: sealed, version: "2.0.0-test", executable: "/usr/lib/kldload/kldload")
}

/// A boot environment in two parts, as the live ISO has it.
let increment = InstallRequest.Payload.Source.stream(
    root: "/medium/kldload/payloads/debian-trixie-server/increment.zfs", onto: "/medium/kldload/payloads/debian-trixie-core/root.zfs",
    rest: "/medium/kldload/payloads/debian-trixie-server/rest.tar")
