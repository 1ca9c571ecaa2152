import KldBlock
public import KldBoot
public import KldCore
import KldExec
import KldFiles
public import KldPlan
import KldSystemd
import KldZFS
public import SystemPackage

/// What is left to do when a machine starts for the first time: a clone of a sealed image becomes somebody.
///
/// Every step may run again: a power cut in the middle, and the next boot finishes it.
public struct FirstBoot: Sendable, Hashable {
    public static let folder: FilePath = "/var/lib/kldload/firstboot"
    public static let sealedMarker = folder.appending("sealed")
    public static let doneMarker = folder.appending("done")

    /// What some machines have and others have not: each is made anew only where the program that owns it is installed.
    public struct Extras: Sendable, Hashable {
        /// For the ESPs; `nil` where there is no `fatlabel`.
        public var espSerial: UInt32?
        /// As `/etc/fstab` stands now.
        public var mountTable: String
        /// A new UUID, where there is an NVMe initiator without one.
        public var nvmeHost: String?
        /// There is an iSCSI initiator without a name.
        public var iscsi: Bool
        /// There is `make-ssl-cert`, and no certificate of its making.
        public var certificate: Bool
        /// The machine signs what it boots.
        public var signs: Bool

        public init(
            espSerial: UInt32? = nil, mountTable: String = "", nvmeHost: String? = nil, iscsi: Bool = false, certificate: Bool = false,
            signs: Bool = false
        ) {
            self.espSerial = espSerial
            self.mountTable = mountTable
            self.nvmeHost = nvmeHost
            self.iscsi = iscsi
            self.certificate = certificate
            self.signs = signs
        }
    }

    /// What a clone's first boot makes anew, and the step that does it (or the beginning of its id). A seal promises exactly these.
    public static let renewals = [
        "host-id": "firstboot.host-id", "ssh-host-keys": "firstboot.ssh-keys", "pool-guid": "firstboot.pool-guid",
        "gpt-guids": "firstboot.gpt-guids", "fat-serial": "firstboot.esp-serial", "nvme-host": "firstboot.nvme-host",
        "iscsi-initiator": "firstboot.iscsi-initiator", "snakeoil-certificate": "firstboot.certificate",
        "module-signing-key": "firstboot.signing-key",
    ]

    public var sealed: Bool
    /// As `/etc/hostid` says it now.
    public var hostID: HostID?
    /// What the initramfs made up for a boot image that carries none. The pool was imported with it, and its labels carry no other before the
    /// next import, so the machine keeps it: an import by another id would need force.
    public var runningHostID: HostID?
    /// For when there is none yet.
    public var newHostID: HostID
    public var pool: String
    public var disks: [RunningRoot.Disk]
    /// Block devices with an ESP of this machine.
    public var esps: [String]
    public var kernel: String
    /// The command line of the running kernel, which its unified kernel image brought.
    public var commandLine: String
    public var stub: FilePath
    /// UKIs found on the first ESP for the running kernel.
    public var images: [String]
    public var builder: BootImageBuilder?
    /// Entries of GRUB's menu for the running kernel, on the first ESP.
    public var entries: [BootEntry]
    public var extras: Extras

    public init(
        sealed: Bool, hostID: HostID?, runningHostID: HostID?, newHostID: HostID, pool: String, disks: [RunningRoot.Disk], esps: [String],
        kernel: String,
        commandLine: String,
        stub: FilePath = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub", images: [String], builder: BootImageBuilder?,
        entries: [BootEntry] = [],
        extras: Extras = Extras()
    ) {
        self.sealed = sealed
        self.hostID = hostID
        self.runningHostID = runningHostID
        self.newHostID = newHostID
        self.pool = pool
        self.disks = disks
        self.esps = esps
        self.kernel = kernel
        self.commandLine = commandLine
        self.stub = stub
        self.images = images
        self.builder = builder
        self.entries = entries
        self.extras = extras
    }

    public var plan: Plan {
        get throws {
            var steps: [Step] = []
            let id = runningHostID ?? hostID ?? newHostID
            if hostID != id {
                steps.append(
                    Step("firstboot.host-id", "Host id \(id)", [.write("/etc/hostid", content: .bytes(id.fileContent))]))
            }
            // First what lets a person in: a disk that fails later must not keep them out.
            steps.append(
                Step(
                    "firstboot.ssh-keys", "SSH host keys that are missing",
                    [.run(Command(Tool("ssh-keygen", package: "openssh-client"), ["-A"], effect: .changes))], weight: 3))
            if sealed { steps += try clone(id) }
            // Missing in every new system: packages make them when they are unpacked, once for all machines of a payload.
            steps += initiators
            steps.append(
                Step(
                    "firstboot.done", "Remember that this is done",
                    [.write(Self.doneMarker, content: .text("kldload firstboot\n")), .remove(Self.sealedMarker)]))
            return Plan("first boot", [Phase("firstboot", "First boot", steps)])
        }
    }

