import Glibc
import KldFiles
package import SystemPackage

/// Whether a QEMU process (a machine, qemu-nbd, another qemu-img) has an image open for writing.
///
/// Asked of the kernel, because `qemu-img info` on a raw disk of a running machine succeeds (10.0.2): only `convert` would fail, later.
/// QEMU holds a lock on byte 101 of a file or device as long as it may write to it (`RAW_LOCK_PERM_BASE` + `BLK_PERM_WRITE`).
/// Source: QEMU `block/file-posix.c`, since 2.10; fcntl_locking(2) on `F_OFD_GETLK`, Linux 3.15.
package enum WriterLock {
    private static let byte: off_t = 101
    /// From `asm-generic/fcntl.h`; the C macro is not visible to Swift.
    private static let getOpenFileLock: CInt = 36

    /// Asks without locking anything.
    /// - Returns: `false` where the file system has no locks: then QEMU holds none either.
    /// - Throws: ``FileError``.
    package static func isHeld(_ path: FilePath) throws -> Bool {
        let file: FileDescriptor
        do { file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec) } catch let number as Errno {
            throw FileError(number, path, action: "open")
        }
        defer { try? file.close() }
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = byte
        lock.l_len = 1
        guard fcntl(file.rawValue, getOpenFileLock, &lock) == 0 else {
            let number = Errno(rawValue: errno)
            if number == .invalidArgument || number == .notSupported { return false }
            throw FileError.other(path, action: "ask for locks of", reason: number.description)
        }
        return lock.l_type != Int16(F_UNLCK)
    }
}
