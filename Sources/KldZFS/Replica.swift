public import KldCore
public import KldExec

extension KldProperty {
    /// On snapshots that a replication made, and on copies of them: the replication's name.
    public static let replica = "com.kldload:replica"
    /// On a dataset that a restore drill received: the replication's name.
    public static let drill = "com.kldload:drill"
}

/// A dataset as one end of a replication.
public struct ReplicaDataset: Sendable, Hashable {
    static let columns = [
        "name", "type", "origin", "encryption", "encryptionroot", "keystatus", "receive_resume_token", "available", "referenced",
    ]

    public var name: String
    public var isVolume: Bool
    /// The snapshot it was cloned from.
    public var origin: String?
    public var isEncrypted: Bool
    /// It has a key of its own: made so, or received raw.
    public var isEncryptionRoot: Bool
    /// Encrypted, and its key is not loaded.
    public var isLocked: Bool
    /// Where a stream that was cut off goes on.
    public var token: String?
    public var available: ByteCount
    public var referenced: ByteCount

    public init(
        name: String, isVolume: Bool = false, origin: String? = nil, isEncrypted: Bool = false, isEncryptionRoot: Bool = false,
        isLocked: Bool = false, token: String? = nil, available: ByteCount = ByteCount(0), referenced: ByteCount = ByteCount(0)
    ) {
        self.name = name
        self.isVolume = isVolume
        self.origin = origin
        self.isEncrypted = isEncrypted
        self.isEncryptionRoot = isEncryptionRoot
        self.isLocked = isLocked
        self.token = token
        self.available = available
        self.referenced = referenced
    }

    /// Reads the output of ``ZFS/replicas(of:recursive:)`` (columns as in OpenZFS 2.4):
    /// ```
    /// rpool/home⇥filesystem⇥-⇥aes-256-gcm⇥rpool/home⇥available⇥-⇥1000000000⇥98304
    /// ```
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(_ output: String) throws -> [ReplicaDataset] {
        var rows: [ReplicaDataset] = []
        try ListLine.each(output, columns: columns) { line in
            let encryption = line["encryption"]
            rows.append(
                ReplicaDataset(
                    name: String(line["name"]), isVolume: line["type"] == "volume", origin: line.text("origin"),
                    isEncrypted: !encryption.isEmpty && encryption != "off", isEncryptionRoot: line["encryptionroot"] == line["name"],
                    isLocked: line["keystatus"] == "unavailable", token: line.text("receive_resume_token"),
                    available: line.bytes("available") ?? ByteCount(0), referenced: line.bytes("referenced") ?? ByteCount(0)))
        }
        return rows
    }
}

/// A snapshot or a bookmark as one end of a replication.
public struct ReplicaSnapshot: Sendable, Hashable {
    static let columns = ["name", "type", "guid", "createtxg", "creation", "userrefs", KldProperty.replica]

    public var dataset: String
    public var label: String
    public var isBookmark: Bool
    /// The same wherever the snapshot was sent; of a bookmark that of its snapshot.
    public var guid: UInt64
    /// Counts up in a pool.
    public var transaction: UInt64
    public var created: Timestamp
    public var holds: Int
    /// The replication that made it.
    public var replication: String?

    public init(
        dataset: String, label: String, isBookmark: Bool = false, guid: UInt64, transaction: UInt64,
        created: Timestamp = Timestamp(seconds: 0), holds: Int = 0, replication: String? = nil
    ) {
        self.dataset = dataset
        self.label = label
        self.isBookmark = isBookmark
        self.guid = guid
        self.transaction = transaction
        self.created = created
        self.holds = holds
        self.replication = replication
    }

    public var name: String { dataset + (isBookmark ? "#" : "@") + label }

    /// Reads the output of ``ZFS/replicaSnapshots(of:recursive:)`` (columns as in OpenZFS 2.4):
    /// ```
    /// rpool/home@kreplicate-off-site-20261121-023300⇥snapshot⇥8391847292348123⇥5312⇥1795228380⇥1⇥off-site
    /// rpool/home#kreplicate-off-site-20261121-023300⇥bookmark⇥8391847292348123⇥5312⇥1795228380⇥-⇥-
    /// ```
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(_ output: String) throws -> [ReplicaSnapshot] {
        var rows: [ReplicaSnapshot] = []
        try ListLine.each(output, columns: columns) { line in
            let name = line["name"]
            guard let mark = name.firstIndex(where: { $0 == "@" || $0 == "#" }), let guid = line.number("guid") else {
                throw Diagnosis.unreadable("a list of snapshots", String(name))
            }
            rows.append(
                ReplicaSnapshot(
                    dataset: String(name[..<mark]), label: String(name[mark...].dropFirst()), isBookmark: line["type"] == "bookmark",
                    guid: guid, transaction: line.number("createtxg") ?? 0,
                    created: Timestamp(seconds: Int64(clamping: line.number("creation") ?? 0)),
                    holds: Int(clamping: line.number("userrefs") ?? 0), replication: line.text(KldProperty.replica)))
        }
        return rows
    }
}

