import KldAnswers
import KldBlock
import KldBoot
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldInstall
import KldPlan
import SystemPackage

extension Invariant {
    /// What makes it a machine of its own, how it boots, and how it is left.
    static let system: [Invariant] = [
        Invariant("the password is given on standard input, in the form it came in", of: .own, offender: password),
        Invariant("the known default password is expired, refused over SSH, and watched", of: .own) { view in
            let known = view.request.answers.credentials == .defaultExpired
            let expired =
                view.inside("chage").map { Array($0.arguments.dropFirst(2)) } == [["--lastday", "0", view.request.answers.username]]
            let refused =
                view.written(view.target + DefaultPassword.sshDropIn)?.contains("Match User \(view.request.answers.username)\n") ?? false
            let watched = view.inside("systemctl").contains { $0.arguments.last == DefaultPassword.pathUnit }
            return expired == known && refused == known && watched == known
        },
        Invariant("the user is made once, may use sudo, and owns the home directory", of: .own) { view in
            let user = view.request.answers.username
            let made = view.inside("useradd").map(\.arguments)
            let looked = view.items.contains {
                $0.action == .perform("users.verify", ["target": view.target, "user": user], effect: .reads)
            }
            return looked && made.count == 1 && made[0].last == user && made[0].contains(view.request.spec.adminGroup)
                && view.written("\(view.target)/etc/sudoers.d/kldload-admin") == "\(user) ALL=(ALL:ALL) NOPASSWD: ALL\n"
                && view.inside("chown").contains { $0.arguments.contains("\(user):\(user)") && $0.arguments.last == "/home/\(user)" }
        },
        Invariant("files that hold rights are closed to others", of: .every) { view in
            view.items.allSatisfy { item in
                guard case .write(let path, _, let mode) = item.action else { return true }
                if path.string.hasSuffix("authorized_keys") { return mode == .secret }
                return !path.string.contains("/sudoers.d/") || mode == 0o440
            }
        },
        Invariant("SSH keys of the answers are authorized, for the user and for root apart", of: .own) { view in
            let keys = view.request.answers.sshKeys
            func text(_ lines: [String]) -> String? { lines.isEmpty ? nil : lines.map { $0 + "\n" }.joined() }
            return view.written("\(view.target)/home/\(view.request.answers.username)/.ssh/authorized_keys") == text(keys.user.map(\.line))
                && view.written("\(view.target)/root/.ssh/authorized_keys") == text(keys.root.map(\.line))
        },
        Invariant("SSH host keys are made when the answers want them, never for a copy", of: .own) { view in
            view.inside("ssh-keygen").isEmpty == (!view.request.answers.generateSSHHostKeys || view.request.sealed)
        },
        Invariant("a static address is written with its gateway; DHCP on every interface needs no file", of: .own, offender: network),
        Invariant("a wireless network has its files, and a passphrase that only root reads", of: .own, offender: wireless),
        Invariant("the machine id is left empty for the first boot", of: .own) { $0.written("\($0.target)/etc/machine-id") == "" },
        Invariant("cloud-init is switched off unless the image is a copy's", of: .own) { view in
            view.writes("\(view.target)/etc/cloud/cloud-init.disabled").isEmpty == view.request.sealed
        },
        Invariant("the host's name is written, and resolves", of: .own) { view in
            let name = view.request.answers.hostname.description
            return view.written("\(view.target)/etc/hostname") == name + "\n"
                && view.written("\(view.target)/etc/hosts")?.contains("127.0.1.1 \(name)") ?? false
        },
        Invariant("an initramfs that is made here is looked at before anything is built of it", of: .own) { view in
            let made = !view.inside("update-initramfs").isEmpty || view.begin("payload.packages") != nil
            let looked = view.performs(Performers.initramfs)
            guard made else { return looked.isEmpty }
            let built = [view.begin("boot.uki"), view.begin("boot.grub")].compactMap { $0 }.min() ?? 0
            let last = [view.begin("boot.keymap"), view.begin("payload.packages")].compactMap { $0 }.max() ?? 0
            return looked.count == 1 && last < looked[0] && looked[0] < built
        },
        Invariant("kernel file systems are given to the system before anything runs in it", of: .own) { view in
            guard let bound = view.begin("target.mounts") else { return false }
            let binds = view.mounts.filter { $0.target.hasPrefix(view.target + "/") }.map { "\($0.source) \($0.target)" }
            return binds == ["dev", "proc", "sys", "run"].map { "/\($0) \(view.target)/\($0)" }
                && view.run("chroot").allSatisfy { $0.item > bound }
        },
    ]

