public import KldCore
public import KldExec

/// One pool as `zpool list` measures it.
public struct PoolUsage: Sendable, Hashable {
    static let columns = ["name", "size", "allocated", "free", "fragmentation", "capacity", "dedupratio", "health", "readonly", "bootfs"]

    public var name: String
    /// `nil` for a pool that cannot tell, because it is faulted.
    public var size: ByteCount?
    public var allocated: ByteCount?
    public var free: ByteCount?
    /// Of the free space, in per cent.
    public var fragmentation: Int?
    /// Allocated of the size, in per cent.
    public var capacity: Int?
    /// `1.00`: nothing is stored twice.
    public var deduplication: String?
    public var health: PoolState
    public var isReadOnly: Bool
    public var bootfs: String?

    /// Reads the output of ``ZPool/usage()`` (OpenZFS 2.4.4; 2.1 writes the same with `-p`):
    /// ```
    /// rpool⇥7516192768⇥1288490188⇥6227702580⇥3⇥17⇥1.00⇥ONLINE⇥off⇥rpool/ROOT/debian
    /// ```
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(_ output: String) throws -> [PoolUsage] {
        var pools: [PoolUsage] = []
        try ListLine.each(output, columns: columns) { line in
            // why: versions differ in whether -p keeps the sign.
            func percent(_ column: String) -> Int? { Int(line[column].prefix { $0 != "%" }) }
            pools.append(
                PoolUsage(
                    name: String(line["name"]), size: line.bytes("size"), allocated: line.bytes("allocated"), free: line.bytes("free"),
                    fragmentation: percent("fragmentation"), capacity: percent("capacity"),
                    deduplication: line.text("dedupratio").map { $0.hasSuffix("x") ? String($0.dropLast()) : $0 },
                    health: PoolState(line["health"]), isReadOnly: line["readonly"] == "on", bootfs: line.text("bootfs")))
        }
        return pools
    }
}

extension ZPool {
    /// Runs: `zpool list -Hp -o name,size,allocated,free,fragmentation,capacity,dedupratio,health,readonly,bootfs`, reads. Read by
    /// ``PoolUsage/parse(_:)``. Source: zpool-list(8), zpoolprops(7), OpenZFS 2.1 to 2.4.
    public static func usage() -> Command {
        Command(tool, ["list", "-Hp", "-o", PoolUsage.columns.joined(separator: ",")], effect: .reads)
    }
}
