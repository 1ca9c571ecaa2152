public import KldCore
public import KldExec

/// The ZFS label of one device: what stands on the disk itself, whether the pool is imported or not.
public struct DiskLabel: Sendable, Hashable {
    public var pool: String
    public var poolGUID: UInt64?
    public var guid: UInt64?
    /// The host id of the machine that wrote it last; `nil` when that machine had none.
    public var hostID: HostID?
    public var hostName: String?
    /// 0 active, 1 exported, 2 destroyed (`pool_state_t`).
    public var state: Int?
    /// How many top-level vdevs the pool has; the kind of this device's, and how many bytes of it the pool uses.
    public var vdevs: Int?
    public var kind: String?
    public var allocatable: ByteCount?

    /// Runs: `zdb -l DEVICE`, reads. It needs no imported pool, no cache file, and no module. Source: zdb(8), OpenZFS 2.4.
    /// Ends with 2 when there is no label.
    public static func command(_ device: String) -> Command {
        Command(Tool("zdb", package: "zfsutils-linux"), ["-l", device], effect: .reads, accepting: [0, 1, 2])
    }

    /// Reads the first label printed (OpenZFS 2.4.4):
    /// ```
    ///     name: 'rpool'
    ///     state: 0
    ///     pool_guid: 14227345870128411364
    ///     hostid: 8323074
    ///     hostname: 'box'
    /// ```
    /// The host id is decimal, unlike everywhere else.
    /// - Returns: `nil` when the device carries no label.
    public static func parse(_ output: String) -> DiskLabel? {
        var label = DiskLabel(pool: "")
        for line in output.lines {
            // Labels that differ follow one another; the first counts.
            if line.hasPrefix("LABEL "), !label.pool.isEmpty { break }
            // By depth: vdev_tree repeats some of the names deeper.
            let depth = line.prefix { $0 == " " }.count
            guard depth == 4 || depth == 8, let colon = line.firstIndex(of: ":") else { continue }
            let key = line[..<colon].trimmed + (depth == 8 ? " of vdev" : "")
            var value = line[line.index(after: colon)...].trimmed
            if value.count > 1, value.hasPrefix("'"), value.hasSuffix("'") { value = String(value.dropFirst().dropLast()) }
            switch key {
            case "name": label.pool = value
            case "state": label.state = Int(value)
            case "pool_guid": label.poolGUID = UInt64(value)
            case "guid": label.guid = UInt64(value)
            case "hostid": label.hostID = UInt32(value).flatMap { HostID($0) }
            case "hostname": label.hostName = value
            case "vdev_children": label.vdevs = Int(value)
            case "type of vdev": label.kind = value
            case "asize of vdev": label.allocatable = UInt64(value).map { ByteCount($0) }
            default: continue
            }
        }
        return label.pool.isEmpty ? nil : label
    }
}
