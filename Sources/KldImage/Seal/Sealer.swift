import KldCore
package import KldFiles
package import SystemPackage

/// Seals an installed root for cloning: takes out what clones must not share, and leaves word for their first boot.
///
/// Works on the mounted root of a system that does not run, or on a copy. Sealing a sealed root changes nothing.
/// Source: the operations of libguestfs' virt-sysprep(1), version 1.57, and what ZFS, Secure Boot and kldload add to them.
package struct Sealer: Sendable {
    package let root: FilePath
    private let files: any FileSystem
    private let options: SealOptions
    private let catalogue: [SealClass]

    /// - Parameter root: where the target is mounted, with every dataset and the ESP: a dataset that is not mounted is not sealed.
    package init(
        root: FilePath, files: any FileSystem, options: SealOptions = SealOptions(), catalogue: [SealClass] = SealCatalogue.classes
    ) {
        self.root = root
        self.files = files
        self.options = options
        self.catalogue = catalogue
    }

    /// What would be done. Changes nothing.
    ///
    /// - Throws: ``Diagnosis`` `seal.no-root` when there is no system below the root; ``FileError``.
    package func plan() throws -> SealPlan {
        guard try files.status(root.appending("etc"))?.kind == .directory else {
            throw Diagnosis(
                "seal.no-root", "\(root) holds no installed system: it has no folder etc",
                remedies: ["mount the target with all its datasets first"], exit: .inputMissing)
        }
        let tree = SealTree(root: root, files: files)
        var planner = try SealPlanner(tree: tree, options: options)
        var entries = catalogue.map { planner.entry(for: $0) }
        entries.append(try CloneState(options: options, catalogue: catalogue).entry(tree))
        return SealPlan(root: root, entries: entries)
    }

    /// Does what a plan says. One failure does not stop the rest: it is reported as left.
    package func apply(_ plan: SealPlan) throws -> SealReport {
        var report = SealReport(classes: [], unitsToEnable: try CloneState.unitsToEnable(SealTree(root: root, files: files)))
        report.renewals = CloneState.renewals(catalogue)
        let classes = Dictionary(catalogue.map { ($0.id, $0) }) { first, _ in first }
        for entry in plan.entries {
            var line = SealReport.Entry(id: entry.id, title: entry.title)
            line.found = entry.found.map(\.string)
            line.left = entry.left
            for action in entry.actions {
                do {
                    try action.apply(to: files)
                    line.done.append(action.text)
                } catch {
                    let problem = Diagnosis(of: error)
                    line.left.append(SealLeft(action.path, ([problem.message] + problem.causes).joined(separator: ": ")))
                }
            }
            line.conclude(classes[entry.id]?.kind)
            report.classes.append(line)
        }
        return report
    }

    /// Plans and applies.
    package func seal() throws -> SealReport { try apply(try plan()) }
}
