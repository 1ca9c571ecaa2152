import KldAnswers
import KldCore
import KldExec
import KldDoctor
import KldFiles
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    /// Each example: installed, rebooted from its own disks, checked from inside.
    static let installs: [Scenario] = [
        Scenario("install.three-lines", "three answers make a machine that boots from its own disk", tier: .ci) { lab in
            try await install("three-lines", disks: 1, lab)
        },
        Scenario("install.server-static", "a server with a static network") { lab in try await install("server-static", disks: 1, lab) },
        Scenario("install.mirror", "a mirror of two disks") { lab in try await install("mirror", disks: 2, lab) },
        Scenario("install.raidz1", "raidz1 over three disks") { lab in try await install("raidz1", disks: 3, lab) },
        Scenario("install.mirror-stripe", "two striped mirrors") { lab in try await install("mirror-stripe", disks: 4, lab) },
        Scenario("install.special-vdev", "a special vdev as redundant as the root vdev") { lab in
            try await install("special-vdev", disks: 4, lab)
        },
        Scenario("install.encrypted", "native encryption; the passphrase is typed at the console") { lab in
            let answers = try lab.answers("encrypted")
            let disks = try await lab.disks(1)
            try await lab.install(answers.forTest(), onto: disks)
            try await lab.verify(disks, passphrase: answers.passphrase?.reveal())
        },
        Scenario("install.encrypted-keyboard", "the passphrase typed at screen and keyboard, on a German keyboard") { lab in
            let answers = try lab.answers("encrypted", ["KLDLOAD_KEYBOARD_LAYOUT=de", "KLDLOAD_ZFS_PASSPHRASE=zylinderyacht7"])
            let disks = try await lab.disks(1)
            try await lab.install(answers.forTest(), onto: disks)
            let report = try await lab.boot(disks, graphics: true) { machine, host in
                // It stands on the serial console too; whoever answers first is heard.
                try await Laboratory.passphrasePrompt(machine, host)
                // Y and Z have changed places.
                let places = (answers.passphrase?.reveal() ?? "").map { ["y": "z", "z": "y"][$0] ?? String($0) }
                try await machine.monitor.press(places + ["ret"])
                return try await ImageVerification.answer(machine, on: host)
            }
            try lab.require(report)
        },
        Scenario(
            "install.default-password",
            "the default password must be changed at the console, and SSH accepts none before that; a key needs neither that nor a terminal"
        ) { lab in
            let disks = try await lab.disks(1)
            let (runner, key) = (lab.workshop.runner, lab.folder.appending("key"))
            let make = ["-q", "-t", "ed25519", "-N", "", "-f", key.string]
            try await runner.run(Command(Tool("ssh-keygen", package: "openssh-client"), make, effect: .changes))
            let line = try lab.files.readText(FilePath("\(key.string).pub")).trimmed
            try await lab.install(
                lab.answers("three-lines", ["KLDLOAD_PROFILE=core", "KLDLOAD_SSH_PUBKEY=\(line)"]).forTest(), onto: disks)
            let port = UInt16.random(in: 20_000..<32_000)
            try await lab.boot(disks, network: MachineNetwork(hostForwards: [.init(host: port, guest: 22)])) { machine, host in
                try lab.require(try await ImageVerification.answer(machine, on: host))
                let options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
                let words = options.flatMap { ["-o", $0] } + ["-i", key.string, "-p", "\(port)", "admin@127.0.0.1", "sudo -n id -un"]
                let named = try await runner.run(
                    Command(Tool("ssh", package: "openssh-client"), ["-n", "-F", "none"] + words, effect: .reads))
                try check(named.output.trimmed == "root", "\(named)")
                lab.log("a key was enough for ssh and sudo without a terminal")
                try await lab.logIn(
                    machine, host,
                    [
                        ("login:", "admin"), ("assword:", "admin"), ("urrent password:", "admin"), ("ew password:", "Correct-Horse-7"),
                        ("etype new password:", "Correct-Horse-7"),
                    ])
                // The path unit needs a moment; sshd -T says what a connection would be told.
                let said = try await lab.ask(
                    machine, host, "sleep 10; sudo sshd -T -C user=admin,host=x,addr=192.0.2.1 | grep -i ^passwordauth")
                try check(said.contains("passwordauthentication yes"), said)
                lab.log("changed at the console; passwordauthentication yes")
            }
        },
        Scenario("install.firmware-entry", "installed under UEFI, the machine starts from its own entry, by the name in the answers") {
            lab in
            let disks = try await lab.disks(1)
            let answers = try lab.answers(
                "three-lines", ["KLDLOAD_PROFILE=core", "KLDLOAD_PASSWORD=Correct-Horse-7", "KLDLOAD_BOOTLOADER_ID=our-machine"]
            ).forTest()
            let variables = lab.folder.appending("vars.fd")
            try Firmware.find(.uefi, files: lab.files).copyVariables(to: variables, files: lab.files)
            try await lab.live(answers, disks: disks.map { MachineDisk($0.file, serial: $0.serial) }, variables: variables) { shell in
                try await shell.run("kldload install --answers answers.env --payload /run/test --progress none", within: .seconds(180))
                try await shell.told("efibootmgr")
            }
            try await lab.boot(disks, variables: variables) { machine, host in
                try lab.require(try await ImageVerification.answer(machine, on: host))
                try await lab.logIn(machine, host, [("login:", "admin"), ("assword:", "Correct-Horse-7")])
                let said = try await lab.ask(machine, host, "sudo efibootmgr")
                lab.log(said.lines.map(\.trimmed).filter { $0.hasPrefix("Boot") }.joined(separator: "; "))
                guard let current = said.lines.first(where: { $0.trimmed.hasPrefix("BootCurrent:") })?.words.last else {
                    throw CheckFailure(said)
                }
                try check(said.contains("Boot\(current)* our-machine"), "started from another entry:\n\(said)")
            }
        },
        Scenario("install.autoinstall", "the live medium installs by itself as the answers on a seed volume say, and powers off") { lab in
            let disks = try await lab.disks(1)
            let seed = try await lab.autoinstall(
                lab.answers("three-lines", ["KLDLOAD_PROFILE=core", "KLDLOAD_PASSWORD=Correct-Horse-7"]).forTest(),
                disks: disks.map { MachineDisk($0.file, serial: $0.serial) }
            )
            // Whoever comes for the stick reads on it what became of it.
            func read(_ name: String) async throws -> String {
                let command = Command(
                    "mtype", ["-i", seed.string, "::/kldload-web-prod-01-*/\(name)"], effect: .reads,
                    environment: ["MTOOLS_SKIP_CHECK": "1"])
                return try await lab.workshop.runner.run(command).output
            }
            let (result, written) = (try await read("result.txt"), try await read("answers.env"))
            try check(result.contains("installed"), result)
            try check(written.contains("KLDLOAD_HOSTNAME=web-prod-01") && !written.contains("Correct-Horse-7"), written)
            let (log, facts) = (try await read("install.jsonl"), try await read("facts.json"))
            try check(log.contains("plan-done") && facts.contains("disks"), "log or facts are missing")
            try await lab.verify(disks)
        },
        Scenario("install.autoinstall-media", "a seed volume is found on a disc and on ext4, under its full name") { lab in
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            for kind in [Laboratory.SeedKind.disc, .ext4] {
                try await lab.autoinstall(answers, disks: disks.map { MachineDisk($0.file, serial: $0.serial) }, seed: kind)
                lab.log("installed from \(kind.rawValue)")
            }
            try await lab.verify(disks)
        },
        Scenario("install.autoinstall-url", "the live medium fetches its answers from an address that the boot menu names") { lab in
            let disks = try await lab.disks(1)
            try await lab.autoinstall(
                lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest(),
                disks: disks.map { MachineDisk($0.file, serial: $0.serial) },
                seed: .address)
            let host = try await lab.boot(disks) { machine, host in
                _ = try await machine.console.expect("by-address login:", within: host.deadline(.seconds(240)))
                return "by-address"
            }
            lab.log("it calls itself \(host), as the boot menu said")
        },
        Scenario("install.debian12", "Debian 12, and the tools on its older OpenZFS") { lab in
            let disks = try await lab.disks(1)
            try await lab.install(lab.answers("debian12", ["KLDLOAD_PASSWORD=Correct-Horse-7"]).forTest(), onto: disks)
            try await lab.boot(disks) { machine, host in
                try lab.require(try await ImageVerification.answer(machine, on: host))
                let guest = Guest(lab: lab, machine: machine, host: host)
                try await guest.logIn()
                let said = try await guest.told(
                    """
                    zfs version; kst; echo status $?; kldload-doctor --all; echo status $?; zfs create -o mountpoint=/data rpool/data
                    ksnap create /data; ksnap list /data; kclone /data rpool/copy; kdf; kbe list; echo status $?
                    """, within: .seconds(300))
                try check(said.contains("zfs-2.1.") && said.lines.count { $0.trimmed == "status 0" } == 3, said)
                try check(said.contains("ONLINE") && !said.contains("error["), said)
            }
        },
        Scenario("install.debian13", "Debian 13") { lab in try await install("debian13", disks: 1, lab) },
        Scenario("install.debian13-backports", "Debian 13 with kernel and OpenZFS from backports") { lab in
            let disks = try await lab.disks(1)
            try await lab.install(lab.answers("debian13-backports", ["KLDLOAD_PASSWORD=Correct-Horse-7"]).forTest(), onto: disks)
            try await lab.boot(disks) { machine, host in
                try lab.require(try await ImageVerification.answer(machine, on: host))
                let guest = Guest(lab: lab, machine: machine, host: host)
                try await guest.logIn()
                let said = try await guest.run("dpkg-query -W -f '${source:Package} ${Version} ${Package}\\n'")
                let packages = said.lines.map(\.words).filter { $0.count == 3 }
                let new = packages.filter { $0[1].contains("~bpo13") }
                lab.log("from backports: \(new.map { "\($0[2]) \($0[1])" }.joined(separator: ", "))")
                // Debian's kernels are signed by a source of their own.
                let kernel = ["linux", "linux-signed-amd64"]
                try check(
                    new.contains { $0[0] == "zfs-linux" } && new.contains { kernel.contains($0[0]) },
                    "they are not from backports: \(said)")
                let old = packages.filter { (kernel + ["zfs-linux"]).contains($0[0]) && !$0[1].contains("~bpo13") }
                let others = new.filter { !(kernel + ["zfs-linux", "linux-base", "dkms", "pahole"]).contains($0[0]) }
                try check(old.isEmpty && others.isEmpty, "not from backports: \(old); from there all the same: \(others)")
            }
        },
        Scenario("install.mirror-degraded", "a mirror boots with either disk removed") { lab in
            let disks = try await lab.disks(2)
            try await lab.install(lab.answers("mirror", ["KLDLOAD_PASSWORD=Correct-Horse-7"]).forTest(), onto: disks)
            for missing in disks.indices {
                let left = disks.enumerated().filter { $0.offset != missing }.map(\.element)
                let report = try await lab.boot(left, label: "without-\(missing)") { machine, host in
                    let answer = try await ImageVerification.answer(machine, on: host)
                    let guest = Guest(lab: lab, machine: machine, host: host)
                    try await guest.logIn(untilGood: false)
                    try await guest.hasMountedESP()
                    return answer
                }
                // What the missing disk is the cause of, and nothing else.
                let bad = report.results.filter { $0.status == .fail }
                lab.log("without disk \(missing): \(report.summary.ok) ok; \(bad.map { "\($0.name): \($0.actual)" })")
                try check(
                    Set(bad.map(\.name)) == ["zfs.pool.health", "zfs.pool.topology", "boot.esp.copies"],
                    bad.map { "\($0.name): \($0.title): \($0.actual)" }.joined(separator: "\n"))
            }
        },
        Scenario("install.mirror-replaced", "a new disk of a mirror gets the pool's data and its ESP, and starts the machine alone") {
            lab in
            let disks = try await lab.machine("mirror", disks: 2)
            let new = try await lab.disks(1, prefix: "new")[0]
            try await lab.withGuest([disks[0], new], label: "replace") { guest in
                let said = try await guest.told(
                    """
                    new=/dev/disk/by-id/virtio-new0; old=$(zpool status -P rpool | awk '$2 == "UNAVAIL" && /was/ {print $1}')
                    sgdisk --replicate=$new /dev/disk/by-id/virtio-disk0 && sgdisk --randomize-guids $new && partprobe $new 2>/dev/null; udevadm settle
                    zpool replace rpool $old $new-part2 && zpool wait -t replace rpool && zpool status -x
                    $tool boot restore $new </dev/null; echo "status $?"
                    $tool boot restore $new --format $new-part1 2>&1 && $tool doctor boot
                    """, within: .seconds(300))
                try check(
                    said.contains("all pools are healthy") && said.contains("error[boot.esp-lost]") && said.contains("status 1"), said)
                try check(said.contains("the same on /dev/vda1, /dev/vdb1") && said.contains(": it starts"), said)
                try await guest.powerOff()
            }
            try await lab.withGuest([new], label: "alone", untilGood: false) { guest in
                let said = try await guest.told("kbe current; zpool list -H -o health rpool; ls /boot/efi/EFI/kldload")
                try check(said.lines.prefix(2) == ["debian", "DEGRADED"], said)
            }
        },
    ]

    private static func install(_ example: String, disks count: Int, _ lab: Laboratory) async throws {
        let disks = try await lab.disks(count)
        try await lab.install(lab.answers(example).forTest(), onto: disks)
        try await lab.verify(disks)
    }
}
