import KldBlock
import KldBoot
package import KldCore
import KldExec
import KldFiles
import KldInstall
import SystemPackage

extension BootSystem {
    /// Reads each ESP of the root pool's disks. One that cannot be read keeps nobody from the others; where that is so of all of them, nobody
    /// knows what boots. Of one that has lost its file system it is known that it holds nothing.
    ///
    /// Runs: `mount -t vfat -o ro,umask=0077 DEVICE PLACE`, `umount PLACE` for those that are not mounted; reads.
    /// - Throws: ``Diagnosis`` `boot.esp-damaged`, `boot.esp-busy`; ``FileError``, of who may not read them.
    static func readESPs(
        of root: RunningRoot, _ chain: BootChain, visiting: Bool, runner: any CommandRunner, files: any FileSystem
    ) async throws -> (esps: [ESP], damaged: [Damaged]) {
        var (esps, damaged): ([ESP], [Damaged]) = ([], [])
        func disk(of device: BlockDevice) -> String? { root.disks.first { Disk.number(of: device.path, on: $0.disk) != nil }?.disk }
        func pass(_ device: BlockDevice, _ problem: Diagnosis) {
            damaged.append(Damaged(device: device.path, disk: disk(of: device), problem: problem, isVisited: visiting))
        }
        for (index, device) in root.esps.enumerated() {
            do {
                var esp = try await esp(device, index, chain, runner: runner, files: files)
                esp.disk = disk(of: device)
                esps.append(esp)
            } catch let problem as Diagnosis where problem.code == "boot.esp-damaged" {
                pass(device, .damagedESP(device.path, causes: problem.causes, visiting: visiting))
            }
        }
        if esps.isEmpty, let first = damaged.first { throw first.problem }
        let command = visiting ? "krecovery reinstall-bootloader " : "kldload boot restore "
        for device in root.lostESPs { pass(device, .lostESP(device.path, command: command)) }
        return (esps, damaged)
    }

    private static func esp(
        _ device: BlockDevice, _ index: Int, _ chain: BootChain, runner: any CommandRunner, files: any FileSystem
    ) async throws -> ESP {
        let mount = device.mountpoint.map { FilePath($0) }
        // It has a lock of its own, and writes images before entries as everybody does.
        let isFirstBoot = try files.mounts().contains {
            $0.source == device.path && $0.place.hasPrefix("\(FirstBoot.workplace)/")
        }
        do {
            return try await looking(at: device.path, mount, index, runner: runner, files: files) { place in
                var esp = ESP(device: device.path, mount: mount, free: try files.freeSpace(place))
                for name in try names(place.appending(BootEntry.imageFolder), files) {
                    let path = "\(BootEntry.imageFolder)/\(name)"
                    let isLeftover = ESPFile.isLeftover(name)
                    guard isLeftover || BootEntry.isImage(name) || KernelParts.isPart(name),
                        let found = try files.status(place.appending(path)), found.kind == .file
                    else { continue }
                    if isLeftover { esp.leftovers[path] = found.size } else { esp.images[path] = found.size }
                }
                // What menus say that are not ours; `nil`: not all of it is known.
                var others: String? = isFirstBoot ? nil : ""
                for folder in [BootChain.systemdBoot, .grub].map(\.entryFolder) {
                    for name in try names(place.appending(folder), files) where BootEntry.isInMenu(name) {
                        // A power cut may leave one that cannot be read: the loader passes it over, and it is written again.
                        guard let bytes = try? files.read(place.appending(folder).appending(name)) else {
                            others = nil
                            continue
                        }
                        let text = String(decoding: bytes, as: UTF8.self)
                        if folder == chain.entryFolder, let entry = BootEntry(fileName: name, text: text) {
                            esp.entries.append(entry)
                        } else {
                            others?.append(text.lowercased() + "\n")
                        }
                    }
                }
                let own = Array(esp.images.keys) + Array(esp.leftovers.keys)
                esp.claimed = Set(own.filter { path in others.map { $0.contains(path.leaf.lowercased()) } ?? true })
                if let text = try? files.readText(place.appending(chain.recoveryEntryPath)),
                    let print = RecoveryImage.fingerprint(of: text),
                    let size = try files.status(place.appending(RecoveryImage.imagePath))?.size
                {
                    esp.recovery = .init(fingerprint: print, size: size)
                }
                return esp
            }
        } catch FileError.other(let path, let action, let reason) {
            throw Diagnosis.damagedESP(device.path, causes: ["cannot \(action) \(path): \(reason)"])
        }
    }

