import FoundationEssentials
import KldBlock
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage

@testable import KldDoctor

/// A machine on which every check is content: mirror of two disks, Debian 13, profile server. Tests break one thing at a time.
struct HealthyMachine {
    var commands: [String: CommandOutput] = Self.recorded.merging(Self.recordedHealth) { $1 }
    var files: [String: String] = Self.recordedFiles.merging(Self.recordedHealthFiles) { $1 }
    /// Free on every file system.
    var free = ByteCount.gibibytes(100)
    var now: Timestamp? = Timestamp(seconds: 1_765_200_000)
    var modes: [String: ModeBits] = [
        "/etc/ssh/ssh_host_ed25519_key": 0o600, "/var/lib/dkms/mok.key": 0o600, "/etc/shadow": 0o640,
    ]
    var links: [String: String] = [
        "/etc/localtime": "/usr/share/zoneinfo/Europe/Berlin", "/dev/disk/by-id/virtio-A-part1": "/dev/vda1",
        "/dev/disk/by-id/virtio-B-part1": "/dev/vdb1",
    ]
    var bytes: [String: [UInt8]] = [
        "/etc/hostid": [0x02, 0x00, 0x7f, 0x00], "/var/lib/dkms/mok.pub": Signing.certificate,
    ]
    var directories: Set<String> = [
        "/.zfs/snapshot/install", "/home/.zfs/snapshot/install", "/home/admin", "/usr/lib/modules/7.2.12-amd64",
        "/sys/firmware/efi",
    ]
    var manifest: InstallManifest? = Self.intent
    /// What `systemctl show` says of units; of others, that they are not there.
    var units: [String: [String: String]] = Self.recordedUnits

    static let intent = InstallManifest(
        kldloadVersion: "2.0.0", distro: "debian", suite: "trixie", profile: "server", hostname: "box", username: "admin", pool: "rpool",
        bootEnvironment: "debian", topology: "mirror", disks: ["/dev/disk/by-id/virtio-A", "/dev/disk/by-id/virtio-B"], encrypted: false,
        network: .init(.static, address: "192.0.2.10/24", gateway: "192.0.2.1", nameServers: ["192.0.2.1"]), timezone: "Europe/Berlin",
        locale: "de_DE.UTF-8", keyboard: "de", sshPolicy: .afterPasswordChange,
        heldPackages: ["linux-image-*", "zfsutils-linux", "absent"],
        units: ["ssh.service", "systemd-networkd.service"], hostID: HostID(0x007f_0002), sealed: false, credentials: .defaultExpired,
        bootLoader: "systemd-boot", sysctl: ["vm.swappiness": "10", "net.ipv4.tcp_rmem": "4096 262144 16777216"])

    /// The machine as checks see it.
    func context() throws -> CheckContext {
        let memory = MemoryFiles(files, links: links, free: free)
        for (path, content) in bytes { try memory.write(content, to: FilePath(path), mode: 0o644) }
        for (path, mode) in modes where files[path] != nil {
            try memory.write(Array((files[path] ?? "").utf8), to: FilePath(path), mode: mode)
        }
        for path in directories { try memory.makeDirectory(FilePath(path), mode: 0o755) }
        if let manifest {
            try memory.write(Array(try JSONEncoder().encode(manifest)), to: FilePath(InstallManifest.path), mode: 0o640)
        }
        let (table, units) = (commands, units)
        var context = CheckContext(
            runner: ScriptedRunner([{ table[$0.description] }, { Self.show($0, units) }]), files: memory, now: now)
        context.looking = TemporaryMount(process: 0)
        return context
    }

    /// Source: systemctl(1) `show`, systemd 257: the properties in an order of its own, units apart by an empty line; no error for unknown ones.
    private static func show(_ command: Command, _ units: [String: [String: String]]) -> CommandOutput? {
        guard command.tool.name == "systemctl", command.arguments.starts(with: ["show", "--no-pager", "--property"]) else { return nil }
        let properties = command.arguments[3].split(separator: ",").map(String.init)
        let blocks = command.arguments.dropFirst(4).map { name in
            let known = units[name] ?? ["Id": name, "Names": name, "LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead"]
            return properties.compactMap { property in known[property].map { "\(property)=\($0)\n" } }.joined()
        }
        return CommandOutput(output: blocks.joined(separator: "\n"))
    }

    mutating func unit(_ name: String, _ property: String, _ value: String) {
        precondition(units[name] != nil, "no such unit: \(name)")
        units[name]?[property] = value
    }

    /// The result of one check.
    func result(_ id: String) async throws -> VerifyReport.Result? {
        try await Doctor.run(context(), checks: Check.everything, only: [id]).results.first
    }

    mutating func set(_ command: String, _ output: String, status: Int32 = 0) {
        precondition(commands[command] != nil, "not recorded: \(command)")
        commands[command] = CommandOutput(status: status, output: output)
    }

    /// Replaces a piece of a recorded output, which must be there.
    mutating func change(_ command: String, _ old: String, _ new: String) {
        let output = commands[command]?.output ?? ""
        precondition(output.contains(old), "'\(old)' is not in the output of \(command)")
        set(command, output.replacing(old, with: new))
    }

    mutating func edit(_ path: String, _ old: String, _ new: String) {
        let text = files[path] ?? ""
        precondition(text.contains(old), "'\(old)' is not in \(path)")
        files[path] = text.replacing(old, with: new)
    }

    static func unit(_ name: String, _ more: [String: String] = [:]) -> [String: String] {
        [
            "Id": name, "Names": name, "Type": "notify", "LoadState": "loaded", "ActiveState": "active", "SubState": "running",
            "UnitFileState": "enabled",
        ].merging(more) { $1 }
    }

    private static let recordedUnits: [String: [String: String]] = [
        "ssh.service": unit("ssh.service", ["Names": "ssh.service sshd.service"]),
        "systemd-networkd.service": unit("systemd-networkd.service", ["Type": "notify-reload"]),
        "systemd-resolved.service": unit("systemd-resolved.service"), "zfs-zed.service": unit("zfs-zed.service"),
        "sanoid.timer": unit("sanoid.timer", ["SubState": "waiting"]),
        "systemd-tmpfiles-clean.timer": unit("systemd-tmpfiles-clean.timer", ["SubState": "waiting", "UnitFileState": "static"]),
    ]
}