    static let boot: [Invariant] = [
        Invariant(
            "one kernel image is built, of one kernel, for the pool's boot environment", of: .disk, by: .systemdBoot, offender: image),
        Invariant("the kernel image carries the host id, unless it is to be copied", of: .disk, by: .systemdBoot) { view in
            let supplement = "/run/kldload/hostid.cpio"
            let carried = view.kernelImage?.command.arguments.contains("--initrd=\(supplement)") ?? false
            let written = view.writes(supplement).last
            let before = (written?.item ?? .max) < (view.kernelImage?.item ?? -1)
            let right = written?.content == .bytes(InitramfsSupplement.hostID(view.request.identity.hostID))
            return carried != view.request.sealed && (!carried || before && right)
        },
        Invariant("the distribution's initramfs comes first in it, so that later archives win", of: .disk, by: .systemdBoot) { view in
            let initrds = view.kernelImage?.command.arguments.filter { $0.hasPrefix("--initrd=") } ?? []
            return initrds.first == "--initrd=\(view.target)/boot/initrd.img-\(view.request.payload.kernel)"
        },
        Invariant(
            "each ESP is mounted once, staged, checked, synced and unmounted; special disks are not touched", of: .disk, by: .systemdBoot,
            offender: staging),
        Invariant("the same kernel image lies on every ESP under the same name", of: .disk, by: .systemdBoot) { view in
            let names = Set(
                view.run("mv").compactMap(\.command.arguments.last).filter { $0.contains("/EFI/kldload/") }.map {
                    $0.split(separator: "/").last
                })
            return names.count == 1
        },
        Invariant("every ESP of the machine has the serial number that the request names", of: .disk) { view in
            let serials = Set(view.run("mkfs.vfat").map { $0.command.arguments[5] })
            return serials.count == 1 && UInt32(serials.first ?? "", radix: 16) == view.request.identity.espSerial
        },
        Invariant("the mount table names no disk: any of them may be missing at a boot", of: .disk) { view in
            view.written("\(view.target)/etc/fstab")?.lines.allSatisfy { $0.hasPrefix("#") } == true
        },
        Invariant("the firmware gets an entry for each ESP where it takes entries, else none", of: .disk, offender: entries),
        Invariant("the pool boots its boot environment", of: .own) { view in
            let dataset = "\(view.pool)/ROOT/\(view.request.spec.id)"
            return view.run("zpool", "set").map(\.command.arguments) == [["set", "bootfs=\(dataset)", view.pool]]
        },
        Invariant("the kernel command line names that dataset", of: .disk, by: .systemdBoot) { view in
            guard let line = view.kernelImage?.command.arguments.first(where: { $0.hasPrefix("--cmdline=") }) else { return false }
            return line.hasPrefix("--cmdline=root=ZFS=\(view.pool)/ROOT/\(view.request.spec.id) boot=zfs ")
        },
        Invariant("the consoles of the answers are on the kernel command line, in their order", of: .disk, by: .systemdBoot) { view in
            let line = view.kernelImage?.command.arguments.first { $0.hasPrefix("--cmdline=") } ?? ""
            return consoles(line) == view.request.answers.consoles
        },
        Invariant(
            "what boots is signed, by a key that is made here, before it is staged; an image holds no key", of: .every, by: .systemdBoot,
            offender: signing),
        Invariant("firmware that enforces, or whose password is given, is asked to trust the key once all is staged; else it is not") {
            view in
            let (answers, facts) = (view.request.answers, view.request.facts)
            let asked = view.performs("mok.request")
            guard answers.secureBoot, facts.firmwareEntries, facts.secureBoot || answers.mokPassword != nil else { return asked.isEmpty }
            let staged = view.mounts.last { $0.target.hasPrefix("/run/kldload/esp") }?.item ?? .max
            return asked.count == 1 && staged < asked[0]
        },
        Invariant("nothing but the kernel image's parts is left in /run/kldload to be removed", of: .disk, by: .systemdBoot) { view in
            let made = Set(
                view.items.compactMap(\.path).filter { $0 == "/run/kldload/boot.efi" || $0.hasSuffix(".cpio") } + ["/run/kldload/boot.efi"])
            let removed = view.releases.compactMap { if case .remove(let path) = $0 { path.string } else { nil } }
            return made.isSubset(of: Set(removed))
        },
    ]

