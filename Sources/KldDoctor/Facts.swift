import KldCore
import KldExec
import KldZFS

/// What several checks look at, each asked once in a report.
extension CheckContext {
    /// Of every file system and volume.
    static let datasetColumns = [
        "name", "type", "mountpoint", "canmount", "mounted", "sync", "encryption", "readonly", "origin", "creation", "used",
    ]

    /// File systems and volumes of the root pool.
    func datasets(_ pool: PoolName) async throws -> [DatasetEntry] {
        try DatasetTable.parse(
            try await read(ZFS.list(pool.dataset, columns: Self.datasetColumns)).output, columns: Self.datasetColumns)
    }

    /// The root pool as `zpool list` shows it.
    func poolRow(_ pool: PoolName) async throws -> PoolRow? {
        try PoolRow.parse(try await read(ZPool.list(pool)).output).first
    }

    /// Every package that dpkg knows. What is held stands there too: apt-mark(8) sets dpkg's own selection, and takes seconds to read it back.
    ///
    /// Runs: `dpkg-query --show --showformat ${db:Status-Want}\t${db:Status-Status}\t${Package}\t${Version}\n`, reads. Source: dpkg-query(1), 1.22.
    /// ```
    /// hold⇥installed⇥zfsutils-linux⇥2.4.4-1~bpo13+1
    /// ```
    func packages() async throws -> [DpkgPackage] {
        let format = "${db:Status-Want}\\t${db:Status-Status}\\t${Package}\\t${Version}\\n"
        return try await read(Tool("dpkg-query", package: "dpkg"), ["--show", "--showformat", format]).output.lines.compactMap { line in
            let fields = line.split(separator: "\t").map(String.init)
            guard fields.count >= 3 else { return nil }
            return DpkgPackage(name: fields[2], isHeld: fields[0] == "hold", status: fields[1], version: fields.count > 3 ? fields[3] : "")
        }
    }

    /// Units that some check looks at, beside those of the manifest.
    static let watchedUnits = ["systemd-resolved.service"]

    /// What systemd knows of the manifest's units and of ``watchedUnits``.
    ///
    /// Runs: `systemctl show --no-pager --property … UNIT…`, reads; units that do not exist are `LoadState=not-found`.
    func units() async throws -> [UnitState] {
        let names = (manifest?.units ?? []) + Self.watchedUnits.filter { manifest?.units.contains($0) != true }
        return UnitState.parse(
            try await read(
                "systemctl", ["show", "--no-pager", "--property", UnitState.properties.joined(separator: ",")] + names
            ).output)
    }

    /// One of them, by any of its names.
    func unit(_ name: String) async throws -> UnitState? {
        try await units().first { $0["Id"] == name || $0["Names"].words.contains(name) }
    }
}

/// A package as dpkg knows it.
struct DpkgPackage: Hashable {
    var name: String
    /// That no upgrade may touch it by itself: what `apt-mark hold` sets.
    var isHeld: Bool
    /// `installed`, `config-files`, `half-configured`, …
    var status: String
    var version: String
}
