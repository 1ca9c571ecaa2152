import KldBlock
import KldBoot
import KldCore
public import KldExec
public import KldFiles
import KldInstall
public import KldPlan
public import KldZFS
import SystemPackage

/// The machine's own root pool, as its recovery image sees it: opened to be read; for as long as something is changed in it, for that; and at last
/// for the environment that is booted.
///
/// The image carries the machine's host id, so nothing is forced, but for a pool that another system has not closed, when a person says so.
public struct RecoveryPool: Sendable, Hashable {
    public enum Purpose: Sendable, Hashable {
        /// Nothing is written, whatever is mounted.
        case reading
        case changing
        /// Below no folder: the initramfs goes on with it.
        case booting
    }

    private static let leave = "recovery.leave"

    public var name: PoolName
    public var guid: UInt64
    public var force: Bool

    public init(name: PoolName, guid: UInt64, force: Bool = false) {
        self.name = name
        self.guid = guid
        self.force = force
    }

    // MARK: Open and close

    /// Pools that could be meant: the one that the command line names, where it is there.
    ///
    /// Runs: `zpool import`, reads.
    public static func find(_ wanted: String?, runner: any CommandRunner) async throws -> [ImportablePool] {
        let all = try ImportablePool.parse(await runner.run(ZPool.importable()).output).filter { !$0.destroyed }
        let named = all.filter { $0.name == wanted }
        return named.isEmpty ? all : named
    }

    /// Runs: `zpool import -N [-f] [-o readonly=on] [-R /recovery] GUID`, changes.
    public func opening(for purpose: Purpose) -> Plan {
        var request = PoolImport(.guid(guid))
        request.readOnly = purpose == .reading
        request.altroot = purpose == .booting ? nil : RescuePool.target
        request.force = force ? Force(because: "a person says that no other system uses it") : nil
        let title: String =
            switch purpose {
            case .reading: "Open the pool \(name) to be read"
            case .changing: "Open the pool \(name) for writing"
            case .booting: "Open the pool \(name) for what boots"
            }
        return RescuePool.plan(title, [Step("recovery.import", title, [.makeDirectory(RescuePool.target), .run(ZPool.import(request))])])
    }

    /// Ends what runs in an environment, unmounts it, and lets go of the disks.
    ///
    /// Runs: `kill -KILL …`, `umount …`, `zpool export POOL`, change.
    public var closing: Plan {
        RescuePool.plan(
            "close the pool \(name)",
            [
                Step(
                    "recovery.export", "Close the pool \(name)",
                    [.perform(Self.leave, [:], effect: .changes), Performers.exporting(name, mountedAt: RescuePool.target)])
            ])
    }

    public static var performers: [String: Performer] {
        // An initramfs has busybox' umount, which knows no mounts below others.
        let own: [String: Performer] = [
            leave: { _, runner, files in
                let place = RescuePool.target.string
                let inside = try files.processes().filter { (try? files.readLink(FilePath("/proc/\($0)/root"))) == place }
                if !inside.isEmpty {
                    try await runner.run(
                        Command(
                            Tool("kill", package: "procps"), ["-KILL"] + inside.map { String($0) }, effect: .changes, accepting: [0, 1]))
                }
                // What was killed takes a moment to let go.
                for attempt in 0..<10 {
                    let mounts = try files.mounts().filter { $0.place == place || $0.place.hasPrefix(place + "/") }
                    if mounts.isEmpty { return }
                    if attempt > 0 { try await Task.sleep(for: .milliseconds(200)) }
                    for mount in mounts.reversed() {
                        try await runner.run(MountCommand.unmount(FilePath(mount.place), recursive: false))
                    }
                }
            }
        ]
        return own.merging(Performers.closing) { $1 }
    }

    // MARK: Look

    /// What the pool holds: its environments with their snapshots; what runs stands for what boots by default. It knows no ESP.
    ///
    /// Runs: `zpool list`, `zfs list -r -t filesystem,snapshot POOL/ROOT`, reads.
    public func system(runner: any CommandRunner, files: any FileSystem) async throws -> BootSystem {
        let words = KernelCommandLine(running: try files.readText("/proc/cmdline").trimmed)
        let top =
            try words.root.flatMap { try DatasetName($0).parent }.flatMap { $0.text.hasPrefix("\(name)/") ? $0 : nil }
            ?? name.dataset.appending("ROOT")
        let output = try await runner.run(ZFS.list(top, columns: BootSystem.columns, types: BootSystem.types(.snapshots))).output
        let pool = try await PoolRow.of(name, runner: runner)
        let rows = try DatasetTable.parse(output, columns: BootSystem.columns)
        let environments = try BootSystem.environments(rows, top: top, mounts: files.mounts(), owned: [], altroot: pool?.altroot)
        let usual = environments.first { $0.dataset.text == pool?.bootfs } ?? environments.first
        var system = BootSystem(
            pool: name, running: try usual?.dataset ?? top.appending("none"), release: try KernelRelease.running(files),
            hostID: (try? files.read("/etc/hostid")).flatMap { HostID(fileContent: $0) }, commandLine: words, bootfs: pool?.bootfs,
            environments: environments, esps: [])
        system.unfinished = try BootSystem.unfinished(rows, top: top)
        return system
    }

