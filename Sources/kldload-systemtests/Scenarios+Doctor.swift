import KldAnswers
import KldCore
import KldImage

extension Scenario {
    /// A machine that is well, and then in one way after another is not.
    static let doctors: [Scenario] = [
        Scenario(
            "daily.doctor",
            "on a healthy machine no check fails; each of more than fifty faults is found, and gone again once it is mended",
            limit: .seconds(7200)
        ) { lab in
            let disks = try await lab.machine("mirror", disks: 2, lab.archive)
            try await lab.withGuest(disks) { guest in
                try await guest.run(
                    """
                    export TIMEFORMAT='took %R s'
                    systemctl stop kldload-boot-refresh.path; cd /var/tmp && truncate -s 128M v0 v1 v2
                    """)
                let first = try await guest.told("time $tool doctor --all; true", within: .seconds(180))
                let healthy = statuses(first)
                try check(healthy.count > 55, "few checks ran:\n\(first)")
                let alarms = healthy.filter { $0.value == "FAIL" || $0.value == "WARN" && !excused.contains($0.key) }.keys.sorted()
                try check(alarms.isEmpty, "false alarms: \(alarms.joined(separator: ", "))\n\(first)")

                try await guest.run(
                    """
                    zpool create -m /tank tank mirror /var/tmp/v0 /var/tmp/v1
                    cd /run && apt-get -q update >/dev/null && apt-get -q download zfs-test >/dev/null && dpkg -x zfs-test_*.deb /root/zfs-test
                    cd /var/tmp && PATH=$PATH:/root/zfs-test/usr/sbin:/root/zfs-test/sbin && command -v zinject
                    """, within: .seconds(300))
                var missed: [String] = []
                for fault in faults {
                    let said = try await guest.run(
                        """
                        \(fault.inject)
                        $tool doctor --all --only \(fault.check); echo MENDING
                        \(fault.mend)
                        $tool doctor --all --only \(fault.check); true
                        """, within: .seconds(180))
                    let parts = said.lines.split { $0.trimmed == "MENDING" }.map { $0.joined(separator: "\n") }
                    let (ill, well) = (statuses(parts.first ?? "")[fault.check], statuses(parts.count > 1 ? parts[1] : "")[fault.check])
                    // A second pool is there now, and was not before.
                    let before = fault.check.hasPrefix("zfs.pools") ? "OK" : healthy[fault.check]
                    if ill != fault.mark || well != before {
                        missed.append("\(fault.check): \(ill ?? "nothing") (wanted \(fault.mark)), mended \(well ?? "nothing"):\n\(said)")
                        lab.log("missed: \(fault.check): \(fault.inject)")
                    }
                }
                lab.log("\(faults.count - missed.count) of \(faults.count) faults were found, and gone again")
                try check(missed.isEmpty, missed.joined(separator: "\n\n"))

                let fixed = try await guest.told(
                    """
                    apt-mark unhold zfsutils-linux >/dev/null; chmod 644 /etc/ssh/ssh_host_ed25519_key; zfs unmount rpool/opt
                    systemctl stop systemd-tmpfiles-clean.timer; rm /boot/efi/EFI/BOOT/BOOTX64.EFI
                    $tool doctor --fix --dry-run | grep fix; apt-mark showhold | grep -c zfsutils-linux; $tool doctor --fix; echo status $?
                    """, within: .seconds(300))
                try check(
                    ["zfs.layout", "packages.holds", "ssh.host-keys", "services.timers", "boot.esp"].allSatisfy {
                        fixed.contains("fix.\($0):")
                    } && fixed.contains("\n0\n") && fixed.lines.last?.trimmed == "status 0", fixed)

                let bundle = try await guest.told(
                    """
                    echo 'KLDLOAD_WIFI_PASSPHRASE=canary-4711' >/etc/kldload/answers.env; echo canary-4711 >/etc/kldload/c.key
                    logger 'password=canary-4711 token: canary-4711'; logger harmless-4712; zpool history rpool >/dev/null; sleep 1; journalctl --sync
                    time $tool debug-bundle --out /run; rm /etc/kldload/answers.env /etc/kldload/c.key
                    cd /run; stat -c %a kldload-debug-*.tar.gz; tar xzf kldload-debug-*.tar.gz && test -s kldload-debug-*/report.json && echo unpacked
                    ls kldload-debug-*/; cat kldload-debug-*/report.json
                    seek() { grep -r -l -a -F -e "$2" kldload-debug-*/; case $? in 0) echo found $1;; 1) echo no $1;; *) echo cannot read;; esac; }
                    seek canary canary-4711; seek hash "$(cut -d : -f 2 /etc/shadow | grep '\\$' | head -n 1)"; seek message harmless-4712; cd /
                    """, within: .seconds(300))
                let wanted: Set = ["unpacked", "600", "no canary", "no hash", "found message"]
                try check(wanted.isSubset(of: bundle.lines.map(\.trimmed)), bundle)
                try await answersWhileSuspended(guest)
                let last = try await guest.run("zpool destroy tank; $tool doctor --all; true", within: .seconds(180))
                try check(statuses(last).count == healthy.count, "not every check ran in the end:\n\(last)")
                let after = statuses(last).filter { $0.value == "FAIL" || $0.value == "WARN" && !excused.contains($0.key) }
                try check(after.isEmpty, "not well in the end:\n\(last)")
            }
        }
    ]

