import KldAnswers
import KldBlock
import KldBoot
import KldCore
import KldDistro
import KldExec
import KldFiles
public import KldPlan
import KldZFS
import SystemPackage

/// Turns answers and facts into the plan of an installation. Pure: the same request gives the same plan.
public struct InstallPlanner: Sendable {
    let request: InstallRequest
    let disks: DiskSelection
    let pool: PoolName
    let tree: DatasetTree
    var answers: Answers { request.answers }
    public var facts: MachineFacts { request.facts }
    /// The kernel's names of the disks that are used: `sda`.
    public var diskNames: [String] { disks.all.map(\.device.name) }
    var target: FilePath { request.target }
    /// The GUIDs of the partitions that an installation has wiped which goes on: they are in no facts any more. `nil`: those that are.
    public var wiped: [String]?
    /// The GUIDs of the partitions on the disks that are used.
    public var partitions: [String] { disks.all.flatMap(\.device.tree).compactMap(\.partitionID) }

    /// Room for several UKIs of a portable initramfs: systems met on hardware had 233 MB each.
    static let espSize = ByteCount.gibibytes(1)
    static let scratch: FilePath = "/run/kldload"

    /// Nothing is made to wait for the disk before the machine could be booted, and an image has no intent logs: a log owns a block for its next
    /// record, not written yet, with whatever lay there before; no export frees that block. Source: zfsprops(7), `sync`, OpenZFS 2.4.
    static let noLogs: (name: String, set: ZFSProperties) = ("sync", ["sync": "disabled"])

    /// - Throws: ``Diagnosis`` of the disks, the names, or the topology; `install.no-passphrase`, `install.pool-imported`,
    ///   `network.no-interface`.
    public init(_ request: InstallRequest) throws {
        self.request = request
        // Answers of which nobody read the files: a pool that is not encrypted must never come of them.
        if request.answers.encrypt, request.answers.passphrase == nil {
            throw Diagnosis(
                "install.no-passphrase", "the pool is to be encrypted, and the answers hold no passphrase",
                remedies: ["give it: KLDLOAD_ZFS_PASSPHRASE, or a file that can be read here: KLDLOAD_ZFS_PASSPHRASE_FILE"],
                exit: .badAnswers)
        }
        if request.answers.bootloader == .grub, request.spec.efi.grub == nil { throw request.spec.unsupported("the GRUB chain") }
        disks = try DiskSelection(request.answers, request.facts)
        pool = try PoolName(request.answers.poolName)
        // Known before the disks are wiped, not when the pool is made.
        if (request.facts.pools + request.facts.importedPools.values).contains(pool.text) {
            throw Diagnosis(
                "install.pool-imported", "a pool named \(pool) is imported on this machine, and there cannot be two",
                remedies: ["export it: zpool export \(pool)", "or choose another name: KLDLOAD_ZFS_POOL"], exit: .badAnswers)
        }
        try disks.checkPoolName(pool.text, request.facts)
        try request.checkInterface()
        var tree = try DatasetTree.standard(
            pool: pool, bootEnvironment: request.spec.id, user: request.answers.username)
        if request.profile.virtualMachines { try tree.addVirtualMachines() }
        self.tree = tree
    }

    public var plan: Plan {
        get throws {
            Plan(
                "install \(request.spec.title), profile \(request.profile.id), on \(disks.root.map(\.path).joined(separator: ", "))",
                [
                    Phase("disks", "Prepare the disks", verifying + wiping + partitioning),
                    Phase("storage", "Create the pool and its datasets", try storage),
                    Phase("payload", "Unpack the system", [unpack] + (try additions) + tools),
                    Phase("system", "Make it this machine's", system + keymap),
                    Phase("accounts", "Manual pages, users and host keys", accounts),
                    // The longest work after the payload's, and nothing of it is about people.
                    Phase("kernel", "Modules and kernel that the firmware trusts", kernel, beside: true),
                    Phase("boot", "Make it boot", boot),
                    Phase("finish", "Close it", try finish),
                ], losses: losses)
        }
    }

    private var losses: [String: [String]] {
        let wiped = disks.all.map(\.device)
        let all = disks.all.map { ($0.path, facts.losses(of: $0.device, wiped: wiped)) }
        return Dictionary(all, uniquingKeysWith: { $1 }).filter { !$0.value.isEmpty }
    }

