import KldAnswers
import KldBoot
import KldCore
import KldImage
import KldPlan
import KldFiles
import KldVirt
import SystemPackage

extension Scenario {
    /// Boot environments on one machine that is never switched off: every restart is the firmware's and the loader's own.
    static let boots: [Scenario] = [
        Scenario("boot.environments", "an environment is made, changed and booted; bad ones are left by themselves, and say why") { lab in
            try await withMachine(lab) { try await environments($0) }
        },
        Scenario("boot.bad-environments", "five kinds of bad environment are left by themselves, and each says why") { lab in
            try await withMachine(lab) { try await $0.leaveBadEnvironments() }
        },
        Scenario(
            "boot.disks", "the same disk starts on an NVMe and a SATA controller and as a USB stick, and one that comes late is waited for"
        ) { lab in
            let disks = try await lab.machine()
            try await lab.withGuest(disks, label: "virtio") { guest in
                let said = try await guest.told(
                    """
                    grep -o kldload.environment=selected /proc/cmdline && cat /run/kldload/environment
                    echo options usb-storage delay_use=25 > /etc/modprobe.d/late.conf && update-initramfs -u 2>&1 && kbe list
                    """, within: .seconds(300))
                try check(said.lines.contains("debian"), "the initramfs did not follow the loader: \(said)")
                try await guest.powerOff()
            }
            for interface in [MachineDisk.Interface.nvme, .sata, .usbStick] {
                try await lab.withGuest(disks, interface: interface, label: "\(interface)") { guest in
                    let said = try await guest.run("zpool status -P rpool; kbe list; $tool doctor boot")
                    lab.log("\(interface): \(said)")
                    try check(said.contains("state: ONLINE") && said.contains(": it starts"), said)
                    let console = try lab.files.read(lab.folder.appending("\(interface)/console.log"))
                    let late = String(decoding: console, as: UTF8.self).contains("waiting for the disks of the pool rpool")
                    try check(late == (interface == .usbStick), "\(interface): waited for its disks: \(late)")
                    try await guest.powerOff()
                }
            }
        },
        Scenario("boot.once", "an environment is booted once, and the boot after is as before") { lab in
            try await withMachine(lab) { guest in
                try await once(guest, before: "debian", changing: true)
                let left = try await guest.run(
                    "kbe destroy probe --yes 2>/dev/null; kbe list --quiet; zfs list -H -o name -t snapshot -r rpool/ROOT")
                try check(left.lines == ["debian", "rpool/ROOT@install", "rpool/ROOT/debian@install"], left)
            }
        },
        Scenario(
            "boot.grub",
            "a mirror that GRUB starts: environments share one kernel, bad ones are left by themselves, one is booted once, a new initramfs is on trial"
        ) { lab in
            try await withMachine(lab, example: "mirror", disks: 2, ["KLDLOAD_BOOTLOADER=grub"]) { guest in
                var said = try await guest.told(
                    "cat /proc/cmdline; test ! -e /boot/efi/loader && $tool verify --only boot && $tool doctor boot")
                try check(said.contains("kldload.entry=kldload-debian-") && said.contains(": it starts"), said)

                // Whatever a line came from, it starts its own root.
                said = try await guest.run(
                    """
                    kbe create tried && cat /boot/efi/EFI/kldload/entries/kldload-tried-*
                    kbe rename tried renamed && cat /boot/efi/EFI/kldload/entries/kldload-renamed-*; kbe destroy renamed --yes
                    """)
                for name in ["tried", "renamed"] { try check(said.contains("root=ZFS=rpool/ROOT/\(name)"), said) }
                try await environments(guest, .grub)
                said = try await guest.told("ls /boot/efi/EFI/kldload /boot/efi/EFI/kldload/entries | cat; df -h /boot/efi")
                for kind in ["vmlinuz-", "initrd-", "hostid-"] {
                    try check(said.lines.count { $0.hasPrefix(kind) } == 1, "environments do not share one \(kind): \(said)")
                }
                try await once(guest, before: "next")

                // As a package does that changes the initramfs.
                said = try await guest.told("update-initramfs -u 2>&1; kbe list; ls /boot/efi/EFI/kldload | cat", within: .seconds(300))
                try check(
                    said.lines.contains { $0.hasPrefix("next") && $0.contains("on trial") }
                        && said.lines.contains { $0.hasPrefix("initrd-") && $0.hasSuffix(".2") },
                    "the new initramfs is not on trial: \(said)")
                try await guest.restart()
                said = try await guest.told("cat /proc/cmdline; kbe list; $tool verify --only boot && $tool doctor boot")
                try check(said.lines.first?.contains(".2 kldload.esp=") == true && said.contains(": it starts"), said)
            }
        },
        Scenario(
            "boot.refresh",
            "what boots follows a new initramfs; a full ESP, a damaged boot loader, killed verbs and two verbs at once leave a machine that starts"
        ) { lab in
            try await withMachine(lab) { guest in
                // Somebody else's.
                try await guest.run(
                    "cd /boot/efi && mkdir -p EFI/other && echo theirs | tee EFI/other/x.efi loader/entries/other.conf && sync && cd /")
                let before = try await guest.run("ls /boot/efi/loader/entries /boot/efi/EFI/kldload")

                // No room: nothing is touched.
                var said = try await guest.run(
                    """
                    kbe create big && truncate -s +4096 $(kbe mount big)/boot/vmlinuz-$(uname -r) && kbe unmount big
                    free=$(df --output=avail -k /boot/efi | tail -n 1) && fallocate -l $((free - 20480))K /boot/efi/filler
                    kbe activate big && exit 1; rm /boot/efi/filler; kbe destroy big --yes; ls /boot/efi/loader/entries /boot/efi/EFI/kldload
                    """)
                try check(said.contains("error[boot.esp-full]"), said)
                try check(said.lines.suffix(before.lines.count) == before.lines[...], "something was touched: \(said)")

                said = try await guest.told(
                    """
                    truncate -s 1000 /boot/efi/EFI/BOOT/BOOTX64.EFI && rm /boot/efi/EFI/kldload/grubx64.efi && sync
                    $tool doctor boot; $tool boot refresh 2>&1; $tool doctor boot
                    cmp /usr/lib/shim/shimx64.efi.signed /boot/efi/EFI/BOOT/BOOTX64.EFI && $tool boot refresh --dry-run
                    """)
                try check(said.contains(": it does not start"), "the damage was not seen: \(said)")
                try check(!said.lines.contains { $0.contains("boot.loader") }, said)

                // A package that brings them anew, as dpkg does: nobody types anything.
                said = try await guest.told(
                    """
                    systemctl is-active kldload-boot-refresh.path kldload-grub-refresh.path
                    rm /boot/efi/EFI/kldload/mmx64.efi && cd /usr/lib/shim && cp -p mmx64.efi.signed new && mv new mmx64.efi.signed && cd /
                    for try in $(seq 100); do test -e /boot/efi/EFI/kldload/mmx64.efi && break; sleep 2; done
                    cmp /usr/lib/shim/mmx64.efi.signed /boot/efi/EFI/kldload/mmx64.efi && echo followed
                    """, within: .seconds(300))
                try check(said.lines.prefix(2) == ["active", "active"] && said.lines.contains("followed"), said)

                said = try await guest.run("kbe create one & kbe create two & wait; kbe list --quiet")
                try check(said.lines.suffix(3).sorted() == ["debian", "one", "two"], said)

                // Killed at any time of what it takes here: what boots next starts, and the next try ends well.
                said = try await guest.told(
                    """
                    start=$(date +%s%N); kbe activate one && kbe activate debian; took=$((($(date +%s%N) - start) / 2000000)); name=one
                    for part in 5 15 25 35 45 55 65 75 85 95; do
                        timeout --signal=KILL $(printf '%d.%03d' $((took * part / 100000)) $((took * part / 100 % 1000))) \
                        $tool kbe activate $name 2>/dev/null; echo $name after $part percent: $?
                        $tool doctor boot | head -n 1
                        test $name = one && name=debian || name=one
                    done
                    kbe activate one && kbe activate debian && kbe destroy one --yes && kbe destroy two --yes && $tool doctor boot
                    """, within: .seconds(600))
                try check(said.lines.count { $0.contains("the next boot is") && $0.contains(": it starts") } == 11, said)
                try check(said.lines.count { $0.contains(" percent: 137") } >= 3, "hardly one was killed: \(said)")
                said = try await guest.run("findmnt -n -o TARGET -R /run/kldload || true; ls -A /run/kldload/boot /boot/efi/EFI/kldload")
                try check(!said.contains(".new") && !said.contains("/run/kldload/look"), "something was left: \(said)")

                // As a package does that changes the initramfs.
                said = try await guest.told("time update-initramfs -u 2>&1; kbe list; ls /boot/efi/loader/entries", within: .seconds(300))
                try check(said.contains(".2+3.conf"), "the new initramfs is not on trial: \(said)")
                try await guest.restart()
                said = try await guest.told(
                    "ls /boot/efi/loader/entries; $tool doctor boot; cat /boot/efi/EFI/other/x.efi /boot/efi/loader/entries/other.conf")
                try check(said.contains(".2.conf") && !said.contains(".1.conf") && said.contains(": it starts"), said)
                try check(said.lines.suffix(2) == ["theirs", "theirs"], "somebody else's files were touched")
            }
        },
    ]

