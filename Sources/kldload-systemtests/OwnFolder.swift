import KldFiles
import SystemPackage

/// A folder that goes with what it was made for. What a run that was killed left goes with the next run: it still has its lock, which nobody
/// holds.
struct OwnFolder: Sendable {
    let path: FilePath
    private let held: FileLock

    private static let lock = "lock"

    /// Those of scenarios lie below the cache; some have more elsewhere, by what their names begin with.
    static func scenarios(_ cache: FilePath) -> FilePath { cache.appending("systemtests") }
    private static let elsewhere: FilePath = "/var/tmp"
    private static let names = ["kldload-interrupted-", "kldload-another place-"]

    static func make(_ path: FilePath, mode: ModeBits, in cache: FilePath) async throws -> OwnFolder {
        let gate = try await entrance(cache)
        return try withExtendedLifetime(gate) {
            try LocalFiles().makeDirectory(path, mode: mode)
            return OwnFolder(path: path, held: try FileLock(path.appending(lock)))
        }
    }

    func remove() { try? LocalFiles().remove(path) }

    /// It is nobody's any more, and stays.
    func keep() { try? LocalFiles().remove(path.appending(Self.lock)) }

    /// Removes what killed runs have left.
    static func sweep(_ cache: FilePath) async throws {
        let (files, gate) = (LocalFiles(), try await entrance(cache))
        func folders(_ place: FilePath) -> [FilePath] { ((try? files.list(place)) ?? []).map { place.appending($0) } }
        let others = folders(elsewhere).filter { path in names.contains { path.lastComponent?.string.hasPrefix($0) == true } }
        withExtendedLifetime(gate) {
            for path in folders(scenarios(cache)) + others {
                let file = path.appending(lock)
                guard (try? files.exists(file)) == true, let free = try? FileLock(file) else { continue }
                withExtendedLifetime(free) {
                    if (try? files.remove(path)) != nil { say("removed what a run that was killed had left: \(path)") }
                }
            }
        }
    }

    /// Between a folder and its lock it looks like a left one.
    private static func entrance(_ cache: FilePath) async throws -> FileLock {
        try await FileLock.acquire(cache.appending("locks/systemtests")) {}
    }
}
