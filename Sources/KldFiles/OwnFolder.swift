package import SystemPackage

/// A folder that goes with what it was made for. What a process left that was killed goes with a later one: such a folder still has its lock,
/// which nobody holds.
package struct OwnFolder: Sendable {
    package let path: FilePath
    private let held: FileLock

    private static let lock = "lock"

    /// - Parameter gate: a lock that all who make or sweep folders in one place take for a moment: between a folder and its own lock it looks
    ///   like a left one.
    /// - Throws: ``FileError``; `CancellationError`.
    package static func make(_ path: FilePath, mode: ModeBits, gate: FilePath) async throws -> OwnFolder {
        let gate = try await FileLock.acquire(gate) {}
        return try withExtendedLifetime(gate) {
            try LocalFiles().makeDirectory(path, mode: mode)
            return OwnFolder(path: path, held: try FileLock(path.appending(lock)))
        }
    }

    /// Removes those that nobody has any more. - Parameter removed: called for each.
    package static func sweep(_ folders: [FilePath], gate: FilePath, removed: (FilePath) -> Void) async throws {
        let (files, gate) = (LocalFiles(), try await FileLock.acquire(gate) {})
        withExtendedLifetime(gate) {
            for path in folders {
                guard (try? files.exists(path.appending(lock))) == true, let free = try? FileLock(path.appending(lock)) else { continue }
                withExtendedLifetime(free) {
                    if (try? files.remove(path)) != nil { removed(path) }
                }
            }
        }
    }

    /// - Throws: ``FileError``.
    package func remove() throws { try LocalFiles().remove(path) }

    /// It is nobody's any more, and stays.
    package func keep() { try? LocalFiles().remove(path.appending(Self.lock)) }
}
