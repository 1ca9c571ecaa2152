import KldBlock
import KldCore
import KldExec
import KldFiles
import KldZFS
import SystemPackage

/// What no mount shows is not sealed: a copy that holds such files is refused.
extension CopySeal {
    /// Where a mounted file system is seen without what is mounted on it.
    private static let bare: FilePath = "/run/kldload/bare"
    private static let unmounted: FilePath = "/run/kldload/unmounted"

    /// Refuses what is encrypted: its keys are the owner's, so nobody loads them here, and what cannot be mounted cannot be sealed.
    ///
    /// Runs: `zfs list`, reads. Source: zfsprops(7) `keystatus`, OpenZFS 2.4.
    /// - Throws: ``Diagnosis`` `image.encrypted-source`.
    static func refuseLocked(in pool: PoolName, _ runner: any CommandRunner) async throws {
        let all = try await datasets(of: pool, ["name", "encryption", "keystatus"], ["filesystem", "volume"], runner)
        let locked = all.filter { $0["keystatus"] == "unavailable" }
        guard locked.isEmpty else {
            throw Diagnosis(
                "image.encrypted-source",
                "sealing cannot look inside an encrypted dataset whose key is not loaded, and it has no key of the source's",
                remedies: [
                    "export it as it is: --no-seal; the image then has every identity and secret, and opens with the source's passphrase",
                    "or, on the source, move what is encrypted to another machine or destroy it, and export it again",
                ], exit: .badAnswers, causes: locked.map { "\($0.name) is encrypted: \($0["encryption"] ?? "on")" })
        }
    }

    /// Looks at a copy of which everything is mounted that mounts itself, and of which nothing is locked.
    ///
    /// Runs: `zfs list`, reads; for each file system with `canmount=off` `mount -t zfs -o ro,zfsutil NAME FOLDER`, for each that others are
    /// mounted on `mount --bind PLACE FOLDER`, and `umount FOLDER`. Source: mount.zfs(8), OpenZFS 2.4; mount(8): a bind mount alone shows
    /// nothing of what is mounted below.
    /// - Throws: ``Diagnosis`` `image.unmounted`, `image.hidden`.
    static func refuseUnseen(in pool: PoolName, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        let all = try await datasets(
            of: pool, ["name", "type", "mounted", "canmount", "mountpoint"], ["filesystem", "volume"], runner)
        var left: [String] = []
        for entry in all where entry["mounted"] != "yes" {
            // Most of them are there for the names of others only, and empty.
            guard entry.type == "filesystem", entry["canmount"] == "off" else {
                left.append("\(entry.type ?? "") \(entry.name)")
                continue
            }
            let options = entry["mountpoint"] == "legacy" ? ["ro"] : ["ro", "zfsutil"]
            let found = try await look(
                MountCommand.mount(entry.name, at: unmounted, type: "zfs", options: options), at: unmounted, runner, files
            ) { try firstFiles(in: unmounted, files) }
            if !found.isEmpty { left.append("filesystem \(entry.name), with \(found.joined(separator: ", "))") }
        }
        guard left.isEmpty else {
            throw Diagnosis(
                "image.unmounted", "the copy holds what is not mounted when it starts; secrets in there would stay in the image",
                remedies: [
                    "on the source, if it is not needed: destroy it; if it is a file system of the machine's: zfs set canmount=on NAME",
                    "or move it to another machine: zfs send … | zfs receive …",
                ], exit: .badAnswers, causes: left)
        }
        try await refuseHidden(all, runner, files)
    }

    /// Files that were written before something was mounted over them.
    private static func refuseHidden(_ all: [DatasetEntry], _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        let names = Dictionary(
            all.filter { $0["mounted"] == "yes" }.compactMap { entry in entry["mountpoint"].map { ($0, entry.name) } },
            uniquingKeysWith: { first, _ in first })
        let covered = Dictionary(grouping: CoveredPlace.all(of: names.keys.sorted()), by: \.holder)
        var hidden: [String] = []
        for (holder, places) in covered.sorted(by: { $0.key < $1.key }) {
            hidden += try await look(MountCommand.bind(holder, at: bare), at: bare, runner, files) {
                try places.flatMap { place in
                    try firstFiles(in: FilePath("\(bare)\(place.below)"), files).map { "\(names[holder] ?? ""): \(place.below)/\($0)" }
                }
            }
        }
        guard hidden.isEmpty else {
            throw Diagnosis(
                "image.hidden", "files lie hidden below mount points of the copy; secrets among them would stay in the image",
                remedies: ["on the source, move or remove them; this shows those of the root: mount --bind / /mnt"], exit: .badAnswers,
                causes: hidden)
        }
    }

    private static func look<Found>(
        _ mount: Command, at place: FilePath, _ runner: any CommandRunner, _ files: any FileSystem, _ body: () throws -> Found
    ) async throws -> Found {
        try files.makeDirectory(place, mode: 0o700)
        try await runner.run(mount)
        let found = Result { try body() }
        try await runner.run(MountCommand.unmount(place, recursive: false))
        return try found.get()
    }

    /// Three of a tree's files at most; folders alone hold nothing.
    private static func firstFiles(in folder: FilePath, _ files: any FileSystem) throws -> [String] {
        var found: [String] = []
        func walk(_ folder: FilePath, _ prefix: String) throws {
            for name in try files.list(folder) where found.count < 3 {
                let path = folder.appending(name)
                if try files.status(path)?.kind == .directory {
                    try walk(path, "\(prefix)\(name)/")
                } else {
                    found.append("\(prefix)\(name)")
                }
            }
        }
        if try files.status(folder)?.kind == .directory { try walk(folder, "") }
        return found
    }
}
