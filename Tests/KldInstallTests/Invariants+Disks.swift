import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldExec
import KldInstall
import KldPlan
import KldZFS
import SystemPackage

extension Invariant {
    /// What may be wiped, and what must not be touched.
    static let disks: [Invariant] = [
        Invariant(
            "every step that destroys names its disks", of: .every,
            offender: { view in view.steps.first { $0.effect == .destroys && $0.destroys.isEmpty }?.id }),
        Invariant(
            "every step with a destroying command, also in its clean-up, names a disk", of: .every,
            offender: { view in
                view.steps.first { step in
                    step.destroys.isEmpty && (step.actions + step.undo + step.release).contains { $0.effect == .destroys }
                }?.id
            }),
        Invariant("no clean-up destroys", of: .every) { view in
            !view.steps.contains { ($0.release + $0.undo).contains { $0.effect == .destroys } }
        },
        Invariant("the plan wipes the chosen disks and no others, in their order", of: .disk) { $0.plan.destroys == $0.allPaths },
        Invariant("what is made of a copy destroys nothing", of: .image) { view in
            view.plan.destroys.isEmpty && view.steps.allSatisfy { $0.effect != .destroys }
        },
        Invariant(
            "a copy gets GUIDs of its own before its pool is opened, and the pool before anything is mounted", of: .image, offender: opened),
        Invariant("approvals are for all chosen disks when the answers approve, else for the one that nobody named", of: .every) { view in
            let automatic = view.disks.all.filter(\.automatic)
            if view.request.answers.forceWipe {
                return view.approvals.map(\.disk) == view.allPaths && !view.approvals.contains(where: \.onlyIfEmpty)
            }
            return view.approvals.map(\.disk) == automatic.map(\.path) && view.approvals.allSatisfy(\.onlyIfEmpty)
                && automatic.allSatisfy { $0.device.isEmpty }
        },
        Invariant("the disk that nobody named, and no other, is read again before anything is destroyed", of: .every) { view in
            let read = view.performs(WipeApproval.verifier)
            let expected = view.disks.all.filter(\.automatic).map { WipeApproval.verification(of: $0.path) }
            guard read.map({ view.items[$0].action }) == expected else { return false }
            let destroying = view.items.firstIndex { view.steps[$0.step].effect == .destroys } ?? 0
            return read.allSatisfy { $0 < destroying }
        },
        Invariant("no command names a disk that was not chosen", of: .every, offender: foreignDisk),
        Invariant("the running system's disks, imported pools' and mounted disks' appear nowhere", of: .every, offender: liveDisk),
        Invariant("a destroying command names a chosen disk, a part of one, or the pool on them", of: .every, offender: strayDestruction),
        Invariant(
            "each old partition, each disk and each new partition has its signatures wiped exactly once", of: .disk, offender: wipedOnce),
        Invariant("a partition is wiped before its disk", of: .disk) { view in
            view.disks.all.allSatisfy { disk in
                let wiped = view.run("wipefs").compactMap(\.command.arguments.last)
                guard let own = wiped.firstIndex(of: disk.device.path) else { return false }
                return disk.device.children.filter { $0.type == "part" }.allSatisfy { part in
                    (wiped.firstIndex(of: part.path) ?? .max) < own
                }
            }
        },
        Invariant("labels of old pools are cleared, right before the signatures are wiped", of: .disk, offender: labels),
        Invariant("each new partition loses what lay there long ago: labels, then signatures", of: .disk) { view in
            let made = newPartitions(view)
            let cleared = view.run("zpool", "labelclear")
            return made.allSatisfy { path in
                guard let clear = cleared.last(where: { $0.command.arguments.last == path }),
                    let wipe = view.run("wipefs").last(where: { $0.command.arguments.last == path })
                else { return false }
                return clear.item + 1 == wipe.item
            }
        },
        Invariant(
            "every mapping, array and volume on a chosen disk is taken down exactly once, what lies on it first", of: .disk,
            offender: takenDown),
        Invariant("nothing is wiped while something lies on it", of: .disk, offender: wipedUnderneath),
        Invariant("each disk is wiped, then verified, then partitioned, all before the pool is made", of: .disk) { view in
            guard let creation = view.stepIndex("zfs.pool.create") else { return false }
            return view.disks.all.allSatisfy { disk in
                let order = ["wipe", "verify", "partition"].compactMap { view.stepIndex("disk.\($0).\(disk.device.name)") }
                return order.count == 3 && order == order.sorted() && (order.last ?? .max) < creation
            }
        },
        Invariant("all disks are wiped and verified before the first is partitioned", of: .disk) { view in
            guard let first = view.steps.firstIndex(where: { $0.id.hasPrefix("disk.partition.") }) else { return false }
            return !view.steps[first...].contains { $0.id.hasPrefix("disk.wipe.") || $0.id.hasPrefix("disk.verify.") }
        },
        Invariant("partition tables are zapped once a disk, and written once a disk", of: .disk) { view in
            let tables = view.run("sgdisk").map(\.command.arguments)
            return view.allPaths.allSatisfy { path in
                tables.count { $0.last == path && $0.first == "--zap-all" } == 1
                    && tables.count { $0.last == path && $0.first == "--clear" } == 1
            } && tables.count == 2 * view.allPaths.count
        },
        Invariant("each root disk gets exactly one ESP, the special disks none", of: .disk) { view in
            let tables = view.run("sgdisk", "--clear").map(\.command.arguments)
            return tables.allSatisfy { words in
                let systems = words.count { $0.hasSuffix(":EF00") }
                return systems == (view.rootPaths.contains(words.last ?? "") ? 1 : 0) && words.count { $0.hasSuffix(":BF00") } == 1
            }
        },
        Invariant("each ESP is formatted exactly once, and nothing else is", of: .disk) { view in
            view.run("mkfs.vfat").compactMap(\.command.arguments.last) == view.rootPaths.map { Disk.partition(1, of: $0) }
        },
        Invariant("partitions of one vdev are equally large, and fit on the smallest of its disks", of: .disk, offender: partitionSizes),
        Invariant("a new partition is waited for before it is used", of: .disk) { view in
            let users = view.run("mkfs.vfat") + view.run("zpool", "create") + view.run("mount")
            var waited: [String: Int] = [:]
            for (index, item) in view.items.enumerated() { if case .waitFor(let path, _) = item.action { waited[path.string] = index } }
            return view.disks.all.allSatisfy { disk in
                let numbers = view.rootPaths.contains(disk.path) ? [1, 2] : [1]
                return numbers.allSatisfy { number in
                    let path = Disk.partition(number, of: disk.path)
                    let used = users.filter { $0.command.arguments.contains(path) }.map(\.item)
                    return !used.isEmpty && used.allSatisfy { waited[path] ?? .max < $0 }
                }
            }
        },
        Invariant("stable names are used for everything that is made on a disk", of: .every, offender: unstableName),
    ]