    /// Whether the environment that is mounted can be booted by the kernel that runs.
    public static func hasModules(_ files: any FileSystem) throws -> Bool {
        try files.exists(FilePath("\(RescuePool.target)/usr/lib/modules/\(KernelRelease.running(files))"))
    }

    // MARK: Let in

    /// Where ssh's server finds what it needs, inside and outside of the environment.
    static let ssh: FilePath = "/run/kldload/recovery/ssh"

    /// Keys of the environment that is mounted, of root's and of everybody's; empty where nobody has any.
    public static func authorizedKeys(_ files: any FileSystem) -> String {
        let target = RescuePool.target
        let homes = ((try? files.list(target.appending("home"))) ?? []).sorted().map { target.appending("home").appending($0) }
        return ([target.appending("root")] + homes).compactMap { home in
            try? files.readText(home.appending(".ssh/authorized_keys"))
        }.map { $0.hasSuffix("\n") || $0.isEmpty ? $0 : $0 + "\n" }.joined()
    }

    /// Starts the environment's ssh server, which ends with ``closing``: root alone, by a key. It goes into the background by itself.
    ///
    /// Runs: `chroot /recovery /usr/sbin/sshd -f FILE`, changes. Source: sshd(8), sshd_config(5), OpenSSH 9.2 to 10.
    /// - Throws: ``Diagnosis`` `recovery.no-ssh`, `recovery.no-key`.
    public static func serving(_ files: any FileSystem) throws -> Plan {
        let target = RescuePool.target
        let hostKeys = ["ed25519", "ecdsa", "rsa"].map { "/etc/ssh/ssh_host_\($0)_key" }.filter {
            (try? files.exists(FilePath("\(target)\($0)"))) ?? false
        }
        guard try files.exists(FilePath("\(target)/usr/sbin/sshd")), !hostKeys.isEmpty else {
            throw Diagnosis(
                "recovery.no-ssh", "the environment that boots by default has no ssh server, or that has no host key",
                remedies: ["use this console"], exit: .unavailable)
        }
        let keys = authorizedKeys(files)
        guard !keys.isEmpty else {
            throw Diagnosis(
                "recovery.no-key", "no user of the machine has a key for ssh", remedies: ["use this console"], exit: .unavailable)
        }
        let settings =
            hostKeys.map { "HostKey \($0)\n" }.joined() + """
                AuthorizedKeysFile \(ssh)/authorized_keys
                AllowUsers root
                PermitRootLogin prohibit-password
                PasswordAuthentication no
                KbdInteractiveAuthentication no
                X11Forwarding no
                UsePAM yes
                PidFile none

                """
        return RescuePool.plan(
            "let an administrator in",
            [
                Step(
                    "recovery.ssh", "Start the ssh server of the environment",
                    [
                        .makeDirectory(ssh, mode: 0o700), .makeDirectory("/run/sshd"),
                        .write(ssh.appending("authorized_keys"), content: .text(keys), mode: .secret),
                        .write(ssh.appending("sshd_config"), content: .text(settings), mode: .secret),
                        .run(
                            Command(
                                Tool("/usr/sbin/sshd", package: "openssh-server"), ["-f", "\(ssh)/sshd_config"], effect: .changes
                            ).inside(target)),
                    ])
            ])
    }

    /// The fingerprints of the environment's host keys. Runs: `chroot /recovery ssh-keygen -l -f FILE`, reads, for each.
    public static func fingerprints(runner: any CommandRunner, files: any FileSystem) async throws -> [String] {
        var found: [String] = []
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let file = "/etc/ssh/ssh_host_\(kind)_key.pub"
            guard try files.exists(FilePath("\(RescuePool.target)\(file)")) else { continue }
            let command = Command(Tool("ssh-keygen", package: "openssh-client"), ["-l", "-f", file], effect: .reads)
            found.append(try await runner.run(command.inside(RescuePool.target)).output.trimmed)
        }
        return found
    }

    /// Brings every card up that has a driver. Runs: `ipconfig … CARD` for each, changes; what fails is said, and is no error of the others.
    ///
    /// - Parameter words: arguments of klibc's ipconfig for a card. - Returns: what it says of each.
    public static func connect(_ words: (String) -> [String], runner: any CommandRunner, files: any FileSystem) async throws -> [String] {
        let cards = try files.list("/sys/class/net").filter { (try? files.status(FilePath("/sys/class/net/\($0)/device"))) ?? nil != nil }
        guard !cards.isEmpty else {
            throw Diagnosis(
                "recovery.no-card", "no network card has a driver here", remedies: ["look at the kernel's log: dmesg"], exit: .unavailable)
        }
        var said: [String] = []
        for card in cards {
            let output = try await runner.run(
                Command(Tool("ipconfig", package: "klibc-utils"), words(card), effect: .changes, accepting: Set(0...255)))
            said += (output.output + "\n" + output.errors).lines.map(\.trimmed).filter { !$0.isEmpty }
        }
        return said
    }
}
