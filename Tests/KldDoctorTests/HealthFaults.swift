import KldCore
import KldDoctor
import KldExec

/// What goes wrong while a machine runs.
enum HealthFault {
    private static let status = "zpool status -j --json-int -p -P"
    private static let pools = "zpool list -Hp -o name,guid,size,allocated,free,health,readonly,altroot,bootfs"
    private static let lsblk =
        "lsblk --json --bytes --tree --output PATH,NAME,SIZE,TYPE,RO,RM,SERIAL,MODEL,WWN,TRAN,FSTYPE,LABEL,PARTLABEL,PTTYPE,MOUNTPOINTS,LOG-SEC,PARTUUID"
    private static let day: Int64 = 86_400

    static let all: [Fault] = pool + mounts + boot + disks + replication + services + system

    private static func tank(_ machine: inout HealthyMachine, _ old: String, _ new: String) {
        // Of two pools it is the second.
        let parts = (machine.commands[status]?.output ?? "").split(separator: #""tank": {"#, maxSplits: 1).map(String.init)
        precondition(parts.count == 2 && parts[1].contains(old))
        machine.set(status, parts[0] + #""tank": {"# + parts[1].replacing(old, with: new))
    }

    private static func disk(_ machine: inout HealthyMachine, _ json: String) {
        machine.change(lsblk, #""name": "vdb","#, #""name": "sda","#)
        machine.change(lsblk, #""path": "/dev/vdb","#, #""path": "/dev/sda","#)
        machine.commands[HealthyMachine.smart] = CommandOutput(status: 8, output: json)
    }

    private static let pool: [Fault] = [
        Fault("zfs.pools", "degraded") { tank(&$0, #""state": "ONLINE""#, #""state": "DEGRADED""#) },
        Fault("zfs.pools", "faulted") { tank(&$0, #""state": "ONLINE""#, #""state": "FAULTED""#) },
        Fault("zfs.pools", "suspended") { tank(&$0, #""state": "ONLINE""#, #""state": "SUSPENDED""#) },
        Fault("zfs.pools", "checksum errors") { tank(&$0, #""checksum_errors": 0"#, #""checksum_errors": 3"#) },
        Fault("zfs.pools.space", "full") { $0.change(pools, "\t100000\t", "\t960000000\t") },
        Fault("zfs.pools.space", "nearly full", .warn) { $0.change(pools, "\t100000\t", "\t860000000\t") },
        Fault("zfs.scrub", "too long ago", .warn) { $0.now = Timestamp(seconds: 1_765_100_100 + 36 * day) },
        Fault("zfs.scrub", "not long ago", .ok) { $0.now = Timestamp(seconds: 1_765_100_100 + 34 * day) },
        Fault("zfs.scrub", "found something") { $0.change(status, #""errors": 0"#, #""errors": 2"#) },
        Fault("zfs.scrub", "never, of an old pool", .warn) {
            $0.change(status, #""function": "SCRUB""#, #""function": "RESILVER""#)
            $0.now = Timestamp(seconds: 1_764_000_000 + 36 * day)
        },
        Fault("zfs.scrub", "never, of a new pool", .ok) { $0.change(status, #""function": "SCRUB""#, #""function": "RESILVER""#) },
        Fault("zfs.scrub", "never, of a clone", .ok) {
            $0.change(status, #""function": "SCRUB""#, #""function": "RESILVER""#)
            $0.now = Timestamp(seconds: 1_764_000_000 + 400 * day)
            $0.manifest = $0.manifest?.forClones
        },
        Fault("zfs.scrub", "OpenZFS without JSON", .skip) { $0.set("zfs --version", "zfs-2.1.11-1\nzfs-kmod-2.1.11-1\n") },
        Fault("zfs.quota", "full", .warn) {
            $0.change(Fault.datasets, "always\toff\t-\t1764000000\t98304\t0", "always\toff\t-\t1764000000\t98304\t100000")
        },
        Fault("zfs.snapshots.pruned", "hundreds of one dataset", .warn) {
            $0.commands[HealthyMachine.snapshots]?.output += (0...400).map { "rpool/srv@s\($0)\t1765190000\n" }.joined()
        },
        Fault("zfs.snapshots.fresh", "the newest is old") { $0.change(HealthyMachine.snapshots, "1765198800", "1765188800") },
        Fault("zfs.snapshots.fresh", "none at all") { $0.set(HealthyMachine.snapshots, "") },
        Fault("zfs.snapshots.fresh", "just started", .ok) {
            $0.set(HealthyMachine.snapshots, "")
            $0.files["/proc/uptime"] = "100.00 200.00\n"
        },
    ]

    private static func mount(_ machine: inout HealthyMachine, _ line: String) {
        machine.files[HealthyMachine.mountInfo, default: ""] += line + "\n"
    }

    private static let mounts: [Fault] = [
        Fault("zfs.mounts.covered", "something on top") { mount(&$0, "90 42 0:90 / /srv rw - tmpfs tmpfs rw") },
        Fault("zfs.mounts.covered", "something on a folder above") { mount(&$0, "90 28 0:90 / /mnt rw - tmpfs none rw") },
        Fault("zfs.mounts.covered", "a parent that was mounted after its child") {
            $0.edit(HealthyMachine.mountInfo, "41 40 0:41", "41 28 0:41")
        },
        Fault("zfs.mounts.writable", "the root") {
            $0.edit(HealthyMachine.mountInfo, "zfs rpool/ROOT/debian rw,", "zfs rpool/ROOT/debian ro,")
        },
        Fault("zfs.mounts.writable", "a dataset") { $0.edit(HealthyMachine.mountInfo, "/srv rw,relatime", "/srv ro,relatime") },
        Fault("boot.place", "a partition") { mount(&$0, "90 28 254:3 / /boot rw - ext4 /dev/vda3 rw") },
        Fault("boot.place", "a dataset of the environment's own", .ok) {
            mount(&$0, "90 28 0:90 / /boot rw - zfs rpool/ROOT/debian/boot rw")
        },
        Fault("boot.place", "a dataset beside it") { mount(&$0, "90 28 0:90 / /boot rw - zfs rpool/boot rw") },
    ]

    private static let boot: [Fault] = [
        Fault("boot.esp.space", "nearly full", .warn) { $0.free = .mebibytes(1) },
        Fault("boot.esp.space", "full of what a cut write left", .ok) {
            $0.free = .mebibytes(1)
            $0.files["/boot/efi/EFI/kldload/.kldload-x-7.2.1.efi.new"] = String(repeating: "x", count: 1 << 20)
        },
        Fault("boot.firmware", "the entry is gone", .warn) { $0.change(HealthyMachine.firmware, "Boot0001*", "Boot0002*") },
        Fault("boot.firmware", "the entry is off", .warn) { $0.change(HealthyMachine.firmware, "Boot0001*", "Boot0001 ") },
        Fault("boot.firmware", "not in the order", .warn) { $0.change(HealthyMachine.firmware, "0001,0000", "0000") },
        Fault("boot.firmware", "no order", .warn) { $0.change(HealthyMachine.firmware, "BootOrder: 0001,0000\n", "") },
        Fault("boot.firmware", "told to start another once", .warn) {
            $0.files["/sys/firmware/efi/efivars/BootNext-8be4df61-93ca-11d2-aa0d-00e098032b8c"] = "\u{7}\0\0\0\u{3}\0"
        },
        Fault("boot.firmware", "no firmware to ask", .skip) {
            $0.set(HealthyMachine.firmware, "EFI variables are not supported on this system.\n", status: 2)
        },
        Fault("boot.firmware", "started by BIOS", .skip) { $0.directories.remove("/sys/firmware/efi") },
        Fault("boot.modules", "a kernel without", .fail) {
            $0.files["/boot/vmlinuz-7.3.0-amd64"] = "kernel"
            $0.files["/usr/lib/modules/7.3.0-amd64/modules.dep"] = ""
        },
        Fault("boot.modules", "no kernel in /boot", .skip) { $0.files["/boot/vmlinuz-7.2.12-amd64"] = nil },
        Fault("boot.reboot", "a library was replaced", .warn) {
            $0.files["/run/reboot-required"] = ""
            $0.files["/run/reboot-required.pkgs"] = "libc6\nlibc6\n"
        },
        Fault("boot.trials", "one failed", .warn) { $0.files["/run/motd.d/50-kldload-boot"] = "next was tried, and failed\n" },
        Fault("boot.environments", "many", .warn) { machine in
            let rows = (0..<15).map { "rpool/ROOT/be\($0)\tfilesystem\t/\tnoauto\tno\tstandard\toff\t-\t1764000000\t98304\t0\n" }.joined()
            machine.change(Fault.datasets, "rpool/home\tfilesystem", rows + "rpool/home\tfilesystem")
        },
        Fault("boot.key", "ended") { $0.commands[HealthyMachine.key] = HealthyMachine.certificate("k", until: "2025-12-01 17:00:00Z") },
        Fault("boot.key", "soon", .warn) {
            $0.commands[HealthyMachine.key] = HealthyMachine.certificate("k", until: "2026-01-01 17:00:00Z")
        },
        Fault("boot.key", "nothing is signed", .skip) { $0.files["/etc/dkms/framework.conf.d/kldload.conf"] = nil },
    ]

    private static let disks: [Fault] = [
        Fault("disks.smart", "expects to fail") { disk(&$0, #"{"smart_status":{"passed":false}}"#) },
        Fault("disks.smart", "an NVMe with a warning") {
            disk(&$0, #"{"smart_status":{"passed":true},"nvme_smart_health_information_log":{"critical_warning":4}}"#)
        },
        Fault("disks.smart", "an NVMe without spare") {
            disk(&$0, #"{"nvme_smart_health_information_log":{"critical_warning":0,"available_spare":5,"available_spare_threshold":10}}"#)
        },
        Fault("disks.smart", "sectors that wait", .warn) {
            disk(
                &$0,
                #"{"smart_status":{"passed":true},"ata_smart_attributes":{"table":[{"id":197,"name":"Current_Pending_Sector","raw":{"value":8}}]}}"#
            )
        },
        Fault("disks.smart", "all is well", .ok) {
            disk(
                &$0,
                #"{"smart_status":{"passed":true},"ata_smart_attributes":{"table":[{"id":197,"name":"Current_Pending_Sector","raw":{"value":0}}]}}"#
            )
        },
        Fault("disks.smart", "it has none", .skip) { disk(&$0, #"{"smartctl":{"exit_status":4}}"#) },
    ]

    private static let replication: [Fault] = [
        Fault("replication.lag", "two days old") { $0.edit(HealthyMachine.replication, "2025-12-08T12:20:00Z", "2025-12-06T12:20:00Z") },
        Fault("replication.lag", "never") {
            $0.edit(HealthyMachine.replication, #"  "snapshotTime" : "2025-12-08T12:20:00Z","#, #"  "problem" : "ssh.denied: no","#)
        },
        Fault("replication.lag", "the last run failed", .warn) {
            $0.edit(HealthyMachine.replication, #""recursive""#, #""problem" : "ssh.unreachable: no", "recursive""#)
        },
        Fault("replication.lag", "the last restore failed", .warn) {
            $0.edit(HealthyMachine.replication, #""files" : 12"#, #""problem" : "replicate.drill-differs: 1", "files" : 12"#)
        },
        Fault("replication.lag", "what is known cannot be read") { $0.files[HealthyMachine.replication] = "{" },
        Fault("replication.lag", "nothing is replicated", .skip) { $0.files[HealthyMachine.replication] = nil },
    ]

    private static let services: [Fault] = [
        Fault("services.timers", "switched off", .warn) { $0.unit("sanoid.timer", "UnitFileState", "disabled") },
        Fault("services.timers", "stopped", .warn) { $0.unit("systemd-tmpfiles-clean.timer", "ActiveState", "inactive") },
        Fault("services.zed", "stopped", .warn) { $0.unit("zfs-zed.service", "ActiveState", "inactive") },
        Fault("services.zed", "not installed", .skip) { $0.units["zfs-zed.service"] = nil },
        Fault("network.dns", "no server") { $0.files["/run/systemd/resolve/resolv.conf"] = "# No DNS servers known.\n" },
        Fault("network.dns", "another resolver", .skip) { $0.files["/run/systemd/resolve/resolv.conf"] = nil },
        Fault("packages.openzfs", "one moved alone") {
            $0.change(
                Fault.packages, "hold\tinstalled\tzfsutils-linux",
                "install\tinstalled\tlibzfs6linux\t2.4.5-1\nhold\tinstalled\tzfsutils-linux")
        },
        Fault("tls.certificates", "ended") {
            $0.commands[HealthyMachine.leafVerifies] = CommandOutput(
                status: 2, errors: "error 10 at 0 depth lookup: certificate has expired\n")
        },
        Fault("tls.certificates", "soon", .warn) {
            $0.commands[HealthyMachine.leaf] = HealthyMachine.certificate("web", until: "2025-12-12 17:00:00Z")
        },
    ]

    private static let system: [Fault] = [
        Fault("system.memory", "low", .warn) {
            $0.edit("/proc/meminfo", "305144", "105144")
            $0.edit("/proc/spl/kstat/zfs/arcstats", "4    900000000", "4    90000000")
        },
        Fault("system.memory", "none") {
            $0.edit("/proc/meminfo", "305144", "5144")
            $0.edit("/proc/spl/kstat/zfs/arcstats", "4    900000000", "4    64000000")
        },
        Fault("system.memory", "most of it is the cache's", .ok) { $0.edit("/proc/meminfo", "305144", "5144") },
        Fault("system.swap", "on a volume") { $0.edit("/proc/swaps", "/dev/zram0", "/dev/zd0") },
        Fault("system.arc", "a limit that is none", .warn) { $0.files["/sys/module/zfs/parameters/zfs_arc_max"] = "2000000000\n" },
        Fault("system.arc", "more than its limit", .warn) { $0.edit("/proc/spl/kstat/zfs/arcstats", "4    900000000", "4    1500000000") },
        Fault("system.run", "full", .warn) { $0.free = .mebibytes(7) },
        Fault("time.plausible", "a battery is empty") { $0.now = Timestamp(seconds: 946_684_800) },
        Fault("time.plausible", "nobody knows", .skip) { $0.now = nil },
    ]
}
