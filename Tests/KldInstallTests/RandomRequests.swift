import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldInstall
import KldTestSupport
import SystemPackage

/// Valid requests at random, the same ones in every run.
struct RandomRequests {
    private var random: SeededGenerator
    private var sheets: [Sheet] = []

    /// Checked answers with the disks they name: reading answers takes longer than planning, so each is used for many machines.
    private struct Sheet {
        var answers: Answers
        var names: [String]
        var rootCount: Int
        var byKernelName: Bool
        /// The first disk is the machine's only empty one, and not named.
        var automatic: Bool
    }

    static let secrets = ["correct horse battery", "Tr0ub4dor&3 zxcvbn", "swordfish-9-swordfish", "air-waves-17 air", "blue-screen-4711"]

    init(seed: UInt64, sheets count: Int) throws {
        random = SeededGenerator(seed)
        for _ in 0..<count { sheets.append(try sheet()) }
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    private mutating func pick<Element>(_ all: [Element]) -> Element { all[Int.random(in: 0..<all.count, using: &random)] }

    // MARK: answers

    private mutating func sheet() throws -> Sheet {
        // Small machines more often: they plan faster, and what several disks bring is met often enough.
        let topology = chance(50) ? pick([.single, .mirror]) : pick(Answers.Topology.allCases)
        var roots = topology.minimumDisks
        if topology == .mirrorStripe { roots += 2 * pick([0, 0, 1]) } else if topology != .single { roots += pick([0, 0, 0, 1, 2]) }
        let width = topology.toleratedLosses(disks: roots) + 1
        let specials = chance(25) ? width * pick([1, 1, 2]) : 0
        let byKernelName = chance(30)
        let kind = pick(["ata-SSD", "nvme-Disk_", "virtio-disk", "scsi-3600", "usb-Stick-"])
        let automatic = chance(15)
        let names = (0..<(roots + specials)).map { byKernelName ? "/dev/slot\($0)" : "/dev/disk/by-id/\(kind)\($0)x" }
        var lines = [
            "KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=\(automatic ? "auto" : names[0])",
            "KLDLOAD_HOSTNAME=\(pick(["web-01", "a", "db.example.org", "x9"]))",
            "KLDLOAD_ZFS_TOPOLOGY=\(topology.rawValue)", "KLDLOAD_PROFILE=\(pick(["core", "server", "server", "kvm", "desktop"]))",
        ]
        if roots > 1 { lines.append("KLDLOAD_ZFS_DATA_DISKS=\(names[1..<roots].joined(separator: ","))") }
        if specials > 0 { lines.append("KLDLOAD_ZFS_SPECIAL_DISKS=\(names[roots...].joined(separator: ","))") }
        if chance(40) { lines += ["KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE='\(Self.secrets[0])'"] }
        lines += credentials() + network() + trust()
        if !automatic, chance(50) { lines.append("KLDLOAD_FORCE_WIPE=1") }
        if chance(40) { lines.append("KLDLOAD_ZFS_POOL=\(pick(["tank", "zroot", "r-1.x", "Pool_2"]))") }
        if chance(40) { lines.append("KLDLOAD_USERNAME=\(pick(["ops", "jo", "sys-admin", "u_1"]))") }
        if chance(30) { lines.append("KLDLOAD_TIMEZONE=\(pick(["Europe/Berlin", "America/Toronto"]))") }
        if chance(30) { lines.append("KLDLOAD_CONSOLE=\"\(pick(["tty0 ttyS0", "ttyS1", "tty0"]))\"") }
        if chance(20) { lines.append("KLDLOAD_GENERATE_SSH_KEY=0") }
        if chance(20) { lines.append("KLDLOAD_BOOTLOADER=grub") }
        if chance(30) { lines.append("KLDLOAD_ZBM_TIMEOUT=\(pick([0, 3, 30]))") }
        lines += pick([["KLDLOAD_DEBIAN_SUITE=bookworm"], [], ["KLDLOAD_DEBIAN_SUITE=trixie", "KLDLOAD_DEBIAN_BACKPORTS=1"]])
        return Sheet(
            answers: try Answers(lines.joined(separator: "\n")), names: names, rootCount: roots, byKernelName: byKernelName,
            automatic: automatic)
    }

    private mutating func credentials() -> [String] {
        var lines = pick([
            [], ["KLDLOAD_PASSWORD='\(Self.secrets[1])'"], ["KLDLOAD_PASSWORD_HASH='\(Self.hash)'"],
        ])
        if chance(25) { lines.append(pick(["KLDLOAD_ROOT_PASSWORD='\(Self.secrets[2])'", "KLDLOAD_ROOT_PASSWORD_HASH='\(Self.hash)'"])) }
        if chance(50) { lines.append("KLDLOAD_SSH_PUBKEY='\(Self.key)'") }
        if chance(25) { lines.append("KLDLOAD_ADMIN_SSH_PUBKEY='\(Self.key)'") }
        return lines
    }

    private mutating func network() -> [String] {
        let fixed = [
            "KLDLOAD_NET_METHOD=static", "KLDLOAD_NET_IP=192.0.2.\(pick([5, 77]))", "KLDLOAD_NET_GW=192.0.2.1",
            "KLDLOAD_NET_DNS=192.0.2.2,9.9.9.9",
        ]
        let interface = "KLDLOAD_NET_IFACE=\(pick(["enp1s0", "eno2", "eth0"]))"
        let open = ["KLDLOAD_WIFI_SSID='a net'"]
        let closed = open + ["KLDLOAD_WIFI_PSK='\(Self.secrets[3])'", interface]
        let all: [[String]] = [[], [interface], fixed, fixed + [interface], open, closed]
        return pick(all)
    }

    private mutating func trust() -> [String] {
        if chance(25) { return ["KLDLOAD_ENABLE_SECURE_BOOT=0"] }
        var lines: [String] = []
        if chance(20) { lines.append("KLDLOAD_MOK_PASSWORD='\(Self.secrets[4])'") }
        if chance(20) { lines += ["KLDLOAD_MOK_KEY_FILE=/root/own.key", "KLDLOAD_MOK_CERT_FILE=/root/own.pem"] }
        return lines
    }

    static let hash =
        "$6$kldloadexample$oBCs.rYBiwk91FK3erWZ71vahLJ5xnGmc1wlw90MuIz6TM72GhK/oXjTwfLTgO7.vzEl5/Ts7j7s54edfBBqa0"
    static let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBHkFE8KXgo7egyjdBaDxjn7nr4M5BwRvnQIXUVliqqo ops@example"

    // MARK: machines

    mutating func next() throws -> InstallRequest {
        let sheet = pick(sheets)
        let answers = sheet.answers
        let spec = try DistroSpec.find(distro: "debian", suite: answers.release, backports: answers.backports)
        let profile = try ProfileSpec.find(answers.profile.rawValue)
        // What no image can be asked for: several disks, a secret, a disk that somebody must choose.
        let isImage = sheet.names.count == 1 && !sheet.automatic && !answers.encrypt && answers.wifi?.passphrase == nil
        return InstallRequest(
            answers: answers, facts: facts(sheet, least: profile.leastDisk.bytes), spec: spec, profile: profile,
            payload: InstallRequest.Payload(
                pick([
                    .stream(root: "/dev/disk/by-id/virtio-kldload-stream", rest: "/dev/disk/by-id/virtio-kldload-rest"),
                    increment, .archive("/run/initramfs/live/rootfs.tar"), .archive("/run/initramfs/live/rootfs.tar.zst"),
                ]),
                kernel: pick(["6.12.48+deb13-amd64", "6.1.0-40-amd64"]), openZFS: "2.3.2",
                locale: pick([nil, "en_US.UTF-8", "de_AT.UTF-8"])),
            identity: InstallRequest.Identity(
                hostID: HostID(UInt32.random(in: 1 ... .max, using: &random)) ?? identity.hostID,
                espSerial: UInt32.random(in: 0 ... .max, using: &random)),
            sealed: isImage && chance(70), version: "2.0.0", executable: "/usr/lib/kldload/kldload",
            target: chance(80) ? "/target" : "/mnt/new")
    }

    /// One address belongs to one card with a cable.
    private static func cards(_ network: Answers.Network) -> [[String]] {
        if case .fixed(let fixed) = network, fixed.interface ?? "eth0" == "eth0" { return [[], ["eno2"], ["wlp3s0", "eno2"]] }
        return [[], ["eno2", "enp1s0"]]
    }

    /// The disks that the answers name, in any order, among others that must not be touched.
    private mutating func facts(_ sheet: Sheet, least: UInt64) -> MachineFacts {
        let kernelNames = [
            "sda", "sdb", "sdc", "nvme0n1", "nvme1n1", "vda", "vdb", "mmcblk0", "sdx", "sdaa", "sdab", "sdac", "hda", "sdd", "sde",
        ]
        let size = UInt64.random(in: least...(2 << 40), using: &random)
        let unequal = chance(25)
        var disks: [BlockDevice] = []
        var facts = MachineFacts(disks: [], firmwareEntries: chance(60), interfaces: pick(Self.cards(sheet.answers.network)))
        facts.secureBoot = facts.firmwareEntries && chance(50)
        for (index, name) in sheet.names.enumerated() {
            let kernelName = sheet.byKernelName ? "slot\(index)" : kernelNames[index % 15] + (index < 15 ? "" : "\(index)")
            var bytes = unequal ? size - size / 10 * UInt64.random(in: 0...100, using: &random) / 100 : size
            if index >= sheet.rootCount, !unequal { bytes = max(size / 4, 4 << 30) }
            if index < sheet.rootCount || unequal { bytes = max(bytes, least) }
            let empty = sheet.automatic && index == 0
            let disk = empty ? BlockDevice(path: "/dev/\(kernelName)", size: ByteCount(bytes)) : used(kernelName, bytes)
            if sheet.byKernelName {
                if chance(50) { facts.stableNames[disk.path] = "/dev/disk/by-id/wwn-0x\(index)" }
            } else if chance(80) {
                facts.stableNames[disk.path] = name
            } else {
                facts.stableNames[disk.path] = "/dev/disk/by-id/ata-better-\(index)"
                facts.aliases[name] = disk.path
            }
            disks.append(disk)
        }
        if !sheet.automatic { addArray(to: &disks) }
        for (index, kind) in ["live", "pool", "mounted", "other"].enumerated() where chance(70) {
            var disk = used("zz\(index)n1", size)
            if kind == "live" { facts.liveDisks.append(disk.path) }
            if kind == "pool" { facts.importedPools[disk.path] = "data" }
            if kind == "mounted" { disk.mountpoints = ["/data"] }
            facts.stableNames[disk.path] = "/dev/disk/by-id/foreign-\(kind)"
            disks.append(disk)
        }
        if sheet.automatic { for index in disks.indices.dropFirst() where disks[index].isEmpty { disks[index].partitionTable = "gpt" } }
        facts.disks = disks.shuffled(using: &random)
        return facts
    }

    private mutating func used(_ name: String, _ bytes: UInt64) -> BlockDevice {
        var disk = BlockDevice(path: "/dev/\(name)", size: ByteCount(bytes))
        func part(_ number: Int, _ filesystem: String?, _ children: [BlockDevice] = []) -> BlockDevice {
            BlockDevice(
                path: Disk.partition(number, of: disk.path), size: ByteCount(bytes / 4), type: "part", filesystem: filesystem,
                children: children)
        }
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1: break
        case 2: disk.filesystem = pick(["zfs_member", "ext4", "LVM2_member"])
        case 3: disk.children = [part(1, "vfat"), part(2, "ext4"), part(3, "swap")]
        case 4: disk.children = [part(1, "vfat"), part(2, "zfs_member")]
        case 5:
            let volumes = (0..<pick([1, 2, 3])).map { BlockDevice.mapped("vg\(name)-lv\($0)", type: "lvm", "ext4") }
            disk.children = [part(1, nil), part(2, "crypto_LUKS", [.mapped("luks-\(name)", type: "crypt", "LVM2_member", on: volumes)])]
        case 6:
            let array = BlockDevice.raid("md-\(name)", "raid0", on: [BlockDevice.part("md-\(name)p1", "xfs")])
            disk.children = [part(1, "linux_raid_member", [array]), part(2, "linux_raid_member", [array])]
        default:
            disk.children = [
                part(1, "LVM2_member", [.mapped("vg\(name)-whole", type: "lvm", on: [.mapped("vg\(name)-whole1", type: "part")])])
            ]
        }
        if !disk.children.isEmpty { disk.partitionTable = pick(["gpt", "dos"]) }
        return disk
    }

    /// Sometimes the first disks share an array, with a volume in it.
    private mutating func addArray(to disks: inout [BlockDevice]) {
        guard disks.count > 1, chance(30) else { return }
        let array = BlockDevice.raid("md127", "raid1", on: [.mapped("shared-lv", type: "lvm", "ext4")])
        for index in disks.indices.prefix(3) {
            let path = Disk.partition(9, of: disks[index].path)
            disks[index].filesystem = nil
            disks[index].children.append(
                BlockDevice(path: path, size: .gibibytes(1), type: "part", filesystem: "linux_raid_member", children: [array]))
        }
    }
}
