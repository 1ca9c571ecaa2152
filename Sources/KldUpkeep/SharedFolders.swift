import KldCore
import KldExec
import KldFiles
import KldPlan
import SystemPackage

/// What all environments of a machine share: logs, spools, `/opt`, the state of some services. A package that is changed in an environment that
/// does not run finds these folders empty; what it puts there must reach the place where it will be looked for.
struct SharedFolders: Sendable, Hashable {
    /// Mount points, parents before children.
    var places: [String]
    /// What is there in the environment and nowhere else yet: folders whole, files.
    var missing: [String] = []
    /// Files that a package has changed, of which the running system has another.
    var differing: [String] = []
    /// What a run that was cut off has copied by halves.
    var unfinished: [String] = []

    /// Nothing of a package lies there that anybody would miss, or may be put there by one.
    private static let unshared = ["/var/cache", "/var/tmp", "/tmp", "/home", "/root"]
    /// What grows by itself differs, and that is no conflict.
    private static let growing = ["/var/log", "/var/spool"]

    /// - Parameters:
    ///   - pool: of which datasets are looked for.
    ///   - environment: the running one; what lies below it travels with it.
    init(pool: String, environment: String, mounts: [MountPoint]) {
        let found = mounts.filter { mount in
            mount.type == "zfs" && mount.source.hasPrefix(pool + "/") && mount.place != "/" && mount.source != environment
                && !mount.source.hasPrefix(environment + "/") && !mount.place.hasPrefix("/run/")
        }
        places = Set(found.map(\.place)).sorted()
    }

    private static func isWithin(_ path: String, _ folders: [String]) -> Bool {
        folders.contains { path == $0 || path.hasPrefix($0 + "/") }
    }

    /// Compares what lies below an environment's mount points with what is mounted there.
    mutating func compare(with root: FilePath, _ files: any FileSystem) throws {
        for place in places where !Self.isWithin(place, Self.unshared) { try compare(place, root, files) }
    }

    private mutating func compare(_ folder: String, _ root: FilePath, _ files: any FileSystem) throws {
        let inner = FilePath(root.string + folder)
        let there = (try? files.list(FilePath(folder))) ?? []
        unfinished += there.filter { $0.hasPrefix(".") && $0.hasSuffix(Self.freshEnd) }.map { "\(folder)/\($0)" }
        for name in (try? files.list(inner)) ?? [] {
            let path = "\(folder)/\(name)"
            // It has a turn of its own.
            if places.contains(path) { continue }
            guard let own = try files.status(inner.appending(name)) else { continue }
            guard let other = try files.status(FilePath(path)) else {
                missing.append(path)
                continue
            }
            switch (own.kind, other.kind) {
            case (.directory, .directory): try compare(path, root, files)
            case (.file, .file) where !Self.isWithin(path, Self.growing):
                if try own.size != other.size || files.read(inner.appending(name)) != files.read(FilePath(path)) { differing.append(path) }
            default: break
            }
        }
    }

    /// - Throws: ``Diagnosis`` `upkeep.shared`.
    func check(_ name: String) throws(Diagnosis) {
        guard !differing.isEmpty else { return }
        throw Diagnosis(
            "upkeep.shared",
            "packages change files that all environments share: in \(name) they would be another version than the package says",
            remedies: ["do it in the running environment, with a snapshot before: --in-place"], exit: .unavailable,
            causes: Array(differing.prefix(8)))
    }

    /// Adds what is missing where it is looked for; nothing that is there is touched. Whatever cuts it off, no half of a file or folder has its
    /// name: the next run would take it for another version.
    ///
    /// Runs, for each: `cp --archive --no-target-directory FROM FRESH`, `sync --file-system FOLDER`, `mv --force --no-target-directory FRESH TO`;
    /// changes. Of the folder: sync(1) follows links, and one may lead nowhere yet.
    /// Source: cp(1), mv(1), sync(1), coreutils 9.1.
    func adding(from root: FilePath) -> Plan {
        var steps: [Step] = []
        if !unfinished.isEmpty {
            steps.append(
                Step("upkeep.shared.clear", "Remove what an earlier run copied by halves", unfinished.map { .remove(FilePath($0)) }))
        }
        steps += missing.enumerated().map { index, path in
            let (target, fresh) = (FilePath(path), Self.fresh(path))
            return Step(
                "upkeep.shared.\(index)", "Add \(path)",
                [
                    .run(FileCommand.copyTree(FilePath(root.string + path), to: fresh)),
                    .run(FileCommand.syncFileSystem(fresh.removingLastComponent())),
                    .run(FileCommand.renameExactly(fresh, to: target)),
                ], undo: [.remove(fresh)])
        }
        return Plan("add to shared folders", steps.isEmpty ? [] : [Phase("upkeep", "Upkeep", steps)])
    }

    private static let freshEnd = ".kldload-new"
    /// Beside the place, so that it is on the same file system, whatever is mounted around it.
    private static func fresh(_ path: String) -> FilePath {
        let path = FilePath(path)
        return path.removingLastComponent().appending(".\(path.lastComponent?.string ?? "")\(freshEnd)")
    }
}
