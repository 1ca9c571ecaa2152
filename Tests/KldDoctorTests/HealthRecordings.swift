import KldDoctor
import KldExec

extension HealthyMachine {
    static let snapshots = "zfs list -Hp -r -t snapshot -o name,creation rpool"
    static let firmware = "efibootmgr --verbose"
    static let smart = "smartctl --json=c --nocheck=standby --health --attributes /dev/sda"
    static let key = describe("/var/lib/dkms/mok.pem")
    static let root = describe("/etc/kldload/ca/root/ca.crt")
    static let leaf = describe("/etc/kldload/ca/leaves/web.crt")
    static let leafVerifies =
        "openssl verify -x509_strict -no-CApath -no-CAstore -CAfile /etc/kldload/ca/root/ca.crt /etc/kldload/ca/leaves/web.crt"

    private static func describe(_ file: String) -> String {
        "openssl x509 -in \(file) -noout -nameopt RFC2253 -dateopt iso_8601 -subject -serial -fingerprint -sha256 -startdate -enddate -ext subjectAltName,extendedKeyUsage"
    }

    /// As OpenSSL 3.0.19 prints it.
    static func certificate(_ name: String, until end: String) -> CommandOutput {
        CommandOutput(
            output: """
                subject=CN=\(name)
                serial=80AB12CD00000000000000000000FF01
                sha256 Fingerprint=0C:28:F0
                notBefore=2025-11-24 17:00:00Z
                notAfter=\(end)

                """)
    }

    static let mountInfo = "/proc/self/mountinfo"

    /// Tools: OpenZFS 2.4.4, efibootmgr 18, OpenSSL 3.0.19. `now` is 2025-12-08T13:20:00Z.
    static let recordedHealth: [String: CommandOutput] = [
        snapshots: CommandOutput(
            output: "rpool/ROOT/debian@install\t1764000000\nrpool/ROOT/debian@autosnap_2025-12-08_13:00:00_hourly\t1765198800\n"),
        firmware: CommandOutput(
            output:
                "BootCurrent: 0001\nTimeout: 3 seconds\nBootOrder: 0001,0000\nBoot0000* UiApp\tFvVol(7cb8bdc9)/FvFile(462caa21)\nBoot0001* KLDload\tHD(1,GPT,0fc63daf-8483-4772-8e79-3d69d8477de4,0x800,0x200000)/\\EFI\\kldload\\shimx64.efi\n"
        ),
        key: certificate("kldload box", until: "2035-11-22 17:00:00Z"),
        root: certificate("kldload-ca box", until: "2035-11-22 17:00:00Z"),
        leaf: certificate("web", until: "2026-02-22 17:00:00Z"),
        leafVerifies: CommandOutput(output: "/etc/kldload/ca/leaves/web.crt: OK\n"),
        "openssl verify -x509_strict -no-CApath -no-CAstore -CAfile /etc/kldload/ca/root/ca.crt /etc/kldload/ca/root/ca.crt":
            CommandOutput(output: "/etc/kldload/ca/root/ca.crt: OK\n"),
        "openssl verify /etc/kldload/ca/root/ca.crt": CommandOutput(output: "/etc/kldload/ca/root/ca.crt: OK\n"),
    ]

    static let recordedHealthFiles: [String: String] = [
        mountInfo: """
        22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
        28 1 0:25 / / rw,relatime shared:1 - zfs rpool/ROOT/debian rw,xattr,posixacl,casesensitive
        30 28 0:27 / /run rw,nosuid,nodev shared:5 - tmpfs tmpfs rw,size=203020k,mode=755
        40 28 0:40 / /home rw,relatime shared:20 - zfs rpool/home rw,xattr,posixacl,casesensitive
        41 40 0:41 / /home/admin rw,relatime shared:21 - zfs rpool/home/admin rw,xattr,posixacl,casesensitive
        42 28 0:42 / /srv rw,relatime shared:22 - zfs rpool/srv rw,xattr,posixacl,casesensitive
        43 28 0:43 / /mnt/two\\040words rw,relatime shared:23 - zfs tank/two\\040words rw,xattr,posixacl,casesensitive
        44 28 254:1 / /boot/efi rw,relatime shared:24 - vfat /dev/vda1 rw,fmask=0077,dmask=0077

        """,
        "/proc/meminfo":
            "MemTotal:        2030184 kB\nMemFree:          105144 kB\nMemAvailable:     305144 kB\nHugePages_Total:       0\n",
        "/proc/spl/kstat/zfs/arcstats":
            "9 1 0x01 147 39984 3217643000 96721000000\nname                            type data\nhits                            4    1000\nc_min                           4    64967040\nc_max                           4    1021313024\nsize                            4    900000000\n",
        "/sys/module/zfs/parameters/zfs_arc_max": "0\n",
        "/proc/swaps":
            "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/zram0                              partition\t1048572\t0\t100\n",
        "/proc/uptime": "90000.12 170000.50\n",
        "/etc/sanoid/sanoid.conf": "[rpool/ROOT]\n",
        "/run/systemd/resolve/resolv.conf": "# comment\nnameserver 192.0.2.1\n",
        "/boot/vmlinuz-7.2.12-amd64": "kernel",
        "/usr/lib/modules/7.2.12-amd64/updates/dkms/zfs.ko.xz": "module",
        "/usr/lib/modules/6.12.0-amd64/modules.dep": "",
        "/etc/kldload/ca/root/ca.crt": "root",
        "/etc/kldload/ca/issued/web/current": "leaf",
        replication: """
        {
          "bytes" : 1048576,
          "bytesTotal" : 2097152,
          "drill" : { "bytes" : 4096, "files" : 12, "time" : "2025-12-01T03:00:00Z" },
          "lastAttempt" : "2025-12-08T12:20:00Z",
          "lastSuccess" : "2025-12-08T12:20:09Z",
          "maxLag" : 93600,
          "name" : "off-site",
          "recursive" : true,
          "schema" : "replication/1",
          "seconds" : 9,
          "snapshot" : "kreplicate-off-site-20251208-122000",
          "snapshotTime" : "2025-12-08T12:20:00Z",
          "source" : "rpool/srv",
          "target" : "root@backup.infra.local:backup/web-01/srv"
        }

        """,
    ]

    static let replication = "/var/lib/kldload/replication/off-site.json"
}
