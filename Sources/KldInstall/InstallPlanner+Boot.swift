import KldAnswers
import KldBlock
import KldBoot
import KldDistro
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldZFS
import SystemPackage

extension InstallPlanner {
    var commandLine: KernelCommandLine {
        KernelCommandLine(root: tree.root.text, initramfs: request.spec.initramfs, consoles: answers.consoles)
            .forcingImport(request.sealed).restartingAfterPanic(seconds: BootEntry.panicSeconds)
            .choosing(chain == .systemdBoot)
    }

    var chain: BootChain { answers.bootloader == .grub ? .grub : .systemdBoot }

    /// The first of the machine: there is nothing to go back to yet, so it is not on trial.
    var bootEntry: BootEntry {
        BootEntry(
            dataset: tree.root.text, release: request.payload.kernel, order: BootEntry.orderStep,
            parts: chain == .grub
                ? KernelParts(
                    release: request.payload.kernel, hostID: request.sealed ? nil : request.identity.hostID, commandLine: commandLine)
                : nil)
    }

    private func esp(_ index: Int) -> FilePath { FilePath("\(Self.scratch.string)/esp\(index)") }

    private static let hostIDSupplement = scratch.appending("hostid.cpio")

    private var bootImage: UnifiedKernelImage {
        let release = request.payload.kernel
        var initrds = [inTarget("/boot/initrd.img-\(release)")]
        // A sealed image has no host id yet: its first boot makes one and builds this again.
        if !request.sealed { initrds.append(Self.hostIDSupplement) }
        return UnifiedKernelImage(
            linux: inTarget("/boot/vmlinuz-\(release)"), initrds: initrds, commandLine: commandLine, release: release,
            osRelease: inTarget("/usr/lib/os-release"), stub: FilePath("/\(request.spec.efi.stub)"),
            output: Self.scratch.appending("boot.efi"))
    }

    var kernel: [Step] {
        let image = bootImage
        let supplement: Action = .write(Self.hostIDSupplement, content: .bytes(InitramfsSupplement.hostID(request.identity.hostID)))
        let building: [Action] = [supplement, .run(image.build)] + (key?.signing(image.output) ?? [])
        let making =
            chain == .grub
            ? Step(
                "boot.grub", "GRUB is kldload's to install, and no package's",
                [.write(inTarget(Self.grubDefaults.path), content: .text(Self.grubDefaults.text)), supplement],
                release: [.remove(Self.hostIDSupplement)], resume: [supplement])
            : Step(
                "boot.uki", "Build the unified kernel image of \(image.release)", building,
                release: [.remove(image.output), .remove(Self.hostIDSupplement)], resume: building, weight: 8)
        return initramfs + trust + [making]
    }

    /// The payload's was looked at when it was built; so is one that is made here.
    private var initramfs: [Step] {
        guard !keymap.isEmpty || request.payload.additions != nil else { return [] }
        let parameters = ["target": target.string, "release": request.payload.kernel]
        return [
            Step(
                "boot.initramfs", "The initramfs that was made here imports the pool",
                [.perform(Performers.initramfs, parameters, effect: .reads)], weight: 3)
        ]
    }

    var boot: [Step] {
        let image = bootImage
        var steps = [
            Step(
                "boot.fstab", "Mount table",
                [
                    .write(
                        inTarget("/etc/fstab"),
                        content: .text(
                            """
                            # File systems of the pool are mounted by ZFS; /boot/efi is mounted by \(MountedESP.unit): the ESP of the disk that was started.

                            """)), .makeDirectory(inTarget("/boot/efi"), mode: 0o700),
                ])
        ]
        // Setting a property waits until all that came before is on the disk: a power cut from here on leaves what boots whole.
        if !request.sealed {
            steps.append(
                Step("boot.sync", "What is flushed from now on reaches the disk", [.run(ZFS.inherit(pool.dataset, Self.noLogs.name))]))
        }
        for (index, disk) in disks.root.enumerated() {
            steps.append(
                Step(
                    "boot.esp.\(disk.device.name)", "Stage boot loader and kernel on \(disk.path)",
                    staging(
                        Disk.partition(1, of: disk.path), at: esp(index),
                        chain == .grub ? [image.linux] + image.initrds : [image.output]),
                    release: [.run(MountCommand.unmount(esp(index)))], weight: 3))
        }
        // Each installation makes new partitions, and the firmware's memory is small. A disk that is only absent keeps its entry.
        let wiped = self.wiped ?? partitions
        if facts.firmwareEntries, !wiped.isEmpty {
            steps.append(
                Step(
                    "boot.old-entries", "Remove the firmware's entries for what was wiped",
                    [.perform(Performers.forgetEntries, ["partitions": wiped.joined(separator: " ")], effect: .changes)]))
        }
        // The newest entry becomes the first: so the first disk's comes last.
        for disk in disks.root.reversed() where facts.firmwareEntries {
            var entry = FirmwareEntry.create(disk: disk.path, partition: 1, label: answers.bootloaderID)
            // Firmware refuses in many ways, and is full at times. Each disk starts without an entry too, by its removable path.
            entry.acceptedExitStatuses = Set(0...255)
            steps.append(Step("boot.entry.\(disk.device.name)", "Firmware entry \(answers.bootloaderID)", [.run(entry)]))
        }
        return steps
    }

    /// The payload's initramfs was built for everybody, with a US keyboard. Whoever types a passphrase at boot has his own.
    var keymap: [Step] {
        let keyboard = answers.keyboard
        guard answers.encrypt, keyboard.layout != "us" || !(keyboard.variant ?? "").isEmpty else { return [] }
        var update = Command(Tool("update-initramfs", package: "initramfs-tools"), ["-u", "-k", request.payload.kernel], effect: .changes)
        update.tellsOnBoth = true
        return [
            Step(
                "boot.keymap", "An initramfs that knows the keyboard \(keyboard.layout)", [.run(update.inside(target))], weight: 20)
        ]
    }

