import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldImage
import KldPlan
import KldVirt
import SystemPackage

extension Scenario {
    /// The live ISO, as a person writes it to a stick.
    static let isos: [Scenario] = [
        Scenario(
            "iso.install",
            "the ISO starts by itself, installs server, which it carries as what that has beyond core, as a seed volume says, without a network, and powers off"
        ) { lab in
            let iso = try await lab.iso(profiles: ["server", "core"])
            let listed = lab.folder.appending("medium.list")
            try await lab.workshop.runner.run(
                Command(
                    "xorriso",
                    ["-report_about", "FAILURE", "-osirrox", "on", "-indev", iso.string, "-extract", "/\(MediumList.path)", listed.string],
                    effect: .changes))
            let folder = "kldload/payloads/debian-trixie"
            let list = try MediumList(text: lab.files.readText(listed))
            try check(
                list.bases == ["\(folder)-server/increment.zfs": "\(folder)-core/root.zfs"] && list("\(folder)-server/root.zfs") == nil,
                "the ISO carries server whole: \(list.bases)")
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=server", "KLDLOAD_PASSWORD=Correct-Horse-7"]).forTest()
            let media = [
                MachineDisk(iso, serial: "medium", readOnly: true),
                MachineDisk(try await lab.seed(answers), serial: "seed", readOnly: true),
            ]
            let start = ContinuousClock.now
            try await lab.boot(disks, label: "iso", network: nil, more: media) { machine, host in
                _ = try await machine.console.expect("kldload: installing as answers.env", within: host.deadline(.seconds(180)))
                lab.log("the seed volume was found")
                try await machine.waitForPowerOff(within: host.deadline(.seconds(240)))
            }
            lab.log("the machine was on for \(start.duration(to: .now).components.seconds) s, and is installed")
            try await lab.verify(disks)
            try await lab.withGuest(disks, label: "machine", network: nil, untilGood: false) { guest in
                // Every file is what its package says, but for settings, and for what a build leaves out: nothing of core's stayed in its place.
                let odd = try await guest.run(
                    "dpkg --verify | grep -vE '^missing.*(/LC_MESSAGES/|/usr/share/doc/|/var/)|^[^ ]+ +c /' || true", within: .seconds(240))
                try check(odd.trimmed.isEmpty, "not what its package says:\n\(odd)")
                let said = try await guest.run("dpkg --audit; podman --version; zfs list -H -o name -t snapshot -d 1 rpool/ROOT/debian")
                lab.log(said.lines.joined(separator: "; "))
                try check(said.contains("podman version") && said.contains("@install"), said)
                try check(!said.contains("@payload") && !said.contains("@increment"), "a snapshot that it arrived in is left:\n\(said)")
            }
        },
        Scenario(
            "iso.guided",
            "from a stick, on the ISO's serial console, six screens install a machine, and nothing is written before its disk's name is typed"
        ) {
            lab in
            let iso = try await lab.iso(profiles: ["core"])
            let disks = try await lab.disks(1)
            let medium = MachineDisk(iso, serial: "medium", readOnly: true, interface: .usbStick)
            try await lab.boot(disks, label: "iso", more: [medium]) { machine, host in
                let shell = try await lab.liveShell(machine, host)
                func press(_ keys: String, until text: String) async throws {
                    try await machine.console.send(keys)
                    _ = try await machine.console.expect(text, within: host.deadline(.seconds(60)))
                }
                // Nobody says what to install: the screens are at the machine's own too.
                for _ in 0..<30 where try await !shell.run("cat /dev/vcs1").contains("1 of 6") { try await Task.sleep(for: .seconds(2)) }
                let own = try await shell.told(
                    "systemctl is-active kldload-guided; fold -w $(stty -F /dev/tty1 size | cut -d ' ' -f 2) /dev/vcs1")
                try check(own.hasPrefix("active") && own.contains("1 of 6"), own)
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
                try await shell.powerOff()
            }
            try await lab.verify(disks)
        },
        Scenario(
            "iso.packages",
            "from a disc, without a network, a package from the ISO's mirror and a locale that it lacks are installed; a package that it does not have is named before anything is touched"
        ) { lab in
            let iso = try await lab.iso(profiles: ["core"], packages: ["htop"])
            let disks = try await lab.disks(1)
            let answers = try lab.answers(
                "three-lines", ["KLDLOAD_PROFILE=core", "KLDLOAD_PASSWORD=Correct-Horse-7", "KLDLOAD_LOCALE=de_AT.UTF-8"]
            ).forTest()
            let lines = answers.environmentText.lines.map { "'\($0)'" }.joined(separator: " ")
            let medium = MachineDisk(iso, interface: .cdrom)
            try await lab.boot(disks, label: "iso", network: nil, more: [medium]) { machine, host in
                let shell = try await lab.liveShell(machine, host)
                try await shell.run("printf '%s\\n' \(lines) >/run/answers.env")
                let install = "kldload install --answers /run/answers.env --progress plain --set KLDLOAD_EXTRA_PACKAGES="
                var said = try await shell.told("\(install)htop,cowsay 2>&1", within: .seconds(60), accepting: [66])
                try check(said.contains("error[install.packages-missing]") && said.contains("what the answers ask for: cowsay"), said)
                try check(lab.files.read(disks[0].file, 0..<(1 << 20)).allSatisfy { $0 == 0 }, "something was written")
                said = try await shell.run("\(install)htop,bpftool 2>&1", within: .seconds(400))
                try check(said.contains("Packages from this medium: bpftool, htop"), said)
                try await shell.powerOff()
            }
            try await lab.verify(disks)
            try await lab.withGuest(disks, label: "machine", network: nil, untilGood: false) { guest in
                // Its own sources are what they would be, and nothing of the medium's is left.
                let said = try await guest.told(
                    """
                    htop --version; LC_ALL=de_AT.UTF-8 locale d_fmt; LC_ALL=de_AT.UTF-8 date -d 2026-03-01 +%B; dpkg-query -W -f '${Package} ${db:Status-Abbrev}\\n' htop bpftool; dpkg --audit
                    ls /mnt /var/tmp /var/lib/apt/lists /etc/apt/sources.list.d; ls /usr/sbin/policy-rc.d 2>&1 || true
                    grep -r file: /etc/apt || echo no medium
                    """)
                try check(said.contains("htop 3.") && said.contains("htop ii") && said.contains("bpftool ii"), said)
                try check(said.lines.contains("März"), "the locale has no data: \(said)")
                try check(said.contains("kldload.sources") && said.contains("no medium") && !said.contains("kldload-mirror"), said)
                try check(said.contains("policy-rc.d': No such file"), said)
            }
        },
        Scenario(
            "iso.secure-boot",
            "two builds of the ISO are equal; it starts with Secure Boot enforcing, and its kernel refuses a module that nobody has signed",
            isSecure: true
        ) { lab in
            let iso = try await lab.iso(profiles: [])
            let again = try await lab.iso(profiles: [], name: "again.iso")
            try await lab.workshop.runner.run(
                Command(Tool("cmp", package: "diffutils"), ["--silent", iso.string, again.string], effect: .reads))
            let medium = MachineDisk(iso, serial: "medium", readOnly: true)
            try await lab.boot([], label: "iso", more: [medium]) { machine, host in
                let shell = try await lab.liveShell(machine, host)
                let said = try await shell.run("mokutil --sb-state; cat /sys/kernel/security/lockdown; modprobe zfs 2>&1 || true")
                lab.log(said.lines.joined(separator: "; "))
                try check(said.contains("SecureBoot enabled") && said.contains("[integrity]"), said)
                try check(said.contains("Key was rejected by service"), said)
            }
        },
    ]
}
