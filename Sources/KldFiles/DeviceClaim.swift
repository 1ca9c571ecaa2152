package import SystemPackage

/// A block device that nothing in the kernel can have for itself meanwhile: no file system, pool, volume, array or target that exports it, of
/// the device or of a partition of it.
///
/// It is held by opening it like that, for reading, until the value goes away. Source: open(2) on `O_EXCL` of block devices, Linux 2.6;
/// `bd_may_claim` in `block/bdev.c`.
package final class DeviceClaim: Sendable {
    /// Something has the device already.
    package struct Held: Error { package init() {} }

    private let descriptor: FileDescriptor

    /// - Throws: ``Held``; ``FileError``.
    package init(_ path: FilePath) throws {
        do { descriptor = try FileDescriptor.open(path, .readOnly, options: [.exclusiveCreate, .closeOnExec]) } catch Errno.resourceBusy {
            throw Held()
        } catch let number as Errno { throw FileError(number, path, action: "open") }
    }

    deinit { try? descriptor.close() }

    /// - Throws: ``FileError``.
    package static func isHeld(_ path: FilePath) throws -> Bool {
        do { _ = try DeviceClaim(path) } catch is Held { return true }
        return false
    }
}
