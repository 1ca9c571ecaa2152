import KldCore
import KldFiles
import KldPlan
import SystemPackage

/// A folder below the cache's `work/` for one guest and its disks, which goes when the work is done.
///
/// When the guest failed, its console's log stays, and nothing else. What the process of a build left that was killed goes with the next
/// work: such a folder still has its lock, which nobody holds.
struct WorkFolder {
    /// Of the guest that runs in this folder: its sockets, its console.
    static let guest = "guest"
    private static let lock = "lock"
    private static let console = "console.log"

    /// - Parameters:
    ///   - name: what the folder's name begins with.
    ///   - cache: the root of the cache.
    static func with<Result>(
        _ name: String, in cache: FilePath, report: (PlanEvent) -> Void, _ body: (FilePath) async throws -> Result
    ) async throws -> Result {
        let files = LocalFiles()
        let folder = cache.appending("work").appending("\(name)-\(UInt32.random(in: 0 ... .max))")
        let held = try await take(folder, in: cache, files, report)
        defer { withExtendedLifetime(held) {} }
        do {
            let result = try await body(folder)
            try files.remove(folder)
            return result
        } catch {
            try? clear(folder, keepingLog: !Task.isCancelled && !(error is CancellationError), files, report)
            throw error
        }
    }

    /// Makes the folder with its lock. Between those two it looks like a left one, so nobody else sweeps meanwhile.
    private static func take(
        _ folder: FilePath, in cache: FilePath, _ files: LocalFiles, _ report: (PlanEvent) -> Void
    ) async throws -> FileLock {
        let gate = try await FileLock.acquire(cache.appending("locks/work")) {}
        return try withExtendedLifetime(gate) {
            sweep(folder.removingLastComponent(), files, report)
            try files.makeDirectory(folder, mode: 0o700)
            return try FileLock(folder.appending(lock))
        }
    }

    private static func sweep(_ place: FilePath, _ files: LocalFiles, _ report: (PlanEvent) -> Void) {
        for name in (try? files.list(place)) ?? [] {
            let folder = place.appending(name)
            guard (try? files.exists(folder.appending(lock))) == true, let free = try? FileLock(folder.appending(lock)) else { continue }
            withExtendedLifetime(free) {
                guard (try? files.remove(folder)) != nil else { return }
                report(PlanEvent(.line, message: "removed what work that was killed had left: \(folder)"))
            }
        }
    }

    private static func clear(_ folder: FilePath, keepingLog: Bool, _ files: LocalFiles, _ report: (PlanEvent) -> Void) throws {
        let log = folder.appending(guest).appending(console)
        guard keepingLog, try files.exists(log) else { return try files.remove(folder) }
        for name in try files.list(folder) where name != guest { try files.remove(folder.appending(name)) }
        for name in try files.list(folder.appending(guest)) where name != console {
            try files.remove(folder.appending(guest).appending(name))
        }
        report(PlanEvent(.line, message: "the console of the guest is kept: \(log)"))
    }
}
