import KldAnswers
import KldCore
import KldFiles
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    /// Firmware that enforces Secure Boot, and keeps its variables from one start to the next.
    static let secureBoots: [Scenario] = [
        Scenario(
            "secure-boot.install",
            "with Secure Boot enforcing: the medium's key is enrolled at the console, a machine is installed, its own key is enrolled, its boot environments start, and bad ones are left",
            isSecure: true
        ) { lab in
            let (disks, variables, password) = try await installed(lab)
            try await lab.withGuest(disks, label: "machine", variables: variables, enrolling: password) { guest in
                var said = try await guest.told(
                    "cat /sys/kernel/security/lockdown; mokutil --sb-state; findmnt -n -o FSTYPE /; $tool secure-boot status"
                )
                try check(
                    said.contains("[integrity]") && said.contains("SecureBoot enabled") && said.contains("everything is signed by a key"),
                    said)
                try check(said.contains("signed under Microsoft") && said.contains("signed under Debian Secure Boot CA"), said)
                // One has an image of its own, signed again; the other starts with the one that runs.
                said = try await guest.told(
                    """
                    kbe create Other && kbe activate Other && $tool doctor boot && kbe create next && kbe activate next && $tool doctor boot
                    cat /boot/efi/loader/entries/kldload-*.conf | grep '^efi '
                    for image in /boot/efi/EFI/kldload/kldload-*.efi; do sbverify --list $image | grep -c '^signature '; done
                    """)
                try check(said.contains("the next boot is Other, Linux") && said.contains("the next boot is next, Linux"), said)
                let images = said.lines.filter { $0.hasPrefix("efi ") }
                try check(
                    images.count == 3 && Set(images).count == 2 && !images.contains { $0.contains("next") }, "images: \(images)")
                try check(said.lines.suffix(2) == ["1", "1"], "an image is not signed exactly once: \(said)")
                try await guest.restart()
                said = try await guest.run("kbe current; cat /sys/kernel/security/lockdown")
                try check(said.hasPrefix("next") && said.contains("[integrity]"), said)

                try await guest.leaveBadEnvironments()

                // Some bytes of its kernel or initramfs are others: nothing of it is started.
                try await tamper(guest, "/boot/efi/EFI/kldload/kldload-*.efi")
            }
        },
        Scenario(
            "secure-boot.grub",
            "with Secure Boot enforcing, GRUB starts a machine whose key was enrolled, its environments and a changed initramfs, and no kernel that was tampered with",
            isSecure: true
        ) { lab in
            let (disks, variables, password) = try await installed(lab, ["KLDLOAD_BOOTLOADER=grub"], trustsMedium: true)
            try await lab.withGuest(disks, label: "machine", variables: variables, enrolling: password) { guest in
                var said = try await guest.told(
                    "cat /sys/kernel/security/lockdown; mokutil --sb-state; $tool secure-boot status; cat /proc/cmdline; $tool doctor boot")
                try check(said.contains("[integrity]") && said.contains("SecureBoot enabled"), said)
                try check(said.contains("kldload.entry=kldload-debian-") && said.contains(": it starts"), said)
                said = try await guest.told("kbe create next && kbe activate next && $tool doctor boot")
                try check(said.contains("the next boot is next, Linux"), said)
                try await guest.restart()
                said = try await guest.told(
                    "kbe current; cat /sys/kernel/security/lockdown; update-initramfs -u 2>&1 && kbe list && $tool doctor boot",
                    within: .seconds(300))
                try check(said.hasPrefix("next") && said.contains("[integrity]") && said.contains(": it starts"), said)
                try await guest.restart()
                said = try await guest.told("cat /proc/cmdline; $tool verify --only boot && $tool doctor boot")
                try check(said.lines.first?.contains(".2 kldload.esp=") == true && said.contains(": it starts"), said)
                try await tamper(guest, "/boot/efi/EFI/kldload/vmlinuz-*")
            }
        },
        Scenario(
            "secure-boot.unattended",
            "with Secure Boot enforcing, a medium whose key nobody has enrolled installs nothing and says why; enrolled, it installs as a seed volume says, and the machine's key is enrolled with the answers' password",
            isSecure: true
        ) { lab in
            let iso = try await lab.iso(profiles: ["core"])
            let disks = try await lab.disks(1)
            let password = "enrol-7-horses"
            let answers = try lab.answers(
                "three-lines", ["KLDLOAD_PROFILE=core", "KLDLOAD_PASSWORD=Correct-Horse-7", "KLDLOAD_MOK_PASSWORD=\(password)"]
            ).forTest()
            let media = [
                MachineDisk(iso, serial: "medium", readOnly: true),
                MachineDisk(try await lab.seed(answers), serial: "seed", readOnly: true),
            ]
            try await lab.boot(disks, label: "stranger", network: nil, more: media) { machine, host in
                _ = try await machine.console.expect("error[install.no-zfs]", within: host.deadline(.seconds(240)))
                let said = try await machine.console.expect("kldload-secure-boot reenroll", within: host.deadline(.seconds(30)))
                lab.log(said)
            }
            try check(lab.files.read(disks[0].file, 0..<(1 << 20)).allSatisfy { $0 == 0 }, "something was written")

            let variables = try await lab.variables(at: lab.folder.appending("vars.fd"), trusting: [], medium: iso)
            try await lab.boot(disks, label: "medium", network: nil, more: media, variables: variables) { machine, host in
                _ = try await machine.console.expect("kldload: installing as answers.env", within: host.deadline(.seconds(240)))
                try await machine.waitForPowerOff(within: host.deadline(.seconds(300)))
            }
            try await lab.withGuest(disks, label: "machine", variables: variables, enrolling: password) { guest in
                let said = try await guest.told("$tool verify && $tool secure-boot status && $tool doctor boot")
                try check(said.contains("everything is signed by a key") && said.contains(": it starts"), said)
            }
        },
    ]

    /// A machine of one disk, installed by hand from the ISO, whose key a person enrols first; and what to type at the machine's first start.
    /// - Parameter trustsMedium: somebody has enrolled that key before.
    private static func installed(
        _ lab: Laboratory, _ more: [String] = [], trustsMedium: Bool = false
    ) async throws -> (disks: [Factory.Disk], variables: FilePath, password: String) {
        let iso = try await lab.iso(profiles: ["core"])
        let variables = try await lab.variables(at: lab.folder.appending("vars.fd"), trusting: [], medium: trustsMedium ? iso : nil)
        let disks = try await lab.disks(1)
        let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core", "KLDLOAD_PASSWORD=Correct-Horse-7"] + more).forTest()
        let file = lab.folder.appending(SeedVolume.answersName)
        try lab.files.write(answers.environmentText, to: file, mode: .secret)
        // No seed volume: a person installs.
        let stick = try await lab.volume("STICK", [file], at: lab.folder.appending("stick.img"))

        let media = [
            MachineDisk(iso, serial: "medium", readOnly: true), MachineDisk(stick, serial: "stick", readOnly: true),
        ]
        let password = try await lab.boot(
            disks, label: "medium", network: nil, more: media, variables: variables
        ) { machine, host in
            var shell = try await lab.liveShell(machine, host)
            if !trustsMedium {
                let said = try await shell.told("modprobe zfs 2>&1 || true; kldload-secure-boot reenroll 2>&1", within: .seconds(60))
                try check(said.contains("Key was rejected by service"), said)
                try await machine.console.send("systemctl reboot\n")
                try await lab.enrol(shownPassword(said), machine, host)
                shell = try await lab.liveShell(machine, host)
            }
            var said = try await shell.run("cat /sys/kernel/security/lockdown; modprobe zfs && zfs version")
            lab.log(said.lines.joined(separator: "; "))
            try check(said.contains("[integrity]") && said.contains("zfs-kmod"), said)
            said = try await shell.run(
                "mkdir /run/stick && mount /dev/disk/by-id/virtio-stick /run/stick && kldload install --answers /run/stick/answers.env --progress plain 2>&1",
                within: .seconds(300))
            lab.log(said.lines.suffix(4).joined(separator: "; "))
            try await shell.powerOff()
            return try shownPassword(said)
        }
        return (disks, variables, password)
    }

    /// Changes bytes in the middle of what boots, and requires that the firmware or the loader says so and starts nothing.
    private static func tamper(_ guest: Guest, _ files: String) async throws {
        try await guest.run(
            """
            for image in \(files); do
                head -c 64 /dev/zero | dd of=$image bs=1 seek=$(($(stat -c %s $image) / 2)) conv=notrunc status=none
            done; sync
            """)
        let said = try await guest.told("$tool doctor boot || true; $tool secure-boot status || true")
        try check(said.contains(": it does not start") && said.contains("changed since it was signed"), said)
        try await guest.machine.console.send("systemctl reboot\n")
        let texts = ["ecurity violation", "ecurity Violation", "ccess denied", "bad shim signature", "login:"]
        let end = try await guest.machine.console.expect(anyOf: texts, within: guest.host.deadline(.seconds(120)))
        guest.lab.log("tampered: \(texts[end.index])")
        try check(end.index < texts.count - 1, "a boot image that was tampered with was started")
    }

    /// What a tool said to type at the next start.
    private static func shownPassword(_ said: String) throws -> String {
        guard let line = said.lines.first(where: { $0.contains("type the password: ") }), let word = line.words.last else {
            throw CheckFailure("no password was shown: \(said)")
        }
        return word
    }
}

