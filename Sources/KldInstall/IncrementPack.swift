import KldBlock
import KldCore
import KldExec
public import KldPlan
public import KldZFS
public import SystemPackage

/// Makes of two payloads' streams a third: what one boot environment has beyond another. Where both are carried, that is less.
///
/// Done once per pair, in a factory guest. The pool lies on a scratch disk and goes with it. Whoever receives the base's stream and then this
/// one has the files of the whole stream: same content, owners, modes, times, attributes and links.
public struct IncrementPack: Sendable, Hashable {
    /// As the pools' of the payloads: see ``KldDistro/DistroSpec/compatibility``.
    public var compatibility: String
    /// Streams, as files or as block devices that hold them from their first byte.
    public var base: FilePath
    public var whole: FilePath
    /// A disk of this pack alone.
    public var scratch: String
    /// A file or block device that receives the result from its first byte.
    public var result: FilePath
    public var target: FilePath = "/target"

    public init(compatibility: String, base: FilePath, whole: FilePath, scratch: String, result: FilePath) {
        self.compatibility = compatibility
        self.base = base
        self.whole = whole
        self.scratch = scratch
        self.result = result
    }

    /// The snapshot in which a boot environment travels that builds on another's ``PayloadPack/snapshot(of:)``.
    public static func snapshot(of root: DatasetName) throws(NameError) -> SnapshotName { try SnapshotName(root, "increment") }

    public var plan: Plan {
        get throws {
            let pool = try PoolName("payload")
            let (old, new) = (try pool.dataset.appending("base"), try pool.dataset.appending("whole"))
            let (from, to) = (target.appending("whole"), target.appending("base"))
            let create = try PayloadPack.creating(pool, on: scratch, compatibility: compatibility, at: target)
            // Nothing is written into what is the same: no times of reading either.
            func receive(_ name: DatasetName, _ stream: FilePath, _ more: ZFSProperties = [:]) -> Command {
                let own: ZFSProperties = ["atime": "off", "canmount": "noauto", "mountpoint": "/\(name.leaf)"]
                return ZFS.receive(name, properties: own.merging(more), input: .file(stream))
            }
            var beyond = SendOptions()
            beyond.embedded = false
            beyond.base = .from(try PayloadPack.snapshot(of: old).description)
            let snapshot = try Self.snapshot(of: old)
            return Plan(
                "pack what one payload has beyond another",
                [
                    Phase(
                        "unpack", "Put both onto ZFS",
                        [
                            PayloadPack.partitioning(scratch),
                            Step(
                                "pack.pool", "Create a pool", [.makeDirectory(target), .run(create)],
                                release: [
                                    .run(MountCommand.unmount(from)), .run(MountCommand.unmount(to)),
                                    Performers.exporting(pool, mountedAt: target),
                                ], destroys: [scratch]),
                            Step(
                                "increment.base", "Receive the base",
                                [.run(receive(old, base)), .run(PayloadPack.compressing(old)), .run(ZFS.mount(old))], weight: 10),
                            Step(
                                "increment.whole", "Receive the boot environment",
                                [.run(receive(new, whole, ["readonly": "on"])), .run(ZFS.mount(new))], weight: 15),
                        ]),
                    Phase(
                        "pack", "Pack what differs",
                        [
                            Step(
                                "increment.copy", "Make the base what the boot environment is",
                                [
                                    .run(Self.copy(from, to)),
                                    .perform(Self.compare, ["from": from.string, "to": to.string], effect: .reads),
                                ], weight: 60, destroys: [scratch]),
                            Step(
                                "increment.send", "Write the stream",
                                [
                                    .run(ZFS.snapshot(snapshot)), .run(PayloadPack.writing(ZFS.send(snapshot, beyond), to: result)),
                                    .run(FileCommand.sync()),
                                ], weight: 15),
                        ]),
                ])
        }
    }

    // MARK: files

    static let compare = "increment.compare"

    public static let performers: [String: Performer] = [
        compare: { parameters, runner, _ in
            let (from, to) = (FilePath(parameters["from"] ?? ""), FilePath(parameters["to"] ?? ""))
            let left = try await runner.run(rsync(from, to, ["--dry-run", "--itemize-changes"], effect: .reads)).output.lines
            guard left.isEmpty else {
                throw Diagnosis(
                    "factory.increment", "the copy of a root file system differs from it", exit: .bug, causes: Array(left.prefix(12)))
            }
        }
    ]

    /// By content: times say nothing, for a build sets them all alike. What is the same is left as it is.
    private static func copy(_ from: FilePath, _ to: FilePath) -> Command { rsync(from, to, ["--checksum"], effect: .destroys) }

    /// Makes a folder what another is, to the nanosecond. Every file that is copied is compared with what was meant.
    ///
    /// Runs: `rsync … FROM/ TO/`. Source: rsync(1), 3.4.
    private static func rsync(_ from: FilePath, _ to: FilePath, _ more: [String], effect: Effect) -> Command {
        Command(
            "rsync",
            [
                "--archive", "--hard-links", "--acls", "--xattrs", "--numeric-ids", "--modify-window=-1", "--delete", "--one-file-system",
            ] + more + ["\(from)/", "\(to)/"], effect: effect)
    }
}
