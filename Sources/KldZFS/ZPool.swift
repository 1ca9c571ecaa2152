public import KldCore
public import KldExec
public import SystemPackage

/// Command lines of `zpool`.
///
/// Source: the zpool-*(8) pages of OpenZFS 2.4; every option here exists since 2.1 unless its function says otherwise.
public enum ZPool {
    public static let tool = Tool("zpool", package: "zfsutils-linux")

    /// Makes a pool. What its devices held is lost.
    ///
    /// Without `-f` OpenZFS refuses devices that are mounted, belong to a pool, carry another file system, differ in size by more than
    /// 16 MiB within one vdev, or are of unequal redundancy; so make the partitions of one vdev equally large and wipe them before.
    /// - Parameters:
    ///   - compatibility: a file of `/usr/share/zfs/compatibility.d`, which names the features that the pool may use; `nil` enables every feature of
    ///     the running OpenZFS.
    ///   - altroot: mount below this folder, and write no cache file (`-R`).
    ///   - passphrase: encrypts the root dataset and all below with AES-256-GCM. ZFS takes 8 to 512 bytes, on standard input.
    ///   - force: with the reason for `-f`. ``VdevLayout/mismatch`` says when a layout needs it.
    /// - Throws: ``Diagnosis`` `zfs.passphrase`.
    ///
    /// Sectors are taken to have 4096 bytes, which suits almost every disk.
    ///
    /// Runs: `zpool create [-f] -o ashift=12 [-o compatibility=F] [-o …] [-O …] [-R DIR] NAME VDEV…`, destroys.
    public static func create(
        _ name: PoolName, compatibility: String? = nil, poolOptions: ZFSProperties = [:],
        filesystemOptions: ZFSProperties = [:], altroot: FilePath? = nil, vdevs: VdevLayout, passphrase: Secret? = nil, force: Force? = nil
    ) throws(Diagnosis) -> Command {
        var pool: ZFSProperties = ["ashift": "12"]
        if let compatibility { pool["compatibility"] = compatibility }
        var filesystem = filesystemOptions
        if let passphrase {
            try check(passphrase)
            let encryption: ZFSProperties = ["encryption": "aes-256-gcm", "keyformat": "passphrase", "keylocation": "prompt"]
            filesystem = encryption.merging(filesystem)
        }
        return Command(
            tool,
            ["create"] + (force == nil ? [] : ["-f"]) + pool.merging(poolOptions).words(flag: "-o") + filesystem.words(flag: "-O")
                + (altroot.map { ["-R", $0.string] } ?? []) + [name.text] + vdevs.words,
            effect: .destroys, input: passphrase.map { .secret(Secret($0.reveal() + "\n")) } ?? .none)
    }

    /// One line of 8 to 512 bytes: OpenZFS reads standard input up to the first newline (`get_key_material_raw()`).
    static func check(_ passphrase: Secret) throws(Diagnosis) {
        let bytes = passphrase.reveal().utf8
        guard (8...512).contains(bytes.count), !bytes.contains(UInt8(ascii: "\n")), !bytes.contains(0) else {
            throw Diagnosis(
                "zfs.passphrase", "the passphrase must be one line of 8 to 512 bytes",
                remedies: ["choose another KLDLOAD_ZFS_PASSPHRASE"], exit: .badAnswers)
        }
    }

    /// Unmounts everything and lets go of the disks. Runs: `zpool export NAME`, changes.
    public static func export(_ name: PoolName) -> Command { Command(tool, ["export", name.text], effect: .changes) }

    /// Sets one property. Runs: `zpool set NAME=VALUE POOL`, changes. User properties on pools need OpenZFS 2.2.
    public static func set(_ name: PoolName, _ property: String, _ value: String) -> Command {
        Command(tool, ["set", "\(property)=\(value)", name.text], effect: .changes)
    }

    /// Runs: `zpool get -Hp -o name,property,value,source PROPERTIES POOL`, reads. Parsed by ``PropertyRow/parse(_:)``.
    public static func get(_ name: PoolName, _ properties: [String]) -> Command {
        Command(
            tool, ["get", "-Hp", "-o", "name,property,value,source", properties.joined(separator: ","), name.text], effect: .reads)
    }

    /// Runs: `zpool list -Hp -o name,guid,size,allocated,free,health,readonly,altroot,bootfs [NAME]`, reads. Parsed by ``PoolRow``.
    public static func list(_ name: PoolName? = nil) -> Command {
        Command(tool, ["list", "-Hp", "-o", PoolRow.columns.joined(separator: ",")] + (name.map { [$0.text] } ?? []), effect: .reads)
    }

    /// Whether a pool is imported: status 1 where none is of that name. Runs: `zpool list -H -o name NAME`, reads.
    public static func existing(_ name: PoolName) -> Command {
        Command(tool, ["list", "-H", "-o", "name", name.text], effect: .reads, accepting: [0, 1])
    }

    /// Wipes the four ZFS labels of a device.
    /// - Parameter force: treat exported or foreign pools' labels as dead too; labels of an imported pool are refused in any case.
    ///
    /// Runs: `zpool labelclear [-f] DEVICE`, destroys. It ends with 1 or 255 on a device without a label, which is accepted: nothing is left
    /// to do. One that is in use ends so as well, so look at the device afterwards (`wipefs`), do not trust the status.
    public static func labelClear(_ device: String, force: Force? = nil) -> Command {
        Command(tool, ["labelclear"] + (force == nil ? [] : ["-f"]) + [device], effect: .destroys, accepting: [0, 1, 255])
    }

    /// Gives the pool a new GUID, for clones of an image. Runs: `zpool reguid NAME`, changes.
    public static func reguid(_ name: PoolName) -> Command { Command(tool, ["reguid", name.text], effect: .changes) }

    /// Uses all of a device that has grown. The pool grows when all devices of a mirror or of raidz have. With nothing to gain it does nothing,
    /// and it never shrinks. Not for a device that is offline on purpose: it is brought back.
    ///
    /// Runs: `zpool online -e NAME DEVICE`, changes. Source: zpool-online(8), OpenZFS 2.1 to 2.4.
    public static func expand(_ name: PoolName, device: String) -> Command {
        Command(tool, ["online", "-e", name.text, device], effect: .changes)
    }

    /// Forces all dirty data to the disks. Runs: `zpool sync NAME`, changes.
    public static func sync(_ name: PoolName) -> Command { Command(tool, ["sync", name.text], effect: .changes) }
}
