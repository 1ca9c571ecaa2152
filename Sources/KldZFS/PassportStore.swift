import KldCore
public import KldExec

/// Where the passports of a machine's disks lie: user properties of each vdev, or, before OpenZFS 2.2, of the pool's root dataset under the
/// vdev's GUID.
///
/// Source: vdevprops(7), OpenZFS 2.2 to 2.4: names of at most 256 characters, values of at most 8192 bytes; zfsprops(7), 2.1.
public enum PassportStore: Sendable, Hashable {
    case vdev
    case dataset

    static let prefix = "com.kldload:disk."

    /// What this OpenZFS has: tools and module both have to know it.
    public init(_ versions: OpenZFSVersions) {
        let known = [versions.tools, versions.module].allSatisfy { $0?.hasVdevUserProperties == true }
        self = known ? .vdev : .dataset
    }

    /// - Parameter device: the GUID of a vdev.
    func property(_ key: String, of device: UInt64) -> String {
        switch self {
        case .vdev: Self.prefix + key
        case .dataset: "\(Self.prefix)\(device).\(key)"
        }
    }

    /// What makes one passport of the other, in a stable order: the fields that differ.
    ///
    /// - Parameter older: the old one lies on the dataset, where an older OpenZFS put it, and goes from there when the new one is whole.
    public func commands(
        from old: DiskPassport, to new: DiskPassport, older: Bool = false, pool: PoolName, device: UInt64
    ) -> [Command] {
        if older, self == .vdev {
            return commands(from: DiskPassport(), to: new, pool: pool, device: device)
                + PassportStore.dataset.commands(from: old, to: DiskPassport(), pool: pool, device: device)
        }
        let keys = Set(old.values.keys).union(new.values.keys).filter { old[$0] != new[$0] }
        let order = DiskPassport(Dictionary(keys.map { ($0, "x") }) { first, _ in first }).keys
        return order.map { key in
            let property = property(key, of: device)
            switch (self, new[key]) {
            case (.vdev, let value): return ZPool.set(pool, device: device, property, value ?? "")
            case (.dataset, let value?): return ZFS.set(pool.dataset, [property: value])
            case (.dataset, nil): return ZFS.inherit(pool.dataset, property)
            }
        }
    }

    /// The passports of a pool, by the GUIDs of vdevs. What an older OpenZFS left on the dataset counts for vdevs that have none of their own.
    public struct Passports: Sendable, Hashable {
        var dataset: [UInt64: DiskPassport] = [:]
        var vdevs: [UInt64: DiskPassport] = [:]
        public init() {}

        init(dataset: [UInt64: DiskPassport], vdevs: [UInt64: DiskPassport]) {
            self.dataset = dataset
            self.vdevs = vdevs
        }

        public subscript(_ device: UInt64) -> DiskPassport? { vdevs[device] ?? dataset[device] }

        /// It lies on the dataset, and not on the vdev.
        public func isOlder(_ device: UInt64) -> Bool { vdevs[device] == nil && dataset[device] != nil }
    }

    /// Reads every passport of a pool.
    ///
    /// Runs: `zfs get -Hp -o name,property,value,source all POOL`, and since OpenZFS 2.2 `zpool get -Hp -o … all POOL all-vdevs`; reads.
    /// - Throws: ``Diagnosis`` `zfs.unreadable`; what the runner throws.
    public func passports(of pool: PoolName, runner: any CommandRunner) async throws -> Passports {
        let older = Self.parse(dataset: try PropertyRow.parse(await runner.run(ZFS.get(pool.text, ["all"])).output))
        guard self == .vdev else { return Passports(dataset: older, vdevs: [:]) }
        return Passports(
            dataset: older, vdevs: Self.parse(vdevs: try PropertyRow.parse(await runner.run(ZPool.propertiesOfDevices(pool)).output)))
    }

