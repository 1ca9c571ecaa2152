import KldCore
import KldExec
import KldFiles
import KldZFS
import SystemPackage

extension Check {
    static let layout: [Check] = [
        Check("zfs.layout", "every dataset is there, and mounted where it must be", .high, datasets),
        Check("zfs.layout.hidden", "no files lie hidden below mount points", .medium, hiddenFiles),
    ]

    static func tree(_ context: CheckContext) async throws -> DatasetTree? {
        guard let root = try await context.rootDataset(), let pool = try await context.pool() else { return nil }
        let environment = root.split(separator: "/").last.map(String.init) ?? ""
        let user = context.manifest.flatMap { $0.sealed ? nil : $0.username }
        return try DatasetTree.standard(pool: pool, bootEnvironment: environment, user: user)
    }

    @Sendable private static func datasets(_ context: CheckContext) async throws -> CheckOutcome {
        guard let tree = try await tree(context) else { return noPool }
        let found = Dictionary(try await context.datasets(tree.pool).map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        var problems: [String] = []
        for entry in tree.entries {
            guard let dataset = found[entry.name.text] else {
                problems.append("\(entry.name) is missing")
                continue
            }
            if let wanted = entry.properties["canmount"], dataset["canmount"] != wanted {
                problems.append("\(entry.name) has canmount=\(dataset["canmount"] ?? "-"), not \(wanted)")
            }
            if let mountpoint = entry.mountpoint {
                if dataset["mountpoint"] != mountpoint {
                    problems.append("\(entry.name) belongs at \(mountpoint), not \(dataset["mountpoint"] ?? "-")")
                }
                if dataset["mounted"] != "yes" { problems.append("\(entry.name) is not mounted") }
            }
        }
        // Other boot environments, and nothing else, may want to be the root: mounted by themselves they would cover it.
        for dataset in found.values.sorted(by: { $0.name < $1.name })
        where dataset["mountpoint"] == "/" && dataset["canmount"] == "on" && dataset.name != tree.root.text {
            problems.append("\(dataset.name) would mount itself over the root")
        }
        guard problems.isEmpty else {
            return .fail(
                expected: "\(tree.entries.count) datasets in place", actual: problems.joined(separator: "; "),
                remedy: "zfs mount -a, zfs set mountpoint=… or zfs create, as named here")
        }
        return .ok("\(tree.entries.count) datasets in place")
    }

    /// Looks below mount points without unmounting anything: the snapshot of the fresh installation shows each dataset bare.
    @Sendable private static func hiddenFiles(_ context: CheckContext) async throws -> CheckOutcome {
        guard let tree = try await tree(context) else { return noPool }
        var hidden: [String] = []
        var looked = 0
        for place in CoveredPlace.all(of: tree.mountpoints) {
            let snapshot = (place.holder == "/" ? "" : place.holder) + "/.zfs/snapshot/install"
            guard try context.exists(snapshot) else { continue }
            looked += 1
            let names = try context.names(in: snapshot + place.below)
            if !names.isEmpty { hidden.append("\(place.point) hides \(names.prefix(3).joined(separator: ", "))") }
        }
        guard looked > 0 else { return .skip("there is no snapshot 'install' to look below mount points") }
        guard hidden.isEmpty else {
            return .fail(
                expected: "empty folders below \(looked) mount points", actual: hidden.joined(separator: "; "),
                remedy: "bind-mount / elsewhere and move the hidden files into the datasets")
        }
        return .ok("nothing below \(looked) mount points")
    }
}
