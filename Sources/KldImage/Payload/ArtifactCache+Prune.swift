public import KldCore
import KldExec
import KldFiles
import SystemPackage

extension ArtifactCache {
    /// Something that was built and is kept.
    public struct Entry: Sendable, Hashable, Codable {
        /// `target`, `live`, `modules`, …
        public var kind: String
        public var key: String
        public var size: ByteCount
        /// Since 1970; `nil` for what was begun and never finished, or never used again.
        public var used: Int64?
        /// Left by a build that was killed, or still being built.
        public var partial: Bool

        public var name: String { "\(kind)/\(key)" }
    }

    /// Folders whose content is addressed by what went into it. Others in the cache belong to builds under way, or are records.
    static let kinds = ["modules", "target", "stream", "increment", "template", "live", "live-image", "netboot", "mirror", "probe"]
    /// A build may be using what it began with this long ago, in seconds: nothing younger is ever removed.
    public static let leastAge: Int64 = 86_400

    /// Runs: `du --block-size=1 --max-depth=2 ROOT`, `stat --format=%Y FILE…`; reads.
    /// - Returns: oldest use first.
    public func entries() async throws -> [Entry] {
        guard try files.exists(root) else { return [] }
        let sizes = try await runner.run(
            Command(Tool("du", package: "coreutils"), ["--block-size=1", "--max-depth=2", root.string], effect: .reads, accepting: [0, 1])
        ).output.lines.reduce(into: [String: UInt64]()) { sizes, line in
            let fields = line.split(separator: "\t")
            if fields.count == 2, let size = UInt64(fields[0]) { sizes[String(fields[1])] = size }
        }
        var entries: [Entry] = []
        for kind in Self.kinds {
            let folder = root.appending(kind)
            guard try files.exists(folder) else { continue }
            for name in try files.folders(in: folder) {
                let partial = name.hasPrefix(".") && name.hasSuffix(".partial")
                let key = partial ? String(name.dropFirst().dropLast(".partial".count)) : name
                var used = partial ? nil : try await time(record(kind, key))
                // Built, and not used since.
                if used == nil, !partial { used = try await time(folder.appending(name)) }
                entries.append(
                    Entry(
                        kind: kind, key: key, size: ByteCount(sizes[folder.appending(name).string] ?? 0), used: used, partial: partial))
            }
        }
        return entries.sorted { ($0.used ?? 0, $0.name) < ($1.used ?? 0, $1.name) }
    }

    private func time(_ path: FilePath) async throws -> Int64? {
        guard try files.exists(path) else { return nil }
        return Int64(
            try await runner.run(Command(Tool("stat", package: "coreutils"), ["--format=%Y", path.string], effect: .reads)).output.trimmed)
    }

    /// What could go: not used for so long, or left by a build that nobody is at any more.
    ///
    /// - Parameter age: in seconds; less than ``leastAge`` counts as that.
    public func prunable(olderThan age: Int64, now: Int64) async throws -> [Entry] {
        try await entries().filter { entry in
            if entry.partial { return !isBeingBuilt(entry) }
            return (entry.used ?? now) <= now - max(age, Self.leastAge)
        }
    }

    /// Whether somebody holds the lock under which it is built.
    private func isBeingBuilt(_ entry: Entry) -> Bool {
        do {
            _ = try FileLock(lock(entry.kind, entry.key))
            return false
        } catch { return true }
    }

    /// Reads everything that is kept, and compares it with what was written: a disk may lose what it keeps without any file's time changing.
    ///
    /// Runs: what ``entries()`` runs, and `sha256sum --check` in each folder; reads. What is damaged is built again when it is needed.
    /// - Parameter each: told of each folder before it is read.
    /// - Returns: what is damaged.
    public func verify(_ each: (Entry) -> Void = { _ in }) async throws -> [Entry] {
        var damaged: [Entry] = []
        for entry in try await entries() where !entry.partial {
            let folder = root.appending(entry.kind).appending(entry.key)
            guard try files.exists(folder.appending(Self.sums)) else { continue }
            each(entry)
            if try await hasItsContent(folder) { continue }
            damaged.append(entry)
            try files.remove(record(entry.kind, entry.key))
        }
        return damaged
    }

    /// Removes it, under its lock. What is being built stays.
    public func remove(_ entry: Entry) throws {
        let lock = try FileLock(lock(entry.kind, entry.key))
        defer { withExtendedLifetime(lock) {} }
        try files.remove(root.appending(entry.kind).appending(entry.partial ? ".\(entry.key).partial" : entry.key))
        if !entry.partial { try files.remove(record(entry.kind, entry.key)) }
    }
}
