import KldBoot
import KldCore
import KldDistro
import KldExec
import KldFiles
public import KldPlan
import KldPackages
import KldSystemd
import SystemPackage

/// What is done inside a new tree, after the packages, natively and once, so that an installation need not.
///
/// Everything here is the same for all machines made from the payload. Runs inside the tree: paths are the tree's own.
public enum PayloadRecipe {
    /// Parts of the recipe that need to read the tree are performed under these names.
    public enum Performer {
        public static let sshKeyExchange = "payload.ssh-kex"
        public static let holds = "payload.holds"
        public static let info = "payload.info"
        public static let purge = "payload.purge"
        public static let modules = "payload.modules"
    }

    public static func plan(_ payload: PayloadSpec) throws -> Plan {
        let spec = try payload.spec
        switch payload.kind {
        case .target:
            let profile = try ProfileSpec.find(payload.profile)
            return Plan(
                "configure \(spec.title), profile \(payload.profile)",
                [
                    Phase("packages", "Package management", [try sources(payload, spec), try holds(spec, payload)]),
                    Phase("system", "System settings", system(payload, spec, profile)),
                    Phase("boot", "Initramfs", boot(payload, try InitramfsBuilder.of(spec, payload.kind))),
                    Phase("clean", "Remove what must not be shared", [clean()]),
                ])
        case .live:
            return Plan(
                "configure the live environment",
                [
                    Phase("packages", "Package management", [try sources(payload, spec)]),
                    Phase("system", "System settings", live(spec)),
                    Phase("boot", "Initramfs", boot(payload, try InitramfsBuilder.of(spec, payload.kind))),
                    Phase("clean", "Remove what must not be shared", [clean(hostname: "kldload")]),
                ])
        }
    }

    private static func command(_ tool: Tool, _ words: [String]) -> Action { .run(Command(tool, words, effect: .changes)) }

    private static func enable(_ units: [String]) -> Action { .run(Systemctl.change(["enable"] + units)) }

    private static func sources(_ payload: PayloadSpec, _ spec: DistroSpec) throws -> Step {
        let sources = try spec.sources(mirror: payload.installedMirror).map(\.stanza).joined(separator: "\n")
        return Step(
            "payload.apt", "Signed package sources of the installed system",
            [
                // What the build has used, on the mirror that it has used.
                .remove("/etc/apt/sources.list"), .remove("/etc/apt/sources.list.d/0000sources.list"),
                .write("/etc/apt/sources.list.d/kldload.sources", content: .text(sources)),
            ])
    }

    private static func holds(_ spec: DistroSpec, _ payload: PayloadSpec) throws -> Step {
        guard spec.packaging.family == .apt else { throw spec.unsupported("packages by \(spec.packaging.family.rawValue)") }
        return Step(
            "payload.holds", "Hold kernel, OpenZFS and boot loader",
            [
                .perform(
                    Performer.holds,
                    [
                        "patterns": spec.held(with: payload.groups.contains(ProfileSpec.grubGroup) ? .grub : .systemdBoot).joined(
                            separator: " ")
                    ], effect: .changes)
            ])
    }

