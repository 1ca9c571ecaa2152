import KldCore
public import KldFiles
public import KldPlan
public import KldZFS
public import SystemPackage

/// `kdir`: a folder that is a dataset of its own, with its own snapshots and quota.
public enum DirectoryDataset {
    /// - Parameters:
    ///   - paths: absolute; each one's folder must be a dataset's mount point.
    ///   - parents: make datasets of folders above that are not there, too; they get no options.
    ///   - options: properties of the new datasets, `NAME=VALUE`.
    /// - Throws: ``Diagnosis`` `directory.parent`, `directory.relative`, `directory.option`, `directory.is-dataset`, `directory.not-folder`,
    ///   `directory.not-empty`, `dataset.exists`, `dataset.locked`; ``NameError``; ``FileError``.
    ///
    /// Runs: `zfs create [-o mountpoint=PATH] [-o …] NAME` for each, changes.
    public static func plan(
        _ paths: [FilePath], parents: Bool, options: [String], storage: Storage, files: any FileSystem
    ) throws -> (plan: Plan, names: [DatasetName]) {
        var properties: ZFSProperties = [:]
        for option in options {
            let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty, parts[0] != "mountpoint" else {
                throw Diagnosis(
                    "directory.option", "'\(option)' is no property that can be set here",
                    remedies: ["-o NAME=VALUE, as zfs create takes it: -o recordsize=1M", "the path is the mount point"], exit: .usage)
            }
            properties[parts[0]] = parts[1]
        }
        var storage = storage
        var steps: [Step] = []
        var names: [DatasetName] = []
        func add(_ given: FilePath, _ properties: ZFSProperties) throws {
            guard given.isAbsolute, !given.components.isEmpty else {
                throw Diagnosis("directory.relative", "\(given) is no absolute path", remedies: ["begin it with /"], exit: .usage)
            }
            var path = given.lexicallyNormalized()
            let folder = path.removingLastComponent()
            if try files.status(folder) != nil, let leaf = path.lastComponent { path = try files.resolve(folder).appending(leaf) }
            try storage.refuseTaken(path, files)
            if parents, try storage.placement(of: path) == nil {
                let above = path.removingLastComponent()
                if !above.components.isEmpty { try add(above, [:]) }
            }
            guard let place = try storage.placement(of: path) else {
                throw Diagnosis(
                    "directory.parent", "\(path.removingLastComponent()) is no dataset's mount point",
                    remedies: ["make datasets of the folders above too: kldload kdir -p \(path)", "see what is where: kldload kdf"],
                    exit: .usage)
            }
            steps.append(
                Step(
                    "directory.create", "Make \(place.name) at \(path)",
                    [.run(ZFS.create(place.name, properties: place.properties.merging(properties)))]))
            names.append(place.name)
            storage.datasets.append(Storage.Dataset(name: place.name.text, mountpoint: path.string, isMounted: true))
            storage.mounts.append(MountInfo(dataset: place.name.text, at: path.string))
        }
        for path in paths { try add(path, properties) }
        return (Plan("make \(names.count) datasets", [Phase("directory", "Datasets", steps)]), names)
    }
}
