import KldBlock
public import KldDistro
import KldExec
public import KldPlan
public import KldZFS
public import SystemPackage

/// Turns a payload's archive into what installs fastest: a send stream of the boot environment, and an archive of the other datasets.
///
/// Done once per payload, in a factory guest. The pool lies on a scratch disk and goes with it.
public struct PayloadPack: Sendable, Hashable {
    public var spec: DistroSpec
    public var archive: FilePath
    /// A disk of this pack alone.
    public var scratch: String
    /// Files or block devices that receive the results from their first byte.
    public var root: FilePath
    public var rest: FilePath
    public var target: FilePath = "/target"

    public init(spec: DistroSpec, archive: FilePath, scratch: String, root: FilePath, rest: FilePath) {
        self.spec = spec
        self.archive = archive
        self.scratch = scratch
        self.root = root
        self.rest = rest
    }

    /// From here on, until ``compressed(_:)``: what a payload holds is written once and read for ever, and a stream carries blocks as they are
    /// stored. Against the machine's own lz4 it makes a compressed core image a twentieth smaller (408 MiB for 430).
    static func compressing(_ root: DatasetName) -> Command { ZFS.set(root, ["compression": "zstd-3"]) }
    static func compressed(_ root: DatasetName) -> Command { ZFS.inherit(root, "compression") }

    /// The snapshot in which the boot environment travels.
    public static func snapshot(of root: DatasetName) throws(NameError) -> SnapshotName { try SnapshotName(root, "payload") }

    public var plan: Plan {
        get throws {
            let pool = try PoolName("payload")
            let tree = try DatasetTree.standard(pool: pool, bootEnvironment: spec.id, user: nil)
            let snapshot = try Self.snapshot(of: tree.root)
            let create = try Self.creating(pool, on: scratch, compatibility: spec.compatibility, at: target)
            var portable = SendOptions()
            portable.embedded = false
            let others = tree.mountpoints.filter { $0 != "/" }.map { ".\($0)" }
            return Plan(
                "pack the payload of \(spec.title)",
                [
                    Phase(
                        "unpack", "Unpack it onto ZFS",
                        [
                            Self.partitioning(scratch),
                            Step(
                                "pack.pool", "Create a pool",
                                [.makeDirectory(target), .run(create)]
                                    + (tree.rootCommands() + [Self.compressing(tree.root)] + tree.otherCommands)
                                    .map { .run($0) },
                                release: Performers.close(pool, mountedAt: target), weight: 5, destroys: [scratch]),
                            Step("payload.unpack", "Unpack the root file system", [Self.unpack(archive, into: target)], weight: 60),
                        ]),
                    Phase(
                        "pack", "Pack it",
                        [
                            Step(
                                "pack.root", "Write the stream of the boot environment",
                                [.run(ZFS.snapshot(snapshot)), .run(Self.writing(ZFS.send(snapshot, portable), to: root))], weight: 20),
                            Step(
                                "pack.rest", "Write the archive of the other datasets",
                                [
                                    .run(
                                        Command(
                                            "tar",
                                            [
                                                "--create", "--file=\(rest)", "--directory=\(target)", "--one-file-system", "--sort=name",
                                                "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--",
                                            ] + others, effect: .changes)),
                                    .run(FileCommand.sync()),
                                ], weight: 2),
                        ]),
                ])
        }
    }

    static func partitioning(_ scratch: String) -> Step {
        Step(
            "pack.disk", "Partition the scratch disk",
            [
                .run(Disk.partition(scratch, [PartitionSpec(1, size: nil, type: .zfs, name: "kldload payload")])),
                .run(Disk.settle), .waitFor(FilePath(Disk.partition(1, of: scratch)), seconds: 30),
            ], destroys: [scratch])
    }

    /// On the partition that ``partitioning(_:)`` makes. - Throws: ``Diagnosis`` of the pool's options.
    static func creating(_ pool: PoolName, on scratch: String, compatibility: String, at target: FilePath) throws -> Command {
        try ZPool.create(
            pool, compatibility: compatibility, filesystemOptions: DatasetTree.poolProperties, altroot: target,
            vdevs: VdevLayout(.single, disks: [Disk.partition(1, of: scratch)]))
    }

    /// For everybody: a payload holds nothing of any machine.
    static func writing(_ command: Command, to file: FilePath) -> Command {
        var copy = command
        copy.outputFile = file
        copy.outputPermissions = [.ownerReadWrite, .groupRead, .otherRead]
        // A disk of the guest is known by a link that udev made.
        copy.followsOutputLink = true
        copy.effect = .changes
        return copy
    }

    /// A tar read from a block device ends at its own end mark; a compressed one must be a file.
    static func unpack(_ archive: FilePath, into target: FilePath) -> Action {
        let words = [
            "--directory=\(target)", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--preserve-permissions",
        ]
        guard archive.string.hasSuffix(".zst") else {
            return .run(Command("tar", ["--extract", "--file=\(archive)"] + words, effect: .changes))
        }
        return .pipeline([
            Command("zstd", ["--decompress", "--stdout", "--quiet"], effect: .reads, input: .file(archive)),
            Command("tar", ["--extract", "--file=-"] + words, effect: .changes),
        ])
    }
}
