import FoundationEssentials
import KldAnswers
public import KldBoot
import KldCore
import KldDistro
public import KldExec
public import KldFiles
import KldInstall
public import KldPlan
import SystemPackage

/// Keeps shim, the boot loader and their settings on every ESP what the running system has: after an update of their packages, and on a disk
/// that came later.
public struct LoaderStaging: Sendable, Hashable {
    var loader: ESPLoader
    /// ESPs that differ from the system.
    public private(set) var differences: [Difference]

    public struct Difference: Sendable, Hashable {
        public var esp: BootSystem.ESP
        public var files: ESPLoader.Difference
    }

    /// Compares every ESP with the running system.
    ///
    /// Runs: ESPs that are not mounted are mounted read-only for a moment; of a program that is another version `sbverify FILE`, reads.
    /// - Returns: `nil` for a machine that kldload did not install: how it starts is somebody else's.
    public static func gather(_ system: BootSystem, runner: any CommandRunner, files: any FileSystem) async throws -> LoaderStaging? {
        guard let installed = try Installation.read(files) else { return nil }
        var loader = ESPLoader(
            chain: system.chain, programs: installed.spec.efi,
            timeoutSeconds: Int(installed.answers["KLDLOAD_ZBM_TIMEOUT"] ?? "") ?? 0,
            label: installed.label, key: try MachineOwnerKey().isWanted(files) ? MachineOwnerKey() : nil)
        loader.isTrusted = system.isTrusted
        var differences: [Difference] = []
        var changed: String?
        for (index, esp) in system.esps.enumerated() {
            let files = try await BootSystem.looking(at: esp.device, esp.mount, index, runner: runner, files: files) { place in
                if changed == nil, let settings = try? files.readText(place.appending(loader.configurationPath)), loader.accepts(settings) {
                    changed = settings
                }
                var found = try loader.difference(from: "/", on: place, files)
                for path in found.outdated where path.lowercased().hasSuffix(".efi") {
                    switch try await BootSystem.condition(of: place.appending(path), runner, files) {
                    case .good: break
                    case .broken: found.miss(path)
                    // Firmware that looks at none starts it.
                    case .missing: if system.secureBoot, try loader.isSigned(path, in: "/", files) { found.miss(path) }
                    }
                }
                return found
            }
            if !files.isEmpty { differences.append(Difference(esp: esp, files: files)) }
        }
        // A person's own settings, for an ESP that has none.
        if let changed { loader.configuration = changed }
        return LoaderStaging(loader: loader, differences: differences)
    }

    /// The name of the firmware's entry.
    public static func label(_ files: any FileSystem) throws -> String {
        try Installation.read(files)?.label ?? ""
    }

    /// Renews what ESPs lack; nothing where they lack nothing. - Parameter esps: the others are left as they are.
    public func steps(on esps: [BootSystem.ESP]) -> [Step] {
        differences.filter { difference in esps.contains { $0.device == difference.esp.device } }.map { difference in
            let esp = difference.esp
            return Step(
                "boot.loader.\(esp.name)", "Renew what starts the boot loader on \(esp.device)",
                [.makeDirectory(BootStaging.scratch, mode: 0o700)] + esp.mounting
                    + loader.renewing(difference.files.paths, from: "/", on: esp.workplace, scratch: BootStaging.scratch),
                release: esp.unmounting, weight: 2)
        }
    }
}

/// What an installation wrote down about itself.
struct Installation {
    var spec: DistroSpec
    /// Every answer, given or by default, without secrets; of a clone of a sealed image, which has no record of them, the defaults.
    var answers: [String: String]
    var chain: BootChain
    /// The name of the firmware's entry.
    var label: String { answers["KLDLOAD_BOOTLOADER_ID"] ?? "" }

    /// - Returns: `nil` where kldload did not install the running system, or does not know its release.
    static func read(_ files: any FileSystem) throws -> Installation? {
        let (manifest, answers) = (FilePath(InstallManifest.path), FilePath(InstallManifest.environmentPath))
        guard try files.exists(manifest),
            let written = try? JSONDecoder().decode(InstallManifest.self, from: Data(files.read(manifest))),
            let spec = try? DistroSpec.find(distro: written.distro, suite: written.suite, backports: false)
        else { return nil }
        let values = Answers.values(assignedIn: try files.exists(answers) ? files.readText(answers) : "")
        // What every clone has in common says it too.
        let chain = BootChain(rawValue: written.bootLoader ?? values["KLDLOAD_BOOTLOADER"] ?? "") ?? .systemdBoot
        return Installation(spec: spec, answers: values, chain: chain)
    }
}
