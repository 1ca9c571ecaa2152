import KldCore
public import KldExec
public import KldFiles
public import KldPlan
import KldZFS
import SystemPackage

/// What must be true of the machine that installs, before anything of it is touched.
public enum Preflight {
    /// Loads the module, or waits for whoever is loading it. Runs: `modprobe zfs`, changes. Source: modprobe(8), kmod 30.
    package static let openZFS = Command(Tool("modprobe", package: "kmod"), ["zfs"], effect: .changes)

    /// Runs: `modprobe zfs`, changes: the module is loaded.
    /// - Throws: ``Diagnosis`` `install.no-zfs`.
    public static func loadOpenZFS(_ runner: any CommandRunner) async throws {
        do { try await runner.run(openZFS) } catch let error as CommandError {
            throw Diagnosis(
                "install.no-zfs", "this system cannot load OpenZFS, so it cannot install",
                remedies: [
                    "start the machine from kldload's live medium", "or install OpenZFS for the running kernel: apt-get install zfs-dkms",
                    "with Secure Boot on, the medium's key must be enrolled: kldload secure-boot reenroll",
                ], exit: .unavailable, causes: error.failure?.errors.lines ?? [error.diagnosis.message])
        }
    }

    /// Source: zpool-features(7), OpenZFS 2.4.
    private static let compatibilityFolders: [FilePath] = ["/usr/share/zfs/compatibility.d", "/etc/zfs/compatibility.d"]

    /// Looks for every tool that the plan runs on this system, what a boot image begins with, the feature set of the pool, and at the firmware.
    ///
    /// - Parameters:
    ///   - signed: whether the new system is.
    ///   - path: folders, separated by colons, as `PATH` has them; `nil`: where commands are run from, whatever the caller's is.
    ///   - note: told what does not stop the installation and should be known.
    /// - Throws: ``Diagnosis`` `install.tools-missing`, `install.compatibility`, `install.secure-boot`.
    public static func check(
        _ plan: Plan, _ facts: MachineFacts, signed: Bool, path: String? = nil, files: any FileSystem, note: (String) -> Void
    ) throws {
        let folders = (path ?? SubprocessRunner.searchPath).split(separator: ":")
        let missing = try plan.tools.filter { tool in
            if tool.name.hasPrefix("/") { return try !files.exists(FilePath(tool.name)) }
            return try !folders.contains { try files.exists(FilePath("\($0)/\(tool.name)")) }
        }.sorted { $0.name < $1.name }
        guard missing.isEmpty else {
            throw Diagnosis(
                "install.tools-missing",
                "the installation needs programs that are not here: \(missing.map(\.name).joined(separator: ", "))",
                remedies: ["apt-get install \(Set(missing.map(\.package)).sorted().joined(separator: " "))"], exit: .unavailable)
        }
        for set in plan.commands.flatMap(\.arguments).filter({ $0.hasPrefix("compatibility=") }) {
            let name = String(set.dropFirst("compatibility=".count))
            let known = try compatibilityFolders.contains { try files.exists($0.appending(name)) }
            if !known {
                throw Diagnosis(
                    "install.compatibility", "this system's OpenZFS does not know the feature set \(name) of the system to be installed",
                    remedies: ["install from the live medium, or with a newer OpenZFS here"], exit: .unavailable)
            }
        }
        if facts.secureBoot, !signed {
            throw Diagnosis(
                "install.secure-boot", "Secure Boot is on, and the answers ask for a system that is not signed: it would not start",
                remedies: ["take KLDLOAD_ENABLE_SECURE_BOOT=0 out of the answers", "or turn Secure Boot off in the firmware's setup"],
                exit: .unavailable)
        }
        if !facts.firmwareEntries {
            note(
                "note: this machine was not started by UEFI, or shows no variables of it; the new system starts by UEFI only, from the removable path"
            )
        }
    }
}

extension Plan {
    /// Every program that its commands and its work run, and by its path the stub that one of them reads.
    var tools: Set<Tool> {
        let performed = steps.flatMap(\.everyAction).flatMap { action -> [Tool] in
            if case .perform(let name, _, _) = action { Performers.tools[name] ?? [] } else { [] }
        }
        let stubs = commands.flatMap(\.arguments).filter { $0.hasPrefix("--stub=") }
            .map { Tool(String($0.dropFirst("--stub=".count)), package: "systemd-boot-efi") }
        return Set(commands.map(\.tool) + performed + stubs)
    }

    /// Every command that its steps run, releases and resumptions too.
    var commands: [Command] {
        steps.flatMap(\.everyAction).flatMap { action -> [Command] in
            switch action {
            case .run(let command): [command]
            case .pipeline(let commands): commands
            case .write, .makeDirectory, .remove, .symlink, .waitFor, .perform: []
            }
        }
    }
}