    static let finish: [Invariant] = [
        Invariant(
            "an image makes no snapshot, tells only what all clones share, and is sealed before its blocks are given back", of: .image,
            offender: sealed
        ),
        Invariant("a template has no intent log from its first block", of: .template) { view in
            view.run("zpool", "create").first?.command.arguments.contains("sync=disabled") == true
        },
        Invariant(
            "a machine of its own has a manifest and, last of all but for the firmware's trust, a snapshot; nothing is sealed; what it flushes stays before it can boot",
            offender: unsealed),
        Invariant("the manifest tells the truth, and no secret", offender: manifest),
        Invariant("systemd is told of the datasets, of this pool, below this target", of: .own) { view in
            view.items.contains {
                guard case .perform(Performers.mountCache, let parameters, _) = $0.action else { return false }
                return parameters == [
                    "pool": view.pool, "target": view.target, "file": "\(view.target)/etc/zfs/zfs-list.cache/\(view.pool)",
                ]
            }
        },
    ]

    static let all = disks + storage + system + boot + grub + finish + details

    // MARK: -

    @Sendable private static func password(_ view: PlanView) -> String? {
        let user = view.request.answers.username
        var expected: [(words: [String], secret: String)] = []
        switch view.request.answers.credentials {
        case .defaultExpired: expected.append(([], "\(user):admin\n"))
        case .password(let secret): expected.append(([], "\(user):\(secret.reveal())\n"))
        case .hash(let secret): expected.append((["--encrypted"], "\(user):\(secret.reveal())\n"))
        case .file: return "a file that nobody read"
        }
        if let root = view.request.answers.rootPassword { expected.append(([], "root:\(root.reveal())\n")) }
        if let hash = view.request.answers.rootPasswordHash { expected.append((["--encrypted"], "root:\(hash.reveal())\n")) }
        let given = view.inside("chpasswd")
        guard given.count == expected.count else { return "\(given)" }
        for (command, right) in zip(given, expected) {
            if Array(command.arguments.dropFirst(2)) != right.words || command.input != .secret(Secret(right.secret)) {
                return "\(command)"
            }
        }
        return nil
    }

    @Sendable private static func network(_ view: PlanView) -> String? {
        let text = view.written("\(view.target)/etc/systemd/network/10-kldload.network")
        switch view.request.answers.network {
        case .dhcp(let interface):
            guard let interface, interface != "eth0" else { return text }
            return text?.contains("Name=\(interface)\n") == true && text?.contains("DHCP=yes") == true ? nil : text ?? "none"
        case .fixed(let fixed):
            guard let text, !text.contains("DHCP") else { return text ?? "none" }
            // No machine here has an eth0: it stands for the wired one.
            let match = fixed.interface.flatMap { $0 == "eth0" ? nil : ["Name=\($0)"] } ?? ["Type=ether", "Kind=!*"]
            let wanted = match + ["Address=\(fixed.address)", "Gateway=\(fixed.gateway)"] + fixed.dns.map { "DNS=\($0)" }
            return wanted.allSatisfy { text.lines.contains($0) } ? nil : text
        }
    }