    /// Numbers that are promised, printed; nothing is judged by a clock.
    static let bootNumbers: [Scenario] = [
        Scenario("boot.numbers", "how long boot environments take, in this machine's guests: create, activate, list with 200 of them") {
            lab in
            try await withMachine(lab) { guest in
                let times = try await guest.told(
                    """
                    export TIMEFORMAT='%R s'
                    echo "kbe create:"; time kbe create one
                    echo "kbe activate, signed:"; time kbe activate one
                    echo "kbe activate, again:"; time kbe activate debian
                    echo "kbe list:"; time kbe list
                    for number in $(seq 200); do zfs clone -o canmount=noauto -o mountpoint=/ rpool/ROOT/debian@install rpool/ROOT/be$number; done
                    for label in $(seq 10); do zfs snapshot -r rpool/ROOT@s$label; done
                    echo "kbe list, with $(kbe list --quiet | wc -l) environments and $(zfs list -H -t snapshot -o name -r rpool/ROOT | wc -l) snapshots:"
                    time kbe list >/dev/null
                    echo "the zfs list that it needs:"
                    time zfs list -Hp -r -t filesystem -o name,type,used,referenced,creation,origin,mountpoint,canmount,com.kldload:identity,com.kldload:upkeep rpool/ROOT >/dev/null
                    """, within: .seconds(600))
                try check(times.contains("with 202 environments"), times)
            }
        }
    ]