    // MARK: -

    @Sendable private static func opened(_ view: PlanView) -> String? {
        guard let disk = view.rootPaths.first else { return "no disk" }
        let commands = view.commands.prefix(8)
        let expected = [
            "modprobe zfs", KernelHostID.set(view.request.identity.hostID).description, "sgdisk --randomize-guids \(disk)",
            "udevadm settle --timeout=30",
            "zpool import -N -R \(view.target) -d \(FilePath(disk).removingLastComponent()) \(view.pool)", "zpool reguid \(view.pool)",
            "zfs mount \(view.pool)/ROOT/\(view.request.spec.id)", "zfs mount -a",
        ]
        guard commands.map(\.command.description) == expected else { return "\(commands.map(\.command.description))" }
        // The kernel has taken the new table when the partition is there again.
        let waited = view.items.firstIndex {
            if case .waitFor(let path, _) = $0.action { path.string == Disk.partition(2, of: disk) } else { false }
        }
        guard let waited, commands[3].item < waited, waited < commands[4].item else { return "the new table is not waited for" }
        return nil
    }

    /// Names by which a command could reach disks that were not chosen.
    @Sendable private static func foreignNames(_ view: PlanView) -> [String] {
        let chosen = Set(view.disks.all.map(\.device.path))
        let own = Set(view.disks.all.flatMap(\.device.tree).map(\.path))
        return view.request.facts.disks.filter { !chosen.contains($0.path) }.flatMap { disk in
            disk.tree.map(\.path).filter { !own.contains($0) } + [view.request.facts.stableName(disk)]
        }
    }

    @Sendable private static func foreignDisk(_ view: PlanView) -> String? {
        let foreign = Set(foreignNames(view))
        for (_, command) in view.commands {
            if let word = command.arguments.first(where: { foreign.contains($0) }) { return "\(command): \(word)" }
        }
        return nil
    }

    @Sendable private static func liveDisk(_ view: PlanView) -> String? {
        view.request.facts.disks.filter { disk in
            view.request.facts.liveDisks.contains(disk.path) || view.request.facts.importedPools[disk.path] != nil
                || !disk.mountpoints.isEmpty
        }.flatMap { [$0.path, view.request.facts.stableName($0)] }.first { view.words.contains($0) }
    }

    @Sendable private static func strayDestruction(_ view: PlanView) -> String? {
        var allowed: Set<String> = []
        for disk in view.disks.all {
            allowed.formUnion([disk.path, Disk.partition(1, of: disk.path), Disk.partition(2, of: disk.path), disk.device.path])
            allowed.formUnion(disk.device.children.map(\.path))
        }
        // A received boot environment's snapshots, which another invariant watches.
        let snapshots = view.arrived.map { ["destroy", $0] }
        for (_, command) in view.commands where command.effect == .destroys && !snapshots.contains(command.arguments) {
            // dd names what it writes to as of=DISK.
            let devices = command.arguments.map { $0.hasPrefix("of=") ? String($0.dropFirst(3)) : $0 }.filter { $0.hasPrefix("/dev/") }
            if devices.isEmpty { return command.description }
            if let other = devices.first(where: { !allowed.contains($0) }) { return "\(command): \(other)" }
        }
        return nil
    }

