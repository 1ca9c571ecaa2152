import KldCore
import KldImage
import KldVirt
import SystemPackage

/// Root on the serial console of an installed machine, through its restarts.
struct Guest: Sendable {
    let lab: Laboratory
    let machine: VirtualMachine
    let host: FactoryHost

    private var shell: LiveShell { LiveShell(lab: lab, machine: machine, host: host) }

    /// Waits for the login prompt first.
    /// - Parameter untilGood: waits afterwards until this boot counts as good. Not where that would hide what a scenario looks at, or where
    ///   nobody knows whether it comes.
    func logIn(untilGood: Bool = true) async throws {
        _ = try await machine.console.expect("login:", within: host.deadline(.seconds(240)))
        try await lab.logIn(machine, host, [("login:", "admin"), ("assword:", "Correct-Horse-7")])
        try await machine.console.send("sudo -i\n")
        _ = try await machine.console.expect("# ", within: host.deadline(.seconds(30)))
        try await machine.console.send(
            "stty -echo; export PS1= PS2= TERM=dumb; tool=/usr/lib/kldload/kldload; kbe() { $tool kbe \"$@\"; }; dmesg -n 1\n")
        let lockdown = try await run("cat /sys/kernel/security/lockdown")
        try check(lockdown.contains("[integrity]") == lab.isSecure, "lockdown is \(lockdown)")
        if untilGood { try await goodBoot() }
    }

    /// Runs lines of shell, and returns what they printed. - Throws: ``CheckFailure`` when they end with another status than 0.
    @discardableResult
    func run(_ script: String, within limit: Duration = .seconds(120)) async throws -> String {
        try await shell.run(script, within: limit)
    }

    /// The same, and the log has it too.
    @discardableResult
    func told(_ script: String, within limit: Duration = .seconds(120)) async throws -> String {
        try await shell.told(script, within: limit)
    }

    /// Asks once in a while, until a line of the answer holds a text.
    func until(_ script: String, says text: String, within limit: Duration = .seconds(120)) async throws {
        try await until(script, "say '\(text)'", within: limit) { $0.lines.contains { $0.contains(text) } }
    }

    /// Waits until this boot counts as good: what is on trial is so no more.
    private func goodBoot() async throws {
        // Until then it is "inactive" or "activating".
        try await until("systemctl is-active kldload-boot-good", "become active") { $0.trimmed == "active" }
    }

    private func until(
        _ script: String, _ what: String, within limit: Duration = .seconds(120), _ holds: (String) -> Bool
    ) async throws {
        let end = ContinuousClock.now + host.deadline(limit)
        var said = ""
        while ContinuousClock.now < end {
            said = try await shell.run(script, accepting: Set(0...4))
            if holds(said) { return }
            try await Task.sleep(for: .seconds(2))
        }
        throw CheckFailure("'\(script)' did not \(what): \(said)")
    }

    /// What is mounted at `/boot/efi` is the ESP that the firmware started, and fstab(5) names no disk.
    ///
    /// Behind GRUB it stands on the command line; systemd-boot tells it in UTF-16 and capital letters, behind attributes. Source: The Boot
    /// Loader Interface.
    func hasMountedESP() async throws {
        let said = try await run(
            """
            grep -o 'kldload.esp=[^ ]*' /proc/cmdline | cut -d = -f 2 >/run/started
            # efivarfs cannot seek.
            test -s /run/started || cat /sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f |
            tail -c +5 | tr -d '\\000' >/run/started
            echo started $(tr A-Z a-z </run/started); echo mounted $(lsblk -n -o PARTUUID $(findmnt -n -o SOURCE /boot/efi) | tr A-Z a-z)
            grep -v '^#' /etc/fstab | sed 's/^/fstab /'
            """)
        let words = said.lines.map(\.words)
        try check(
            words.count == 2 && words[0].count == 2 && words[1].count == 2 && words[0][1] == words[1][1],
            "not the ESP that was started is mounted, or fstab names one: \(said)")
        lab.log("the ESP that was started is mounted: \(words[0][1])")
    }

