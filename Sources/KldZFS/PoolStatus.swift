import FoundationEssentials
public import KldCore

/// What `zpool status` says about one pool.
public struct PoolStatus: Sendable, Hashable {
    public struct Vdev: Sendable, Hashable {
        public var name: String
        /// `root`, `mirror`, `raidz`, `disk`, `file`, …; `nil` where OpenZFS does not say.
        public var type: String?
        public var guid: UInt64?
        /// As given at creation, possibly a stable name.
        public var path: String?
        public var state: PoolState
        public var readErrors: UInt64
        public var writeErrors: UInt64
        public var checksumErrors: UInt64
        /// By name: JSON objects have no order. For the order of the vdevs use ``ZPool/vdevs(of:)``.
        public var children: [Vdev]

        /// This one and everything below.
        public var tree: [Vdev] { [self] + children.flatMap(\.tree) }
        public var hasErrors: Bool { readErrors > 0 || writeErrors > 0 || checksumErrors > 0 }
    }

    /// A scrub or resilver, the latest.
    public struct Scan: Sendable, Hashable {
        /// `SCRUB`, `RESILVER`.
        public var function: String
        /// `SCANNING`, `FINISHED`, `CANCELED`, `NONE`.
        public var state: String
        public var errors: UInt64
        /// Seconds since 1970.
        public var endTime: UInt64?
        /// Bytes that were read and checked, and that have to be; while it runs.
        public var issued: UInt64 = 0
        public var total: UInt64 = 0
        /// Somebody paused it.
        public var isPaused = false
        /// The last that ran filled devices, and came to its end.
        public var isFilled: Bool { function == "RESILVER" && state == "FINISHED" && errors == 0 }
    }

    public var name: String
    public var state: PoolState
    public var guid: UInt64?
    /// What is wrong, in OpenZFS's words; `nil` when nothing is.
    public var status: String?
    /// What OpenZFS advises.
    public var action: String?
    /// Data errors: blocks that could not be read correctly.
    public var errors: UInt64
    public var root: Vdev?
    /// By class: `special`, `dedup`, `logs`, `l2cache`, `spares`.
    public var classes: [String: [Vdev]]
    public var scan: Scan?

    /// Every vdev with a device path, of all classes, in the order of their names.
    public var devices: [Vdev] {
        ((root?.tree ?? []) + classes.sorted { $0.key < $1.key }.flatMap { $0.value.flatMap(\.tree) }).filter { $0.path != nil }
    }

    /// Reads the output of ``ZPool/statusOfAll(json:)``. Begins like this (zpool-status(8), OpenZFS 2.4; numbers bare with `--json-int`):
    /// ```
    /// {"output_version":{"command":"zpool status","vers_major":0,"vers_minor":1},"pools":{"tank":{"name":"tank","state":"ONLINE",…
    /// ```
    /// - Returns: the pools, by name.
    /// - Throws: ``Diagnosis`` `zfs.unreadable`.
    public static func parse(json output: String) throws(Diagnosis) -> [PoolStatus] {
        do {
            let document = try JSONDecoder().decode(StatusDocument.self, from: Data(output.utf8))
            return document.pools.values.map(\.value).sorted { $0.name < $1.name }
        } catch { throw .unreadable("zpool status -j", "\(error)") }
    }
}

/// A number that may have come as one, or as text: OpenZFS writes text without `--json-int`.
struct JSONNumber: Decodable {
    var value: UInt64
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(UInt64.self) {
            value = number
        } else {
            let text = try container.decode(String.self)
            guard let number = UInt64(text) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not a whole number")
            }
            value = number
        }
    }
}

private struct StatusDocument: Decodable {
    var pools: [String: Pool]

    struct Pool: Decodable {
        var name, state: String
        var status, action: String?
        // The manual page's example says `guid`; the programs write ZPOOL_CONFIG_POOL_GUID, which is `pool_guid`.
        var pool_guid, guid: JSONNumber?
        var error_count: JSONNumber?
        var vdevs: [String: Vdev]?
        var special, dedup, logs, l2cache, spares: [String: Vdev]?
        var scan_stats: Scan?

        var value: PoolStatus {
            var classes: [String: [PoolStatus.Vdev]] = [:]
            for (name, vdevs) in [("special", special), ("dedup", dedup), ("logs", logs), ("l2cache", l2cache), ("spares", spares)] {
                if let vdevs { classes[name] = vdevs.inOrder }
            }
            // Its sentences are broken as for a terminal.
            func line(_ text: String?) -> String? { text?.words.joined(separator: " ") }
            return PoolStatus(
                name: name, state: PoolState(state), guid: (pool_guid ?? guid)?.value, status: status == "OK" ? nil : line(status),
                action: line(action), errors: error_count?.value ?? 0, root: vdevs?.inOrder.first, classes: classes, scan: scan_stats?.value
            )
        }
    }

    struct Scan: Decodable {
        var function, state: String?
        var errors: JSONNumber?
        var end_time: JSONNumber?
        var issued, to_examine, skipped, scrub_pause: JSONNumber?
        var value: PoolStatus.Scan? {
            guard let function, function != "NONE" else { return nil }
            let (whole, skipped) = (to_examine?.value ?? 0, skipped?.value ?? 0)
            return PoolStatus.Scan(
                function: function, state: state ?? "", errors: errors?.value ?? 0, endTime: end_time?.value, issued: issued?.value ?? 0,
                total: whole > skipped ? whole - skipped : 0, isPaused: (scrub_pause?.value ?? 0) > 0)
        }
    }

    struct Vdev: Decodable {
        var name: String
        var vdev_type, path, state: String?
        var guid, read_errors, write_errors, checksum_errors: JSONNumber?
        var vdevs: [String: Vdev]?

        var value: PoolStatus.Vdev {
            PoolStatus.Vdev(
                name: name, type: vdev_type, guid: guid?.value, path: path, state: PoolState(state ?? "ONLINE"),
                readErrors: read_errors?.value ?? 0, writeErrors: write_errors?.value ?? 0,
                checksumErrors: checksum_errors?.value ?? 0, children: vdevs?.inOrder ?? [])
        }
    }
}

extension [String: StatusDocument.Vdev] {
    fileprivate var inOrder: [PoolStatus.Vdev] { values.map(\.value).sorted { $0.name < $1.name } }
}
