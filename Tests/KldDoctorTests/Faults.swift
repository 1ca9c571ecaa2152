import KldCore
import KldDoctor
import KldExec
import KldFiles

extension Fault {
    private static let root = "findmnt --noheadings --output FSTYPE,SOURCE --target /"
    private static let status = "zpool status -j --json-int -p -P"
    static let datasets =
        "zfs list -Hp -r -t filesystem,volume -o name,type,mountpoint,canmount,mounted,sync,encryption,origin,creation,used,quota rpool"
    private static let pool = "zpool list -Hp -o name,guid,size,allocated,free,health,readonly,altroot,bootfs"
    private static let vdevs = "zpool list -vHPp -o name,bootfs,altroot rpool"
    static let packages =
        "dpkg-query --show --showformat '${db:Status-Want}\\t${db:Status-Status}\\t${Package}\\t${Version}\\n'"
    private static let lsblk =
        "lsblk --json --bytes --tree --output PATH,NAME,SIZE,TYPE,RO,RM,SERIAL,MODEL,WWN,TRAN,FSTYPE,LABEL,PARTLABEL,PTTYPE,MOUNTPOINTS,LOG-SEC,PARTUUID"
    private static let uki = "/boot/efi/EFI/kldload/kldload-debian-7.2.12-amd64.1.efi"

    static let all: [Fault] = storage + boot + access + software + rest

