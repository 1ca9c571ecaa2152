public import KldCore
public import KldExec

/// Command lines of `zfs` that make, change and destroy datasets.
///
/// Source: the zfs-*(8) pages of OpenZFS 2.4; every option here exists since 2.1 unless its function says otherwise.
public enum ZFS {
    public static let tool = Tool("zfs", package: "zfsutils-linux")

    /// Makes a file system.
    /// - Parameters:
    ///   - unmounted: make it, do not mount it (`-u`), whatever `canmount` says.
    ///   - parents: make missing parents too, without these properties (`-p`). No error when it exists, then.
    ///
    /// Runs: `zfs create [-u] [-p] [-o …] NAME`, changes. Mounting happens below the pool's altroot.
    public static func create(
        _ name: DatasetName, properties: ZFSProperties = [:], unmounted: Bool = false, parents: Bool = false
    ) -> Command {
        Command(
            tool, ["create"] + (unmounted ? ["-u"] : []) + (parents ? ["-p"] : []) + properties.words(flag: "-o") + [name.text],
            effect: .changes)
    }

    /// Makes a volume; its device is `/dev/zvol/NAME`, some moments later.
    /// - Parameters:
    ///   - size: rounded up by ZFS to a multiple of the block size.
    ///   - sparse: reserve no space for it (`-s`).
    ///   - blockSize: a power of two, 512 B to 16 MiB; `nil` for the default of 16 KiB.
    ///
    /// Runs: `zfs create [-s] [-b BYTES] [-o …] -V BYTES NAME`, changes.
    public static func createVolume(
        _ name: DatasetName, size: ByteCount, sparse: Bool, blockSize: ByteCount? = nil, properties: ZFSProperties = [:]
    ) -> Command {
        Command(
            tool,
            ["create"] + (sparse ? ["-s"] : []) + (blockSize.map { ["-b", String($0.bytes)] } ?? []) + properties.words(flag: "-o")
                + ["-V", String(size.bytes), name.text],
            effect: .changes)
    }

    /// Sets properties, all or none. - Parameter unmounted: do not mount, unmount or share because of it (`-u`, OpenZFS ≥ 2.2).
    ///
    /// Runs: `zfs set [-u] A=1 B=2 NAME`, changes.
    public static func set(_ name: DatasetName, _ properties: ZFSProperties, unmounted: Bool = false) -> Command {
        Command(tool, ["set"] + (unmounted ? ["-u"] : []) + properties.entries.map(\.description) + [name.text], effect: .changes)
    }

    /// Back to the inherited value. Runs: `zfs inherit [-r] PROPERTY NAME`, changes.
    public static func inherit(_ name: DatasetName, _ property: String, recursive: Bool = false) -> Command {
        Command(tool, ["inherit"] + (recursive ? ["-r"] : []) + [property, name.text], effect: .changes)
    }

    /// Runs: `zfs get [-r] [-t TYPES] -Hp -o name,property,value,source PROPERTIES NAME`, reads. Parsed by ``PropertyRow/parse(_:)``.
    public static func get(_ name: String, _ properties: [String], recursive: Bool = false, types: [String] = []) -> Command {
        Command(
            tool,
            ["get"] + (recursive ? ["-r"] : []) + (types.isEmpty ? [] : ["-t", types.joined(separator: ",")])
                + ["-Hp", "-o", "name,property,value,source", properties.joined(separator: ","), name],
            effect: .reads)
    }

    /// Datasets below (and with) `root`, or all of them.
    /// - Parameters:
    ///   - types: `filesystem`, `volume`, `snapshot`, `bookmark`.
    ///   - depth: how far below; `nil` all the way.
    ///
    /// Runs: `zfs list -Hp [-r | -d N] -t TYPES -o COLUMNS [ROOT]`, reads. Parsed by ``DatasetTable/parse(_:columns:)``.
    public static func list(
        _ root: DatasetName? = nil, columns: [String], types: [String] = ["filesystem", "volume"], depth: Int? = nil
    ) -> Command {
        Command(tool, ["list", "-Hp"] + listWords(root, columns, types, depth), effect: .reads)
    }

    /// The same as JSON, from OpenZFS 2.3. Runs: `zfs list -j --json-int -p …`, reads. Parsed by ``DatasetTable/parse(json:)``.
    public static func listJSON(
        _ root: DatasetName? = nil, columns: [String], types: [String] = ["filesystem", "volume"], depth: Int? = nil
    ) -> Command {
        Command(tool, ["list", "-j", "--json-int", "-p"] + listWords(root, columns, types, depth), effect: .reads)
    }

    private static func listWords(_ root: DatasetName?, _ columns: [String], _ types: [String], _ depth: Int?) -> [String] {
        let reach: [String] = if let depth { ["-d", String(depth)] } else if root != nil { ["-r"] } else { [] }
        return reach + ["-t", types.joined(separator: ","), "-o", columns.joined(separator: ",")] + (root.map { [$0.text] } ?? [])
    }

    /// Runs: `zfs mount NAME`, changes. The mount point is the dataset's own, below the pool's altroot.
    public static func mount(_ name: DatasetName) -> Command { Command(tool, ["mount", name.text], effect: .changes) }