    /// Nothing in the laboratory answers for the time.
    private static let excused = ["time.sync"]

    /// What each check ended with: `FAIL zfs.layout: every dataset is there …`.
    private static func statuses(_ text: String) -> [String: String] {
        Dictionary(
            text.lines.compactMap { line in
                let words = line.words
                guard words.count > 2, ["OK", "FAIL", "WARN", "SKIP"].contains(words[0]), words[1].hasSuffix(":") else { return nil }
                return (String(words[1].dropLast()), words[0])
            }, uniquingKeysWith: { $1 })
    }

    private struct Fault {
        var check: String
        var mark: String
        var inject: String
        var mend: String
        init(_ check: String, warns: Bool = false, _ inject: String, mend: String) {
            self.check = check
            mark = warns ? "WARN" : "FAIL"
            self.inject = inject
            self.mend = mend
        }

        /// A file that should not be there, or has another content.
        static func file(_ check: String, warns: Bool = false, _ path: String, _ text: String) -> Fault {
            Fault(check, warns: warns, "echo '\(text)' >\(path)", mend: "rm \(path)")
        }

        /// One that is put away, and brought back.
        static func away(_ check: String, _ path: String) -> Fault {
            Fault(check, "mv \(path) \(path).away", mend: "mv \(path).away \(path)")
        }

        /// Lines of a file are changed.
        static func edited(_ check: String, _ path: String, _ script: String) -> Fault {
            Fault(check, "cp -a \(path) /run/kept; sed -i '\(script)' \(path)", mend: "cp -a /run/kept \(path)")
        }
    }

    private static let faults: [Fault] = faultsOfPools + faultsOfBoot + faultsOfAccess + faultsOfSystem + faultsOfTime + faultsAtTheEnd

    private static let faultsOfPools = [
        Fault(
            "zfs.pools", "zpool offline tank /var/tmp/v1", mend: "zpool online tank /var/tmp/v1; zpool wait -t resilver tank"),
        Fault(
            "zfs.pools", "zpool offline -f tank /var/tmp/v1",
            mend: "zpool clear tank; zpool online tank /var/tmp/v1; zpool wait -t resilver tank"),
        Fault(
            "zfs.pools",
            "head -c 20M /dev/urandom >/tank/x; zpool sync tank; head -c 60M /dev/urandom | dd of=/var/tmp/v1 bs=1M seek=8 conv=notrunc status=none; zpool scrub -w tank",
            mend: "zpool clear tank; zpool scrub -w tank; zpool clear tank"),
        Fault(
            "zfs.pool.health", "zpool offline rpool /dev/disk/by-id/virtio-disk1-part2",
            mend: "zpool online rpool /dev/disk/by-id/virtio-disk1-part2; zpool wait -t resilver rpool"),
        Fault("zfs.layout", "zfs unmount rpool/opt", mend: "zfs mount rpool/opt"),
        Fault("zfs.layout", "zfs set mountpoint=/mnt/opt rpool/opt", mend: "zfs set mountpoint=/opt rpool/opt"),
        Fault("zfs.mounts.covered", "mount -t tmpfs cover /opt", mend: "umount /opt"),
        Fault("zfs.mounts.writable", "zfs set readonly=on rpool/opt", mend: "zfs inherit readonly rpool/opt"),
        Fault("zfs.sync", warns: true, "zfs set sync=disabled rpool/opt", mend: "zfs inherit sync rpool/opt"),
        Fault(
            "zfs.quota", warns: true, "zfs set quota=20M rpool/opt; head -c 19500K /dev/urandom >/opt/full; zpool sync rpool",
            mend: "rm /opt/full; zfs set quota=none rpool/opt"),
        Fault(
            "zfs.snapshots.pruned", warns: true,
            "zfs create -o mountpoint=none rpool/probe; for n in $(seq 401); do zfs snapshot rpool/probe@n$n; done",
            mend: "zfs destroy -r rpool/probe"),
        Fault("zfs.root", warns: true, "zpool set bootfs=rpool/ROOT rpool", mend: "zpool set bootfs=rpool/ROOT/debian rpool"),
        Fault(
            "zfs.hostid", "cp -a /etc/hostid /run/hostid; printf '\\1\\2\\3\\4' >/etc/hostid", mend: "cp -a /run/hostid /etc/hostid"),
        Fault("boot.hostid", "printf '\\1\\2\\3\\4' >/etc/hostid", mend: "cp -a /run/hostid /etc/hostid"),
    ]

