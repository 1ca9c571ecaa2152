import KldCore
import KldExec
import KldZFS

extension Check {
    static let pool: [Check] = [
        Check("zfs.pool.health", "the pool is online, without errors", .critical, poolHealth),
        Check("zfs.pool.topology", "the pool has the vdevs that were asked for", .high, poolTopology),
        Check("zfs.pool.space", "the pool has room", .medium, poolSpace),
        Check("zfs.root", "the root file system is the boot environment that boots by default", .critical, root),
        Check("zfs.versions", "the OpenZFS module and tools are of one version", .medium, versions),
        Check("zfs.sync", "no file system forgets what a program was told is on the disk", .critical, sync),
        Check("zfs.encryption", "the root file system is encrypted as intended", .critical, encryption),
    ]

    @Sendable private static func poolHealth(_ context: CheckContext) async throws -> CheckOutcome {
        guard let pool = try await context.pool() else { return noPool }
        guard let problems = try await context.poolTroubles().first(where: { $0.pool == pool.text })?.problems else { return noPool }
        guard problems.isEmpty else {
            return .fail(
                expected: "ONLINE, no errors", actual: problems.joined(separator: "; "),
                remedy: "zpool status -v \(pool); replace what failed, then zpool scrub \(pool)" + (try await context.diskAdvice(pool)))
        }
        return .ok("\(pool) is ONLINE, no errors")
    }

    @Sendable private static func poolTopology(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        guard let pool = try await context.pool() else { return noPool }
        let pools = PoolListing.parse(try await context.read(ZPool.vdevs(of: pool)).output)
        let devices = pools.flatMap(\.devices)
        // A sealed image is one disk, whatever it will be called.
        let wanted = manifest.sealed ? 1 : manifest.disks.count + (manifest.specialDisks?.count ?? 0)
        let kind =
            switch VdevTopology(manifest.topology) {
            case .mirror?, .mirrorStripe?: "mirror-"
            case .raidz(let parity)?: "raidz\(parity)-"
            case .single?, nil: ""
            }
        let found = "\(devices.count) devices: \(devices.joined(separator: ", "))"
        guard devices.count == wanted, kind.isEmpty || pools.flatMap(\.vdevs).contains(where: { $0.hasPrefix(kind) }) else {
            return .fail(
                expected: "\(manifest.topology) of \(wanted) disks, \(manifest.specialDisks?.count ?? 0) of them special",
                actual: found,
                remedy: "zpool status \(pool); attach the missing disk with zpool attach")
        }
        return .ok("\(manifest.topology), \(found)")
    }

    @Sendable private static func poolSpace(_ context: CheckContext) async throws -> CheckOutcome {
        guard let pool = try await context.pool() else { return noPool }
        guard let row = try await context.poolRow(pool), let size = row.size, let used = row.allocated, size.bytes > 0
        else { return noPool }
        let percent = Int(Double(used.bytes) / Double(size.bytes) * 100)
        let actual = "\(percent) % of \(size) used"
        let remedy = "destroy old snapshots and boot environments: zfs list -t snapshot -s used"
        // A copy-on-write file system needs space even to delete; above 90 % it also slows down.
        if percent >= 95 { return .fail(expected: "less than 95 % used", actual: actual, remedy: remedy) }
        if percent >= 85 { return .warn(expected: "less than 85 % used", actual: actual, remedy: remedy) }
        return .ok(actual)
    }

    @Sendable private static func root(_ context: CheckContext) async throws -> CheckOutcome {
        guard let root = try await context.rootDataset(), let pool = try await context.pool() else { return noPool }
        let parent = "\(pool)/ROOT/"
        guard root.hasPrefix(parent), !root.dropFirst(parent.count).contains("/") else {
            return .fail(
                expected: "a dataset \(parent)<boot environment>", actual: root, remedy: "boot one of: zfs list -d 1 \(pool)/ROOT")
        }
        if let manifest = context.manifest, manifest.pool != pool.text {
            return .fail(
                expected: "the pool \(manifest.pool)", actual: root,
                remedy: "another installation was booted: choose it in the firmware's menu")
        }
        guard let bootfs = try await context.poolRow(pool)?.bootfs else {
            return .fail(expected: "bootfs=\(root)", actual: "the pool has no bootfs", remedy: "zpool set bootfs=\(root) \(pool)")
        }
        guard bootfs == root else {
            return .warn(
                expected: "bootfs \(bootfs) running", actual: "\(root) is running",
                remedy: "reboot into it, or activate this one: kldload kbe activate \(root.dropFirst(parent.count))")
        }
        return .ok("\(root), which is bootfs")
    }

    @Sendable private static func versions(_ context: CheckContext) async throws -> CheckOutcome {
        let versions = try await context.openZFS()
        guard let tools = versions.tools, let module = versions.module else {
            return .fail(
                expected: "tools and module",
                actual: "tools \(versions.tools?.text ?? "missing"), module \(versions.module?.text ?? "missing")",
                remedy: "modprobe zfs, and read its message")
        }
        guard tools == module else {
            return .warn(
                expected: "the same version", actual: "tools \(tools), module \(module)",
                remedy: "reboot; if that does not help, the module for this kernel was not built: dkms status")
        }
        return .ok("\(tools)")
    }

    /// Images are made with `sync=disabled`, which must not stay. Source: zfsprops(7), OpenZFS 2.4.
    @Sendable private static func sync(_ context: CheckContext) async throws -> CheckOutcome {
        guard let root = try await context.rootDataset(), let pool = try await context.pool() else { return noPool }
        let disabled = try await context.datasets(pool).filter { $0.type == "filesystem" && $0["sync"] == "disabled" }.map(\.name)
        guard let first = disabled.first else { return .ok("sync is disabled nowhere in \(pool)") }
        let actual = "sync=disabled: \(disabled.joined(separator: ", "))"
        let remedy = "zfs inherit sync \(first)"
        // Somebody may want it for data that can be lost.
        guard disabled.contains(root) || disabled.contains(pool.text) else {
            return .warn(expected: "sync=standard", actual: actual, remedy: remedy)
        }
        return .fail(expected: "sync=standard", actual: actual, remedy: remedy)
    }

    @Sendable private static func encryption(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        guard let root = try await context.rootDataset(), let pool = try await context.pool() else { return noPool }
        let value = try await context.datasets(pool).first { $0.name == root }?["encryption"] ?? "off"
        guard (value != "off") == manifest.encrypted else {
            return .fail(
                expected: manifest.encrypted ? "encryption on \(root)" : "no encryption", actual: "encryption=\(value)",
                remedy: "encryption cannot be changed afterwards: install again, or send the datasets into an encrypted pool")
        }
        return .ok("encryption=\(value)")
    }
}