    private func clone(_ id: HostID) throws -> [Step] {
        let pool = try PoolName(pool)
        var steps = [Step("firstboot.pool-guid", "A GUID of its own for the pool", [.run(ZPool.reguid(pool))])]
        for disk in disks {
            // A clone has no boot entries yet, which would name the ESP by its GUID: it starts from the removable path.
            steps.append(
                Step(
                    "firstboot.gpt-guids.\(disk.disk.split(separator: "/").last ?? "")",
                    "GUIDs of its own for \(disk.disk) and its partitions",
                    [.run(Disk.randomizeGUIDs(disk.disk))]))
            steps.append(
                Step(
                    "firstboot.grow.\(disk.partition.split(separator: "/").last ?? "")",
                    "Grow \(disk.partition) to the end of \(disk.disk)",
                    [
                        .run(Command(Tool("sgdisk", package: "gdisk"), ["--move-second-header", disk.disk], effect: .changes)),
                        .run(
                            Command(
                                Tool("sfdisk", package: "fdisk"),
                                ["--no-reread", "--no-tell-kernel", "--partno", String(disk.number), disk.disk], effect: .changes,
                                accepting: [0, 1], input: .text(", +\n"))),
                        .run(Command(Tool("partx", package: "util-linux"), ["--update", disk.disk], effect: .changes, accepting: [0, 1])),
                        .run(Command("zpool", ["online", "-e", pool.text, disk.vdev], effect: .changes, accepting: [0, 1])),
                    ]))
        }
        if let serial = extras.espSerial, !esps.isEmpty { steps.append(espSerial(serial)) }
        if let key { steps += sign(with: key, id) }
        if let builder, !images.isEmpty { steps.append(rebuild(id, builder)) }
        if !entries.isEmpty { steps.append(restage(id)) }
        return steps
    }

    private var key: MachineOwnerKey? { extras.signs ? MachineOwnerKey() : nil }

    private func sign(with key: MachineOwnerKey, _ id: HostID) -> [Step] {
        [
            Step("firstboot.signing-key", "A key of its own, to sign with", key.creating(name: "kldload clone \(id)"), weight: 2),
            Step(
                "firstboot.sign-modules", "Sign OpenZFS' modules of \(kernel)",
                [ModuleSigning.signing(root: "/", release: kernel, with: key, initramfs: FilePath("/boot/initrd.img-\(kernel)"))], weight: 5
            ),
        ]
    }

    /// One serial number for every ESP, and another one in the line of a mount table that somebody wrote by hand. First the file systems, then
    /// the table: after a power cut in between this is done again with another number.
    private func espSerial(_ serial: UInt32) -> Step {
        func systemctl(_ words: [String], accepting: Set<Int32>) -> Action {
            .run(Systemctl.change(words, accepting: accepting))
        }
        // systemd ends a mount with the device of that name, so it reads the table again before there is a mount. That none is there in time
        // is no failure: the next boot mounts it.
        let back = [systemctl(["daemon-reload"], accepting: [0]), systemctl(["restart", MountedESP.unit], accepting: [0, 1])]
        let table = MountTable(extras.mountTable)
        let renamed = table.namingESP(Disk.fatUUID(serial))
        var actions = [systemctl(["stop", MountedESP.mountUnit], accepting: [0, 1, 5])]
        actions += esps.map { .run(Disk.setFATSerial($0, serial)) }
        if renamed != table { actions.append(.write("/etc/fstab", content: .text(renamed.text))) }
        return Step(
            "firstboot.esp-serial", "A serial number of its own for the ESP: \(Disk.fatUUID(serial))", actions + back, undo: back)
    }

    /// Names by which storage servers know a machine, and the certificate of services that have no other.
    private var initiators: [Step] {
        var steps: [Step] = []
        if let uuid = extras.nvmeHost {
            // Both of one UUID: Linux refuses a host id with another host's name. Source: nvme-gen-hostnqn(1), NVMe base specification 2.0, 4.5.
            steps.append(
                Step(
                    "firstboot.nvme-host", "NVMe host name and id",
                    [
                        .write("/etc/nvme/hostnqn", content: .text("nqn.2014-08.org.nvmexpress:uuid:\(uuid)\n")),
                        .write("/etc/nvme/hostid", content: .text("\(uuid)\n")),
                    ]))
        }
        if extras.iscsi {
            steps.append(
                Step("firstboot.iscsi-initiator", "iSCSI initiator name", [.perform(Self.nameInitiator, [:], effect: .changes)]))
        }
        if extras.certificate {
            steps.append(
                Step(
                    "firstboot.certificate", "Self-signed default certificate",
                    [
                        .run(
                            Command(
                                Tool("make-ssl-cert", package: "ssl-cert"), ["generate-default-snakeoil", "--force-overwrite"],
                                effect: .changes))
                    ], weight: 2))
        }
        return steps
    }