    /// Approvals that the answers give: for disks they name, with KLDLOAD_FORCE_WIPE=1; for the one that kldload chose, while it is empty.
    public var approvals: [WipeApproval] {
        disks.all.compactMap { disk in
            WipeApproval(forceWipe: answers.forceWipe, named: disk.automatic ? [] : [disk.path], disk: disk.path)
                ?? WipeApproval(automatic: disk.automatic, empty: disk.device.isEmpty, disk: disk.path)
        }
    }

    // MARK: disks

    /// Between facts and plan lies time, a person's even: before anything is destroyed the disk that nobody named is read again.
    private var verifying: [Step] {
        disks.all.filter(\.automatic).map { disk in
            Step(
                "disk.empty.\(disk.device.name)", "Verify that \(disk.path) is still empty", [WipeApproval.verification(of: disk.path)])
        }
    }

    /// Steps that wipe the disks, one after the other. A device that spans several of them is let go of once, by the first.
    var wiping: [Step] {
        var closed: Set<String> = []
        return disks.all.flatMap { $0.wiping(&closed) }
    }

    var partitioning: [Step] {
        disks.all.map { disk in
            let vdev = disks.vdevs.first { $0.contains(disk) } ?? [disk]
            let parts =
                disks.special.contains(disk)
                ? [PartitionSpec(1, size: Self.commonSize(vdev), type: .zfs, name: "kldload special")]
                : [
                    PartitionSpec(1, size: Self.espSize, type: .efiSystem, name: ESPLayout.partitionName),
                    PartitionSpec(2, size: Self.commonSize(vdev, taken: Self.espSize), type: .zfs, name: "kldload \(pool)"),
                ]
            return disk.partitioning(parts, espSerial: request.identity.espSerial)
        }
    }

    /// The size of the partitions of a vdev: `nil`, all that is left, where its disks are equal. Else what fits on the smallest of them,
    /// for ZFS refuses one whose devices differ by more than 16 MiB.
    private static func commonSize(_ disks: [DiskSelection.Chosen], taken: ByteCount = ByteCount(0)) -> ByteCount? {
        let sizes = disks.map(\.device.size)
        guard let least = sizes.min(), least != sizes.max() else { return nil }
        // 8 MiB are more than both partition tables and the alignment to 1 MiB need.
        return .mebibytes((least.bytes - taken.bytes - ByteCount.mebibytes(8).bytes) >> 20)
    }

    // MARK: storage

    var storage: [Step] {
        get throws {
            let layout = try VdevLayout(
                answers.vdevTopology, disks: disks.root.map { Disk.partition(2, of: $0.path) },
                special: disks.special.map { Disk.partition(1, of: $0.path) })
            let create = try ZPool.create(
                pool, compatibility: request.spec.compatibility, poolOptions: ["autotrim": "on"],
                filesystemOptions: DatasetTree.poolProperties.merging(Self.noLogs.set),
                altroot: target, vdevs: layout, passphrase: answers.encrypt ? answers.passphrase : nil,
                force: layout.mismatch)
            return [
                hostID,
                Step(
                    "zfs.pool.create", "Create the pool \(pool) (\(answers.topology.rawValue))",
                    [.makeDirectory(target), .run(create)],
                    release: Performers.close(pool, mountedAt: target), resume: [.makeDirectory(target)] + (try importing).map { .run($0) },
                    weight: 3,
                    destroys: disks.all.map(\.path)),
            ] + (try filling)
        }
    }

    var hostID: Step {
        // A guest of the factory is still loading OpenZFS, whose parameter this is, beside the steps before.
        let adopt: [Action] = [.run(Preflight.openZFS), .run(KernelHostID.set(request.identity.hostID))]
        return Step(
            "hostid", "Host id \(request.identity.hostID), before the pool learns it", adopt,
            // The system that installs may have pools, and a host id, of its own.
            release: [.run(KernelHostID.set(nil))], resume: adopt)
    }

    /// Opens the pool that was made, and mounts nothing.
    var reopening: PoolImport {
        var again = PoolImport(pool)
        again.altroot = target
        // A disk without a lasting name is not found below by-id.
        again.devices = Set(disks.all.map { FilePath($0.path).removingLastComponent() }).sorted { $0.string < $1.string }
        return again
    }

    private var importing: [Command] {
        get throws {
            guard answers.encrypt, let passphrase = answers.passphrase else { return [ZPool.import(reopening)] }
            return [ZPool.import(reopening), try ZFS.loadKey(pool.dataset, passphrase: passphrase)]
        }
    }

