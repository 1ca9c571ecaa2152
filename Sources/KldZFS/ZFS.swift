public import KldCore
public import KldExec

/// Command lines of `zfs` that make, change and destroy datasets.
///
/// Source: the zfs-*(8) pages of OpenZFS 2.4; every option here exists since 2.1 unless its function says otherwise.
public enum ZFS {
    public static let tool = Tool("zfs", package: "zfsutils-linux")

    /// Makes a file system. Runs: `zfs create [-o …] NAME`, changes. Mounting happens below the pool's altroot.
    public static func create(_ name: DatasetName, properties: ZFSProperties = [:]) -> Command {
        Command(tool, ["create"] + properties.words(flag: "-o") + [name.text], effect: .changes)
    }

    /// Sets properties, all or none. Runs: `zfs set A=1 B=2 NAME`, changes.
    public static func set(_ name: DatasetName, _ properties: ZFSProperties) -> Command {
        Command(tool, ["set"] + properties.entries.map(\.description) + [name.text], effect: .changes)
    }

    /// Back to the inherited value. Runs: `zfs inherit PROPERTY NAME`, changes.
    public static func inherit(_ name: DatasetName, _ property: String) -> Command {
        Command(tool, ["inherit", property, name.text], effect: .changes)
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
        let reach: [String] = if let depth { ["-d", String(depth)] } else if root != nil { ["-r"] } else { [] }
        let words: [String] =
            reach + ["-t", types.joined(separator: ","), "-o", columns.joined(separator: ",")] + (root.map { [$0.text] } ?? [])
        return Command(tool, ["list", "-Hp"] + words, effect: .reads)
    }

    /// Runs: `zfs mount NAME`, changes. The mount point is the dataset's own, below the pool's altroot.
    public static func mount(_ name: DatasetName) -> Command { Command(tool, ["mount", name.text], effect: .changes) }

    /// Mounts every dataset with `canmount=on`. Runs: `zfs mount -a`, changes.
    public static func mountAll() -> Command { Command(tool, ["mount", "-a"], effect: .changes) }

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

    /// Runs: `zfs rename OLD NEW`, changes.
    public static func rename(_ name: DatasetName, to other: DatasetName) -> Command {
        Command(tool, ["rename", name.text, other.text], effect: .changes)
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

    /// Runs: `zfs --version`, reads. Parsed by ``OpenZFSVersions/parse(_:)``.
    ///
    /// Without the module it ends with 1, and the first line is printed all the same; `zfs version` would print nothing (seen with 2.4.4).
    public static func version() -> Command { Command(tool, ["--version"], effect: .reads, accepting: [0, 1]) }
}

extension Command {
    /// Of `zfs destroy`: what somebody holds, or has cloned something from meanwhile, stays, since ZFS refuses; that is no failure.
    package var unlessNeeded: Command {
        var copy = self
        copy.acceptedExitStatuses = [0, 1]
        return copy
    }
}
