import Glibc
public import KldCore
public import SystemPackage

/// An exclusive lock on a file, held until the value goes away or the process ends (flock(2)).
public final class FileLock: Sendable {
    private let descriptor: FileDescriptor

    /// - Parameter waiting: called once when somebody else holds the lock; then this call waits. `nil`: throw instead.
    /// - Throws: ``Diagnosis`` `lock.held` when held by another and not waiting; ``FileError``.
    public init(_ path: FilePath, waiting: (() -> Void)? = nil) throws {
        try LocalFiles().makeDirectory(path.removingLastComponent(), mode: .directory)
        do {
            descriptor = try FileDescriptor.open(path, .readWrite, options: [.create, .closeOnExec], permissions: [.ownerReadWrite])
        } catch let number as Errno {
            throw FileError.other(path, action: "lock", reason: number.description)
        }
        if flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 { return }
        guard let waiting else {
            try? descriptor.close()
            throw Diagnosis(
                "lock.held", "another kldload is at work here (\(path))", remedies: ["wait for it to end, or stop it"], exit: .tryAgain)
        }
        waiting()
        guard flock(descriptor.rawValue, LOCK_EX) == 0 else {
            throw FileError.other(path, action: "lock", reason: Errno(rawValue: errno).description)
        }
    }

    deinit { try? descriptor.close() }
}