    /// An ESP is root's alone: who may not read it must not be told that it is empty.
    private static func names(_ folder: FilePath, _ files: any FileSystem) throws -> [String] {
        do { return try files.list(folder) } catch FileError.missing { return [] }
    }

    /// Images of the ESPs, and the recovery image, and what their signatures are worth, if it is one of these signers'; of kernels, whether they
    /// bear any that fits, for it is their vendor's that counts. What cannot be read bears none. ESPs and images come in their order.
    ///
    /// Runs: where the firmware enforces signatures, `sbverify --cert PEM IMAGE`, of a kernel `sbverify IMAGE`, which reads the image; reads.
    /// - Parameter wanted: names of images below an ESP's root.
    func signatures(
        by signers: [CertificateIdentity], runner: any CommandRunner, files: any FileSystem, _ wanted: (String) -> Bool = { _ in true }
    ) async throws -> [(esp: ESP, image: String, signature: SecureBoot.Signature)] {
        var found: [(esp: ESP, image: String, signature: SecureBoot.Signature)] = []
        for (index, esp) in esps.enumerated() {
            let all = esp.images.keys.filter(BootEntry.isProgram) + (esp.recovery == nil ? [] : [RecoveryImage.imagePath])
            let images = Set(all).filter(wanted).sorted()
            if images.isEmpty { continue }
            found += try await Self.looking(at: esp.device, esp.mount, index, runner: runner, files: files) { place in
                var here: [(esp: ESP, image: String, signature: SecureBoot.Signature)] = []
                for image in images {
                    let file = place.appending(image)
                    if BootEntry.isKernel(image) {
                        // Where nobody looks, that it bears one is enough.
                        let bears = (try? UnifiedKernelImage.isSigned(file, files)) == true
                        here.append((esp, image, secureBoot ? try await Self.condition(of: file, runner, files) : bears ? .good : .missing))
                    } else {
                        here.append((esp, image, try await signature(of: file, by: signers, runner, files)))
                    }
                }
                return here
            }
        }
        return found
    }

    /// Shows an ESP where it is mounted, or mounts it read-only for as long as `body` runs.
    ///
    /// - Throws: ``Diagnosis`` `boot.esp-damaged`, `boot.esp-busy`; what `body` throws.
    static func looking<Result>(
        at device: String, _ mounted: FilePath?, _ index: Int, runner: any CommandRunner, files: any FileSystem,
        _ body: (FilePath) async throws -> Result
    ) async throws -> Result {
        if let mounted { return try await body(mounted) }
        do {
            return try await TemporaryMount().with(
                at: device, as: "esp\(index)", type: "vfat", options: ["umask=0077"], runner: runner, files: files, body)
        } catch CommandError.failed(let command, let output) where command.arguments.contains(device) {
            if MountCommand.isBusy(output) {
                throw Diagnosis(
                    "boot.esp-busy", "the ESP \(device) has been written to for two minutes",
                    remedies: ["when whoever writes is done, again; if it was killed: kldload boot refresh clears up after it"],
                    exit: .tryAgain, causes: output.errors.lines)
            }
            throw Diagnosis.damagedESP(
                device, causes: [Diagnosis(of: CommandError.failed(command, output)).message] + output.errors.lines)
        }
    }
}

extension Diagnosis {
    /// The same, told to who helps a machine that does not run: what its remedies name is inside of that.
    var toldOutside: Diagnosis {
        var copy = self
        copy.remedies = remedies.map { "krecovery chroot, and there: \($0)" }
        return copy
    }

    /// A partition that should be an ESP, and holds no file system.
    /// - Parameter command: what makes it anew, without what follows.
    package static func lostESP(_ device: String, command: String) -> Diagnosis {
        Diagnosis(
            "boot.esp-lost", "\(device) should be an ESP, and holds none", remedies: ["make one of it: \(command)--format \(device)"])
    }

    /// An ESP whose disk or file system is damaged.
    /// - Parameters: causes: what could not be done; visiting: it is told to who helps a machine that does not run.
    static func damagedESP(_ device: String, causes: [String], visiting: Bool = false) -> Diagnosis {
        Diagnosis(
            "boot.esp-damaged", "the ESP \(device) cannot be used",
            remedies: [
                "repair it: fsck.fat -a \(device)",
                visiting
                    ? "or make it anew: krecovery reinstall-bootloader --format \(device)"
                    : "or make it anew: kldload boot restore --format \(device)",
            ], causes: causes)
    }
}
