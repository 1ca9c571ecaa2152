import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldInstall
import KldPlan
import SystemPackage

extension Invariant {
    /// Single things that are easily lost when plans are rearranged.
    static let details: [Invariant] = [
        Invariant(
            "a wiped disk is discarded, written to, and its table read again, before anybody looks whether it is clean", of: .disk,
            offender: wiped),
        Invariant("a disk's name leads to it still when it is partitioned: the wiping of another may have moved it", of: .disk) { view in
            view.disks.all.allSatisfy { disk in
                view.stepIndex("disk.partition.\(disk.device.name)").map { view.steps[$0].actions.first == same(disk) } ?? false
            }
        },
        Invariant("udev has settled after each new partition table, before its partitions are waited for", of: .disk) { view in
            view.run("sgdisk", "--clear").allSatisfy { table in
                if case .run(let next) = view.items[table.item + 1].action { next.tool.name == "udevadm" } else { false }
            }
        },
        Invariant("the datasets are those of the documents", of: .disk, offender: datasets),
        Invariant("every place that something is mounted on, or copied into, was made before", of: .every, offender: unmade),
        Invariant("kldload itself is copied into the system, with its name on PATH", of: .own) { view in
            let place = "\(view.target)/usr/lib/kldload/kldload"
            let copied = view.run("cp").contains { $0.command.arguments == ["--preserve=mode", view.request.executable.string, place] }
            return copied
                && view.items.contains {
                    if case .symlink(let path, "../lib/kldload/kldload") = $0.action {
                        path.string == "\(view.target)/usr/bin/kldload"
                    } else {
                        false
                    }
                }
        },
        Invariant("manual pages and completions are written by the tool itself, where its names are", of: .own) { view in
            view.inside("kldload").map { Array($0.arguments.dropFirst(2)) } == [["applets", "--documents", "/usr"]]
        },
        Invariant("other tools have names of their own, and sanoid a policy for this pool, unless it is the bare distribution", of: .own) {
            view in
            let names = AppletName.allCases.map { "\(view.target)/usr/bin/\($0.rawValue)" }
            let linked = view.items.compactMap { item -> String? in
                if case .symlink(let path, AppletName.linkTarget) = item.action { path.string } else { nil }
            }
            let policy = view.written("\(view.target)/etc/sanoid/sanoid.conf")
            guard view.request.profile.tools else { return policy == nil && Set(linked).isDisjoint(with: names) }
            return Set(names).isSubset(of: linked) && policy == SnapshotPolicy.sanoid(pool: view.request.answers.poolName)
        },
        Invariant("time zone, locale and keyboard are those of the answers", of: .own) { view in
            let answers = view.request.answers
            func links(_ path: String, _ to: String) -> Bool {
                view.items.contains { if case .symlink(let link, to) = $0.action { link.string == view.target + path } else { false } }
            }
            return links("/etc/localtime", "/usr/share/zoneinfo/\(answers.timezone)") && links("/etc/default/locale", "../locale.conf")
                && view.written("\(view.target)/etc/timezone") == answers.timezone + "\n"
                && view.written("\(view.target)/etc/locale.conf") == "LANG=\(answers.locale)\n"
                && view.written("\(view.target)/etc/default/keyboard")?.contains("XKBLAYOUT=\(answers.keyboard.layout)\n") ?? false
        },
        Invariant("a locale whose data the system does not have is made, and no other", of: .own) { view in
            let (has, locale) = (view.request.payload.locale, view.request.answers.locale)
            let wanted = has != nil && has != locale
            let made = view.items.contains { $0.action.text == "chroot \(view.target) locale-gen" }
            return made == wanted && view.written("\(view.target)/etc/locale.gen") == (wanted ? "\(locale) UTF-8\n" : nil)
        },
        Invariant("a machine's network that names its interface keeps the other wired ones out, and no other does", of: .own) { view in
            let folder = "\(view.target)/etc/systemd/network"
            let named = !view.request.sealed && (view.written("\(folder)/10-kldload.network")?.contains("\nName=") ?? false)
            let others = view.written("\(folder)/50-kldload-others.network")
            return named ? others?.hasSuffix("\n[Match]\nType=ether\nKind=!*\n\n[Link]\nUnmanaged=yes\n") == true : others == nil
        },
        Invariant("a key opens a machine whose password is the expired default one; else PAM's rules stay as they are", of: .own) { view in
            let answers = view.request.answers
            let wanted = answers.credentials == .defaultExpired && !answers.sshKeys.user.isEmpty && !view.request.sealed
            let sparing = Action.perform("users.key-logins", ["file": "\(view.target)/etc/pam.d/common-account"], effect: .changes)
            let made = view.performs("users.key-logins").map { view.items[$0].action }
            return made == (wanted ? [sparing] : [])
        },
        Invariant("the home directory is a copy of /etc/skel, the user's own, and closed to others", of: .own) { view in
            let home = "/home/\(view.request.answers.username)"
            return view.inside("cp").contains { $0.arguments.suffix(2) == ["/etc/skel", home] }
                && view.inside("chmod").contains { $0.arguments.suffix(2) == ["0700", home] }
        },
        Invariant("folders of SSH keys are closed to others", of: .every) { view in
            view.items.allSatisfy { item in
                guard case .write(let path, _, _) = item.action, path.string.hasSuffix("/.ssh/authorized_keys") else { return true }
                let folder = path.string.dropLast("/authorized_keys".count)
                return view.items.contains { if case .makeDirectory(let made, 0o700) = $0.action { made.string == folder } else { false } }
            }
        },
        Invariant("host keys of both kinds are made, without a passphrase", of: .own) { view in
            let made = view.inside("ssh-keygen").map(\.arguments)
            let kinds = made.compactMap { words in words.firstIndex(of: "-t").map { words[$0 + 1] } }
            return made.isEmpty
                || kinds == ["ed25519", "ecdsa"] && made.allSatisfy { zip($0, $0.dropFirst()).contains { $0 == "-N" && $1.isEmpty } }
        },
        Invariant("there is a place to mount the ESP on, closed to others", of: .disk) { view in
            view.items.contains {
                if case .makeDirectory(let path, 0o700) = $0.action { path.string == "\(view.target)/boot/efi" } else { false }
            }
        },
        Invariant("the log is kept in the system before its snapshot is made") { view in
            guard let snapshot = view.run("zfs", "snapshot").first else { return false }
            return (view.performs(Performers.keepLogs).first ?? .max) < snapshot.item
        },
        Invariant("an earlier run's snapshot goes right before the snapshot is made, and no other does") { view in
            guard let snapshot = view.run("zfs", "snapshot").first, let forget = view.performs(Performers.forgetSnapshot).first,
                case .perform(_, let parameters, _) = view.items[forget].action
            else { return false }
            return forget == snapshot.item - 1 && parameters == ["snapshot": snapshot.command.arguments.last ?? ""]
                && view.performs(Performers.forgetSnapshot).count == 1
        },
        Invariant("the first boot's state is not there yet, so that it runs", of: .every) { view in
            !view.items.contains { $0.path?.hasPrefix("\(view.target)/var/lib/kldload/firstboot/done") ?? false }
        },
    ]