extension Laboratory {
    /// Root's shell of the live environment, when it is up.
    func liveShell(_ machine: VirtualMachine, _ host: FactoryHost) async throws -> LiveShell {
        _ = try await machine.console.expect("root@kldload", within: host.deadline(.seconds(240)))
        let shell = LiveShell(lab: self, machine: machine, host: host)
        try await shell.run("stty -echo; export PS1= PS2= TERM=dumb; dmesg -n 1")
        return shell
    }

    /// Answers shim's key manager as a person does, screen by screen, at the machine's keyboard: over a serial line a slow firmware takes an
    /// arrow's first byte for the key Esc, which is No. Source: MokManager, shim 16.1.
    func enrol(_ password: String, _ machine: VirtualMachine, _ host: FactoryHost) async throws {
        for (screen, keys) in [
            ("to perform MOK management", ["ret"]), ("Enroll MOK", ["down", "ret"]), ("View key 0", ["down", "ret"]),
            ("Enroll the key", ["down", "ret"]), ("Password:", []), ("Reboot", ["ret"]),
        ] {
            _ = try await machine.console.expect(screen, within: host.deadline(.seconds(180)))
            for key in keys {
                try await Task.sleep(for: .seconds(2))
                try await machine.monitor.press([key])
            }
            if screen == "Password:" { try await machine.console.send(password + "\r") }
        }
        log("the key manager took the password")
    }
}