    private static func system(_ payload: PayloadSpec, _ spec: DistroSpec, _ profile: ProfileSpec) -> [Step] {
        var steps = [
            Step(
                "payload.locale", "Locale \(payload.locale)",
                [
                    .write(FilePath(LocaleGeneration.path), content: .text(LocaleGeneration.configuration(payload.locale))),
                    command(Tool("locale-gen", package: "locales"), []),
                    .write("/etc/locale.conf", content: .text("LANG=\(payload.locale)\n")),
                    .symlink("/etc/default/locale", to: "../locale.conf"),
                ]),
            Step(
                "payload.ssh", "SSH server policy",
                [
                    .write("/etc/ssh/sshd_config.d/10-kldload.conf", content: .text(SystemFiles.sshPolicy)),
                    .perform(
                        Performer.sshKeyExchange,
                        [
                            "path": "/etc/ssh/sshd_config.d/90-kldload-pq.conf", "wanted": postQuantum.joined(separator: " "),
                            "classic": classic.joined(separator: " "),
                        ], effect: .changes),
                ]),
            Step(
                "payload.network", "Network by systemd-networkd, which cloud-init can drive too",
                [
                    .write("/etc/systemd/network/99-kldload-dhcp.network", content: .text(SystemFiles.dhcpNetwork)),
                    .write("/etc/cloud/cloud.cfg.d/90-kldload.cfg", content: .text(SystemFiles.cloudInit)),
                    .symlink("/etc/resolv.conf", to: "../run/systemd/resolve/stub-resolv.conf"),
                ]),
            Step(
                "payload.journal", "Persistent journal",
                [.write("/etc/systemd/journald.conf.d/kldload.conf", content: .text(SystemFiles.journald))]),
            Step(
                "payload.zfs", "OpenZFS module settings",
                [
                    .write("/etc/modules-load.d/kldload-zfs.conf", content: .text("zfs\n")),
                    .makeDirectory("/etc/zfs/zfs-list.cache"),
                ]),
            Step(
                "payload.units", "kldload's own services",
                (SystemFiles.units + SystemFiles.bootUnits + SystemFiles.bootHelpers + SystemFiles.dormantUnits).map {
                    .write(FilePath("/usr/lib/systemd/system/\($0.name)"), content: .text($0.text))
                } + SystemFiles.unitAliases.map { .symlink(FilePath("/usr/lib/systemd/system/\($0.name)"), to: $0.unit) } + [
                    enable(
                        (SystemFiles.units + SystemFiles.bootUnits).map(\.name)
                            + [spec.units[.network], spec.units[.resolver], spec.units[.timeSync], spec.units[.ssh]].compactMap { $0 }
                            + ["zfs-import-cache.service", "zfs-mount.service", "zfs.target", spec.units[.zed] ?? "zfs-zed.service"]),
                    // The initramfs imports the root pool. Pools made here are in the cache file; a scan would import foreign ones too.
                    .run(Systemctl.change(["disable", "zfs-import-scan.service"])),
                    // It is never satisfied when no cable is plugged in.
                    .run(Systemctl.change(["disable", "systemd-networkd-wait-online.service"])),
                ]),
        ]
        steps.append(
            Step(
                "payload.boot", "What boots follows the kernel; a hang ends",
                spec.bootHooks.map { .write(FilePath($0.path), content: .text($0.text), mode: $0.isScript ? .script : .file) } + [
                    .write("/etc/systemd/system.conf.d/50-kldload-watchdog.conf", content: .text(SystemFiles.watchdog))
                ]))
        if profile.tools {
            // After the packages: nothing that builds a payload takes snapshots.
            steps.append(
                Step(
                    "payload.snapshots", "Snapshots by the clock, and around packages",
                    (SystemFiles.snapshotUnits + SystemFiles.snapshotHelpers).map {
                        .write(FilePath("/usr/lib/systemd/system/\($0.name)"), content: .text($0.text))
                    } + SystemFiles.aptSnapshots.map { .write(FilePath($0.path), content: .text($0.text)) } + [
                        enable(SystemFiles.snapshotUnits.map(\.name))
                    ]))
        }
        if let driver = spec.containerStorage, profile.packages(for: spec).contains("podman") {
            steps.append(
                Step(
                    "payload.containers", "Containers on ZFS",
                    [.write("/etc/containers/storage.conf", content: .text(SystemFiles.containerStorage(driver)))]))
        }
        if !profile.sysctl.isEmpty {
            let text = profile.sysctl.map { "\($0.name) = \($0.value)\n" }.joined()
            steps.append(Step("payload.sysctl", "Kernel parameters", [.write("/etc/sysctl.d/99-kldload.conf", content: .text(text))]))
        }
        return steps
    }