    /// As a person chooses an entry in systemd-boot's menu. Source: The Boot Loader Interface: UTF-16 with a NUL at its end, behind attributes.
    /// - Parameters:
    ///   - variable: `LoaderEntryOneShot`, or `LoaderEntryDefault` for every start.
    ///   - entry: a shell's pattern of one file below `loader/entries`.
    func tellLoader(_ variable: String, _ entry: String) async throws {
        try await run(
            """
            entry=$(basename /boot/efi/loader/entries/\(entry)); test -e /boot/efi/loader/entries/$entry
            { printf '\\007\\000\\000\\000'; printf '%s' $entry | sed 's/./&\\x00/g'; printf '\\000\\000'; } >/run/once
            tee /sys/firmware/efi/efivars/\(variable)-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f </run/once >/dev/null
            """)
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
            let predicted = try await run(
                """
                kbe create \(name) && kbe activate \(name) && place=$(kbe mount \(name)) && \(harm) && { kbe unmount \(name) || true; }
                for entry in /boot/efi/loader/entries/kldload-\(name)-*+3.conf; do mv $entry ${entry%+3.conf}+1-2.conf; done; sync
                $tool doctor boot || true
                """)
            // The others are told by starting them alone.
            if ["rootless", "moduleless"].contains(name) {
                try check(predicted.contains(": it does not start"), "\(name) was called well: \(predicted)")
            } else if name == "panics" {
                try check(predicted.contains("no init that is known"), "\(name) was called well: \(predicted)")
            }
            try await restart(leaving: name, boots: 5, untilGood: false)
            let said = try await told("kbe current; kbe list")
            try check(said.hasPrefix(good + "\n"), "\(name): it did not come back: \(said)")
            // Of what is not there any more nothing is listed.
            if let reason { try check(said.contains(reason), "\(name): the reason is not said: \(said)") }
            try await run("kbe destroy \(name) --yes || true")
        }
    }

    /// Restarts, and logs in again.
    /// - Parameters:
    ///   - environment: what is left for another one, after so many boots. An environment on trial may show a login prompt too, and the
    ///     loader's menu names it: what is waited for is the word of the one that came after.
    ///   - untilGood: as of ``logIn(untilGood:)``.
    func restart(leaving environment: String? = nil, boots: Int = 1, untilGood: Bool = true) async throws {
        try await machine.console.send("systemctl reboot\n")
        if let environment {
            _ = try await machine.console.expect("the boot environment \(environment) (Linux", within: host.deadline(.seconds(120 * boots)))
            // It may have come after the prompt: for another one.
            try await machine.console.send("\n")
        }
        try await logIn(untilGood: untilGood)
    }

    func powerOff() async throws { try await shell.powerOff() }
}

extension Laboratory {
    /// Boots disks as ``boot(_:interface:label:network:more:variables:graphics:writeLog:memory:on:_:)`` does, and logs in.
    /// - Parameters:
    ///   - enrolling: what shim's key manager, which comes first then, takes for the owner's password.
    ///   - untilGood: as of ``Guest/logIn(untilGood:)``.
    @discardableResult
    func withGuest<Result: Sendable>(
        _ disks: [Factory.Disk], interface: MachineDisk.Interface = .virtioBlock, label: String = "boot",
        network: MachineNetwork? = MachineNetwork(), more: [MachineDisk] = [], variables: FilePath? = nil, writeLog: FilePath? = nil,
        memory: ByteCount = .gibibytes(2), enrolling password: String? = nil, untilGood: Bool = true,
        _ body: (Guest) async throws -> Result
    ) async throws -> Result {
        try await boot(
            disks, interface: interface, label: label, network: network, more: more, variables: variables, writeLog: writeLog,
            memory: memory
        ) { machine, host in
            if let password { try await enrol(password, machine, host) }
            let guest = Guest(lab: self, machine: machine, host: host)
            try await guest.logIn(untilGood: untilGood)
            return try await body(guest)
        }
    }
}
