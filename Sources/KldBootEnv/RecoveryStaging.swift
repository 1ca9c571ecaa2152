import KldBlock
public import KldBoot
public import KldCore
public import KldExec
public import KldFiles
import KldInstall
public import KldPlan
public import SystemPackage

/// Makes the recovery image of what runs now and has proved itself, on every ESP.
///
/// It follows good boots and never goes ahead of them: a kernel that nobody has seen starting is no help. It is built beside everything else,
/// for that takes long; only putting it onto the ESPs has to wait for others.
public struct RecoveryStaging: Sendable, Hashable {
    public enum Finding: Sendable, Hashable {
        /// Every ESP has it as it would be made now.
        case current
        case needed(RecoveryStaging)
        /// Not now, and why.
        case later(String)
    }

    /// Beside the pool's own cache, not in `/run`: an image does not fit into the memory of a small machine.
    public static let scratch: FilePath = "/var/cache/kldload/recovery-image"
    private static let image = scratch.appending("recovery.efi")
    private static let archive = scratch.appending("recovery.cpio.zst")
    static let supplement = "boot.recovery-supplement"

    var system: BootSystem
    public private(set) var fingerprint: String
    var kernel: BootTarget.Kernel
    var target: BootTarget
    /// Of the tool, in bytes; it takes a third of that in the image.
    var tool: ByteCount

    /// Reads the running machine.
    ///
    /// Runs: ESPs that are not mounted are mounted read-only for a moment.
    public static func gather(_ system: BootSystem, runner: any CommandRunner, files: any FileSystem) async throws -> Finding {
        guard let entry = system.current else { return .later("the loader's entry of what runs is not known") }
        guard entry.counter == nil, !entry.once else { return .later("\(entry.environment) has not proved itself yet") }
        let root = BootTarget(environment: system.running, root: "/", kernels: try BootTarget.kernels(in: "/", files))
        guard let kernel = root.kernels.first(where: { $0.release == system.release }), let id = system.hostID else {
            return .later("the running kernel's files, or the host id, are not there")
        }
        let image = root.image(system.release, system, supplement: archive, output: Self.image)
        guard image.commandLine.recovering != image.commandLine else {
            return .later("this machine's initramfs is not one of initramfs-tools")
        }
        let tool = FilePath("/\(RecoveryImage.tool)")
        let key = system.signing.signer.map { $0.serial.map { String($0, radix: 16) }.joined() } ?? "unsigned"
        let print = try RecoveryImage.fingerprint(
            of: [image.linux, image.initrds[0], image.stub, tool],
            [system.release, id.description, image.commandLine.recovering.description, key], files)
        guard !system.esps.allSatisfy({ $0.recovery?.fingerprint == print }) else { return .current }
        // What /boot holds may be newer than what runs.
        var proven = false
        for (index, esp) in system.esps.enumerated() where !proven && entry.files.allSatisfy({ esp.images[$0] != nil }) {
            proven = try await BootSystem.looking(at: esp.device, esp.mount, index, runner: runner, files: files) { place in
                guard let parts = entry.parts else {
                    return image.compare(place.appending(entry.imagePath), supplement: InitramfsSupplement.hostID(id), files) != .none
                }
                return KernelParts.isSame(image.linux, place.appending(parts.kernel), files)
                    && KernelParts.isSame(image.initrds[0], place.appending(parts.initrds[0]), files)
            }
        }
        guard system.isTrusted else { return .later("Secure Boot is on, and the firmware knows no key of this machine that signs it") }
        guard proven else { return .later("the initramfs has changed since this machine started: it has to start well first") }
        return .needed(
            RecoveryStaging(
                system: system, fingerprint: print, kernel: kernel, target: root,
                tool: try files.status(files.resolve(tool))?.size ?? ByteCount(0)))
    }

    /// One of the ESPs has it already.
    private var donor: BootSystem.ESP? { system.esps.first { $0.recovery?.fingerprint == fingerprint } }
    private var lacking: [BootSystem.ESP] { system.esps.filter { $0.recovery?.fingerprint != fingerprint } }

    /// Builds the image, unless an ESP has it. Whoever applies this removes ``scratch`` when all is done.
    ///
    /// Runs: `zstd`, `ukify build` or `objcopy`, `sbsign`, change.
    /// - Throws: ``Diagnosis`` `boot.recovery-room`, `boot.no-builder`, `trust.no-key`, `boot.signing-off`, `boot.key-not-enrolled`.
    public func building() throws(Diagnosis) -> [Step] {
        // The next kernel's image must still fit beside it.
        let size = ByteCount((donor?.recovery?.size ?? kernel.size).bytes + (donor == nil ? tool.bytes / 2 : 0))
        let room = size + kernel.size + BootStaging.margin
        if let full = lacking.first(where: { $0.free < room }) {
            throw Diagnosis(
                "boot.recovery-room",
                "the ESP \(full.device) has \(full.free) free; with the recovery image there would be no room for the next kernel: that takes \(room)",
                remedies: [
                    "destroy environments that are not needed any more: kldload kbe list, kldload kbe destroy NAME",
                    "without it, the live medium helps: krecovery",
                ], exit: .cannotCreate)
        }
        guard donor == nil, let id = system.hostID else { return [] }
        let builder = try system.requiredBuilder
        var image = target.image(system.release, system, supplement: Self.archive, output: Self.image)
        image.commandLine = image.commandLine.recovering
        return [
            Step(
                "boot.recovery.image", "Build the recovery image, Linux \(system.release)",
                [
                    .makeDirectory(Self.scratch, mode: 0o700),
                    .perform(
                        Self.supplement, ["host-id": id.description, "tool": "/\(RecoveryImage.tool)", "to": Self.archive.string],
                        effect: .changes),
                    builder.build(image, scratch: Self.scratch),
                ] + (try system.signature(on: Self.image)), weight: 8)
        ]
    }