    private static func boot(_ payload: PayloadSpec, _ builder: InitramfsBuilder) -> [Step] {
        // OpenZFS' packages make a host id at random; every machine gets its own when it is installed.
        var actions: [Action] = [.remove("/etc/hostid"), .remove("/etc/zfs/zpool.cache")]
        for (path, text) in builder.build?.settings ?? [] { actions.append(.write(path, content: .text(text))) }
        if builder.kind == .initramfsTools {
            actions += [
                // It goes into the initramfs, and without this it would be the name of the machine that builds.
                .write("/etc/hostname", content: .text("localhost\n")),
                .write("/etc/zfs/initramfs-tools-load-key.d/kldload", content: .text(SystemFiles.passphrasePrompt)),
                .write(FilePath(SystemFiles.initramfsHook.path), content: .text(SystemFiles.initramfsHook.text), mode: 0o755),
            ]
            actions += SystemFiles.initramfsScripts.map {
                .write(FilePath("/usr/share/initramfs-tools/scripts/\($0.folder)/\($0.name)"), content: .text($0.text), mode: 0o755)
            }
        }
        actions.append(.perform(Performer.modules, [:], effect: .changes))
        if let build = builder.build {
            actions.append(.run(build.command))
            for (path, text) in build.later { actions.append(.write(path, content: .text(text))) }
        }
        var check = InitramfsCheck.of(payload.kind).parameters
        check["initramfs"] = builder.kind.rawValue
        let title =
            payload.kind == .live
            ? "An initramfs that finds and mounts the live image" : "A portable initramfs with OpenZFS and no host id"
        return [
            Step("payload.initramfs", title, actions, weight: 10),
            Step("payload.info", "Choose the kernel and describe the payload", [.perform(Performer.info, check, effect: .changes)]),
        ]
    }

    /// Booted by itself it is a machine with a console and an address, and nothing that listens. In the factory none of this is started.
    private static func live(_ spec: DistroSpec) -> [Step] {
        let units: FilePath = "/etc/systemd/system"
        func unit(_ unit: (name: String, text: String)) -> Action {
            .write(FilePath("/usr/lib/systemd/system/\(unit.name)"), content: .text(unit.text))
        }
        return [
            Step(
                "payload.units", "What the factory and an installer start",
                [
                    .write(FilePath(SystemFiles.factoryStart.path), content: .text(SystemFiles.factoryStart.text), mode: 0o755),
                    unit(SystemFiles.autoinstall), unit(SystemFiles.guided), enable([SystemFiles.autoinstall.name]),
                    // A pool of the machine is imported on request, never by itself.
                    .run(
                        Systemctl.change([
                            "mask", "zfs-import-cache.service", "zfs-import-scan.service", "zfs-mount.service", "zfs-share.service",
                        ])),
                ]
                    // Nor is an array or a volume group: a disk is not written to before somebody says so. mdadm(8) 4.4, lvm(8) 2.03.31.
                    + ["64-md-raid-assembly.rules", "69-lvm.rules"].map {
                        .symlink(FilePath("/etc/udev/rules.d/\($0)"), to: "/dev/null")
                    }),
            Step(
                "payload.tools", "The tools on PATH",
                (["kldload"] + AppletName.allCases.map(\.rawValue)).map {
                    .symlink(FilePath("/usr/bin/\($0)"), to: AppletName.linkTarget)
                }),
            Step(
                "payload.network", "Addresses for wired cards",
                [
                    .write("/etc/systemd/network/99-kldload-dhcp.network", content: .text(SystemFiles.dhcpNetwork)),
                    .symlink("/etc/resolv.conf", to: "../run/systemd/resolve/stub-resolv.conf"),
                    enable([spec.units[.network], spec.units[.resolver]].compactMap { $0 }),
                    // It is never satisfied when no cable is plugged in.
                    .run(Systemctl.change(["disable", "systemd-networkd-wait-online.service"])),
                ]),
            Step(
                "payload.ssh", "No way in but the console until there is a key",
                [
                    .write("/etc/ssh/sshd_config.d/10-kldload.conf", content: .text(SystemFiles.liveSSHPolicy)),
                    .write(units.appending("\(spec.units[.ssh] ?? "ssh.service").d/kldload.conf"), content: .text(SystemFiles.liveSSH)),
                ]),
            Step(
                "payload.console", "Root at the consoles",
                [
                    .write(units.appending("getty@tty1.service.d/kldload.conf"), content: .text(SystemFiles.autologin(serial: false))),
                    .write(units.appending("serial-getty@.service.d/kldload.conf"), content: .text(SystemFiles.autologin(serial: true))),
                ]),
        ]
    }

    /// - Parameter hostname: a name that is the same on all; an installed machine gets its own later.
    private static func clean(hostname: String? = nil) -> Step {
        Step(
            "payload.clean", "Identities, caches and logs",
            [
                .perform(Performer.purge, ["paths": purged.joined(separator: " ")], effect: .changes),
                .write("/etc/machine-id", content: .text(""), mode: 0o444),
            ] + (hostname.map { [.write("/etc/hostname", content: .text("\($0)\n"))] } ?? []))
    }
}