    @Sendable private static func wireless(_ view: PlanView) -> String? {
        let settings = view.writes("\(view.target)/etc/wpa_supplicant/kldload.conf")
        let others = [
            "/etc/systemd/network/20-kldload-wireless.network", "/etc/udev/rules.d/80-kldload-wireless.rules",
            "/etc/systemd/system/wpa_supplicant@.service.d/kldload.conf",
        ]
        guard let wifi = view.request.answers.wifi else {
            if !settings.isEmpty { return "settings of no network" }
            return others.first(where: { view.written(view.target + $0) != nil })
        }
        guard settings.count == 1, case .secret(let text) = settings[0].content,
            case .write(_, _, let mode) = view.items[settings[0].item].action, mode == .secret
        else { return "its settings" }
        if let passphrase = wifi.passphrase, !text.reveal().contains("\tpsk=\"\(passphrase.reveal())\"\n") { return "its passphrase" }
        return others.first(where: { view.written(view.target + $0) == nil })
    }

    @Sendable private static func image(_ view: PlanView) -> String? {
        guard view.run("ukify").count == 1, let words = view.kernelImage?.command.arguments else { return "no image" }
        let kernel = view.request.payload.kernel
        for word in ["--linux=\(view.target)/boot/vmlinuz-\(kernel)", "--uname=\(kernel)", "--output=/run/kldload/boot.efi"]
        where !words.contains(word) { return word }
        return nil
    }

    /// The consoles on a kernel command line, without their speeds.
    static func consoles(_ line: String) -> [String] {
        line.words.filter { $0.hasPrefix("console=") }.map { String($0.dropFirst(8).split(separator: ",")[0]) }
    }

    /// The first of these actions that a plan does not have. Of a file it is the place that counts, and folders are made anyway.
    static func lacking(_ actions: [Action], _ view: PlanView) -> Action? {
        actions.first { action in
            !view.items.contains { item in
                switch (action, item.action) {
                case (.write(let path, _, _), .write(let other, _, _)): path == other
                case (.makeDirectory, _): true
                default: action == item.action
                }
            }
        }
    }

    @Sendable private static func signing(_ view: PlanView) -> String? {
        let answers = view.request.answers
        let configured = view.written("\(view.target)/\(MachineOwnerKey.configuration)") != nil
        // A template is nobody's yet.
        guard configured == (answers.secureBoot && view.part != .template) else { return "DKMS' configuration" }
        let signatures = view.run("sbsign").filter { $0.command.arguments.last == "/run/kldload/boot.efi" }
        let modules = view.items.indices.filter { if case .perform("modules.sign", _, _) = view.items[$0].action { true } else { false } }
        guard answers.secureBoot, !view.request.sealed else {
            return signatures.isEmpty && modules.isEmpty && view.run("openssl").isEmpty ? nil : "a key"
        }
        let keys = view.run("openssl").filter { $0.command.arguments.contains("\(view.target)/var/lib/dkms/mok.key") }
        guard let image = view.kernelImage, let key = keys.first, let signature = signatures.first, signatures.count == 1,
            modules.count == 1
        else { return "\(keys.count) keys, \(modules.count) of modules, \(signatures.count) of images" }
        let machine = MachineOwnerKey(root: FilePath(view.target))
        let making = answers.mokFiles.map { machine.adopting(key: $0.key, certificate: $0.certificate) } ?? machine.creating(name: "")
        let own = making + machine.signing("/run/kldload/boot.efi")
        let offers = view.mounts.filter { $0.target.hasPrefix("/run/kldload/esp") }.flatMap {
            KeyEnrolment.offering(machine.certificate, on: FilePath($0.target))
        }
        if let action = lacking(own + offers, view) { return "lacks \(action.text)" }
        let copies = view.run("cp").filter { $0.command.arguments.first == "/run/kldload/boot.efi" }
        guard copies.count == view.rootPaths.count else { return "\(copies.count) copies" }
        return key.item < modules[0] && modules[0] < image.item && image.item < signature.item
            && copies.allSatisfy { signature.item < $0.item } ? nil : "their order"
    }

