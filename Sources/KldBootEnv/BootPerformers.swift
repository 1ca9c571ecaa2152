import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldInstall
public import KldPlan
import KldZFS
import SystemPackage

/// What plans for boot environments perform by name.
public enum BootPerformers {
    static let rewrite = "boot.rewrite"
    static let mountESP = "boot.mount-esp"

    public static var table: [String: Performer] {
        var table = FirstBoot.performers.merging(KeyEnrolment.performers) { $1 }.merging(Performers.closing) { $1 }
        // Steps of one plan share the mount; each of them can be the first.
        table[mountESP] = { parameters, runner, files in
            let (device, place) = (parameters["device"] ?? "", FilePath(parameters["at"] ?? ""))
            let mounted = try files.mounts().contains { $0.place == place.string }
            if !mounted { try await MountCommand.mountWhenFree(device, at: place, type: "vfat", options: ["umask=0077"], runner: runner) }
        }
        table[rewrite] = { parameters, _, files in
            let image = try files.read(FilePath(parameters["from"] ?? ""))
            let line = KernelCommandLine(running: parameters["cmdline"] ?? "")
            try files.write(UnifiedKernelImage.rewritten(image, commandLine: line), to: FilePath(parameters["to"] ?? ""), mode: .secret)
        }
        table[BootEnvironments.sweeper] = { parameters, runner, _ in
            try await BootEnvironments.sweep(below: DatasetName(parameters["top"] ?? ""), runner)
        }
        table[BootEnvironments.forgetter] = { parameters, runner, _ in
            try await BootEnvironments.forget(SnapshotName(parameters["snapshot"] ?? ""), runner)
        }
        table[RecoveryStaging.supplement] = { parameters, runner, files in
            try await RecoveryStaging.writeSupplement(parameters, runner, files)
        }
        return table
    }
}
