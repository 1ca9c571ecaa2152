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
            try await withMachine(lab) { try await environments(lab, $0) }
        },
        Scenario("boot.bad-environments", "five kinds of bad environment are left by themselves, and each says why") { lab in
            try await withMachine(lab) { guest in try await guest.leaveBadEnvironments() }
        },
        Scenario("boot.once", "an environment is booted once, and the boot after is as before") { lab in
            try await withMachine(lab) { guest in
                try await once(lab, guest, before: "debian")
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
                let tool = "/usr/lib/kldload/kldload"
                var said = try await guest.run(
                    "cat /proc/cmdline; test ! -e /boot/efi/loader && \(tool) verify --only boot && \(tool) doctor boot")
                lab.log(said)
                try check(said.contains("kldload.entry=kldload-debian-") && said.contains(": it starts"), said)

                try await environments(lab, guest, .grub)
                said = try await guest.run("ls /boot/efi/EFI/kldload /boot/efi/EFI/kldload/entries | cat; df -h /boot/efi")
                lab.log(said)
                for kind in ["vmlinuz-", "initrd-", "hostid-"] {
                    try check(said.lines.count { $0.hasPrefix(kind) } == 1, "environments do not share one \(kind): \(said)")
                }
                try await once(lab, guest, before: "next")

                // As a package does that changes the initramfs.
                said = try await guest.run("update-initramfs -u 2>&1; kbe list; ls /boot/efi/EFI/kldload | cat", within: .seconds(300))
                lab.log(said)
                try check(
                    said.lines.contains { $0.hasPrefix("next") && $0.contains("on trial") }
                        && said.lines.contains { $0.hasPrefix("initrd-") && $0.hasSuffix(".2") },
                    "the new initramfs is not on trial: \(said)")
                try await guest.restart()
                try await guest.until("systemctl is-active kldload-boot-good", says: "active")
                said = try await guest.run("cat /proc/cmdline; kbe list; \(tool) verify --only boot && \(tool) doctor boot")
                lab.log(said)
                try check(said.lines.first?.contains(".2 kldload.esp=") == true && said.contains(": it starts"), said)
            }
        },
        Scenario(
            "boot.refresh",
            "what boots follows a new initramfs; a full ESP, a damaged boot loader, killed verbs and two verbs at once leave a machine that starts"
        ) { lab in
            try await withMachine(lab) { guest in
                let tool = "/usr/lib/kldload/kldload"
                // Somebody else's.
                try await guest.run(
                    "cd /boot/efi && mkdir -p EFI/other && echo theirs | tee EFI/other/x.efi loader/entries/other.conf && sync && cd /")
                let before = try await guest.run("ls /boot/efi/loader/entries /boot/efi/EFI/kldload")

                // No room: nothing is touched.
                var said = try await guest.run(
                    """
                    kbe create big && free=$(df --output=avail -k /boot/efi | tail -n 1) && fallocate -l $((free - 20480))K /boot/efi/filler
                    kbe activate big && exit 1; rm /boot/efi/filler; kbe destroy big --yes; ls /boot/efi/loader/entries /boot/efi/EFI/kldload
                    """)
                try check(said.contains("error[boot.esp-full]"), said)
                try check(said.lines.suffix(before.lines.count) == before.lines[...], "something was touched: \(said)")

                said = try await guest.run(
                    """
                    truncate -s 1000 /boot/efi/EFI/BOOT/BOOTX64.EFI && rm /boot/efi/EFI/kldload/grubx64.efi && sync
                    \(tool) doctor boot; \(tool) boot refresh 2>&1; \(tool) doctor boot
                    cmp /usr/lib/shim/shimx64.efi.signed /boot/efi/EFI/BOOT/BOOTX64.EFI && \(tool) boot refresh --dry-run
                    """)
                lab.log(said)
                try check(said.contains(": it does not start"), "the damage was not seen: \(said)")
                try check(said.lines.last?.contains("boot.loader") == false, said)

                said = try await guest.run("kbe create one & kbe create two & wait; kbe list --quiet")
                try check(said.lines.suffix(3).sorted() == ["debian", "one", "two"], said)

                // Killed at any time: what boots next starts, and the next try ends well.
                said = try await guest.run(
                    """
                    for pause in 0.5 1 1.7 2.5 3.5 5 7 9 12 15; do
                        timeout --signal=KILL $pause \(tool) kbe activate one 2>/dev/null || true
                        \(tool) doctor boot | head -n 1
                    done
                    kbe activate one && kbe activate debian && kbe destroy one --yes && kbe destroy two --yes && \(tool) doctor boot
                    """, within: .seconds(600))
                lab.log(said)
                try check(said.lines.count { $0.contains("the next boot is") && $0.contains(": it starts") } == 11, said)
                said = try await guest.run("findmnt -n -o TARGET -R /run/kldload || true; ls -A /run/kldload/boot /boot/efi/EFI/kldload")
                try check(!said.contains(".new") && !said.contains("/run/kldload/look"), "something was left: \(said)")

                // As a package does that changes the initramfs.
                said = try await guest.run("time update-initramfs -u 2>&1; kbe list; ls /boot/efi/loader/entries", within: .seconds(300))
                lab.log(said)
                try check(said.contains(".2+3.conf"), "the new initramfs is not on trial: \(said)")
                try await guest.restart()
                try await guest.until("systemctl is-active kldload-boot-good", says: "active")
                said = try await guest.run(
                    "ls /boot/efi/loader/entries; \(tool) doctor boot; cat /boot/efi/EFI/other/x.efi /boot/efi/loader/entries/other.conf")
                lab.log(said)
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
                let times = try await guest.run(
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
                    time zfs list -Hp -r -t filesystem -o name,type,used,referenced,creation,origin,mountpoint rpool/ROOT >/dev/null
                    """, within: .seconds(600))
                lab.log(times)
                try check(times.contains("with 202 environments"), times)
            }
        }
    ]

    /// The live ISO, as a person writes it to a stick.
    static let isos: [Scenario] = [
        Scenario("iso.install", "the ISO starts by itself, installs as a seed volume says, without a network, and powers off") { lab in
            let iso = try await lab.iso(profiles: ["core"])
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            let file = lab.folder.appending(SeedVolume.answersName)
            try lab.files.write(answers.environmentText, to: file, mode: .secret)
            let seed = lab.folder.appending("seed.img")
            try await PlanRunner(runner: lab.workshop.runner, files: lab.files).apply(SeedVolume.creating(seed, answers: file))
            let media = [
                MachineDisk(iso, serial: "medium", readOnly: true), MachineDisk(seed, serial: "seed", readOnly: true),
            ]
            let start = ContinuousClock.now
            try await lab.boot(disks, label: "iso", network: nil, more: media) { machine, host in
                _ = try await machine.console.expect("kldload: installing as answers.env", within: host.deadline(.seconds(180)))
                lab.log("the seed volume was found")
                try await machine.waitForPowerOff(within: host.deadline(.seconds(240)))
            }
            lab.log("the machine was on for \(start.duration(to: .now).components.seconds) s, and is installed")
            try await lab.verify(disks)
        },
        Scenario(
            "iso.guided",
            "on the ISO's serial console six screens install a machine, and nothing is written before its disk's name is typed"
        ) {
            lab in
            let iso = try await lab.iso(profiles: ["core"])
            let disks = try await lab.disks(1)
            let medium = MachineDisk(iso, serial: "medium", readOnly: true)
            try await lab.boot(disks, label: "iso", more: [medium]) { machine, host in
                let shell = try await lab.liveShell(machine, host)
                func press(_ keys: String, until text: String) async throws {
                    try await machine.console.send(keys)
                    _ = try await machine.console.expect(text, within: host.deadline(.seconds(60)))
                }
                try await press("kldload-install-target --guided\n", until: "1 of 6")
                try await press("\r\r", until: "2 of 6")
                try await press("by-hand\r\r", until: "3 of 6")
                try await press("\r\r\r", until: "4 of 6")
                try await press("\rCorrect-Horse-7\rCorrect-Horse-7\r\r", until: "5 of 6")
                try await press(String(repeating: "\r", count: 8), until: "6 of 6")
                try await press("yes\r", until: "! type /dev/disk/by-id/virtio-disk0 exactly")
                try check(
                    lab.files.read(disks[0].file, 0..<(1 << 20)).allSatisfy { $0 == 0 }, "something was written before the name was typed")
                try await press("\u{7f}\u{7f}\u{7f}/dev/disk/by-id/virtio-disk0\r", until: "Wipe /dev/disk/by-id/virtio-disk0")
                _ = try await machine.console.expect("the machine can be restarted", within: host.deadline(.seconds(240)))
                try await shell.run("test ! -e /run/kldload/guided-answers.env")
                try await machine.console.send("systemctl poweroff\n")
                try await machine.waitForPowerOff(within: host.deadline(.seconds(60)))
            }
            try await lab.verify(disks)
        },
        Scenario(
            "iso.packages",
            "without a network a package from the ISO's mirror is installed; one that it does not have is named before anything is touched"
        ) { lab in
            let iso = try await lab.iso(profiles: ["core"], packages: ["htop"])
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core", "KLDLOAD_PASSWORD=Correct-Horse-7"]).forTest()
            let lines = answers.environmentText.lines.map { "'\($0)'" }.joined(separator: " ")
            let medium = MachineDisk(iso, serial: "medium", readOnly: true)
            try await lab.boot(disks, label: "iso", network: nil, more: [medium]) { machine, host in
                let shell = try await lab.liveShell(machine, host)
                try await shell.run("printf '%s\\n' \(lines) >/run/answers.env")
                let install = "kldload install --answers /run/answers.env --progress plain --set KLDLOAD_EXTRA_PACKAGES="
                var said = try await shell.run("\(install)htop,cowsay 2>&1", within: .seconds(60), accepting: [66])
                lab.log(said)
                try check(said.contains("error[install.packages-missing]") && said.contains("what the answers ask for: cowsay"), said)
                try check(lab.files.read(disks[0].file, 0..<(1 << 20)).allSatisfy { $0 == 0 }, "something was written")
                said = try await shell.run("\(install)htop,bpftool 2>&1", within: .seconds(400))
                try check(said.contains("Packages from this medium: bpftool, htop"), said)
                try await machine.console.send("systemctl poweroff\n")
                try await machine.waitForPowerOff(within: host.deadline(.seconds(60)))
            }
            try await lab.verify(disks)
            try await lab.boot(disks, label: "machine", network: nil) { machine, host in
                let guest = Guest(lab: lab, machine: machine, host: host)
                try await guest.logIn()
                // Its own sources are what they would be, and nothing of the medium's is left.
                let said = try await guest.run(
                    """
                    htop --version; dpkg-query -W -f '${Package} ${db:Status-Abbrev}\\n' htop bpftool; dpkg --audit
                    ls /mnt /var/tmp /var/lib/apt/lists /etc/apt/sources.list.d; ls /usr/sbin/policy-rc.d 2>&1 || true
                    grep -r file: /etc/apt || echo no medium
                    """)
                lab.log(said)
                try check(said.contains("htop 3.") && said.contains("htop ii") && said.contains("bpftool ii"), said)
                try check(said.contains("kldload.sources") && said.contains("no medium") && !said.contains("kldload-mirror"), said)
                try check(said.contains("policy-rc.d': No such file"), said)
            }
        },
        Scenario("iso.secure-boot", "the ISO starts with Secure Boot enforcing, and its kernel refuses a module that nobody has signed") {
            lab in
            // Before the ISO is built.
            _ = try lab.secureBootFirmware()
            let iso = try await lab.iso(profiles: [])
            let medium = MachineDisk(iso, serial: "medium", readOnly: true)
            try await lab.boot([], label: "iso", more: [medium], secure: true) { machine, host in
                let shell = try await lab.liveShell(machine, host)
                let said = try await shell.run("mokutil --sb-state; cat /sys/kernel/security/lockdown; modprobe zfs 2>&1 || true")
                lab.log(said.lines.joined(separator: "; "))
                try check(said.contains("SecureBoot enabled") && said.contains("[integrity]"), said)
                try check(said.contains("Key was rejected by service"), said)
            }
        },
    ]

    /// The live medium as somebody uses it whose machine does not start.
    static let recoveries: [Scenario] = [
        Scenario(
            "recovery.disaster",
            "a machine without power, with its ESP erased and its pool renamed, is brought back from the ISO: its logs, its environments, its boot loader"
        ) { lab in
            let iso = try await lab.iso(profiles: [])
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core", "KLDLOAD_PASSWORD=Correct-Horse-7"])
            try await lab.install(answers.forTest(), onto: disks)
            // Its pool stays open: the power goes.
            try await lab.boot(disks, label: "machine") { machine, host in
                let guest = Guest(lab: lab, machine: machine, host: host)
                try await guest.logIn()
                try await guest.until("systemctl is-active kldload-boot-good", says: "active")
                try await guest.run("kbe create spare && echo spare > $(kbe mount spare)/etc/marker && kbe unmount spare && sync")
            }
            // As a person chooses it in the firmware's menu.
            let medium = MachineDisk(iso, serial: "medium", readOnly: true, bootIndex: 0)
            try await lab.boot(disks, label: "iso", more: [medium]) { machine, host in
                let shell = try await lab.liveShell(machine, host)
                var said = try await shell.run("krecovery import </dev/null", accepting: [1])
                try check(said.contains("error[recovery.in-use]"), said)
                // What people do in the dark.
                try await shell.run(
                    "zpool import -f -N rpool tank && zpool export tank && blkdiscard -f -z /dev/disk/by-id/virtio-disk0-part1")
                said = try await shell.run("krecovery import --as rpool --yes 2>&1; krecovery list-be; krecovery list-snapshots")
                lab.log(said)
                try check(said.contains("debian") && said.contains("spare") && said.contains("rpool/ROOT/debian@install"), said)
                said = try await shell.run("echo 'cat /etc/hostname; findmnt -n -o SOURCE /var/log; ls /boot/efi' | krecovery chroot 2>&1")
                lab.log(said)
                try check(said.contains("rpool/var/log"), said)
                said = try await shell.run("tar tzf $(krecovery export-logs /run/logs 2>/dev/null)")
                try check(said.contains("var/log/journal/") && said.contains("report/zpool-history.txt"), said)
                said = try await shell.run("krecovery reinstall-bootloader </dev/null 2>&1", accepting: [1])
                lab.log(said)
                try check(said.contains("boot.esp-lost"), said)
                said = try await shell.run(
                    "krecovery reinstall-bootloader --format /dev/vda1 2>&1 && krecovery activate spare 2>&1 && krecovery list-be && krecovery export",
                    within: .seconds(300))
                lab.log(said)
                try await machine.console.send("systemctl poweroff\n")
                try await machine.waitForPowerOff(within: host.deadline(.seconds(60)))
            }
            try await lab.boot(disks, label: "again") { machine, host in
                let guest = Guest(lab: lab, machine: machine, host: host)
                try await guest.logIn()
                try await guest.until("systemctl is-active kldload-boot-good", says: "active")
                var said = try await guest.run("kbe current; cat /etc/marker; zpool status -x")
                try check(said.lines.prefix(2) == ["spare", "spare"], said)
                said = try await guest.run("efibootmgr; /usr/lib/kldload/kldload doctor boot; kbe activate debian")
                lab.log(said)
                try check(said.contains(": it starts"), said)
            }
            try await lab.verify(disks)
        }
    ]

    /// An environment is made, changed and booted; bad ones are left by themselves.
    private static func environments(_ lab: Laboratory, _ guest: Guest, _ chain: BootChain = .systemdBoot) async throws {
        try await guest.run("kbe create next && place=$(kbe mount next) && echo next > $place/etc/marker && kbe unmount next")
        let activation = try await guest.run("time kbe activate next")
        lab.log("activating it: \(activation.lines.first { $0.hasPrefix("real") } ?? "?")")
        try await guest.restart()
        try check(try await guest.run("kbe current; cat /etc/marker").lines == ["next", "next"], "another environment was booted")
        try await guest.until("kbe list", says: "good")
        try check(try await guest.run("zpool get -H -o value bootfs rpool").trimmed == "rpool/ROOT/next", "bootfs stayed")

        // It starts, and is no use.
        try await guest.run(
            """
            kbe create useless && place=$(kbe mount useless) && mkdir -p $place/etc/kldload/boot-check.d
            printf '#!/bin/sh\\necho no disk for the database\\nexit 1\\n' > $place/etc/kldload/boot-check.d/10-database
            chmod 755 $place/etc/kldload/boot-check.d/10-database && kbe unmount useless && kbe activate useless
            """)
        try await guest.restart(leaving: "useless", boots: 4)
        var list = try await guest.run("kbe current; kbe list; cat /run/motd.d/50-kldload-boot")
        lab.log(list)
        try check(list.hasPrefix("next"), "it went elsewhere")
        try check(list.contains("failed: /etc/kldload/boot-check.d/10-database ended with 1: no disk for the database"), list)

        // Its root is not there any more: no program of it ever runs.
        try await guest.run("kbe create gone && kbe activate gone && zfs destroy -r rpool/ROOT/gone")
        try await guest.restart(leaving: "gone", boots: 4)
        list = try await guest.run("kbe current; zpool get -H -o value bootfs rpool; kbe destroy useless --yes; kbe list")
        lab.log(list)
        try check(
            list.lines.prefix(2) == ["next", "rpool/ROOT/next"]
                && !list.lines.contains { $0.hasPrefix("useless") || $0.hasPrefix("gone") }, list)
        try check(try await guest.run("ls /boot/efi/\(chain.entryFolder)").lines.allSatisfy { !$0.contains("gone") }, "its entry stayed")
    }

    /// One is booted once. - Parameter name: what is booted before and after.
    private static func once(_ lab: Laboratory, _ guest: Guest, before name: String) async throws {
        let made = try await guest.run("time { kbe create probe && kbe activate --once probe; }")
        lab.log("created and activated in \(made.lines.first { $0.hasPrefix("real") } ?? "?")")
        try await guest.restart()
        try check(try await guest.run("kbe current").trimmed == "probe", "it was not booted")
        try await guest.until("systemctl is-active kldload-boot-good", says: "active")
        try await guest.restart()
        let said = try await guest.run("kbe current; zpool get -H -o value bootfs rpool; kbe list")
        lab.log(said)
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
        let disks = try await lab.disks(count)
        let profile = overrides.contains { $0.hasPrefix("KLDLOAD_PROFILE=") } ? [] : ["KLDLOAD_PROFILE=core"]
        let answers = try lab.answers(example, ["KLDLOAD_PASSWORD=Correct-Horse-7"] + profile + overrides)
        try await lab.install(answers.forTest(), onto: disks, kernel: kernel)
        try await lab.boot(disks, more: more) { machine, host in
            let guest = Guest(lab: lab, machine: machine, host: host)
            try await guest.logIn()
            try await guest.until("systemctl is-active kldload-boot-good", says: "active")
            // Its timer would do so a minute later, in the middle of something.
            try await guest.run("/usr/lib/kldload/kldload boot recovery", within: .seconds(300))
            try await body(guest)
        }
    }
}

/// Root on the serial console of an installed machine, through its restarts.
struct Guest: Sendable {
    let lab: Laboratory
    let machine: VirtualMachine
    let host: FactoryHost

    /// Waits for the login prompt first.
    func logIn() async throws {
        _ = try await machine.console.expect("login:", within: host.deadline(.seconds(240)))
        try await lab.logIn(machine, host, [("login:", "admin"), ("assword:", "Correct-Horse-7")])
        try await machine.console.send("sudo -i\n")
        _ = try await machine.console.expect("# ", within: host.deadline(.seconds(30)))
        try await machine.console.send(
            "stty -echo; export PS1= PS2= TERM=dumb; tool=/usr/lib/kldload/kldload; kbe() { $tool kbe \"$@\"; }; dmesg -n 1\n")
        try await run("true")
    }

    /// Runs lines of shell, and returns what they printed. - Throws: ``CheckFailure`` when they end with another status than 0.
    @discardableResult
    func run(_ script: String, within limit: Duration = .seconds(120)) async throws -> String {
        try await LiveShell(machine: machine, host: host).run(script, within: limit)
    }

    /// Asks once in a while, until the answer holds a text.
    func until(_ script: String, says text: String) async throws {
        for _ in 0..<60 {
            if try await LiveShell(machine: machine, host: host).run(script, accepting: Set(0...4)).lines.contains(where: {
                $0.contains(text)
            }) {
                return
            }
            try await Task.sleep(for: .seconds(2))
        }
        throw CheckFailure("'\(script)' did not say '\(text)'")
    }

    /// Environments that are bad in five ways, each activated and started: without a person the machine comes back to the one that runs now.
    ///
    /// Each has one try left, as after two starts that failed: that it gets three is another scenario's.
    func leaveBadEnvironments() async throws {
        let good = try await run("kbe current").trimmed
        for (name, harm, reason): (String, String, String?) in [
            ("panics", "ln -sf /bin/false $place/sbin/init", "it never reached its health check"),
            // The first process has a fault, and systemd stops there: nobody calls the watchdog any more.
            (
                "hangs",
                "printf '[Service]\\nExecStart=/bin/kill -SEGV 1\\n[Install]\\nWantedBy=sysinit.target\\n' > $place/etc/systemd/system/fault.service && ln -s ../fault.service $place/etc/systemd/system/sysinit.target.wants/",
                "it never reached its health check"
            ),
            ("rootless", "kbe unmount rootless && zfs destroy -r rpool/ROOT/rootless", nil),
            // Not even its reason can be written down: the ESP's file system is a module.
            ("moduleless", "mv $place/lib/modules $place/lib/modules.away", "it never reached its health check"),
            ("deaf", "echo Nonsense yes > $place/etc/ssh/sshd_config.d/00-nonsense.conf", "ssh.service is"),
        ] {
            try await run(
                """
                kbe create \(name) && kbe activate \(name) && place=$(kbe mount \(name)) && \(harm) && { kbe unmount \(name) || true; }
                for entry in /boot/efi/loader/entries/kldload-\(name)-*+3.conf; do mv $entry ${entry%+3.conf}+1-2.conf; done; sync
                """)
            try await restart(leaving: name, boots: 5)
            let said = try await run("kbe current; kbe list")
            lab.log(said)
            try check(said.hasPrefix(good + "\n"), "\(name): it did not come back: \(said)")
            // Of what is not there any more nothing is listed.
            if let reason { try check(said.contains(reason), "\(name): the reason is not said: \(said)") }
            try await run("kbe destroy \(name) --yes || true")
        }
    }

    /// Restarts, and logs in again.
    /// - Parameter environment: what is left for another one, after so many boots. An environment on trial may show a login prompt too, and the
    ///   loader's menu names it: what is waited for is the word of the one that came after.
    func restart(leaving environment: String? = nil, boots: Int = 1) async throws {
        try await machine.console.send("systemctl reboot\n")
        if let environment {
            _ = try await machine.console.expect("the boot environment \(environment) (Linux", within: host.deadline(.seconds(120 * boots)))
        }
        try await logIn()
    }
}