    @Sendable private static func staging(_ view: PlanView) -> String? {
        let mounted = view.mounts.filter { $0.source.hasPrefix("/dev/disk/") || $0.source.hasPrefix("/dev/") && $0.source != "/dev" }
        guard mounted.map(\.source) == view.rootPaths.map({ Disk.partition(1, of: $0) }) else { return "\(mounted.map(\.source))" }
        for mount in mounted {
            let step = view.items[mount.item].step
            let own = view.items.indices.filter { view.items[$0].step == step && $0 > mount.item }
            let words = own.flatMap { view.items[$0].commands }.map { ($0.tool.name, $0.arguments) }
            let copied = words.filter { $0.0 == "cp" }.compactMap(\.1.last)
            for target in ESPLayout.copies(view.request.spec.efi).map(\.target) where !copied.contains("\(mount.target)/\(target)") {
                return target
            }
            let names = own.compactMap { view.items[$0].path }.filter {
                $0.hasSuffix(".conf") && $0.contains("/\(BootEntry.folder)/") && !$0.hasSuffix(KeyEnrolment.menuEntry.path)
            }
            guard names.count == 1, let text = view.written(names[0]), let name = names[0].split(separator: "/").last,
                let entry = BootEntry(fileName: String(name), text: text)
            else { return "no entry" }
            let image = "\(mount.target)/\(entry.imagePath)"
            let fresh = "\(mount.target)/\(BootEntry.imageFolder)/.\(entry.id).efi.new"
            let sync = "sync --file-system \(mount.target)"
            let tail = words.suffix(6).map { "\($0.0) \($0.1.joined(separator: " "))" }
            guard
                tail == [
                    "cp /run/kldload/boot.efi \(fresh)", sync, "cmp /run/kldload/boot.efi \(fresh)", "mv --force \(fresh) \(image)", sync,
                    sync,
                ], own.last.map({ view.items[$0].commands.map(\.tool.name) }) == ["sync"], entry.counter == nil,
                entry.dataset == "\(view.pool)/ROOT/\(view.request.spec.id)"
            else { return "\(tail)" }
            let written = own.compactMap { view.items[$0].path }
            for file in ["loader/loader.conf", "loader/entries.srel", "EFI/kldload/BOOTX64.CSV"]
            where !written.contains("\(mount.target)/\(file)") {
                return file
            }
        }
        return Set(mounted.map(\.target)).count == mounted.count ? nil : "one place for two ESPs"
    }

    @Sendable private static func entries(_ view: PlanView) -> String? {
        let made = view.run("efibootmgr").map(\.command.arguments)
        // The newest is the first that firmware tries.
        let expected = view.request.facts.firmwareEntries ? view.rootPaths.reversed() : []
        let disks = made.compactMap { words in words.firstIndex(of: "--disk").map { words[$0 + 1] } }
        return disks == expected && made.allSatisfy { $0.contains("1") } ? nil : "\(made)"
    }

