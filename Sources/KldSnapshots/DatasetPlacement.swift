import KldCore
import KldFiles
import KldZFS
import SystemPackage

/// Where a dataset for a path belongs.
struct DatasetPlacement: Sendable, Hashable {
    var name: DatasetName
    /// `nil`: it inherits the path.
    var mountpoint: String?

    var properties: ZFSProperties { mountpoint.map { ["mountpoint": $0] } ?? [:] }
}

extension Storage {
    /// The dataset that a new one for this path would lie below, and the path's folder above it.
    ///
    /// A path right below `/` belongs to the pool, not to the boot environment: what a boot environment holds goes back with it.
    private func parent(of path: FilePath) -> (dataset: Dataset, inherits: Bool)? {
        let above = path.removingLastComponent().string
        let mounted = mounts.last { $0.place == above }
        if let mounted, mounted.type == "zfs", !isBootEnvironment(mounted.source), let found = dataset(mounted.source) {
            return (found, found.mountpoint == above)
        }
        // Nothing else may cover it: a tmpfs on /tmp.
        let pool = root.map { String($0.prefix { $0 != "/" }) }
        if mounted == nil || mounted?.type == "zfs",
            let holder = datasets.first(where: { $0.isContainer && $0.mountpoint == above && (pool == nil || $0.pool == pool) })
        {
            return (holder, true)
        }
        if above == "/", let pool, let top = dataset(pool) { return (top, false) }
        return nil
    }

    /// - Parameter path: absolute, its folder without links.
    /// - Returns: `nil` where the folder above is no dataset's mount point.
    /// - Throws: ``Diagnosis`` `dataset.exists`, `dataset.locked`; ``NameError``.
    func placement(of path: FilePath) throws -> DatasetPlacement? {
        guard let (parent, inherits) = parent(of: path) else { return nil }
        try refuseLocked(parent)
        let leaf = path.lastComponent?.string ?? ""
        // A folder may be called what a dataset may not.
        let plain = Self.component(leaf)
        var name = try DatasetName(parent.name).appending(plain)
        if dataset(name.text) != nil, plain == leaf { throw Self.exists(name.text) }
        var number = 2
        while dataset(name.text) != nil {
            name = try DatasetName(parent.name).appending("\(plain)-\(number)")
            number += 1
        }
        return DatasetPlacement(name: name, mountpoint: inherits && name.leaf == leaf ? nil : path.string)
    }

    /// A name with what ZFS does not take written as `_`.
    static func component(_ text: String) -> String {
        var plain = String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.: ".contains($0)) ? $0 : "_" }).trimmed
        if plain.isEmpty || plain == "." || plain == ".." { plain = "_" }
        return plain
    }

    static func exists(_ name: String) -> Diagnosis {
        Diagnosis(
            "dataset.exists", "there is a dataset \(name) already",
            remedies: ["choose another name", "see where it is mounted: kldload kdf \(name)"],
            exit: .cannotCreate)
    }

    /// - Throws: ``Diagnosis`` `dataset.locked`.
    func refuseLocked(_ dataset: Dataset) throws(Diagnosis) {
        if dataset.isLocked {
            throw Diagnosis(
                "dataset.locked", "\(dataset.name) is encrypted and locked", remedies: ["unlock and mount it: zfs mount -l \(dataset.name)"]
            )
        }
    }

    /// Makes sure that nothing would be hidden by what is mounted at a path.
    ///
    /// - Throws: ``Diagnosis`` `directory.is-dataset`, `directory.not-folder`, `directory.not-empty`.
    func refuseTaken(_ path: FilePath, _ files: any FileSystem) throws {
        let known = mounts.last { $0.place == path.string }
        if let known {
            throw Diagnosis(
                "directory.is-dataset",
                known.type == "zfs" ? "\(path) is the dataset \(known.source) already" : "a \(known.type) is mounted at \(path)",
                remedies: ["choose another path", "see what is where: kldload kdf, findmnt"], exit: .cannotCreate)
        }
        if let other = datasets.first(where: { $0.mountpoint == path.string && !isBootEnvironment($0.name) }) {
            throw Diagnosis(
                "directory.is-dataset", "\(path) is the place of the dataset \(other.name), which is not mounted",
                remedies: other.isContainer ? ["it only holds others: make one below it"] : ["mount it: zfs mount \(other.name)"],
                exit: .cannotCreate)
        }
        guard let status = try files.status(path) else { return }
        guard status.kind == .directory else {
            throw Diagnosis(
                "directory.not-folder", "\(path) is there, and is no folder", remedies: ["choose another path"], exit: .cannotCreate)
        }
        guard try files.list(path).isEmpty else {
            throw Diagnosis(
                "directory.not-empty", "\(path) is a folder with something in it, which a dataset mounted there would hide",
                remedies: ["move it away, make the dataset, and move its content back: mv \(path) \(path).old"], exit: .cannotCreate)
        }
    }
}