    /// Mounts every dataset with `canmount=on`. Runs: `zfs mount -a`, changes.
    public static func mountAll() -> Command { Command(tool, ["mount", "-a"], effect: .changes) }

    /// Runs: `zfs unmount [-f] NAME`, changes.
    public static func unmount(_ name: DatasetName, force: Force? = nil) -> Command {
        Command(tool, ["unmount"] + (force == nil ? [] : ["-f"]) + [name.text], effect: .changes)
    }

    /// Unmounts the file systems of every pool of this machine. Runs: `zfs unmount -a [-f]`, changes.
    public static func unmountAll(force: Force? = nil) -> Command {
        Command(tool, ["unmount"] + (force == nil ? [] : ["-f"]) + ["-a"], effect: .changes)
    }

    /// Runs: `zfs snapshot [-r] [-o …] NAME@LABEL`, changes.
    public static func snapshot(_ name: SnapshotName, recursive: Bool = false, properties: ZFSProperties = [:]) -> Command {
        Command(
            tool, ["snapshot"] + (recursive ? ["-r"] : []) + properties.words(flag: "-o") + [name.description], effect: .changes)
    }

    /// Runs: `zfs clone [-o …] SNAPSHOT NAME`, changes.
    public static func clone(_ origin: SnapshotName, to name: DatasetName, properties: ZFSProperties = [:]) -> Command {
        Command(tool, ["clone"] + properties.words(flag: "-o") + [origin.description, name.text], effect: .changes)
    }

    /// Makes a clone independent of its origin's dataset: the origin's snapshots move over. Runs: `zfs promote NAME`, changes.
    public static func promote(_ name: DatasetName) -> Command { Command(tool, ["promote", name.text], effect: .changes) }

    /// Runs: `zfs rename [-u] OLD NEW`, changes. - Parameter unmounted: leave it mounted where it is (`-u`).
    public static func rename(_ name: DatasetName, to other: DatasetName, remount: Bool = true) -> Command {
        Command(tool, ["rename"] + (remount ? [] : ["-u"]) + [name.text, other.text], effect: .changes)
    }

    /// Destroys a file system or volume.
    /// - Parameters:
    ///   - recursive: with its snapshots and everything below it (`-r`); clones elsewhere are refused.
    ///   - dryRun: destroy nothing, print what would be, one line `destroy<TAB>NAME` each (`-nvp`).
    ///
    /// Runs: `zfs destroy [-r] [-nvp] NAME`, destroys (reads when dry).
    public static func destroy(_ name: DatasetName, recursive: Bool = false, dryRun: Bool = false) -> Command {
        destroy(word: name.text, recursive: recursive, dryRun: dryRun)
    }

    /// Destroys a snapshot; with `recursive`, those of the same label below too. Runs: `zfs destroy [-r] [-nvp] NAME@LABEL`, destroys.
    public static func destroy(_ name: SnapshotName, recursive: Bool = false, dryRun: Bool = false) -> Command {
        destroy(word: name.description, recursive: recursive, dryRun: dryRun)
    }

    private static func destroy(word: String, recursive: Bool, dryRun: Bool) -> Command {
        Command(
            tool, ["destroy"] + (recursive ? ["-r"] : []) + (dryRun ? ["-nvp"] : []) + [word], effect: dryRun ? .reads : .destroys)
    }

    /// Runs: `zfs hold [-r] TAG NAME@LABEL`, changes.
    public static func hold(_ name: SnapshotName, tag: String, recursive: Bool = false) -> Command {
        Command(tool, ["hold"] + (recursive ? ["-r"] : []) + [tag, name.description], effect: .changes)
    }

    /// Runs: `zfs release [-r] TAG NAME@LABEL`, changes.
    public static func release(_ name: SnapshotName, tag: String, recursive: Bool = false) -> Command {
        Command(tool, ["release"] + (recursive ? ["-r"] : []) + [tag, name.description], effect: .changes)
    }

    /// Unlocks an encryption root. The passphrase goes in on standard input.
    /// - Throws: ``Diagnosis`` `zfs.passphrase`.
    ///
    /// Runs: `zfs load-key -L prompt NAME`, changes.
    public static func loadKey(_ name: DatasetName, passphrase: Secret) throws(Diagnosis) -> Command {
        try ZPool.check(passphrase)
        return Command(
            tool, ["load-key", "-L", "prompt", name.text], effect: .changes, input: .secret(Secret(passphrase.reveal() + "\n")))
    }

    /// Locks an encryption root; nothing of it may be mounted. Runs: `zfs unload-key [-r] NAME`, changes.
    public static func unloadKey(_ name: DatasetName, recursive: Bool = false) -> Command {
        Command(tool, ["unload-key"] + (recursive ? ["-r"] : []) + [name.text], effect: .changes)
    }

    /// Runs: `zfs --version`, reads. Parsed by ``OpenZFSVersions/parse(_:)``.
    ///
    /// Without the module it ends with 1, and the first line is printed all the same; `zfs version` would print nothing (seen with 2.4.4).
    public static func version() -> Command { Command(tool, ["--version"], effect: .reads, accepting: [0, 1]) }
}