    @Sendable private static func sealed(_ view: PlanView) -> String? {
        if !view.run("zfs", "snapshot").isEmpty { return "a snapshot" }
        if !view.writes(view.target + InstallManifest.environmentPath).isEmpty { return "answers" }
        let manifest = view.target + InstallManifest.path
        guard let text = view.written(manifest), text.contains(#""sealed" : true"#), text.contains(#""disks" : ["#) else {
            return "no manifest"
        }
        if let told = (view.allPaths + [view.request.identity.hostID.description]).first(where: text.contains) { return told }
        guard let seal = view.performs(Performers.seal).first, view.performs(Performers.seal).count == 1 else { return "not sealed once" }
        guard let free = view.performs(Performers.releaseFreeSpace).first, free == view.items.count - 1,
            view.performs(Performers.exportPool).last == free - 1, seal < free - 1
        else { return "not closed and cleared last" }
        // Nothing is mounted when there may be an intent log again.
        guard let inherit = view.run("zfs", "inherit").last,
            inherit.command.arguments == ["inherit", "sync", view.request.answers.poolName],
            seal < inherit.item, inherit.item == free - 2, let unmount = view.run("umount").last, unmount.item == inherit.item - 1,
            unmount.command.arguments.last == view.target
        else { return "intent logs" }
        let later = view.items[(seal + 1)...].contains { ($0.path ?? "").hasPrefix(view.target + "/") && $0.path != manifest }
        return later ? "something is written into the sealed system" : nil
    }

    @Sendable private static func unsealed(_ view: PlanView) -> String? {
        if !view.performs(Performers.seal).isEmpty || !view.performs(Performers.releaseFreeSpace).isEmpty { return "sealed" }
        // Before an ESP holds what would boot it.
        let logs = view.run("zfs", "inherit").filter { $0.command.arguments == ["inherit", "sync", "\(view.pool)"] }
        let esp = view.run("mount").first { $0.command.arguments.contains("vfat") }
        guard view.run("zpool", "create").first?.command.arguments.contains("sync=disabled") == true, logs.count == 1, let esp,
            logs[0].item < esp.item, let table = view.writes(view.target + "/etc/fstab").first, logs[0].item > table.item
        else { return "intent logs" }
        for path in [InstallManifest.path, InstallManifest.environmentPath] where view.writes(view.target + path).count != 1 {
            return "no \(path)"
        }
        // What only the firmware learns may be refused, with all else done.
        let last = view.items.lastIndex { view.steps[$0.step].id != "trust.enrol" }
        guard let snapshot = view.run("zfs", "snapshot").first, snapshot.item == last else {
            return "no snapshot at the end"
        }
        return snapshot.command.arguments == ["snapshot", "-r", "\(view.pool)@install"] ? nil : snapshot.command.description
    }

    @Sendable private static func manifest(_ view: PlanView) -> String? {
        guard let text = view.written(view.target + InstallManifest.path) else { return "no manifest" }
        let answers = view.request.answers
        let wanted = [
            #""disks" : ["#, #""encrypted" : \#(answers.encrypt)"#, #""hostID" : "\#(view.request.identity.hostID)""#,
            #""pool" : "\#(view.pool)""#,
            #""suite" : "\#(view.request.spec.suite)""#, #""topology" : "\#(answers.topology.rawValue)""#,
            #""username" : "\#(answers.username)""#,
            #""schema" : "install-manifest/1""#, #""sealed" : false"#,
        ]
        if let missing = wanted.first(where: { !text.contains($0) }) { return missing }
        if let disk = view.allPaths.first(where: { !text.contains("\"\($0)\"") }) { return disk }
        if text.contains("$6$") { return "a hash" }
        guard let lines = view.written(view.target + InstallManifest.environmentPath)?.lines.dropFirst() else { return "no answers" }
        let keys = lines.map { String($0.prefix { $0 != "=" }) }
        if Set(keys).count != keys.count { return "a key twice: \(keys)" }
        for key in AnswerKey.all {
            if keys.contains(key.name) != (!key.isSecret && answers.isGiven(key.name) || key.name == "KLDLOAD_ZFS_POOL") { return key.name }
        }
        let ends = [
            "KLDLOAD_HOSTNAME=\(answers.hostname)", "KLDLOAD_ZFS_POOL=\(view.pool)", "KLDLOAD_HOST_ID=\(view.request.identity.hostID)",
            "KLDLOAD_BOOT_ENVIRONMENT=\(view.request.spec.id)", "KLDLOAD_VERSION=\(view.request.version)",
        ]
        return ends.first { !lines.contains($0) }
    }
}
