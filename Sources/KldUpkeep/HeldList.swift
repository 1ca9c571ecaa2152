import KldBootEnv
import KldCore
public import KldExec
import KldFiles
public import KldPackages
import SystemPackage

/// What is held on this machine, by whom, and what waits for it.
public struct HeldList: Sendable, Hashable, Codable {
    public struct Row: Sendable, Hashable, Codable {
        public var name: String
        public var installed: String?
        /// What would be installed if it were not held; `nil`: nothing newer is known.
        public var waiting: String?
        /// Held by kldload: kernel, OpenZFS, boot loader. Others are a person's.
        public var ours: Bool
    }

    public var rows: [Row]
    /// Installed packages that kldload should hold, and that are free to move.
    public var free: [String]

    /// Reads the running system. Runs, of apt: `apt-mark showhold`, `dpkg-query --show`, `apt-get -s --ignore-hold full-upgrade`; reads.
    /// Of apk, without new packages that those need: `apk version --limit '<'`.
    public static func gather(_ upkeep: Upkeep) async throws -> HeldList {
        let packages = try PackageRoot("/", name: "this system", upkeep)
        let (installed, held) = (try await packages.installed(), try await packages.held())
        let ours = packages.ours(installed)
        var waiting: [String: String] = [:]
        if let preview = packages.manager.previewUpgrade(moving: held.sorted()) {
            let transaction = try? await packages.preview(preview, installed)
            for change in transaction?.changes ?? [] { waiting[change.name] = change.new }
        }
        let versions = Dictionary(installed.map { (PackageRoot.plain($0.key), $0.value) }, uniquingKeysWith: { $1 })
        return HeldList(
            rows: held.sorted().map { name in
                Row(name: name, installed: versions[PackageRoot.plain(name)], waiting: waiting[name], ours: ours.contains(name))
            }, free: ours.filter { !held.contains($0) })
    }
}

extension PackageWork {
    /// What would be done, by the lists that the running system has; for who only looks.
    public func preview(_ request: Request) async throws -> PackageTransaction {
        let packages = try PackageRoot("/", name: "this system", upkeep)
        guard request.change == .upgrade, request.held != .stay else { return try await packages.preview(request.change) }
        let (installed, held) = (try await packages.installed(), try await packages.held())
        let moving = request.held == .all ? held : held.intersection(packages.ours(installed))
        guard let preview = packages.manager.previewUpgrade(moving: moving.sorted()) else {
            return try await packages.preview(request.change)
        }
        return try await packages.preview(preview, installed)
    }

    /// For a person: what the package manager says. - Returns: as it printed it.
    public func ask(_ command: (any PackageManager) -> Command) async throws -> String {
        let packages = try PackageRoot("/", name: "this system", upkeep)
        return try await packages.run(command(packages.manager)).output
    }

    /// Installed packages with their versions, by name.
    public func installed() async throws -> [PackageHold.Package] {
        try await PackageRoot("/", name: "this system", upkeep).installed().map { PackageHold.Package($0.key, version: $0.value) }
            .sorted { $0.name < $1.name }
    }

    /// Reads the archive's lists anew, for the running system. - Throws: ``Diagnosis`` `upkeep.archive`.
    public func refresh() async throws {
        try await PackageRoot("/", name: "this system", upkeep).refresh()
    }

    /// Holds packages of the running system, or lets go of them, and reads back that it is so.
    ///
    /// - Parameter force: lets go of those too that kldload holds: `kupgrade --kernel` moves them.
    /// - Returns: everything that is held now.
    /// - Throws: ``Diagnosis`` `upkeep.protected`, `upkeep.not-installed`, `upkeep.holds`.
    public func hold(_ names: [String], _ wanted: Bool, force: Bool) async throws -> [String] {
        let packages = try PackageRoot("/", name: "this system", upkeep)
        let installed = try await packages.installed()
        let known = Set(installed.keys.map(PackageRoot.plain))
        if let absent = names.first(where: { !known.contains(PackageRoot.plain($0)) }) {
            throw Diagnosis(
                "upkeep.not-installed", "\(absent) is not installed", remedies: ["kldload kpkg list says what is"], exit: .inputMissing)
        }
        if wanted { return try await packages.secure(names, installed) }
        let ours = Set(packages.ours(installed)).intersection(names).sorted()
        guard ours.isEmpty || force else {
            throw Diagnosis(
                "upkeep.protected",
                "kldload holds \(ours.joined(separator: ", ")): kernel, OpenZFS and boot loader move together or not at all",
                remedies: [
                    "move them in an environment that does not run: kldload kupgrade --kernel", "let go of them all the same: --yes",
                ],
                exit: .failed)
        }
        try await packages.release(names)
        let held = try await packages.held()
        if let still = names.first(where: { held.contains($0) }) {
            throw Diagnosis("upkeep.holds", "\(still) is held still", remedies: ["look at what the package manager says"])
        }
        return held.sorted()
    }
}