    /// The boot environment, empty or received with its content, then the datasets around it.
    private var filling: [Step] {
        get throws {
            let datasets = Step(
                "zfs.datasets", "Create the datasets", tree.otherCommands.map { .run($0) }, resume: [.run(ZFS.mountAll())], weight: 3)
            guard case .stream(let stream, let base, _) = request.payload.source else {
                let commands = tree.rootCommands() + [PayloadPack.compressing(tree.root)]
                return [
                    Step(
                        "zfs.root", "Create the boot environment \(tree.root)", commands.map { .run($0) },
                        resume: [.run(ZFS.mount(tree.root))]), datasets,
                ]
            }
            if let base { return try receiving(stream, onto: base) + [datasets] }
            // The snapshot that it came in goes at once.
            let received = tree.rootCommands(from: stream) + [ZFS.destroy(try PayloadPack.snapshot(of: tree.root))]
            return [
                Step(
                    "zfs.root", "Receive the boot environment \(tree.root)", received.map { .run($0) },
                    resume: [.run(ZFS.mount(tree.root))],
                    weight: 40, destroys: disks.all.map(\.path)),
                datasets,
            ]
        }
    }

    /// A boot environment that arrives in two parts. Each is a step of its own: one that failed is done again, onto what the one before left.
    ///
    /// Mounted only when both are there, for a dataset that was mounted has changed. With its snapshot goes what the base had and this system
    /// has not. Source: zfs-receive(8), OpenZFS 2.4.
    private func receiving(_ increment: FilePath, onto base: FilePath) throws -> [Step] {
        let labels = [try PayloadPack.snapshot(of: tree.root), try IncrementPack.snapshot(of: tree.root)].map(\.label)
        return [
            Step(
                "zfs.root", "Receive what the boot environment \(tree.root) builds on",
                tree.rootDatasets(from: base).map { .run($0) }, weight: 24),
            Step(
                "zfs.root.increment", "Receive the rest of the boot environment",
                [.run(ZFS.receive(tree.root, input: .file(increment)))], weight: 22),
            Step(
                "zfs.root.mount", "Mount the boot environment",
                [.run(ZFS.mount(tree.root)), .run(ZFS.destroy(tree.root, snapshots: labels))], resume: [.run(ZFS.mount(tree.root))],
                destroys: disks.all.map(\.path)),
        ]
    }

    // MARK: payload

    var unpack: Step {
        switch request.payload.source {
        case .archive(let path):
            Step(
                "payload.unpack", "Unpack the root file system",
                [PayloadPack.unpack(path, into: target), .run(PayloadPack.compressed(tree.root))], weight: 60)
        case .stream(_, _, let rest):
            Step("payload.unpack", "Unpack what lies outside the boot environment", [PayloadPack.unpack(rest, into: target)], weight: 3)
        }
    }

    var tools: [Step] {
        // core is the distribution and nothing else: there the tools are found as subcommands of kldload.
        let names: [AppletName] = request.profile.tools ? AppletName.allCases : []
        let links = names.map { Action.symlink(inTarget("/usr/bin/\($0.rawValue)"), to: AppletName.linkTarget) }
        let tool = Step(
            "payload.tool", "Install kldload itself",
            [
                .makeDirectory(inTarget("/usr/lib/kldload")),
                .run(
                    Command(
                        Tool("cp", package: "coreutils"),
                        ["--preserve=mode", request.executable.string, inTarget("/usr/lib/kldload/kldload").string], effect: .changes)),
                .symlink(inTarget("/usr/bin/kldload"), to: AppletName.linkTarget),
            ] + links)
        return [tool] + snapshotPolicy
    }

    /// Here and not in the payload: it names the pool.
    private var snapshotPolicy: [Step] {
        guard request.profile.tools else { return [] }
        let text = SnapshotPolicy.sanoid(pool: pool.text)
        return [Step("payload.snapshots", "Snapshot policy", [.write(inTarget("/etc/sanoid/sanoid.conf"), content: .text(text))])]
    }

    func inTarget(_ path: String) -> FilePath { FilePath(target.string + path) }

    /// Runs inside the installed system.
    func inside(_ tool: Tool, _ words: [String], accepting statuses: Set<Int32> = [0], input: Command.Input = .none) -> Action {
        .run(Command(tool, words, effect: .changes, accepting: statuses, input: input).inside(target))
    }
}