    private static let faultsOfBoot = [
        Fault(
            "boot.initramfs",
            "i=/boot/initrd.img-$(uname -r); mv $i $i.away; (cd /run/lock; echo . | cpio -o -H newc 2>/dev/null | gzip) >$i",
            mend: "mv $i.away $i"),
        .away("boot.kernel", "/usr/lib/modules/$(uname -r)"),
        Fault(
            "boot.modules", "mkdir /usr/lib/modules/9.9.9-fake; touch /boot/vmlinuz-9.9.9-fake",
            mend: "rm -r /usr/lib/modules/9.9.9-fake /boot/vmlinuz-9.9.9-fake"),
        Fault("boot.place", "mount -t tmpfs cover /boot", mend: "umount /boot"),
        Fault("boot.esp", "umount /boot/efi", mend: "$tool mount-esp"),
        Fault(
            "boot.esp.space", warns: true,
            "fallocate -l $(($(df --output=avail -k /boot/efi | tail -n 1) - 20480))K /boot/efi/filler", mend: "rm /boot/efi/filler"),
        .file("boot.esp.copies", "/boot/efi/EFI/kldload/extra", "x"),
        .away("boot.signatures", "/var/lib/dkms/mok.pem"),
        Fault(
            "boot.firmware", warns: true, "o=$(efibootmgr | sed -n 's/^BootOrder: //p'); efibootmgr -q -O", mend: "efibootmgr -q -o $o"),
        .file("boot.reboot", warns: true, "/run/reboot-required", "x"),
        Fault(
            "boot.trials", warns: true, "mkdir -p /run/motd.d; echo it was tried >/run/motd.d/50-kldload-boot",
            mend: "rm /run/motd.d/50-kldload-boot"),
        Fault(
            "boot.environments", warns: true,
            "for n in $(seq 15); do zfs clone -o canmount=noauto -o mountpoint=/ rpool/ROOT/debian@install rpool/ROOT/be$n; done",
            mend: "for n in $(seq 15); do zfs destroy rpool/ROOT/be$n; done"),
    ]

    private static let faultsOfAccess: [Fault] = [
        .file("ssh.policy", "/etc/ssh/sshd_config.d/00-x.conf", "PermitRootLogin yes"),
        .file("ssh.policy", "/etc/ssh/sshd_config.d/00-x.conf", "Nonsense yes"),
        Fault("ssh.host-keys", "chmod 644 /etc/ssh/ssh_host_ed25519_key", mend: "chmod 600 /etc/ssh/ssh_host_ed25519_key"),
        Fault("secrets.permissions", "install -m 644 /etc/hostname /etc/kldload/x.key", mend: "rm /etc/kldload/x.key"),
        .file("secrets.answers", "/etc/kldload/answers.env", "KLDLOAD_PASSWORD=x"),
        Fault("users.admin", "gpasswd -d admin sudo >/dev/null", mend: "gpasswd -a admin sudo >/dev/null"),
        .file("users.sudoers", "/etc/sudoers.d/zz", "nonsense"),
        Fault("users.empty-passwords", "useradd probe; passwd -q -d probe", mend: "userdel probe"),
        Fault("users.password", "passwd -q -l admin", mend: "passwd -q -u admin"),
        Fault("network.address", "r=$(ip route show default); ip route del default", mend: "ip route add $r"),
        .away("network.resolver", "/etc/resolv.conf"),
        Fault(
            "network.dns", "f=/run/systemd/resolve/resolv.conf; cp -a $f /run/kept; echo '# none' >$f", mend: "cp -a /run/kept $f"),
        Fault("network.hostname", "hostname wrong", mend: "hostname $(cat /etc/hostname)"),
    ]

