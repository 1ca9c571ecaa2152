import KldCore
import KldExec
import KldPackages
import KldSystemd
import KldZFS

/// What several checks look at, each asked once in a report.
extension CheckContext {
    /// Of every file system and volume.
    static let datasetColumns = [
        "name", "type", "mountpoint", "canmount", "mounted", "sync", "encryption", "origin", "creation", "used", "quota",
    ]

    /// File systems and volumes of the root pool.
    func datasets(_ pool: PoolName) async throws -> [DatasetEntry] {
        try DatasetTable.parse(
            try await read(ZFS.list(pool.dataset, columns: Self.datasetColumns)).output, columns: Self.datasetColumns)
    }

    /// Every imported pool as `zpool list` shows it.
    func pools() async throws -> [PoolRow] { try PoolRow.parse(try await read(ZPool.list()).output) }

    func poolRow(_ pool: PoolName) async throws -> PoolRow? { try await pools().first { $0.name == pool.text } }

    /// What is wrong with each imported pool; nothing for a healthy one.
    func poolTroubles() async throws -> [(pool: String, problems: [String])] {
        let json = try await openZFS().tools?.hasJSON ?? false
        let output = try await read(ZPool.statusOfAll(json: json)).output
        guard json else {
            return PoolHealthText.parse(output).map { status in
                (
                    status.name,
                    (status.state == .online ? [] : ["state \(status.state)"]) + (status.withoutDataErrors ? [] : ["data errors"])
                        + status.troubled
                )
            }
        }
        return try PoolStatus.parse(json: output).map { status in
            let vdevs = (status.classes.values.flatMap { $0 } + [status.root].compactMap { $0 }).flatMap(\.tree)
                .filter { ($0.state != .online && $0.state != .available) || $0.hasErrors }
            return (
                status.name,
                (status.state == .online ? [] : ["state \(status.state)"]) + (status.errors == 0 ? [] : ["\(status.errors) data errors"])
                    + vdevs.map { "\($0.name) \($0.state) read \($0.readErrors) write \($0.writeErrors) checksum \($0.checksumErrors)" }
            )
        }
    }

    /// Which disks a pool's trouble is about, for the remedy: where each of them is, as its passport says, and what finds and replaces it.
    ///
    /// Runs: what ``PassportStore/passports(of:runner:)`` runs, where a device is ill; reads.
    /// - Returns: nothing for a pool without an ill device, and before OpenZFS 2.3.
    func diskAdvice(_ pool: PoolName) async throws -> String {
        let versions = try await openZFS()
        guard versions.tools?.hasJSON == true,
            let status = try PoolStatus.parse(json: try await read(ZPool.statusOfAll(json: true)).output).first(where: {
                $0.name == pool.text
            })
        else { return "" }
        let ill = status.members.filter { $0.path?.hasPrefix("/dev/") != false && !$0.isHealthy && $0.state != .inUse }
        if ill.isEmpty { return "" }
        // It only adds to a remedy that stands without it; a suspended pool would not answer.
        let passports = status.state == .suspended ? nil : try? await PassportStore(versions).passports(of: pool, runner: runner)
        return ill.map { device in
            let passport = device.guid.flatMap { passports?[$0] } ?? DiskPassport()
            let place = ["rack", "enclosure", "bay", "slot", "serial"].compactMap { key in passport[key].map { "\(key) \($0)" } }
            let name = device.path ?? device.name
            return "; \(name)\(place.isEmpty ? "" : " (\(place.joined(separator: ", ")))"): kldload kdisk locate \(name), "
                + "kldload kdisk replace \(name) NEW"
        }.joined()
    }

    func openZFS() async throws -> OpenZFSVersions { OpenZFSVersions.parse(try await read(ZFS.version()).output) }

    /// Every package that dpkg knows.
    func packages() async throws -> [DpkgPackage] { DpkgPackage.parse(try await read(Dpkg.states).output) }

    /// Units that some check looks at, beside those of the manifest.
    static let watchedUnits = ["systemd-resolved.service", "zfs-zed.service"] + watchedTimers

    /// What keeps a machine tidy by itself, where it is installed.
    static let watchedTimers = [
        "sanoid.timer", "kldload-snapshot.timer", "kldload-srv-snapshot.timer", "logrotate.timer", "systemd-tmpfiles-clean.timer",
    ]

    /// What systemd knows of the manifest's units and of ``watchedUnits``.
    func units() async throws -> [UnitState] {
        let names = (manifest?.units ?? []) + Self.watchedUnits.filter { manifest?.units.contains($0) != true }
        return UnitState.parse(try await read(Systemctl.show(names)).output)
    }

    /// One of them, by any of its names.
    func unit(_ name: String) async throws -> UnitState? {
        try await units().first { $0.names.contains(name) }
    }
}