    /// What takes every passport of a pool away, wherever it lies.
    ///
    /// Runs: what ``passports(of:runner:)`` runs; reads.
    public static func clearing(_ pool: PoolName, _ versions: OpenZFSVersions, runner: any CommandRunner) async throws -> [Command] {
        func commands(_ store: PassportStore, _ found: [UInt64: DiskPassport]) -> [Command] {
            found.sorted { $0.key < $1.key }.flatMap { store.commands(from: $0.value, to: DiskPassport(), pool: pool, device: $0.key) }
        }
        let found = try await PassportStore(versions).passports(of: pool, runner: runner)
        return commands(.dataset, found.dataset) + commands(.vdev, found.vdevs)
    }

    /// The rows of one vdev follow one another, one of each property; `guid` is among them. A name may come twice, a property of one vdev
    /// does not.
    static func parse(vdevs rows: [PropertyRow]) -> [UInt64: DiskPassport] {
        var found: [UInt64: DiskPassport] = [:]
        var name = ""
        var seen: Set<String> = []
        var guid: UInt64?
        var values: [String: String] = [:]
        func close() {
            if let guid, !values.isEmpty { found[guid] = DiskPassport(values) }
        }
        for row in rows {
            if row.name != name || !seen.insert(row.property).inserted {
                close()
                (name, seen, guid, values) = (row.name, [row.property], nil, [:])
            }
            if row.property == "guid" { guid = row.value.flatMap { UInt64($0) } }
            if row.property.hasPrefix(prefix), let value = row.value { values[String(row.property.dropFirst(prefix.count))] = value }
        }
        close()
        return found
    }

    static func parse(dataset rows: [PropertyRow]) -> [UInt64: DiskPassport] {
        var found: [UInt64: [String: String]] = [:]
        for row in rows where row.property.hasPrefix(prefix) && row.source.isOwn {
            let rest = row.property.dropFirst(prefix.count)
            guard let dot = rest.firstIndex(of: "."), let guid = UInt64(rest[..<dot]), let value = row.value else { continue }
            found[guid, default: [:]][String(rest[rest.index(after: dot)...])] = value
        }
        return found.mapValues { DiskPassport($0) }
    }
}

extension OpenZFSVersion {
    /// User properties on vdevs. Source: vdevprops(7) of OpenZFS 2.2.0; 2.1 has none.
    public var hasVdevUserProperties: Bool { self >= OpenZFSVersion(2, 2) }
}

extension ZPool {
    /// Sets a user property of one vdev; an empty value takes it away.
    ///
    /// Runs: `zpool set NAME=VALUE POOL GUID`, changes. Source: zpool-set(8), OpenZFS 2.2 to 2.4; a GUID stands for a vdev wherever one is named.
    public static func set(_ pool: PoolName, device: UInt64, _ property: String, _ value: String) -> Command {
        Command(tool, ["set", "\(property)=\(value)", pool.text, String(device)], effect: .changes)
    }

    /// Every property of every vdev of a pool. Needs ``OpenZFSVersion/hasVdevUserProperties``.
    ///
    /// Runs: `zpool get -Hp -o name,property,value,source all POOL all-vdevs`, reads. Read by ``PropertyRow/parse(_:)``.
    public static func propertiesOfDevices(_ pool: PoolName) -> Command {
        Command(tool, ["get", "-Hp", "-o", "name,property,value,source", "all", pool.text, "all-vdevs"], effect: .reads)
    }

    /// Puts a device in another one's place: attached beside it, filled, and then alone.
    ///
    /// Without `-f` OpenZFS refuses a device that holds anything it knows. What the new device held is lost, hence the effect.
    /// - Parameters:
    ///   - old: a vdev's GUID: its path may be another disk's by now.
    ///   - new: the full path of a partition or disk.
    ///
    /// Runs: `zpool replace POOL GUID NEW`, destroys. It returns before the data is there. Source: zpool-replace(8), OpenZFS 2.1 to 2.4.
    public static func replace(_ pool: PoolName, old: UInt64, new: String) -> Command {
        Command(tool, ["replace", pool.text, String(old), new], effect: .destroys)
    }
}
