import KldCore
import KldImage
import KldVirt

extension Scenario {
    /// The recovery image, over the serial console alone.
    static let recoveryImages: [Scenario] = [
        Scenario(
            "recovery.image",
            "the recovery image starts once when it is asked to; on the serial console each verb does what it says, and a chosen environment is booted"
        ) { lab in
            let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBHkFE8KXgo7egyjdBaDxjn7nr4M5BwRvnQIXUVliqqo ops@example"
            try await withMachine(lab, ["KLDLOAD_SSH_PUBKEY=\(key)"]) { guest in
                var said = try await guest.told(
                    "$tool boot recovery --next && ls -l /boot/efi/EFI/kldload && cat /boot/efi/loader/entries/recovery-kldload.conf && $tool doctor boot"
                )
                try check(said.contains("recovery.efi") && said.contains("the recovery image is made of what runs"), said)
                try await guest.machine.console.send("systemctl reboot\n")
                let desk = RecoveryKeys(guest: guest)
                try await desk.home(within: .seconds(300))

                // A new environment of a snapshot.
                try await desk.environment()
                try await desk.press(desk.down(3) + "\r", until: "snapshots of debian")
                try await desk.press("\r", until: "Go back to it")
                try await desk.press("\r", until: "[install-copy_]")
                try await desk.press("\r", until: "install-copy is an environment of debian@install")
                try await desk.press("\r", until: "Power off")
                lab.log("cloned")

                try await desk.environment()
                try await desk.press(desk.down(4) + "\r", until: "compare debian with")
                try await desk.press("\r", until: "kldload: debian and install-copy")
                try await desk.press("\r", until: "compare debian with")
                try await desk.press("\u{1b}", until: "A shell in it")
                try await desk.press("\u{1b}", until: "Power off")
                lab.log("compared")

                try await desk.environment()
                try await desk.press(desk.down(5) + "\r", until: "you are in debian")
                try await Task.sleep(for: .seconds(5))
                try await desk.press("touch /etc/from-recovery && findmnt -n -o SOURCE /var/log && exit\n", until: "Power off")
                lab.log("a shell was in it")

                try await desk.environment()
                try await desk.press(desk.down(3) + "\r", until: "snapshots of debian")
                try await desk.press("\r", until: "Go back to it")
                try await desk.press(desk.down(1) + "\r", until: "[install-back_]")
                try await desk.press("\r\r", until: "! type debian@install exactly")
                try await desk.press("debian@install\r", until: "boots next: restart", within: .seconds(400))
                try await desk.press("\r", until: "Power off")
                lab.log("gone back")

                // debian, install-back, install-copy; then this.
                try await desk.press(desk.down(3) + "\r", until: "let an administrator in")
                try await desk.press("\r\r\r", until: "Keys of this host")
                try await desk.press("\r", until: "Power off")
                lab.log("an administrator could have logged in")

                try await desk.press(String(repeating: "\u{1b}[A", count: 3) + "\r", until: "A shell in it")
                try await guest.machine.console.send("\r")
                try await guest.logIn(untilGood: false)
                said = try await guest.told(
                    "kbe current; ls /etc/from-recovery; cat /proc/cmdline; kbe list; $tool doctor boot; ls -A /run/kldload")
                try check(said.lines.prefix(2) == ["debian", "/etc/from-recovery"] && said.contains("boot=kldload"), said)
                try check(said.contains("the next boot is install-back") && said.contains(": it starts"), said)
                try await guest.restart()
                said = try await guest.told("kbe current; cat /proc/cmdline; ls /etc/from-recovery 2>&1 || true; kbe list --quiet")
                try check(said.hasPrefix("install-back") && said.contains("boot=zfs") && said.contains("No such file"), said)
                try check(["debian", "install-back", "install-copy"].allSatisfy(said.lines.contains), said)

                // Another one than boots by default: once, then from now on.
                for (line, next) in [(2, "install-back"), (1, "debian")] {
                    try await guest.run("$tool boot recovery --next")
                    try await guest.machine.console.send("systemctl reboot\n")
                    try await desk.home(within: .seconds(300))
                    try await desk.press("\u{1b}[A\r", until: "A shell in it")
                    try await guest.machine.console.send(desk.down(line) + "\r")
                    try await guest.logIn()
                    said = try await guest.told("kbe current; $tool doctor boot")
                    try check(said.hasPrefix("debian\n") && said.contains("the next boot is \(next), Linux"), said)
                }
            }
        },
        Scenario(
            "recovery.grub",
            "after the first good boot there is a recovery image; in GRUB's menu a key starts it, and it boots an environment"
        ) { lab in
            let disks = try await lab.machine("three-lines", ["KLDLOAD_BOOTLOADER=grub"])
            try await lab.withGuest(disks) { guest in
                // Nobody asks for it: a timer makes it a minute after the first good boot, with the lowest priority.
                try await guest.until("ls /boot/efi/EFI/kldload", says: "recovery.efi", within: .seconds(600))
                try await guest.until("$tool doctor boot", says: "the recovery image is made of what runs")
                try await guest.machine.console.send("systemctl reboot\n")
                _ = try await guest.machine.console.expect("kldload recovery", within: guest.host.deadline(.seconds(120)))
                try await Task.sleep(for: .seconds(2))
                try await guest.machine.console.send("r")
                let desk = RecoveryKeys(guest: guest)
                try await desk.home(within: .seconds(300))
                try await desk.environment()
                try await guest.machine.console.send("\r")
                try await guest.logIn(untilGood: false)
                let said = try await guest.told("kbe current; cat /proc/cmdline; kbe list; $tool doctor boot")
                try check(said.hasPrefix("debian") && said.contains("boot=kldload") && said.contains(": it starts"), said)
            }
        },
    ]
}

/// A person before the recovery image's console.
private struct RecoveryKeys {
    let guest: Guest

    func down(_ count: Int) -> String { String(repeating: "\u{1b}[B", count: count) }

    func home(within limit: Duration) async throws {
        let texts = ["Power off", "Kernel panic", "login:", "(initramfs)"]
        let end = try await guest.machine.console.expect(anyOf: texts, within: guest.host.deadline(limit))
        try check(end.index == 0, "instead of the recovery image's console: \(texts[end.index])")
    }

    /// From the first screen to that of the environment that boots by default.
    func environment() async throws { try await press("\r", until: "A shell in it") }

    /// A problem that is shown on the way is what went wrong.
    func press(_ keys: String, until text: String, within limit: Duration = .seconds(180)) async throws {
        try await guest.machine.console.send(keys)
        let texts = [text] + (text.hasPrefix("!") ? [] : ["\n  ! "])
        let end = try await guest.machine.console.expect(anyOf: texts, within: guest.host.deadline(limit))
        guard end.index > 0 else { return }
        try await Task.sleep(for: .seconds(1))
        let problem = try await guest.machine.console.nextLine(within: .seconds(5)) ?? ""
        throw CheckFailure("waiting for '\(text)': \(problem)")
    }
}
