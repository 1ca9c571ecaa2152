import KldBlock
import KldCore
import KldExec

extension Check {
    static let healthOfDisks: [Check] = [
        Check("disks.smart", "no disk expects to fail", .critical, smart)
    ]

    @Sendable private static func smart(_ context: CheckContext) async throws -> CheckOutcome {
        let listed = try ListBlockDevices.parse(try await context.read(ListBlockDevices.command).output)
        // Paravirtual disks, volumes and loop devices have nothing to tell.
        let disks = listed.filter { $0.type == "disk" && ($0.name.hasPrefix("sd") || $0.name.hasPrefix("nvme")) }
        guard !disks.isEmpty else { return .skip("no disk here could tell") }
        let found: [(path: String, health: DiskHealth)]
        do {
            found = try await withThrowingTaskGroup(of: (String, DiskHealth).self) { group in
                for disk in disks {
                    group.addTask { (disk.path, DiskHealth.parse(try await context.read(DiskHealth.command(disk.path)).output)) }
                }
                return try await group.reduce(into: []) { $0.append((path: $1.0, health: $1.1)) }
            }
        } catch CommandError.toolMissing { return .skip("smartctl is not installed") }
        let sorted = found.sorted { $0.path < $1.path }
        let remedy = "zpool replace it while it can still be read; smartctl --xall DEVICE says more"
        func text(_ path: KeyPath<DiskHealth, [String]>) -> String {
            sorted.filter { !$0.health[keyPath: path].isEmpty }.map { "\($0.path): \($0.health[keyPath: path].joined(separator: ", "))" }
                .joined(separator: "; ")
        }
        if sorted.contains(where: { !$0.health.failures.isEmpty }) {
            return .fail(expected: "SMART status passed", actual: text(\.failures), remedy: remedy)
        }
        if sorted.contains(where: { !$0.health.warnings.isEmpty }) {
            return .warn(expected: "no sectors that wait, life left", actual: text(\.warnings), remedy: remedy)
        }
        let known = sorted.filter(\.health.isKnown)
        return known.isEmpty ? .skip("no disk here has SMART") : .ok("\(known.count) of \(sorted.count) disks passed")
    }
}
