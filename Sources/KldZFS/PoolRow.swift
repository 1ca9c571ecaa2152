public import KldCore
public import KldExec

/// One line of `zpool list -Hp`.
public struct PoolRow: Sendable, Hashable {
    static let columns = ["name", "guid", "size", "allocated", "free", "health", "readonly", "altroot", "bootfs"]

    public var name: String
    public var guid: UInt64?
    /// `nil` for a pool that cannot tell, because it is faulted.
    public var size: ByteCount?
    public var allocated: ByteCount?
    public var free: ByteCount?
    public var health: PoolState
    public var readOnly: Bool
    public var altroot: String?
    /// The dataset that is booted by default.
    public var bootfs: String?

    /// Reads the output of ``ZPool/list(_:)``, fields separated by one TAB (OpenZFS 2.4.4):
    /// ```
    /// rpool⇥6512349172837645127⇥20937965568⇥1423859712⇥19514105856⇥ONLINE⇥off⇥-⇥rpool/ROOT/debian
    /// ```
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(_ output: String) throws(Diagnosis) -> [PoolRow] {
        var rows: [PoolRow] = []
        for line in output.lines {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == columns.count else { throw .unreadable("zpool list", line) }
            func bytes(_ index: Int) -> ByteCount? { UInt64(fields[index]).map { ByteCount($0) } }
            func text(_ index: Int) -> String? { fields[index] == "-" ? nil : fields[index] }
            rows.append(
                PoolRow(
                    name: fields[0], guid: UInt64(fields[1]), size: bytes(2), allocated: bytes(3), free: bytes(4),
                    health: PoolState(fields[5]), readOnly: fields[6] == "on", altroot: text(7), bootfs: text(8)))
        }
        return rows
    }

    /// Every imported pool. Runs: ``ZPool/list(_:)``, reads.
    public static func all(runner: any CommandRunner) async throws -> [PoolRow] {
        try parse(await runner.run(ZPool.list()).output)
    }

    /// One imported pool. Runs: ``ZPool/list(_:)`` of it, reads.
    /// - Throws: ``CommandError`` where there is none of that name.
    public static func of(_ name: PoolName, runner: any CommandRunner) async throws -> PoolRow? {
        try parse(await runner.run(ZPool.list(name)).output).first
    }
}

extension Diagnosis {
    /// Output of a ZFS tool that our parsers do not understand: a newer version, or a defect of ours.
    static func unreadable(_ command: String, _ text: String) -> Diagnosis {
        Diagnosis(
            "zfs.unreadable", "\(command) printed something that is not understood",
            remedies: ["report this as a defect of kldload, with the version of OpenZFS"], exit: .bug, causes: [String(text.prefix(200))])
    }
}