    /// The live medium as somebody uses it whose machine does not start.
    static let recoveries: [Scenario] = [
        Scenario(
            "recovery.disaster",
            "a machine without power, with its ESP erased and its pool renamed, is brought back from the ISO: its logs, its environments, its boot loader"
        ) { lab in
            let iso = try await lab.iso(profiles: [])
            let disks = try await lab.machine()
            // Its pool stays open: the power goes.
            try await lab.withGuest(disks, label: "machine") { guest in
                try await guest.run("kbe create spare && echo spare > $(kbe mount spare)/etc/marker && kbe unmount spare && sync")
            }
            // As a person chooses it in the firmware's menu.
            let medium = MachineDisk(iso, serial: "medium", readOnly: true, bootIndex: 0)
            let variables = try await lab.variables(at: lab.folder.appending("vars.fd"), trusting: disks, medium: iso)
            try await lab.boot(disks, label: "iso", more: [medium], variables: variables) { machine, host in
                let shell = try await lab.liveShell(machine, host)
                var said = try await shell.run("krecovery import </dev/null", accepting: [1])
                try check(said.contains("error[recovery.in-use]"), said)
                // What people do in the dark.
                try await shell.run(
                    "zpool import -f -N rpool tank && zpool export tank && blkdiscard -f -z /dev/disk/by-id/virtio-disk0-part1")
                said = try await shell.told("krecovery import --as rpool --yes 2>&1; krecovery list-be; krecovery list-snapshots")
                try check(said.contains("debian") && said.contains("spare") && said.contains("rpool/ROOT/debian@install"), said)
                said = try await shell.told("echo 'cat /etc/hostname; findmnt -n -o SOURCE /var/log; ls /boot/efi' | krecovery chroot 2>&1")
                try check(said.contains("rpool/var/log"), said)
                said = try await shell.run("tar tzf $(krecovery export-logs /run/logs 2>/dev/null)")
                try check(said.contains("var/log/journal/") && said.contains("report/zpool-history.txt"), said)
                said = try await shell.told("krecovery reinstall-bootloader </dev/null 2>&1", accepting: [1])
                try check(said.contains("boot.esp-lost"), said)
                said = try await shell.told(
                    "krecovery reinstall-bootloader --format /dev/vda1 2>&1 && krecovery rollback debian@install --name older 2>&1 && krecovery activate spare 2>&1 && krecovery list-be && krecovery export",
                    within: .seconds(300))
                try check(said.contains("older"), said)
                try await shell.powerOff()
            }
            try await lab.withGuest(disks, label: "again") { guest in
                var said = try await guest.run("kbe current; cat /etc/marker; zpool status -x")
                try check(said.lines.prefix(2) == ["spare", "spare"], said)
                said = try await guest.told("efibootmgr; $tool doctor boot; kbe activate older")
                try check(said.contains(": it starts"), said)
            }
            try await lab.boot(disks, label: "last") { machine, host in
                try lab.require(try await ImageVerification.answer(machine, on: host))
                let guest = Guest(lab: lab, machine: machine, host: host)
                try await guest.logIn(untilGood: false)
                let runs = try await guest.run("kbe current").trimmed
                try check(runs == "older", "it runs \(runs)")
            }
        }
    ]

