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
    /// Order, pool, datasets, mounts, what is written where, secrets.
    static let storage: [Invariant] = [
        Invariant("the phases are those that documents name, in their order", of: .every) { view in
            let expected: [String] =
                switch view.part {
                case .whole: ["disks", "storage", "payload", "system", "accounts", "kernel", "boot", "finish"]
                case .template: ["disks", "storage", "payload", "kernel", "boot"]
                case .image: ["open", "system", "accounts", "finish"]
                }
            return view.plan.phases.map(\.id) == expected
        },
        Invariant(
            "kernel and users are made at the same time, where all that both stand on is there; nothing else is beside anything", of: .every
        ) {
            view in
            view.plan.phases.filter(\.beside).map(\.id) == (view.part == .whole ? ["kernel"] : [])
        },
        Invariant("no two steps have the same id, and each has a title and a weight", of: .every) { view in
            Set(view.steps.map(\.id)).count == view.steps.count && view.steps.allSatisfy { !$0.title.isEmpty && $0.weight > 0 }
        },
        Invariant(
            "host id, pool, datasets, system, kernel image, ESPs, boot dataset come in this order", of: .every, by: .systemdBoot,
            offender: order),
        Invariant("the kernel has the host id before the pool is made or opened", of: .every) { view in
            let adopted = view.run("tee").filter { $0.command.arguments == [KernelHostID.parameter.string] }
            guard let creation = view.poolCreation ?? view.run("zpool", "import").first, adopted.count == 1 else { return false }
            // The module has the parameter: it is loaded, or waited for, right before.
            guard view.run("modprobe").map(\.item) == [adopted[0].item - 1] else { return false }
            return adopted[0].item < creation.item && adopted[0].command == KernelHostID.set(view.request.identity.hostID)
        },
        Invariant("the installed system gets the host id that the pool has learned", of: .own) { view in
            view.writes(view.target + "/etc/hostid").map(\.content) == [.bytes(view.request.identity.hostID.fileContent)]
        },
        Invariant(
            "there is one pool, made of the chosen disks' partitions in the order and shape of the answers", of: .disk, offender: vdevs),
        Invariant("the pool is made with the features that the installed OpenZFS reads, below the target, with no cache file", of: .disk) {
            view in
            let words = view.poolCreation?.command.arguments ?? []
            return pairs(words).contains(["-o", "compatibility=\(view.request.spec.compatibility)"])
                && pairs(words).contains(["-R", view.target])
                && !words.contains { $0.hasPrefix("cachefile=") }
        },
        Invariant("force is used for one shape only: a mirrored special vdev beside a single disk", of: .disk) { view in
            (view.poolCreation?.command.arguments.contains("-f") ?? true)
                == (view.request.answers.topology == .single && view.specialPaths.count > 1)
        },
        Invariant("the pool is encrypted when the answers say so, with the passphrase on standard input", of: .disk, offender: encryption),
        Invariant("no secret is in any word, path, title or text of the plan", of: .every, offender: secrets),
        Invariant("every dataset belongs to the pool, parents before children", of: .disk, offender: datasets),
        Invariant("the root dataset is mounted right after it was made, once", of: .disk) { view in
            let made = view.datasets, mounted = view.run("zfs", "mount")
            guard mounted.count == 1, let mount = mounted.first, let root = mount.command.arguments.last else { return false }
            return made.last { $0.command.arguments.last == root }?.item == mount.item - 1
        },
        Invariant("the snapshots that a boot environment arrives in are destroyed right after, and no other", of: .disk) { view in
            let destroyed = view.run("zfs", "destroy"),
                others = view.run("zfs", "create").filter { $0.command.arguments.last?.contains("/ROOT") == false }
            return destroyed.map(\.command.arguments) == view.arrived.map { ["destroy", $0] }
                && destroyed.allSatisfy { $0.item < others.first?.item ?? 0 }
        },
        Invariant("every mount is undone: by a later action of its step, or by its release", of: .every, offender: unreleased),
        Invariant("the pool is exported once, last of all but for the host id, which is the system's own again", of: .every) { view in
            let exports = view.releases.indices.filter {
                if case .perform(Performers.exportPool, let parameters, _) = view.releases[$0] {
                    parameters["pool"] == view.pool
                } else {
                    false
                }
            }
            return exports == [view.releases.count - 2] && view.releases.last == .run(KernelHostID.set(nil))
        },
        Invariant("nothing of the target is mounted any more when the pool is exported", of: .every) { view in
            guard case .run(let last)? = view.releases.dropLast(2).last else { return false }
            return last.tool.name == "umount" && last.arguments == ["--recursive", view.target]
        },
        Invariant("nothing is written outside the target and /run/kldload, but the kernel's host id", of: .every, offender: strayWrite),
        Invariant("nothing is removed outside /run/kldload", of: .every) { view in
            !view.steps.flatMap { $0.actions + $0.undo + $0.release }.contains {
                if case .remove(let path) = $0 { !path.string.hasPrefix("/run/kldload/") } else { false }
            }
        },
        Invariant("what belongs to the installed system is run inside it", of: .every, offender: outside),
        Invariant("the system is unpacked once, from the payload, with its owners and attributes", of: .disk) { view in
            let tar = view.run("tar")
            guard tar.count == 1, let words = tar.first?.command.arguments else { return false }
            let archive: FilePath
            switch view.request.payload.source {
            case .archive(let path):
                archive = path
                // Compressed as a stream's content is, and nothing else.
                let root = "\(view.pool)/ROOT/\(view.request.spec.id)"
                let set = view.run("zfs", "set").filter { $0.command.arguments == ["set", "compression=zstd-3", root] }
                let back = view.run("zfs", "inherit").filter { $0.command.arguments == ["inherit", "compression", root] }
                guard set.count == 1, back.count == 1, let unpack = tar.first?.item, let first = set.first?.item, first < unpack,
                    let last = back.first?.item, unpack < last
                else { return false }
            case .stream(let root, let base, let rest):
                archive = rest
                let received = view.run("zfs", "receive")
                // Nothing comes between two parts, and none is forced: the first is as it was sent.
                guard received.map(\.command.input) == [base, root].compactMap({ $0.map { .file($0) } }), let first = received.first?.item,
                    let last = received.last?.item, last - first == received.count - 1,
                    received.allSatisfy({ $0.command.arguments.contains("-u") && !$0.command.arguments.contains("-F") })
                else { return false }
            }
            let direct = words.contains("--file=\(archive)")
            let piped = view.run("zstd").count == 1 && view.run("zstd").first?.command.input == .file(archive) && words.contains("--file=-")
            return direct != piped
                && Set(words).isSuperset(of: ["--directory=\(view.target)", "--numeric-owner", "--xattrs", "--preserve-permissions"])
        },
        Invariant("no word of a command is empty or has a line break in it", of: .every, offender: oddWord),
    ]

    private static func pairs(_ words: [String]) -> Set<[String]> { Set(zip(words, words.dropFirst()).map { [$0, $1] }) }

    @Sendable private static func order(_ view: PlanView) -> String? {
        var places: [(String, Int)] = []
        func note(_ name: String, _ item: Int?, in parts: Set<PlanView.Part>) {
            if parts.contains(view.part) { places.append((name, item ?? -1)) }
        }
        note("host id", view.run("tee").first?.item, in: .every)
        note("pool", view.poolCreation?.item, in: .disk)
        note("first dataset", view.datasets.first?.item, in: .disk)
        note("last dataset", view.datasets.last?.item, in: .disk)
        note("unpack", view.run("tar").first?.item, in: .disk)
        note("tool", view.items.firstIndex { $0.path == "\(view.target)/usr/bin/kldload" }, in: .own)
        note("bind mounts", view.begin("target.mounts"), in: .own)
        note("target's host id", view.writes(view.target + "/etc/hostid").first?.item, in: .own)
        note("user", view.begin("system.users"), in: .own)
        note("kernel image", view.kernelImage?.item, in: .disk)
        note("first ESP", view.mounts.first { $0.source == view.rootPaths.first.map { Disk.partition(1, of: $0) } }?.item, in: .disk)
        note("mount units", view.performs(Performers.mountCache).first, in: .own)
        note("bootfs", view.run("zpool", "set").first?.item, in: .own)
        for (one, other) in zip(places, places.dropFirst()) where one.1 < 0 || one.1 > other.1 { return "\(one) before \(other)" }
        return nil
    }

    @Sendable private static func vdevs(_ view: PlanView) -> String? {
        guard view.run("zpool", "create").count == 1, let words = view.poolCreation?.command.arguments else { return "no pool" }
        guard let name = words.firstIndex(of: view.pool) else { return "no name" }
        let roots = view.rootPaths.map { Disk.partition(2, of: $0) }
        let specials = view.specialPaths.map { Disk.partition(1, of: $0) }
        var expected: [String] = []
        switch view.request.answers.topology {
        case .single: expected = roots
        case .mirror: expected = ["mirror"] + roots
        case .raidz1, .raidz2, .raidz3: expected = [view.request.answers.topology.rawValue] + roots
        case .mirrorStripe: for pair in stride(from: 0, to: roots.count, by: 2) { expected += ["mirror", roots[pair], roots[pair + 1]] }
        }
        if !specials.isEmpty {
            expected.append("special")
            let width = view.request.answers.topology.toleratedLosses(disks: roots.count) + 1
            let size = width == 1 ? specials.count : width
            for start in stride(from: 0, to: specials.count, by: size) {
                if size > 1 { expected.append("mirror") }
                expected += specials[start..<(start + size)]
            }
        }
        let actual = Array(words[(name + 1)...])
        return actual == expected ? nil : "\(actual) instead of \(expected)"
    }

    @Sendable private static func encryption(_ view: PlanView) -> String? {
        guard let command = view.poolCreation?.command else { return "no pool" }
        let encrypted = command.arguments.contains { $0.hasPrefix("encryption=") }
        guard encrypted == view.request.answers.encrypt else { return command.description }
        guard let passphrase = view.request.answers.passphrase, encrypted else { return command.input == .none ? nil : "an input" }
        return command.input == .secret(Secret(passphrase.reveal() + "\n")) ? nil : "not the passphrase"
    }

    @Sendable private static func secrets(_ view: PlanView) -> String? {
        for secret in RandomRequests.secrets + [String(RandomRequests.hash.suffix(40))] where view.words.contains(secret) { return secret }
        return nil
    }

    @Sendable private static func datasets(_ view: PlanView) -> String? {
        var made: Set<String> = [view.pool]
        // An increment goes into what is there.
        let increments = view.run("zfs", "receive").dropFirst().map(\.item)
        for (item, command) in view.datasets where !increments.contains(item) {
            guard let name = command.arguments.last, let slash = name.lastIndex(of: "/") else { return command.description }
            guard made.contains(String(name[..<slash])), made.insert(name).inserted else { return name }
        }
        return made.count > 10 ? nil : "few datasets"
    }

    @Sendable private static func unreleased(_ view: PlanView) -> String? {
        for mount in view.mounts {
            let step = view.items[mount.item].step
            func ends(_ action: Action) -> Bool {
                if case .run(let command) = action {
                    command.tool.name == "umount" && command.arguments.last == mount.target
                } else {
                    false
                }
            }
            let later = view.items.suffix(from: mount.item + 1).contains { $0.step == step && ends($0.action) }
            if !later, !view.steps[step].release.contains(where: ends) { return mount.target }
        }
        return nil
    }

    @Sendable private static func strayWrite(_ view: PlanView) -> String? {
        let target = view.target + "/"
        for item in view.items {
            guard let path = item.path, path != view.target else { continue }
            if !path.hasPrefix(target), !path.hasPrefix("/run/kldload/") || path.hasSuffix("/..") { return path }
        }
        if view.words.contains("/../") { return "a path that climbs" }
        for (_, command) in view.commands where ["cp", "mv", "ln", "tee", "install"].contains(command.tool.name) {
            guard let path = command.arguments.last,
                path.hasPrefix(target) || path.hasPrefix("/run/kldload/") || path == KernelHostID.parameter.string
            else {
                return command.description
            }
        }
        return nil
    }

    @Sendable private static func outside(_ view: PlanView) -> String? {
        let systems: Set = [
            "useradd", "usermod", "chpasswd", "passwd", "chage", "chown", "chmod", "systemctl", "ssh-keygen", "apt-get", "update-initramfs",
        ]
        // The key in the answers is brought in before anything could run inside.
        let key = "\(view.target)/var/lib/dkms/mok.key"
        return view.commands.first {
            systems.contains($0.command.tool.name) && $0.command.arguments != ["600", key]
                || $0.command.tool.name == "chroot" && $0.command.arguments.first != view.target
        }?.command.description
    }

    @Sendable private static func oddWord(_ view: PlanView) -> String? {
        for (_, command) in view.commands {
            for (index, word) in command.arguments.enumerated() where word.isEmpty || word.utf8.contains(10) {
                if !word.isEmpty || index == 0 || command.arguments[index - 1] != "-N" { return command.description }
            }
        }
        return nil
    }
}