    private static func newPartitions(_ view: PlanView) -> [String] {
        view.disks.root.flatMap { [Disk.partition(1, of: $0.path), Disk.partition(2, of: $0.path)] }
            + view.disks.special.map { Disk.partition(1, of: $0.path) }
    }

    @Sendable private static func wipedOnce(_ view: PlanView) -> String? {
        let wiped = view.run("wipefs").compactMap(\.command.arguments.last).sorted()
        let old = view.disks.all.flatMap { [$0.device.path] + $0.device.children.filter { $0.type == "part" }.map(\.path) }
        let expected = (old + newPartitions(view)).sorted()
        return wiped == expected ? nil : "\(wiped) instead of \(expected)"
    }

    @Sendable private static func labels(_ view: PlanView) -> String? {
        for disk in view.disks.all {
            for device in [disk.device] + disk.device.children where device.filesystem == "zfs_member" {
                guard let cleared = view.run("zpool", "labelclear").first(where: { $0.command.arguments.last == device.path }),
                    let wiped = view.run("wipefs").first(where: { $0.command.arguments.last == device.path }),
                    cleared.item + 1 == wiped.item
                else { return device.path }
            }
        }
        return nil
    }

    /// Devices that something else made: arrays, mappings, and partitions of mappings.
    @Sendable private static func upper(_ view: PlanView) -> [BlockDevice] {
        let all = view.disks.all.flatMap { disk in disk.device.children.flatMap { $0.tree.dropFirst() } }
        return all.filter { $0.type != "part" || $0.path.hasPrefix("/dev/mapper/") }
    }

    @Sendable private static func closings(_ view: PlanView) -> [(item: Int, name: String)] {
        view.commands.filter { ["cryptsetup", "dmsetup", "mdadm"].contains($0.command.tool.name) }.map {
            ($0.item, $0.command.arguments.last ?? "")
        }
    }

    private static func name(_ device: BlockDevice) -> String { device.type.hasPrefix("raid") ? device.path : device.name }

    @Sendable private static func takenDown(_ view: PlanView) -> String? {
        let closed = closings(view)
        let expected = Set(upper(view).map(name))
        if Set(closed.map(\.name)) != expected || closed.count != expected.count { return "\(closed.map(\.name)) instead of \(expected)" }
        let place = Dictionary(closed.map { ($0.name, $0.item) }, uniquingKeysWith: { $1 })
        for device in upper(view) {
            for child in device.children where place[name(child)] ?? -1 > place[name(device)] ?? .max { return name(child) }
        }
        return nil
    }

    @Sendable private static func wipedUnderneath(_ view: PlanView) -> String? {
        let closed = Dictionary(closings(view).map { ($0.name, $0.item) }, uniquingKeysWith: { $1 })
        let wiped = Dictionary(view.run("wipefs").map { ($0.command.arguments.last ?? "", $0.item) }, uniquingKeysWith: { $1 })
        for disk in view.disks.all {
            for device in [disk.device] + disk.device.children {
                for above in device.tree.dropFirst() {
                    if let close = closed[name(above)], let wipe = wiped[device.path], wipe < close { return device.path }
                }
            }
        }
        return nil
    }

    @Sendable private static func partitionSizes(_ view: PlanView) -> String? {
        let tables = view.run("sgdisk", "--clear").map(\.command.arguments)
        for group in view.disks.vdevs {
            let (number, taken): (Int, UInt64) = group.contains { view.disks.special.contains($0) } ? (1, 0) : (2, 1024)
            let prefix = "--new=\(number):0:"
            let sizes = Set(
                group.map { disk in tables.first { $0.last == disk.path }?.first { $0.hasPrefix(prefix) }?.dropFirst(prefix.count) ?? "none"
                })
            guard sizes.count == 1, let size = sizes.first else { return "\(sizes)" }
            let mebibytes = group.map { $0.device.size.bytes >> 20 }
            if size == "0" {
                if Set(group.map(\.device.size)).count > 1 { return "all of unequal disks" }
            } else {
                guard let count = UInt64(size.dropFirst().dropLast()), count + taken < mebibytes.min() ?? 0, count > 2000 else {
                    return String(size)
                }
            }
        }
        return nil
    }

    @Sendable private static func unstableName(_ view: PlanView) -> String? {
        var kernelNames: Set<String> = []
        for disk in view.disks.all where disk.path != disk.device.path {
            kernelNames.formUnion([disk.device.path, Disk.partition(1, of: disk.device.path), Disk.partition(2, of: disk.device.path)])
        }
        let made = view.run("zpool", "create") + view.run("mkfs.vfat") + view.run("mount") + view.run("efibootmgr")
        return made.first { $0.command.arguments.contains(where: kernelNames.contains) }?.command.description
    }
}