    private static let storage: [Fault] = [
        Fault("zfs.pool.health", "degraded") { $0.change(status, #""state": "ONLINE""#, #""state": "DEGRADED""#) },
        Fault("zfs.pool.health", "data errors") { $0.change(status, #""error_count": 0"#, #""error_count": 1"#) },
        Fault("zfs.pool.health", "checksum errors on a disk") { $0.change(status, #""checksum_errors": 0"#, #""checksum_errors": 2"#) },
        Fault("zfs.pool.health", "root not on ZFS, pool gone") {
            $0.set(root, "ext4   /dev/vda1\n")
            $0.manifest = nil
        },
        Fault("zfs.pool.topology", "a disk is missing") {
            $0.set(vdevs, "rpool\trpool/ROOT/debian\t-\n\t/dev/disk/by-id/virtio-A-part2\n")
        },
        Fault("zfs.pool.topology", "two disks, but no mirror") { $0.change(vdevs, "\tmirror-0\n", "") },
        Fault("zfs.pool.space", "full") {
            $0.change(pool, "\t1423859712\t", "\t20400000000\t")
        },
        Fault("zfs.pool.space", "nearly full", .warn) {
            $0.change(pool, "\t1423859712\t", "\t18900000000\t")
        },
        Fault("zfs.root", "outside ROOT") { $0.set(root, "zfs    rpool/debian\n") },
        Fault("zfs.root", "another pool") {
            $0.set(root, "zfs    tank/ROOT/debian\n")
        },
        Fault("zfs.root", "no bootfs") {
            $0.change(pool, "rpool/ROOT/debian", "-")
        },
        Fault("zfs.root", "another environment is activated", .warn) {
            $0.change(pool, "rpool/ROOT/debian", "rpool/ROOT/new")
        },
        Fault("zfs.versions", "module not loaded") { $0.set("zfs --version", "zfs-2.4.4-1\n", status: 1) },
        Fault("zfs.sync", "as an image is made") {
            $0.change(datasets, "rpool\tfilesystem\tnone\toff\tno\tstandard", "rpool\tfilesystem\tnone\toff\tno\tdisabled")
        },
        Fault("zfs.sync", "only the root file system") { $0.change(datasets, "noauto\tyes\tstandard", "noauto\tyes\tdisabled") },
        Fault("zfs.sync", "a file system of somebody's own", .warn) { $0.change(datasets, "always", "disabled") },
        Fault("zfs.encryption", "not encrypted") { $0.manifest?.encrypted = true },
        Fault("zfs.hostid", "no file") { $0.bytes["/etc/hostid"] = nil },
        Fault("zfs.hostid", "text instead of bytes") { $0.bytes["/etc/hostid"] = Array("007f0002\n".utf8) },
        Fault("zfs.hostid", "another file than at installation") { $0.bytes["/etc/hostid"] = [1, 2, 3, 4] },
        Fault("zfs.hostid", "the constant of the guides") {
            $0.bytes["/etc/hostid"] = [0x0c, 0xb1, 0xba, 0x00]
            $0.manifest?.hostID = nil
        },
        Fault("zfs.hostid", "module option wins over the file") { $0.files["/sys/module/spl/parameters/spl_hostid"] = "3735928559\n" },
        Fault("zfs.hostid", "label of another host") {
            $0.change("zdb -l /dev/disk/by-id/virtio-B-part2", "hostid: 8323074", "hostid: 99")
        },
        Fault("zfs.hostid", "label without a host id") { $0.change("zdb -l /dev/disk/by-id/virtio-B-part2", "    hostid: 8323074\n", "") },
        Fault("zfs.hostid", "no label") { $0.set("zdb -l /dev/disk/by-id/virtio-B-part2", "failed to read label 0\n", status: 2) },
        Fault("zfs.layout", "a dataset is missing") { $0.change(datasets, "rpool/var/log\t", "rpool/var/logs\t") },
        Fault("zfs.layout", "a dataset is not mounted") { $0.change(datasets, "/var/log\ton\tyes", "/var/log\ton\tno") },
        Fault("zfs.layout", "a dataset is elsewhere") { $0.change(datasets, "\t/srv\t", "\t/mnt/srv\t") },
        Fault("zfs.layout", "the environment would mount itself") { $0.change(datasets, "/\tnoauto", "/\ton") },
        Fault("zfs.layout", "another environment would cover the root") {
            $0.change(
                datasets, "rpool/home\tfilesystem",
                "rpool/ROOT/old\tfilesystem\t/\ton\tno\tstandard\toff\t-\t1764000000\t98304\t0\nrpool/home\tfilesystem")
        },
        Fault("zfs.layout.hidden", "log files below /var/log") { $0.files["/.zfs/snapshot/install/var/log/dpkg.log"] = "" },
        Fault("zfs.layout.hidden", "files below a nested mount point") { $0.files["/home/.zfs/snapshot/install/admin/.profile"] = "" },
        Fault("zfs.layout.hidden", "no snapshot to look at", .skip) { $0.directories = [] },
    ]

    private static let boot: [Fault] = [
        Fault("boot.initramfs", "no module") { $0.change("lsinitramfs /boot/initrd.img-7.2.12-amd64", "zfs.ko.xz", "zfs.txt") },
        Fault("boot.initramfs", "no zpool") { $0.change("lsinitramfs /boot/initrd.img-7.2.12-amd64", "usr/sbin/zpool\n", "") },
        Fault("boot.kernel", "modules of another kernel") {
            $0.directories = ["/usr/lib/modules/6.12.0-amd64"]
            $0.files["/usr/lib/modules/7.2.12-amd64/updates/dkms/zfs.ko.xz"] = nil
        },
        Fault("boot.hostid", "not in the image") { $0.bytes[uki] = Array("MZ etc/hostid\0 no archive".utf8) },
        Fault("boot.hostid", "another one in the image") { $0.bytes[uki] = HostIDArchive.image(hostID: [9, 9, 9, 9]) },
        Fault("boot.hostid", "where the kernel does not look") {
            $0.bytes[uki] = HostIDArchive.image(hostID: [0x02, 0x00, 0x7f, 0x00], shift: 1)
        },
        Fault("boot.hostid", "no file") { $0.bytes["/etc/hostid"] = nil },
        Fault("boot.hostid", "neither image nor host id in the initramfs") { $0.bytes[uki] = nil },
        Fault("boot.hostid", "nothing to look into", .skip) {
            $0.bytes[uki] = nil
            $0.files["/boot/initrd.img-7.2.12-amd64"] = nil
        },
        Fault("boot.signatures", "no signature") { $0.bytes[uki] = HostIDArchive.image(hostID: [0x02, 0x00, 0x7f, 0x00]) },
        Fault("boot.signatures", "somebody else's") {
            $0.bytes[uki] = HostIDArchive.image(hostID: [0x02, 0x00, 0x7f, 0x00], signature: [0x30, 0x02, 0x31, 0x00, 0x02, 0x01, 0x06])
        },
        Fault("boot.signatures", "the key is gone") { $0.files["/var/lib/dkms/mok.key"] = nil },
        Fault("boot.signatures", "nothing is signed here", .skip) { $0.files["/etc/dkms/framework.conf.d/kldload.conf"] = nil },
        Fault("boot.esp", "not mounted") { machine in
            machine.files = machine.files.filter { !$0.key.hasPrefix("/boot/efi") }
            machine.bytes = machine.bytes.filter { !$0.key.hasPrefix("/boot/efi") }
        },
        Fault("boot.esp", "no removable loader") {
            $0.files["/boot/efi/EFI/BOOT/BOOTX64.EFI"] = nil
            $0.files["/boot/efi/EFI/BOOT/grubx64.efi"] = ""
        },
        Fault("boot.esp", "no kernel image") { $0.bytes[uki] = nil },
        Fault("boot.esp.copies", "files differ") { $0.files["/run/kldload/look/0/copy/EFI/BOOT/BOOTX64.EFI"] = "shin" },
        Fault("boot.esp.copies", "a file has another length") { $0.files["/run/kldload/look/0/copy/EFI/BOOT/BOOTX64.EFI"] = "shim " },
        Fault("boot.esp.copies", "a file more") { $0.files["/run/kldload/look/0/copy/EFI/BOOT/fbx64.efi"] = "" },
        Fault("boot.esp.copies", "a disk is gone") { $0.links["/dev/disk/by-id/virtio-B-part1"] = nil },
        Fault("boot.esp.copies", "not formatted") { $0.change(lsblk, #""fstype": "vfat""#, #""fstype": null"#) },
        Fault("boot.esp.copies", "empty") { machine in
            machine.files = machine.files.filter { !$0.key.hasPrefix("/run/kldload/look/0/copy") }
            machine.bytes = machine.bytes.filter { !$0.key.hasPrefix("/run/kldload/look/0/copy") }
        },
    ]

    private static let access: [Fault] = [
        Fault("users.admin", "no user") { $0.edit("/etc/passwd", "admin:", "other:") },
        Fault("users.admin", "not in the group") { $0.edit("/etc/group", "sudo:x:27:admin", "sudo:x:27:") },
        Fault("users.admin", "no shell") { $0.edit("/etc/passwd", "/home/admin:/bin/bash", "/home/admin:/usr/sbin/nologin") },
        Fault("users.admin", "nobody can log in at the console") { $0.files["/bin/login"] = nil },
        Fault("users.admin", "no home") {
            $0.directories.remove("/home/admin")
            $0.files["/home/admin/.bashrc"] = nil
        },
        Fault("users.sudoers", "syntax error") {
            $0.commands["visudo --check"] = CommandOutput(status: 1, errors: "/etc/sudoers.d/kldload-admin:1:5: syntax error\n")
        },
        Fault("users.sudoers", "no rule of its own", .warn) { $0.files["/etc/sudoers.d/kldload-admin"] = nil },
        Fault("users.password", "locked") { $0.edit("/etc/shadow", "admin:$", "admin:!$") },
        Fault("users.password", "empty") { $0.edit("/etc/shadow", "admin:$y$j9T$abc$def", "admin:") },
        Fault("users.password", "set where none should be") { $0.manifest?.credentials = .locked },
        Fault("users.password", "expired where it should last", .warn) { $0.manifest?.credentials = .hash },
        Fault("users.empty-passwords", "root") { $0.edit("/etc/shadow", "root:*", "root:") },
        Fault("users.empty-passwords", "no shadow file") { $0.files["/etc/shadow"] = nil },
        Fault("ssh.policy", "root may use a password") { $0.change("sshd -T", "without-password", "yes") },
        Fault("ssh.policy", "empty passwords") { $0.change("sshd -T", "permitemptypasswords no", "permitemptypasswords yes") },
        Fault("ssh.policy", "passwords where only keys are wanted") { $0.manifest?.sshPolicy = .keys },
        Fault("ssh.policy", "the default password is accepted") {
            $0.change("sshd -T -C user=admin,host=localhost,addr=127.0.0.1", "passwordauthentication no", "passwordauthentication yes")
        },
        Fault("ssh.policy", "no server wanted", .skip) { $0.manifest?.sshPolicy = .none },
        Fault("ssh.kex", "not offered") { $0.change("sshd -T", "mlkem768x25519-sha256,", "") },
        Fault("ssh.kex", "not possible", .warn) { $0.set("ssh -Q kex", "curve25519-sha256\n") },
        Fault("ssh.host-keys", "none") { $0.files["/etc/ssh/ssh_host_ed25519_key"] = nil },
        Fault("ssh.host-keys", "readable for all") { $0.modes["/etc/ssh/ssh_host_ed25519_key"] = 0o644 },
        Fault("network.address", "another address") { $0.manifest?.network.address = "192.0.2.99/24" },
        Fault("network.address", "another gateway") { $0.manifest?.network.gateway = "192.0.2.254" },
        Fault("network.address", "no route") {
            $0.set("ip -json route show default", "[]")
            $0.manifest?.network = .init(.dhcp)
        },
        Fault("network.address", "interface without an address") { $0.manifest?.network.iface = "ens9" },
        Fault("network.address", "no network wanted", .skip) { $0.manifest?.network = .init(.none) },
        Fault("network.resolver", "no server") { $0.files["/etc/resolv.conf"] = "# empty\n" },
        Fault("network.resolver", "no file") { $0.files["/etc/resolv.conf"] = nil },
        Fault("network.resolver", "the stub's service is down") {
            $0.unit("systemd-resolved.service", "ActiveState", "inactive")
        },
        Fault("network.resolver", "the stub's service knows no server", .warn) {
            $0.files["/run/systemd/resolve/resolv.conf"] = "# No DNS servers known.\n"
        },
        Fault("network.hostname", "another name") { $0.files["/proc/sys/kernel/hostname"] = "localhost\n" },
    ]

    private static let software: [Fault] = [
        Fault("packages.audit", "half installed") {
            $0.set("dpkg --audit", "The following packages are only half configured\n zfs-dkms  OpenZFS module\n")
        },
        Fault("packages.audit", "no dpkg", .skip) { $0.files["/var/lib/dpkg/status"] = nil },
        Fault("packages.holds", "kernel is free") {
            $0.change(packages, "hold\tinstalled\tlinux-image-7.2.12-amd64", "install\tinstalled\tlinux-image-7.2.12-amd64")
        },
        Fault("packages.holds", "nothing to hold") { $0.manifest?.heldPackages = ["kernel-core"] },
        Fault("packages.sources", "trusted=yes") {
            $0.files["/etc/apt/sources.list"] = "deb [ arch=amd64 trusted=yes ] http://mirror/debian trixie main\n"
        },
        Fault("packages.sources", "Trusted: yes") { $0.files["/etc/apt/sources.list.d/x.sources"] = "Types: deb\nTrusted: yes\n" },
        Fault("packages.sources", "unauthenticated by setting") {
            $0.files["/etc/apt/apt.conf.d/99x"] = "APT::Get::AllowUnauthenticated \"true\";\n"
        },
        Fault("packages.sources", "no source at all", .warn) { $0.files["/etc/apt/sources.list.d/kldload.sources"] = nil },
        Fault("secrets.answers", "answers left behind") {
            $0.files["/etc/kldload/answers.env"] = "KLDLOAD_USER=admin\nKLDLOAD_PASSWORD='x'\n"
        },
        Fault("secrets.answers", "old manifest with a hash") {
            $0.files["/etc/kldload/install-manifest.env"] = "KLDLOAD_PASSWORD_HASH=$6$abc\n"
        },
        Fault("secrets.answers", "JSON with a passphrase") {
            $0.files["/var/lib/kldload/installs/1/answers.json"] = "{\n  \"KLDLOAD_ZFS_PASSPHRASE\": \"open sesame\"\n}\n"
        },
        Fault("secrets.permissions", "signing key readable") { $0.modes["/var/lib/dkms/mok.key"] = 0o644 },
        Fault("secrets.permissions", "WireGuard readable") { $0.files["/etc/wireguard/wg0.conf"] = "[Interface]\n" },
        Fault("secrets.signing-key", "in an image") { machine in
            machine.manifest = machine.manifest?.forClones
            machine.commands["find /var/lib/dkms/mok.key '!' -newer /etc/cloud/cloud.cfg.d/98-kldload-zfs.cfg"] =
                CommandOutput(output: "/var/lib/dkms/mok.key\n")
        },
        Fault("secrets.machine-id", "empty") { $0.files["/etc/machine-id"] = "\n" },
        Fault("services.units", "not enabled") { $0.unit("ssh.service", "UnitFileState", "disabled") },
        Fault("services.units", "stopped") { $0.unit("ssh.service", "ActiveState", "failed") },
        Fault("services.units", "not there") { $0.units["ssh.service"] = nil },
        Fault("services.failed", "one") {
            $0.set(
                "systemctl list-units --failed --plain --no-legend --no-pager",
                "zfs-mount.service loaded failed failed Mount ZFS filesystems\n")
        },
    ]

    private static let rest: [Fault] = [
        Fault("time.zone", "another") { $0.links["/etc/localtime"] = "/usr/share/zoneinfo/Etc/UTC" },
        Fault("time.zone", "no link") { $0.links["/etc/localtime"] = nil },
        Fault("time.sync", "off") { $0.change("timedatectl show --property=NTP --property=NTPSynchronized", "NTP=yes", "NTP=no") },
        Fault("time.sync", "not yet", .warn) {
            $0.change("timedatectl show --property=NTP --property=NTPSynchronized", "NTPSynchronized=yes", "NTPSynchronized=no")
        },
        Fault("region.locale", "another") { $0.files["/etc/default/locale"] = "LANG=C.UTF-8\n" },
        Fault("region.locale", "not generated") { $0.change("locale -a", "de_DE.utf8\n", "") },
        Fault("region.locale", "of another character set") { $0.set("locale charmap", "ISO-8859-1\n") },
        Fault("region.keyboard", "another") { $0.edit("/etc/default/keyboard", "XKBLAYOUT=de", "XKBLAYOUT=us") },
        Fault("system.journal", "in memory") { machine in machine.files = machine.files.filter { !$0.key.hasPrefix("/var/log/journal") } },
        Fault("system.journal", "of another machine") {
            $0.files["/etc/machine-id"] = "ffffffffffffffffffffffffffffffff\n"
        },
        Fault("system.sysctl", "another value") { $0.files["/proc/sys/vm/swappiness"] = "60\n" },
        Fault("system.sysctl", "nothing to set", .skip) { $0.manifest?.sysctl = nil },
    ]
}
