import Glibc
import KldBlock
public import KldBootEnv
import KldCore
import KldExec
import KldFiles
public import KldPlan
import KldZFS
public import SystemPackage

/// An environment that is mounted so that a package manager can work in it: as if it ran, with nothing of it running.
public struct Workplace: Sendable, Hashable {
    public var root: FilePath
    var name: String

    public init(_ name: String) {
        self.name = name
        root = Upkeep.workshop.appending(name)
    }

    func inside(_ path: String) -> FilePath { FilePath(root.string + path) }

    /// No service is started or stopped. Source: `/usr/share/doc/init-system-helpers/README.policy-rc.d.gz`, init-system-helpers 1.65.
    static let policy =
        "#!/bin/sh\n# Written by kldload for as long as packages are changed in an environment that does not run.\nexit 101\n"
    private static let policyFile = "/usr/sbin/policy-rc.d"
    private static let ownPolicy = "/usr/sbin/policy-rc.d.kldload"

    /// Mounts it. Kernel file systems are bound one by one: see docs/decisions/0002. `/run` and `/tmp` are its own: nothing in it takes the
    /// machine that runs for the one that it belongs to. Firmware's variables are not there.
    ///
    /// Runs: what ``BootEnvironments/mount(_:at:)`` runs, `mount --bind /dev …`, `/proc`, `/sys`, `mount -t tmpfs …`; changes.
    public func opening(_ environments: BootEnvironments) throws -> Plan {
        let mounted = try environments.mount(name, at: root).plan
        func tmpfs(_ path: String, _ mode: String) -> Action {
            .run(MountCommand.mount("tmpfs", at: inside(path), type: "tmpfs", options: ["mode=\(mode)", "nosuid", "nodev"]))
        }
        let kernel: [Action] = ["/dev", "/proc", "/sys"].map { .run(MountCommand.bind($0, at: inside($0))) }
        return Plan(
            "open \(name)",
            [
                Phase(
                    "upkeep", "Upkeep",
                    mounted.steps + [
                        Step(
                            "upkeep.mounts", "Give it kernel file systems, names and an empty /run",
                            kernel + [tmpfs("/run", "0755"), tmpfs("/tmp", "1777")] + [
                                .perform(UpkeepPerformers.furnish, ["root": root.string], effect: .changes)
                            ])
                    ])
            ])
    }

    /// Takes away what ``opening(_:)`` brought, whatever of it is there. Runs: `umount --recursive PLACE`, changes.
    var leaving: Step {
        Step(
            "upkeep.leave", "Leave \(name)",
            [
                .perform(UpkeepPerformers.end, ["root": root.string], effect: .changes),
                .run(MountCommand.unmount(root)), .remove(root),
            ])
    }

    /// Of an environment that is ready: what the work needed is no part of it.
    func closing(_ shared: [String]) -> Plan {
        Plan(
            "close \(name)",
            [
                Phase(
                    "upkeep", "Upkeep",
                    [
                        Step(
                            "upkeep.tidy", "Remove what only the work needed",
                            [
                                .perform(UpkeepPerformers.end, ["root": root.string], effect: .changes),
                                .perform(
                                    UpkeepPerformers.tidy, ["root": root.string, "shared": shared.joined(separator: "\n")], effect: .changes
                                ),
                            ]), leaving,
                    ])
            ])
    }

    /// Name servers, the answers that debconf knows, and the policy that keeps services from being started.
    static func furnish(_ root: FilePath, _ files: any FileSystem) throws {
        func inside(_ path: String) -> FilePath { FilePath(root.string + path) }
        let resolver: FilePath = "/etc/resolv.conf"
        if let link = try? files.readLink(inside(resolver.string)) {
            // Into /run, which is its own.
            let target = link.hasPrefix("/") ? FilePath(link) : FilePath("/etc").pushing(FilePath(link)).lexicallyNormalized()
            if let text = try? files.readText(files.resolve(resolver)) { try files.write(text, to: inside(target.string)) }
        }
        // A copy: what is asked and answered here is not said to the system that runs.
        let debconf = "/var/cache/debconf"
        for name in (try? files.list(FilePath(debconf))) ?? [] where name.hasSuffix(".dat") {
            try files.write(files.read(FilePath("\(debconf)/\(name)")), to: inside("\(debconf)/\(name)"), mode: 0o600)
        }
        for folder in ["/var/cache/apt/archives", "/var/log/apt"] { try files.makeDirectory(inside(folder), mode: .directory) }
        if try files.exists(inside(policyFile)) { try files.rename(inside(policyFile), to: inside(ownPolicy)) }
        try files.write(policy, to: inside(policyFile), mode: .script)
    }

    static func tidy(_ root: FilePath, shared: [String], _ files: any FileSystem) throws {
        func inside(_ path: String) -> FilePath { FilePath(root.string + path) }
        try files.remove(inside(policyFile))
        if try files.exists(inside(ownPolicy)) { try files.rename(inside(ownPolicy), to: inside(policyFile)) }
        // What lies where the machine mounts others would be hidden for ever.
        for place in shared {
            for name in (try? files.list(inside(place))) ?? [] where !shared.contains("\(place)/\(name)") {
                // A folder on the way to another mount point stays.
                if shared.contains(where: { $0.hasPrefix("\(place)/\(name)/") }) { continue }
                try files.remove(inside("\(place)/\(name)"))
            }
        }
    }
}

/// What plans of the upkeep perform by name.
public enum UpkeepPerformers {
    static let furnish = "upkeep.furnish"
    static let tidy = "upkeep.tidy"
    static let end = "upkeep.end"

    public static var table: [String: Performer] {
        BootPerformers.table.merging([
            furnish: { parameters, _, files in try Workplace.furnish(FilePath(parameters["root"] ?? ""), files) },
            tidy: { parameters, _, files in
                try Workplace.tidy(FilePath(parameters["root"] ?? ""), shared: (parameters["shared"] ?? "").lines, files)
            },
            end: { parameters, _, files in
                // Killed: they belong to an environment that is left, or to a run that was killed itself.
                for _ in 0..<20 {
                    let left = processes(in: parameters["root"] ?? "", files)
                    if left.isEmpty { return }
                    for process in left { kill(process, SIGKILL) }
                    try await Task.sleep(for: .milliseconds(100))
                }
            },
        ]) { $1 }
    }

    /// Processes whose root lies at or below a place. Source: proc_pid_root(5), Linux man-pages 6.9.
    static func processes(in root: String, _ files: any FileSystem) -> [Int32] {
        guard root.hasPrefix(Upkeep.workshop.string + "/") else { return [] }
        return ((try? files.processes()) ?? []).filter { process in
            guard process > 1, let link = try? files.readLink(FilePath("/proc/\(process)/root")) else { return false }
            return link == root || link.hasPrefix(root + "/")
        }
    }
}