    private static func same(_ disk: DiskSelection.Chosen) -> Action {
        let parameters = [
            "disk": disk.path, "node": disk.device.path, "size": String(disk.device.size.bytes), "serial": disk.device.serial ?? "",
        ]
        return .perform(Performers.verifySame, parameters, effect: .reads)
    }

    @Sendable private static func wiped(_ view: PlanView) -> String? {
        for disk in view.disks.all {
            guard let step = view.stepIndex("disk.wipe.\(disk.device.name)") else { return disk.path }
            let tail = view.steps[step].actions.suffix(5).map { action -> String in
                if case .run(let command) = action { "\(command.tool.name) \(command.arguments[0])" } else { "" }
            }
            guard tail == ["sgdisk --zap-all", "blkdiscard \(disk.path)", "dd if=/dev/zero", "blockdev --rereadpt", "udevadm settle"] else {
                return "\(tail)"
            }
            guard view.steps[step].actions.first == same(disk) else { return "not the same" }
            let verified = view.steps[step + 1].actions
            guard verified == [.perform(Performers.verifyClean, ["disk": disk.path], effect: .reads)] else { return "not verified" }
        }
        return nil
    }

    @Sendable private static func datasets(_ view: PlanView) -> String? {
        let made = view.datasets.compactMap(\.command.arguments.last).map { $0.dropFirst(view.pool.count + 1) }
        // What is carried in two parts is received twice.
        var root = ["ROOT/\(view.request.spec.id)"]
        if case .stream(_, .some, _) = view.request.payload.source { root += root }
        let expected: [String] =
            ["ROOT"] + root + [
                "home", "home/\(view.request.answers.username)", "root", "srv", "opt", "usr",
                "usr/local", "var",
                "var/cache", "var/log", "var/spool", "var/tmp", "var/lib", "var/lib/containerd", "var/lib/containers", "var/lib/docker",
                "var/lib/kldload", "var/lib/libvirt",
            ] + (view.request.profile.virtualMachines ? ["vms", "vms/isos"] : [])
        return made.map(String.init) == expected ? nil : "\(made)"
    }

    /// Below the target everything comes with the payload, except what is made here.
    @Sendable private static func unmade(_ view: PlanView) -> String? {
        var made: Set<String> = []
        let expected = ["\(view.target)/usr/lib/kldload"]
        for item in view.items {
            switch item.action {
            case .makeDirectory(let path, _): made.insert(path.string)
            case .run(let command) where command.tool.name == "mount":
                if let place = command.arguments.last, place.hasPrefix("/run/kldload"), !made.contains(place) { return place }
            case .run(let command) where command.tool.name == "zpool" && ["create", "import"].contains(command.arguments[0]):
                if !made.contains(view.target) { return view.target }
            case .run(let command) where command.tool.name == "cp":
                guard let place = command.arguments.last, let slash = place.lastIndex(of: "/") else { return command.description }
                let folder = String(place[..<slash])
                if place.hasPrefix("/run/kldload/") || expected.contains(folder), !made.contains(folder) { return folder }
            default: break
            }
        }
        return nil
    }
}