    /// An environment is made, changed and booted; bad ones are left by themselves.
    private static func environments(_ guest: Guest, _ chain: BootChain = .systemdBoot) async throws {
        try await guest.run("kbe create next && place=$(kbe mount next) && echo next > $place/etc/marker && kbe unmount next")
        let activation = try await guest.run("time kbe activate next")
        guest.lab.log("activating it: \(activation.lines.first { $0.hasPrefix("real") } ?? "?")")
        try await guest.restart()
        try check(try await guest.run("kbe current; cat /etc/marker").lines == ["next", "next"], "another environment was booted")
        try await guest.until("kbe list | grep '^next '", says: "good")
        try check(try await guest.run("zpool get -H -o value bootfs rpool").trimmed == "rpool/ROOT/next", "bootfs stayed")

        // It starts, and is no use.
        try await guest.run(
            """
            kbe create useless && place=$(kbe mount useless) && mkdir -p $place/etc/kldload/boot-check.d
            printf '#!/bin/sh\\necho no disk for the database\\nexit 1\\n' > $place/etc/kldload/boot-check.d/10-database
            chmod 755 $place/etc/kldload/boot-check.d/10-database && kbe unmount useless && kbe activate useless
            """)
        try await guest.restart(leaving: "useless", boots: 4, untilGood: false)
        var list = try await guest.told("kbe current; kbe list; cat /run/motd.d/50-kldload-boot")
        try check(list.hasPrefix("next"), "it went elsewhere")
        try check(list.contains("failed: /etc/kldload/boot-check.d/10-database ended with 1: no disk for the database"), list)

        // Its root is not there any more: no program of it ever runs.
        try await guest.run("kbe create gone && kbe activate gone && zfs destroy -r rpool/ROOT/gone")
        try await guest.restart(leaving: "gone", boots: 4, untilGood: false)
        list = try await guest.told("kbe current; zpool get -H -o value bootfs rpool; kbe destroy useless --yes; kbe list")
        try check(
            list.lines.prefix(2) == ["next", "rpool/ROOT/next"]
                && !list.lines.contains { $0.hasPrefix("useless") || $0.hasPrefix("gone") }, list)
        try check(try await guest.run("ls /boot/efi/\(chain.entryFolder)").lines.allSatisfy { !$0.contains("gone") }, "its entry stayed")
    }

    /// One is booted once.
    /// - Parameters:
    ///   - name: what is booted before and after.
    ///   - changing: its initramfs changes while it runs.
    private static func once(_ guest: Guest, before name: String, changing: Bool = false) async throws {
        let made = try await guest.run("time { kbe create probe && kbe activate --once probe; }")
        guest.lab.log("created and activated in \(made.lines.first { $0.hasPrefix("real") } ?? "?")")
        try await guest.restart()
        try check(try await guest.run("kbe current").trimmed == "probe", "it was not booted")
        if changing { try await guest.told("update-initramfs -u 2>&1; kbe list; $tool doctor boot", within: .seconds(300)) }
        // What a good boot notes would hide what the one before has left.
        try await guest.restart(untilGood: false)
        let said = try await guest.told("kbe current; zpool get -H -o value bootfs rpool; kbe list")
        try check(
            said.lines.prefix(2) == ["\(name)", "rpool/ROOT/\(name)"]
                && !said.lines.contains { $0.hasPrefix("probe") && $0.contains("failed") }, said)
    }

    /// One that is installed, and up; of profile core unless the overrides say another.
    /// - Parameters:
    ///   - kernel: the one that it is installed with; `nil`: the release's newest.
    ///   - more: disks that it has beside its own.
    static func withMachine(
        _ lab: Laboratory, example: String = "three-lines", disks count: Int = 1, _ overrides: [String] = [], kernel: String? = nil,
        more: [MachineDisk] = [], _ body: (Guest) async throws -> Void
    ) async throws {
        let disks = try await lab.machine(example, disks: count, overrides, kernel: kernel)
        try await lab.withGuest(disks, more: more) { guest in
            // Its timer would do so a minute later, in the middle of something.
            try await guest.run("$tool boot recovery", within: .seconds(300))
            try await body(guest)
        }
    }
}
