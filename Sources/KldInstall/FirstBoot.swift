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
/// Its steps are tasks that say what they need (``Step/needs``): when one fails, those that can do without it are done all the same. Every one
/// may run again: after a failure or a power cut the next boot does what is missing.
public struct FirstBoot: Sendable, Hashable {
    public static let folder: FilePath = "/var/lib/kldload/firstboot"
    public static let sealedMarker = folder.appending("sealed")
    public static let doneMarker = folder.appending("done")
    /// What was begun and done, over all boots that it took.
    public static let journalFile = folder.appending("journal")
    /// The events of all those boots.
    public static let log = folder.appending("events.jsonl")
    /// Below it ESPs are mounted while it writes to them.
    public static let workplace: FilePath = "/run/kldload/firstboot"

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
    /// What is free behind each of the pool's partitions that is the last of its disk.
    public var rooms: [String: ByteCount]
    /// What ``journalFile`` holds.
    public var journal: String
    /// Block devices with an ESP of this machine.
    public var esps: [String]
    public var kernel: String
    /// The command line of the running kernel, which its unified kernel image brought.
    public var commandLine: String
    public var stub: FilePath
    /// Why nobody could look at the first ESP: what is on it is not known then.
    public var espProblem: String?
    /// UKIs found on the first ESP for the running kernel.
    public var images: [String]
    public var builder: BootImageBuilder?
    /// Entries of GRUB's menu for the running kernel, on the first ESP.
    public var entries: [BootEntry]
    public var extras: Extras

    public init(
        sealed: Bool, hostID: HostID?, runningHostID: HostID?, newHostID: HostID, pool: String, disks: [RunningRoot.Disk],
        rooms: [String: ByteCount] = [:], journal: String = "", esps: [String], kernel: String, commandLine: String,
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
        self.rooms = rooms
        self.journal = journal
        self.esps = esps
        self.kernel = kernel
        self.commandLine = commandLine
        self.stub = stub
        self.images = images
        self.builder = builder
        self.entries = entries
        self.extras = extras
    }

    /// What is left to do.
    public var plan: Plan {
        get throws {
            let whole = try whole
            // Everything else is decided by what the machine has now, whatever an earlier boot did.
            let decided = whole.steps.filter { !isSettledByJournal($0) }.map { "started \($0.id)\n" }
            let finished = PlanJournal.finished(of: whole, journal + decided.joined())
            return Plan(whole.title, [Phase("firstboot", "First boot", whole.steps.filter { !finished.contains($0.id) })])
        }
    }

    /// Whether nothing on the machine tells that a task is done, other than the journal, and what it made is on the disk when the journal says so.
    private func isSettledByJournal(_ step: Step) -> Bool {
        switch step.id {
        case "firstboot.pool-guid", "firstboot.esp-serial", "firstboot.signing-key", "firstboot.sign-modules": true
        // An image that made the initramfs invent a host id does not carry ours.
        case Self.image: runningHostID == nil
        // The kernel may call another disk so at the next boot.
        default: disks.contains { step.id == "firstboot.gpt-guids.\(name($0))" && $0.vdev.hasPrefix("/dev/disk/by-") }
        }
    }