    private static let faultsOfSystem: [Fault] = [
        .edited("packages.audit", "/var/lib/dpkg/status", "/^Package: nano$/,/^$/s/^Status: .*/Status: install ok half-configured/"),
        .edited("packages.openzfs", "/var/lib/dpkg/status", "/^Package: zfs-zed$/,/^$/s/^Version: .*/Version: 9.9-1/"),
        Fault("packages.holds", "apt-mark unhold zfsutils-linux >/dev/null", mend: "apt-mark hold zfsutils-linux >/dev/null"),
        .file("packages.sources", "/etc/apt/sources.list.d/x.list", "deb [trusted=yes] http://x.invalid/ x main"),
        Fault("services.failed", "systemd-run --quiet --unit=doomed false; sleep 2", mend: "systemctl reset-failed doomed"),
        Fault("services.units", "systemctl stop ssh", mend: "systemctl start ssh"),
        // Stopped first: systemd 257 loses a unit that runs and has an alias, when it is disabled or masked.
        Fault(
            "services.units", "systemctl stop ssh; systemctl mask --quiet --runtime ssh",
            mend: "systemctl unmask --quiet --runtime ssh; systemctl start ssh"),
        Fault(
            "services.timers", warns: true, "systemctl stop systemd-tmpfiles-clean.timer",
            mend: "systemctl start systemd-tmpfiles-clean.timer"),
        Fault("services.zed", warns: true, "systemctl stop zfs-zed", mend: "systemctl start zfs-zed"),
        Fault(
            "replication.lag",
            """
            d=/var/lib/kldload/replication; mkdir -p $d; n='"schema":"replication/1","name":"x","source":"a/b","target":"c/d","recursive":false'
            echo "{$n,\"maxLag\":60,\"bytesTotal\":0,\"seconds\":0,\"snapshotTime\":\"2020-01-01T00:00:00Z\"}" >$d/x.json
            """,
            mend: "rm -r $d"),
        .edited("region.locale", "/etc/locale.conf", "s/LANG=.*/LANG=xx_XX.UTF-8/"),
        .edited("region.keyboard", "/etc/default/keyboard", "s/XKBLAYOUT=.*/XKBLAYOUT=xx/"),
        .away("system.journal", "/var/log/journal"),
        Fault(
            "system.swap",
            "zfs create -V 64M rpool/swap; udevadm settle; mkswap -q /dev/zvol/rpool/swap; swapon /dev/zvol/rpool/swap",
            mend: "swapoff /dev/zvol/rpool/swap; udevadm settle; zfs destroy rpool/swap || { sleep 3; zfs destroy rpool/swap; }"),
        Fault(
            "system.arc", warns: true,
            "p=/sys/module/zfs/parameters/zfs_arc_max; a=$(cat $p); echo $(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) * 1024 / 100 * 95)) >$p",
            mend: "echo $a >$p"),
        Fault(
            "system.run", warns: true, "fallocate -l $(($(df --output=avail -k /run | tail -n 1) - 4096))K /run/filler",
            mend: "rm /run/filler"),
    ]

    private static let faultsOfTime = [
        Fault("time.sync", "timedatectl set-ntp false", mend: "timedatectl set-ntp true"),
        Fault(
            "time.zone", "l=$(readlink /etc/localtime); ln -sfn /usr/share/zoneinfo/Europe/Rome /etc/localtime",
            mend: "ln -sfn $l /etc/localtime"),
        Fault("zfs.scrub", warns: true, "t=$(date +%s); date -s '+60 days' >/dev/null", mend: "date -s @$t >/dev/null"),
        Fault("time.plausible", "t=$(date +%s); date -s 2020-01-01 >/dev/null", mend: "date -s @$t >/dev/null"),
    ]

    /// A pool that is suspended: every read and write of its only disk fails, and so does looking whether it answers at all. Source: zinject(8),
    /// OpenZFS 2.3: without `-T probe` it only counts errors.
    private static let suspended = Fault(
        "zfs.pools",
        """
        zpool create -m /lone lone /var/tmp/v2; zinject -d /var/tmp/v2 -e io -T all lone >/dev/null
        zinject -d /var/tmp/v2 -e io -T probe lone >/dev/null
        (head -c 8M /dev/urandom >/lone/x; sync -f /lone) >/dev/null 2>&1 &
        for n in $(seq 30); do zpool list -H -o health lone | grep -q SUSPENDED && break; sleep 1; done; zpool list -H -o health lone
        """,
        mend: "zinject -c all >/dev/null; zpool clear lone; wait; zpool sync lone; zpool destroy -f lone")
    private static let faultsAtTheEnd = [suspended]

    /// Whoever looks at such a machine must not hang with it.
    private static func answersWhileSuspended(_ guest: Guest) async throws {
        let said = try await guest.told(
            """
            \(suspended.inject)
            timeout 60 $tool kst; echo status $?; timeout 60 $tool ksnap list -q >/dev/null; echo status $?
            \(suspended.mend); true
            """, within: .seconds(240))
        let statuses = said.lines.map(\.trimmed).filter { $0.hasPrefix("status ") }
        try check(statuses.count == 2 && !statuses.contains("status 124"), "somebody hangs: \(said)")
        try check(said.lines.contains { $0.contains("lone") && $0.contains("SUSPENDED") }, "kst does not say what is suspended: \(said)")
    }
}
