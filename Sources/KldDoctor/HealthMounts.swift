import KldBlock
import KldCore
import KldExec
import KldFiles
import KldZFS
import SystemPackage

extension Check {
    static let healthOfMounts: [Check] = [
        Check("zfs.mounts.covered", "nothing is mounted over a dataset", .high, covered),
        Check("zfs.mounts.writable", "what must be written to can be", .critical, writable),
        Check("boot.place", "/boot belongs to the boot environment", .high, bootPlace),
    ]

    @Sendable private static func covered(_ context: CheckContext) async throws -> CheckOutcome {
        let mounts = try context.files.mountInfo()
        let datasets = mounts.filter { $0.type == "zfs" }
        let hidden = datasets.compactMap { mount in mount.cover(in: mounts).map { (mount, $0) } }
        guard hidden.isEmpty else {
            return .fail(
                expected: "every dataset to be seen at its mount point",
                actual: hidden.map { "\($0.source) at \($0.place) is hidden by \($1.source) (\($1.type)) at \($1.place)" }
                    .joined(separator: "; "),
                remedy: "umount what lies on top: " + hidden.map { "umount \($0.1.place)" }.joined(separator: "; "))
        }
        return .ok("\(datasets.count) datasets, none covered")
    }

    @Sendable private static func writable(_ context: CheckContext) async throws -> CheckOutcome {
        guard let pool = try await context.pool() else { return noPool }
        let own = try await context.datasets(pool).filter { $0["canmount"] == "on" || $0["mountpoint"] == "/" }.map(\.name)
        let mounts = try context.files.mountInfo().filter { $0.type == "zfs" && own.contains($0.source) }
        let closed = mounts.filter(\.isReadOnly)
        guard closed.isEmpty else {
            return .fail(
                expected: "read and write", actual: "read-only: " + closed.map { "\($0.source) at \($0.place)" }.joined(separator: ", "),
                remedy: "zfs get readonly \(closed.map(\.source).joined(separator: " ")); zpool get readonly \(pool); "
                    + "mount -o remount,rw the place")
        }
        return .ok("\(mounts.count) datasets")
    }

    @Sendable private static func bootPlace(_ context: CheckContext) async throws -> CheckOutcome {
        guard let root = try await context.rootDataset() else { return noPool }
        guard let mount = try context.files.mountInfo().last(where: { $0.place == "/boot" }),
            !(mount.type == "zfs" && mount.source.hasPrefix("\(root)/"))
        else { return .ok("a part of \(root)") }
        return .fail(
            expected: "/boot in \(root)", actual: "\(mount.source) (\(mount.type)) is mounted there",
            remedy: "umount /boot, and take it out of /etc/fstab: kernels must come and go with their environment")
    }
}
