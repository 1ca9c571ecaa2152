import Glibc
import KldCore
public import SystemPackage

/// An exclusive lock on a file, held until the value goes away or the process ends (flock(2)).
public final class FileLock: Sendable {
    private let descriptor: FileDescriptor
    private let held: Bool

    /// - Throws: ``Diagnosis`` `lock.held` when another holds it; ``FileError``.
    public init(_ path: FilePath) throws {
        try LocalFiles().makeDirectory(path.removingLastComponent(), mode: .directory)
        do {
            // A link that somebody put there would make root create a file anywhere.
            descriptor = try FileDescriptor.open(
                path, .readWrite, options: [.create, .noFollow, .closeOnExec], permissions: [.ownerReadWrite])
        } catch let number as Errno {
            throw FileError(number, path, action: "lock")
        }
        held = flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0
        if held { return }
        // deinit closes the file: it runs after a throw too, now that everything is set. Closing here as well would close somebody else's.
        throw Diagnosis(
            "lock.held", "another kldload is at work here (\(path))", remedies: ["wait for it to end, or stop it"], exit: .tryAgain)
    }

    /// Waits until nobody else holds the lock. No thread waits with it, and cancelling the task ends it.
    ///
    /// - Parameter waiting: called once when somebody else holds it.
    /// - Throws: ``FileError``; `CancellationError`.
    public static func acquire(_ path: FilePath, waiting: () -> Void) async throws -> FileLock {
        var told = false
        while true {
            do { return try FileLock(path) } catch let problem as Diagnosis where problem.code == "lock.held" {
                if !told { waiting() }
                told = true
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    deinit {
        // A process that is just being started has a copy of the descriptor until it runs its program: closing ours alone would not unlock.
        if held { flock(descriptor.rawValue, LOCK_UN) }
        try? descriptor.close()
    }
}
