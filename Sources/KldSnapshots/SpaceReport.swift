public import KldCore
public import KldExec
public import KldFiles
public import KldZFS
public import SystemPackage

/// `kdf`: how much each dataset takes and may still take, as ZFS counts it.
public struct SpaceReport: Sendable, Hashable {
    public struct Row: Sendable, Hashable {
        public var name: String
        public var isVolume: Bool
        /// With everything below it, its snapshots, and what is reserved for it.
        public var used: ByteCount
        /// Held by its snapshots alone.
        public var snapshots: ByteCount
        /// What it may still take: the least of the pool's free space and the quotas above it.
        public var available: ByteCount
        public var referenced: ByteCount
        /// `1.85`: how much larger it is than what is stored.
        public var ratio: String
        /// `quota`, or `refquota` where that is less; `nil`: none.
        public var quota: ByteCount?
        /// The property.
        public var mountpoint: String?
        /// `mounted`, `not mounted`, `locked`, `holds others`, `volume`.
        public var state: String
    }

    static let columns = [
        "name", "type", "used", "usedbysnapshots", "available", "referenced", "compressratio", "quota", "refquota", "mountpoint", "mounted",
        "canmount", "keystatus",
    ]

    public var rows: [Row]
    public var pools: [PoolUsage]

    /// - Parameters:
    ///   - words: datasets and paths; none for everything.
    ///   - recursive: those below them too.
    ///
    /// Runs: `zfs list -Hp -t filesystem,volume …` and `zpool list -Hp …`, reads; for words, `zfs list` once more.
    public static func gather(
        _ words: [String], recursive: Bool, folder: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws -> SpaceReport {
        var names: [String] = []
        if !words.isEmpty {
            let storage = try await Storage.gather(runner: runner, files: files)
            names = try words.map { try storage.place($0, in: folder, files).dataset }
        }
        let output = try await runner.run(
            ZFS.list(of: names, columns: columns, types: ["filesystem", "volume"], recursive: recursive)
        ).output
        var pools = try PoolUsage.parse(await runner.run(ZPool.usage()).output)
        if !names.isEmpty { pools = pools.filter { pool in names.contains { $0.prefix { $0 != "/" } == pool.name } } }
        return SpaceReport(rows: try parse(output), pools: pools)
    }

    static func parse(_ output: String) throws -> [Row] {
        var rows: [Row] = []
        try ListLine.each(output, columns: columns) { line in
            let isVolume = line["type"] == "volume"
            func bytes(_ column: String) -> ByteCount { line.bytes(column) ?? ByteCount(0) }
            // Zero is none.
            let quotas = [bytes("quota"), bytes("refquota")].filter { $0.bytes > 0 }
            let state =
                isVolume
                ? "volume"
                : line["mounted"] == "yes"
                    ? "mounted"
                    : line["keystatus"] == "unavailable"
                        ? "locked" : line["canmount"] == "off" ? "holds others" : "not mounted"
            rows.append(
                Row(
                    name: String(line["name"]), isVolume: isVolume, used: bytes("used"), snapshots: bytes("usedbysnapshots"),
                    available: bytes("available"), referenced: bytes("referenced"),
                    // why: versions differ in whether -p keeps the sign.
                    ratio: String(line["compressratio"].prefix { $0 != "x" }), quota: quotas.min(), mountpoint: line.text("mountpoint"),
                    state: isVolume && line["keystatus"] == "unavailable" ? "locked" : state))
        }
        return rows
    }
}
