import KldCore
import KldFiles
import KldPlan
import SystemPackage

/// A folder below the cache's `work/` for one guest and its disks, which goes when the work is done.
///
/// When the guest failed, its console's log stays, and nothing else. What the process of a build left that was killed goes with the next
/// work: see ``OwnFolder``.
struct WorkFolder {
    /// Of the guest that runs in this folder: its sockets, its console.
    static let guest = "guest"
    private static let console = "console.log"

    /// - Parameters:
    ///   - name: what the folder's name begins with.
    ///   - cache: the root of the cache.
    static func with<Result>(
        _ name: String, in cache: FilePath, report: (PlanEvent) -> Void, _ body: (FilePath) async throws -> Result
    ) async throws -> Result {
        let files = LocalFiles()
        let folder = cache.appending("work").appending("\(name)-\(UInt32.random(in: 0 ... .max))")
        let (place, gate) = (folder.removingLastComponent(), cache.appending("locks/work"))
        try await OwnFolder.sweep(((try? files.list(place)) ?? []).map { place.appending($0) }, gate: gate) {
            report(PlanEvent(.line, message: "removed what work that was killed had left: \($0)"))
        }
        let own = try await OwnFolder.make(folder, mode: 0o700, gate: gate)
        defer { withExtendedLifetime(own) {} }
        do {
            let result = try await body(folder)
            try own.remove()
            return result
        } catch {
            try? clear(folder, keepingLog: !Task.isCancelled && !(error is CancellationError), files, report)
            throw error
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