    /// All tasks, those that an earlier boot did among them.
    private var whole: Plan {
        get throws {
            var steps: [Step] = []
            let id = runningHostID ?? hostID ?? newHostID
            if hostID != id {
                steps.append(
                    Step("firstboot.host-id", "Host id \(id)", [.write("/etc/hostid", content: .bytes(id.fileContent))], needs: []))
            }
            // First what lets a person in: a disk that fails later must not keep them out.
            steps.append(
                Step(
                    "firstboot.ssh-keys", "SSH host keys that are missing",
                    [.run(Command(Tool("ssh-keygen", package: "openssh-client"), ["-A"], effect: .changes))], weight: 3, needs: []))
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
        var steps = [Step("firstboot.pool-guid", "A GUID of its own for the pool", [.run(ZPool.reguid(pool))], needs: [])]
        // Partition and pool may have been parted by a power cut.
        let interrupted = PlanJournal.states(journal).contains { $0.key.hasPrefix(Self.grow) && $0.value != .done }
        for (index, disk) in disks.enumerated() {
            // A clone has no boot entries yet, which would name the ESP by its GUID: it starts from the removable path.
            if !disks[..<index].contains(where: { $0.disk == disk.disk }) {
                steps.append(
                    Step(
                        "firstboot.gpt-guids.\(name(disk))", "GUIDs of its own for \(disk.disk) and its partitions",
                        [.run(Disk.randomizeGUIDs(disk.disk))], needs: []))
            }
            guard let room = rooms[disk.partition] else { continue }
            let isSmall = room < Disk.smallestRoom
            if isSmall && !interrupted { continue }
            let expand = ZPool.expand(pool, device: disk.vdev)
            steps.append(
                Step(
                    Self.grow + name(disk), "Grow \(disk.partition) and the pool to the end of \(disk.disk)",
                    ((isSmall ? [] : Disk.growing(disk.number, of: disk.disk)) + [expand]).map { .run($0) }, weight: 2, needs: []))
        }
        if let serial = extras.espSerial, !esps.isEmpty { steps.append(espSerial(serial)) }
        if let key { steps += sign(with: key, id, pool) }
        if let espProblem {
            // The other tasks need no ESP, but the first boot is not done before this one is.
            steps.append(
                Step(
                    Self.image, "Look for boot images on \(esps.first ?? "the ESP")",
                    [.perform(Self.unreadable, ["device": esps.first ?? "", "problem": espProblem], effect: .reads)], needs: imageNeeds))
        } else if let builder, !images.isEmpty {
            steps.append(rebuild(id, builder))
        } else if !images.isEmpty, entries.isEmpty {
            // Else this would be called done, and the machine would have another host id at each start. What GRUB starts needs no builder.
            let failing = Action.perform(Self.unbuildable, [:], effect: .reads)
            steps.append(Step(Self.image, "Put the host id into the boot image", [failing], needs: imageNeeds))
        }
        if !entries.isEmpty { steps.append(restage(id)) }
        return steps
    }

    private static let grow = "firstboot.grow."
    private static let image = "firstboot.image"

    /// A disk's name that is the same at each boot, where it has one.
    private func name(_ disk: RunningRoot.Disk) -> String {
        let (last, tail) = (disk.vdev.split(separator: "/").last ?? "", "-part\(disk.number)")
        if last.hasSuffix(tail) { return String(last.dropLast(tail.count)) }
        return String(disk.disk.split(separator: "/").last ?? "")
    }

    private var key: MachineOwnerKey? { extras.signs ? MachineOwnerKey() : nil }

    private func sign(with key: MachineOwnerKey, _ id: HostID, _ pool: PoolName) -> [Step] {
        // On the disk before the journal says that it is done.
        let sync = Action.run(ZPool.sync(pool))
        return [
            Step(
                "firstboot.signing-key", "A key of its own, to sign with", key.creating(name: "kldload clone \(id)") + [sync], weight: 2,
                needs: []),
            Step(
                "firstboot.sign-modules", "Sign OpenZFS' modules of \(kernel)",
                [ModuleSigning.signing(root: "/", release: kernel, with: key, initramfs: FilePath("/boot/initrd.img-\(kernel)")), sync],
                weight: 5, needs: ["firstboot.signing-key"]),
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
            "firstboot.esp-serial", "A serial number of its own for the ESP: \(Disk.fatUUID(serial))", actions + back, undo: back,
            weight: 2, needs: [])
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
                    ], needs: []))
        }
        if extras.iscsi {
            steps.append(
                Step("firstboot.iscsi-initiator", "iSCSI initiator name", [.perform(Self.nameInitiator, [:], effect: .changes)], needs: []))
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
                    ], weight: 2, needs: []))
        }
        return steps
    }

    /// What a boot image is made of: the host id, and signed modules where it is signed itself.
    private var imageNeeds: [String] { ["firstboot.host-id"] + (key == nil ? [] : ["firstboot.signing-key", "firstboot.sign-modules"]) }

    /// The host id goes into the unified kernel image: new file, checked, renamed over the old one, on each ESP.
    private func rebuild(_ id: HostID, _ builder: BootImageBuilder) -> Step {
        let scratch = Self.workplace
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
            Self.image, "Put the host id into the boot image", actions,
            release: esps.indices.map { .run(MountCommand.unmount(scratch.appending("esp\($0)"))) } + [.remove(uki)], weight: 5,
            needs: imageNeeds)
    }

    /// The same where GRUB joins kernel, initramfs and host id: what each entry needs first, then the entry itself.
    private func restage(_ id: HostID) -> Step {
        let scratch = Self.workplace
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
            Self.image, "Put the host id beside what GRUB starts", actions,
            release: esps.indices.map { .run(MountCommand.unmount(scratch.appending("esp\($0)"))) } + [.remove(supplement)], weight: 3,
            needs: imageNeeds)
    }

    static let assemble = "boot.assemble"
    static let nameInitiator = "iscsi.name"
    static let unreadable = "esp.unreadable"
    static let unbuildable = "boot.unbuildable"

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
            unreadable: { parameters, _, _ in
                let device = parameters["device"] ?? ""
                throw Diagnosis(
                    "firstboot.esp-unreadable", "the ESP \(device) cannot be looked at, so its boot images have no host id yet",
                    remedies: ["fsck.vfat -a \(device), then kldload firstboot", "kldload boot restore makes a lost ESP anew"],
                    causes: [parameters["problem"] ?? ""])
            },
            unbuildable: { _, _, _ in
                throw Diagnosis(
                    "firstboot.no-builder", "nothing here builds boot images, so this machine's have no host id yet",
                    remedies: ["apt-get install systemd-ukify (Debian 13), binutils (Debian 12), then kldload firstboot"],
                    exit: .unavailable)
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
