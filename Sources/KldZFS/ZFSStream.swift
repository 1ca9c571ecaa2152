public import KldExec

/// What goes into a send stream.
public struct SendOptions: Sendable, Hashable {
    public enum Base: Sendable, Hashable {
        /// From this snapshot or bookmark straight to the end (`-i`).
        case from(String)
        /// With every snapshot between (`-I`).
        case fromAll(String)
    }
    /// With everything below, all snapshots, clones and properties (`-R`).
    public var replicate = false
    public var base: Base?
    /// Encrypted datasets as they are on disk, unreadable for the receiver (`-w`).
    public var raw = false
    /// With the properties (`-p`). Part of ``replicate``.
    public var properties = false
    /// Blocks as they are on disk: large, compressed, embedded (`-Lce`). Raw implies it.
    public var asStored = true
    /// With ``asStored``: blocks of less than 112 bytes inside their pointers (`-e`). Encrypted datasets receive no such stream.
    public var embedded = true

    public init() {}
}

extension ZFS {
    /// Writes a snapshot to standard output.
    ///
    /// Runs: `zfs send [-R] [-w | -Lc[e]] [-p] [-i|-I BASE] NAME@LABEL`, reads. Source: zfs-send(8), OpenZFS 2.4.
    public static func send(_ name: SnapshotName, _ options: SendOptions = SendOptions()) -> Command {
        var words = ["send"]
        if options.replicate { words.append("-R") }
        if options.raw { words.append("-w") } else if options.asStored { words += ["-L", "-c"] + (options.embedded ? ["-e"] : []) }
        if options.properties { words.append("-p") }
        switch options.base {
        case .from(let base): words += ["-i", base]
        case .fromAll(let base): words += ["-I", base]
        case nil: break
        }
        return Command(tool, words + [name.description], effect: .reads)
    }

    /// Continues a stream that was cut off. Runs: `zfs send -t TOKEN`, reads.
    public static func send(resume token: String) -> Command { Command(tool, ["send", "-t", token], effect: .reads) }

    /// Reads a stream from standard input into a dataset. Never mounts what arrives (`-u`): a received `mountpoint=/` would cover the root.
    /// - Parameters:
    ///   - origin: an existing snapshot that the increment builds upon, for a new dataset (`-o origin=`).
    ///   - resumable: keep what arrived when the stream is cut off (`-s`).
    ///
    /// Runs: `zfs receive -u [-s] [-o …] NAME`, changes. Source: zfs-receive(8), OpenZFS 2.4.
    public static func receive(
        _ name: DatasetName, origin: SnapshotName? = nil, properties: ZFSProperties = [:], resumable: Bool = false,
        input: Command.Input = .none
    ) -> Command {
        var words = ["receive", "-u"]
        if resumable { words.append("-s") }
        if let origin { words += ["-o", "origin=\(origin)"] }
        words += properties.words(flag: "-o")
        return Command(tool, words + [name.text], effect: .changes, input: input)
    }

    /// Forgets a partly received stream. Runs: `zfs receive -A NAME`, destroys (what had arrived).
    public static func receiveAbort(_ name: DatasetName) -> Command { Command(tool, ["receive", "-A", name.text], effect: .destroys) }
}