    /// Puts it onto every ESP that lacks it: first the image, whole or not at all; then what the loader shows.
    public var placing: [Step] {
        let text = RecoveryImage.entry(release: system.release, fingerprint: fingerprint)
        return lacking.map { esp in
            if let donor { return esp.recovering(from: donor, system.chain) }
            return Step(
                "boot.recovery.\(esp.name)", "Put the recovery image onto \(esp.device)",
                esp.mounting + [.makeDirectory(FilePath("\(esp.workplace.string)/\(BootEntry.imageFolder)"))]
                    + ESPFile.place(Self.image, as: RecoveryImage.imagePath, on: esp.workplace)
                    + [
                        .write(FilePath("\(esp.workplace.string)/\(system.chain.recoveryEntryPath)"), content: .text(text)),
                        ESPFile.sync(esp.workplace),
                    ], release: esp.unmounting, weight: 3)
        }
    }

    /// Runs: `tee` into the loader's variable, changes. Source: The Boot Loader Interface, uapi-group.org, systemd 257: `LoaderEntryOneShot`.
    /// - Throws: ``Diagnosis`` `boot.no-variables`, where GRUB starts the machine too: it reads no such variable.
    public static func startingNext(_ chain: BootChain, _ files: any FileSystem) throws(Diagnosis) -> Plan {
        guard chain == .systemdBoot else {
            throw Diagnosis(
                "boot.no-variables", "GRUB is not told for one boot what to start",
                remedies: ["choose 'kldload recovery' in the boot menu"], exit: .unavailable)
        }
        guard EFIVariable.areThere(files) else {
            throw Diagnosis(
                "boot.no-variables", "this firmware keeps no variables, so nobody can be told what to start",
                remedies: ["choose 'kldload recovery' in the boot menu"], exit: .unavailable)
        }
        let commands = EFIVariable.settingOneShot("\(RecoveryImage.entryID).conf", files)
        return Plan(
            "start the recovery image",
            [
                Phase(
                    "boot", "Boot",
                    commands.isEmpty
                        ? [] : [Step("boot.one-shot", "Start the recovery image at the next boot", commands.map { .run($0) })])
            ])
    }

    /// Libraries that OpenZFS' tools do not bring into an initramfs. Source: `hooks/zfs`, zfs-initramfs 2.1 to 2.4; `objdump -p kldload`.
    private static let libraries = ["/usr/lib/x86_64-linux-gnu/libstdc++.so.6"]

    /// Runs: `zstd --quiet --force --rm -10 FILE -o FILE.zst`, changes. Source: zstd(1), 1.5; the kernel reads windows of at most 8 MiB, which are those of
    /// levels up to 19.
    static func writeSupplement(_ parameters: [String: String], _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        let output = parameters["to"] ?? ""
        guard let id = parameters["host-id"].flatMap({ HostID(hex: $0) }) else {
            throw Diagnosis("boot.bad-host-id", "a plan names no host id for the recovery image", exit: .bug)
        }
        let found = try libraries.map { FilePath($0) }.filter { try files.exists($0) }.map { path in
            (path: String(path.string.dropFirst()), content: try files.read(files.resolve(path)))
        }
        let bytes = RecoveryImage.supplement(id, tool: try files.read(FilePath(parameters["tool"] ?? "")), libraries: found)
        let plain = FilePath("\(output).plain")
        try files.write(bytes, to: plain, mode: .secret)
        try await runner.run(Command("zstd", ["--quiet", "--force", "--rm", "-10", plain.string, "-o", output], effect: .changes))
    }
}

extension BootSystem.ESP {
    /// The recovery image of another ESP, and its entry.
    func recovering(from source: BootSystem.ESP, _ chain: BootChain) -> Step {
        func file(_ path: String) -> FilePath { FilePath("\(source.workplace.string)/\(path)") }
        return Step(
            "boot.recovery.\(name)", "Copy the recovery image to \(device)",
            source.mounting + mounting
                + [
                    .makeDirectory(FilePath("\(workplace.string)/\(BootEntry.imageFolder)")),
                    .makeDirectory(FilePath("\(workplace.string)/\(chain.entryFolder)")),
                ]
                + ESPFile.place(file(RecoveryImage.imagePath), as: RecoveryImage.imagePath, on: workplace)
                + ESPFile.place(file(chain.recoveryEntryPath), as: chain.recoveryEntryPath, on: workplace),
            release: unmounting + source.unmounting, weight: 3)
    }
}