    /// The host id goes into the unified kernel image: new file, checked, renamed over the old one, on each ESP.
    private func rebuild(_ id: HostID, _ builder: BootImageBuilder) -> Step {
        let scratch: FilePath = "/run/kldload/firstboot"
        let uki = scratch.appending("boot.efi")
        let supplement = scratch.appending("hostid.cpio")
        let running = KernelCommandLine(running: commandLine)
        let image = UnifiedKernelImage(
            linux: FilePath("/boot/vmlinuz-\(kernel)"), initrds: [FilePath("/boot/initrd.img-\(kernel)"), supplement],
            commandLine: runningHostID == nil ? running : running.forcingImport(false), release: kernel, osRelease: "/usr/lib/os-release",
            stub: stub, output: uki
        )
        var actions: [Action] = [
            .write(supplement, content: .bytes(InitramfsSupplement.hostID(id))), builder.build(image, scratch: scratch),
        ]
        actions += key?.signing(uki) ?? []
        for (index, device) in esps.enumerated() {
            let mount = scratch.appending("esp\(index)")
            actions += [.makeDirectory(mount), .run(MountCommand.mount(device, at: mount, type: "vfat"))]
            if let key { actions += KeyEnrolment.offering(key.certificate, on: mount) }
            for name in images { actions += ESPFile.place(uki, as: "\(BootEntry.imageFolder)/\(name)", on: mount) }
            actions.append(.run(MountCommand.unmount(mount)))
        }
        return Step(
            "firstboot.image", "Put the host id into the boot image", actions,
            release: esps.indices.map { .run(MountCommand.unmount(scratch.appending("esp\($0)"))) } + [.remove(uki)], weight: 5)
    }

    /// The same where GRUB joins kernel, initramfs and host id: what each entry needs first, then the entry itself.
    private func restage(_ id: HostID) -> Step {
        let scratch: FilePath = "/run/kldload/firstboot"
        let supplement = scratch.appending("hostid.cpio")
        var actions: [Action] = [.write(supplement, content: .bytes(InitramfsSupplement.hostID(id)))]
        for (index, device) in esps.enumerated() {
            let mount = scratch.appending("esp\(index)")
            actions += [.makeDirectory(mount), .run(MountCommand.mount(device, at: mount, type: "vfat"))]
            if let key { actions += KeyEnrolment.offering(key.certificate, on: mount, .grub) }
            for old in entries {
                guard let parts = old.parts, let initramfs = parts.initrds.first else { continue }
                var entry = old
                entry.parts = KernelParts(
                    kernel: parts.kernel, initrds: [initramfs, KernelParts.path(of: id)],
                    commandLine: runningHostID == nil ? parts.commandLine : parts.commandLine.forcingImport(false))
                // Its modules were signed a moment ago.
                if key != nil { actions += ESPFile.place(FilePath("/boot/initrd.img-\(kernel)"), as: initramfs, on: mount) }
                actions += ESPFile.place(supplement, as: KernelParts.path(of: id), on: mount)
                actions += [.write(mount.appending(entry.path), content: .text(entry.text)), ESPFile.sync(mount)]
            }
            actions.append(.run(MountCommand.unmount(mount)))
        }
        return Step(
            "firstboot.image", "Put the host id beside what GRUB starts", actions,
            release: esps.indices.map { .run(MountCommand.unmount(scratch.appending("esp\($0)"))) } + [.remove(supplement)], weight: 3)
    }

    static let assemble = "boot.assemble"
    static let nameInitiator = "iscsi.name"

    /// What plans of a first boot perform by name.
    public static var performers: [String: Performer] {
        let own: [String: Performer] = [
            assemble: { parameters, runner, files in
                func path(_ key: String) -> FilePath { FilePath(parameters[key] ?? "") }
                let scratch = path("scratch")
                let (line, name, whole) = (scratch.appending("cmdline"), scratch.appending("uname"), scratch.appending("initrd"))
                try files.write(parameters["cmdline"] ?? "", to: line)
                try files.write(parameters["release"] ?? "", to: name)
                try files.write(
                    InitramfsSupplement.joined(files.read(path("initrd")), files.read(path("supplement"))), to: whole, mode: .secret)
                let parts = try [path("osrelease"), line, name, path("linux"), whole].map { file in
                    (file: file, length: try files.status(try files.resolve(file))?.size.bytes ?? 0)
                }
                let program = try PortableExecutable(files.read(path("stub")))
                try await runner.run(UnifiedKernelImage.assemble(parts, stub: path("stub"), program, output: path("output")))
                try files.remove(whole)
            },
            // Runs: `iscsi-iname`, which prints a name that nobody has. Source: iscsi-iname(8), open-iscsi 2.1.
            nameInitiator: { _, runner, files in
                let name = try await runner.run(Command(Tool("iscsi-iname", package: "open-iscsi"), [], effect: .reads)).output.trimmed
                try files.write("InitiatorName=\(name)\n", to: "/etc/iscsi/initiatorname.iscsi", mode: .secret)
            },
        ]
        return own.merging(ModuleSigning.performers) { $1 }
    }
}