    /// Packages of shim and GRUB run `grub-install` where the ESP has a folder of this name, and so they know none. Whoever installs all of
    /// GRUB gets no menu of its making either. Source: `postinst` of shim-signed 1.51, grub-efi-amd64 2.12.
    private static let grubDefaults = (
        path: "/etc/default/grub.d/kldload.cfg",
        text: "# Written by kldload, which installs GRUB and writes its menu by itself.\nGRUB_DISTRIBUTOR=\n"
    )

    /// Fills one ESP: the vendor's shim, the boot loader, what the entry needs.
    private func staging(_ partition: String, at mount: FilePath, _ sources: [FilePath]) -> [Action] {
        let loader = ESPLoader(
            chain: chain, programs: request.spec.efi, timeoutSeconds: answers.zbmTimeout, label: answers.bootloaderID, key: key)
        return [.makeDirectory(mount), .run(MountCommand.mount(partition, at: mount, type: "vfat"))]
            + loader.filling(from: target, on: mount)
            + zip(sources, bootEntry.files).flatMap { ESPFile.place($0, as: $1, on: mount) }
            + [.write(FilePath("\(mount.string)/\(bootEntry.path)"), content: .text(bootEntry.text)), ESPFile.sync(mount)]
    }

    var finish: [Step] {
        get throws {
            var steps: [Step] = []
            if !request.sealed {
                steps.append(
                    Step(
                        "finish.manifest", "Write down what was installed",
                        [
                            .write(inTarget(InstallManifest.path), content: .text(try InstallManifestText.render(manifest)), mode: 0o640),
                            .write(
                                inTarget(InstallManifest.environmentPath),
                                content: .text(InstallManifestText.environment(answers, manifest)), mode: 0o640),
                        ]))
            }
            if request.sealed {
                steps.append(
                    Step(
                        "seal", "Remove every identity and secret",
                        [.perform(Performers.seal, ["root": target.string, "user": answers.username], effect: .changes)], weight: 2))
            }
            // After sealing, which empties the list: a clone's first boot needs it for the journal to find its folder.
            steps.append(
                Step(
                    "finish.mounts", "Tell systemd about the datasets",
                    [Performers.writeMountCache(pool: pool.text, target: target)]))
            if request.sealed {
                steps.append(
                    Step(
                        "finish.manifest", "Write down what all clones have in common",
                        [
                            .write(
                                inTarget(InstallManifest.path), content: .text(try InstallManifestText.render(manifest.forClones)),
                                mode: 0o640)
                        ]))
            }
            steps.append(
                Step("finish.bootfs", "Boot \(tree.root)", [.run(ZPool.set(pool, "bootfs", tree.root.text))]))
            if request.sealed {
                // Unmounted before: what is written when a file system closes would go through an intent log again.
                let logs: [Action] = [.run(MountCommand.unmount(target)), .run(ZFS.inherit(pool.dataset, Self.noLogs.name))]
                let disk = Disk.partition(2, of: disks.root[0].path)
                steps.append(
                    Step(
                        "finish.free", "Close the pool, and give back what it does not use",
                        logs + Performers.giveBack(pool, mountedAt: target, on: disk), weight: 3))
            } else {
                let snapshot = try SnapshotName(pool.dataset, "install")
                // One that goes on with a step before this one may find what its earlier run left here.
                steps.append(
                    Step(
                        "finish.snapshot", "Snapshot of the fresh installation",
                        [
                            .perform(Performers.keepLogs, ["target": target.string], effect: .changes),
                            .perform(Performers.forgetSnapshot, ["snapshot": snapshot.description], effect: .destroys),
                            .run(ZFS.snapshot(snapshot, recursive: true)),
                        ], destroys: disks.all.map(\.path)))
            }
            // Last, for firmware refuses in many ways: the machine is whole without it, and its boot menu offers the key too.
            return steps + enrolment
        }
    }

    var manifest: InstallManifest {
        let credentials: InstallManifest.Credentials =
            switch answers.credentials {
            case .defaultExpired: .defaultExpired
            case .password: .password
            case .hash: .hash
            case .file: .password
            }
        let network: InstallManifest.Network =
            switch answers.network {
            case .dhcp: InstallManifest.Network(.dhcp, iface: request.interface)
            case .fixed(let fixed):
                InstallManifest.Network(
                    .static, iface: request.interface, address: fixed.address.description, gateway: fixed.gateway.description,
                    nameServers: fixed.dns.map(\.description))
            }
        return InstallManifest(
            kldloadVersion: request.version, distro: request.spec.id, suite: request.spec.suite, profile: request.profile.id,
            hostname: answers.hostname.description, username: answers.username, pool: pool.text, bootEnvironment: request.spec.id,
            topology: answers.topology.rawValue, disks: disks.root.map(\.path),
            specialDisks: disks.special.isEmpty ? nil : disks.special.map(\.path), encrypted: answers.encrypt, network: network,
            timezone: answers.timezone, locale: answers.locale, keyboard: answers.keyboard.layout,
            sshPolicy: answers.credentials == .defaultExpired ? .afterPasswordChange : .password,
            heldPackages: request.spec.held(with: chain),
            units: [.ssh, .network, .resolver, .timeSync].compactMap { request.spec.units[$0] }, hostID: request.identity.hostID,
            sealed: request.sealed, credentials: credentials, bootLoader: answers.bootloader.rawValue,
            sysctl: request.profile.sysctl.isEmpty
                ? nil : Dictionary(request.profile.sysctl.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 }))
    }
}