/// What a stream that was cut off was of.
public enum ResumeToken: Sendable, Hashable {
    /// It goes on, up to this snapshot.
    case to(label: String, guid: UInt64)
    /// What it was sent from is gone: it cannot go on, and has to be given up.
    case useless(String)

    /// Reads what ``ZFS/describe(resume:)`` leaves behind (OpenZFS 2.1 to 2.4): with status 0, beside an estimate,
    /// ```
    /// resume token contents:
    /// nvlist version: 0
    /// 	object = 0x72a
    /// 	offset = 0x5f80000
    /// 	bytes = 0x90c3f2184
    /// 	toguid = 0xc7442ab399a28a9b
    /// 	toname = rpool/home@before
    /// ```
    /// - Returns: `nil` for anything else that went wrong: the connection, a key that is not loaded.
    public init?(_ output: CommandOutput) {
        let text = output.output + "\n" + output.errors
        for phrase in ["no longer exists", "is no longer the same snapshot", "resume token is corrupt"] where output.status != 0 {
            if text.contains(phrase) {
                self = .useless(text.lines.first { $0.contains("cannot resume") }?.trimmed ?? phrase)
                return
            }
        }
        guard output.status == 0 else { return nil }
        func value(_ key: String) -> String? {
            text.lines.first { $0.trimmed.hasPrefix("\(key) = ") }.map { String($0.trimmed.dropFirst(key.count + 3)) }
        }
        guard let digits = value("toguid"), digits.hasPrefix("0x"), let guid = UInt64(digits.dropFirst(2), radix: 16),
            let name = value("toname"), let mark = name.firstIndex(of: "@")
        else { return nil }
        self = .to(label: String(name[mark...].dropFirst()), guid: guid)
    }
}

extension ZFS {
    /// The file systems and volumes at one end; status 1 where there are none.
    ///
    /// Runs: `zfs list -Hp [-r] -t filesystem,volume -o … NAME`, reads. Read by ``ReplicaDataset/parse(_:)``. Source: zfs-list(8), OpenZFS 2.1 to 2.4.
    public static func replicas(of name: DatasetName, recursive: Bool) -> Command {
        var command = list(of: [name.text], columns: ReplicaDataset.columns, types: ["filesystem", "volume"], recursive: recursive)
        command.acceptedExitStatuses = [0, 1]
        return command
    }

    /// Their snapshots and bookmarks; status 1 where the dataset is not there.
    ///
    /// Runs: `zfs list -Hp [-r | -d 1] -t snapshot,bookmark -o … NAME`, reads. Read by ``ReplicaSnapshot/parse(_:)``.
    public static func replicaSnapshots(of name: DatasetName, recursive: Bool) -> Command {
        list(of: [name.text], columns: ReplicaSnapshot.columns, types: ["snapshot", "bookmark"], depth: 1, recursive: recursive)
    }

    /// Which of these there are; the others are told on standard error, and status 1.
    ///
    /// Runs: `zfs list -Hp -t filesystem,volume -o name NAME…`, reads.
    public static func existing(_ names: [DatasetName]) -> Command {
        var command = list(of: names.map(\.text), columns: ["name"], types: ["filesystem", "volume"])
        command.acceptedExitStatuses = [0, 1]
        return command
    }

    /// Says what a stream that was cut off was of, and whether it can go on. Read by ``ResumeToken``.
    ///
    /// Runs: `zfs send -nvP -t TOKEN`, reads. Source: zfs-send(8), `zfs_send_resume_impl` of OpenZFS 2.1 to 2.4.
    public static func describe(resume token: String) -> Command {
        Command(tool, ["send", "-nvP", "-t", token], effect: .reads, accepting: [0, 1])
    }

    /// Remembers a snapshot as a point to send from: it may be destroyed then. Status 1 where the bookmark is there already.
    ///
    /// Runs: `zfs bookmark NAME@LABEL NAME#MARK`, changes. Source: zfs-bookmark(8), OpenZFS 2.1 to 2.4.
    public static func bookmark(_ name: SnapshotName, as mark: String) -> Command {
        Command(tool, ["bookmark", name.description, "\(name.dataset)#\(mark)"], effect: .changes, accepting: [0, 1])
    }

    /// Sets user properties of a snapshot. Runs: `zfs set A=1 NAME@LABEL`, changes.
    public static func set(_ name: SnapshotName, _ properties: ZFSProperties) -> Command {
        Command(tool, ["set"] + properties.entries.map(\.description) + [name.description], effect: .changes)
    }

    /// Unlocks an encryption root with the key, or the passphrase, in a file. Runs: `zfs load-key -L file://PATH NAME`, changes.
    public static func loadKey(_ name: DatasetName, file: String) -> Command {
        Command(tool, ["load-key", "-L", "file://\(file)", name.text], effect: .changes)
    }
}
