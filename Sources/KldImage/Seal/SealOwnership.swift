import Glibc
import KldCore
package import KldFiles
package import SystemPackage

/// Who a file belongs to, beyond its mode: owner, group and SELinux label.
///
/// A file that is written anew and renamed belongs to the writer. `/etc/shadow` of Debian belongs to root:shadow, and `unix_chkpwd`
/// reads it by that group; a lost label stops a Fedora system from starting. So a changed file gets back what the old one had.
package struct FileOwnership: Sendable, Hashable {
    package var user: UInt32
    package var group: UInt32
    /// The bytes of `security.selinux`, if there is one.
    package var label: [UInt8]?
}

/// Files that have owners. A double in memory has none, and then nothing is kept.
package protocol OwnedFiles: FileSystem {
    func ownership(of path: FilePath) throws -> FileOwnership
    func setOwnership(_ ownership: FileOwnership, of path: FilePath) throws
}

extension LocalFiles: OwnedFiles {
    package func ownership(of path: FilePath) throws -> FileOwnership {
        var information = stat()
        guard lstat(path.string, &information) == 0 else { throw failure(path, "inspect") }
        return FileOwnership(user: information.st_uid, group: information.st_gid, label: SELinuxLabel.read(path))
    }

    package func setOwnership(_ ownership: FileOwnership, of path: FilePath) throws {
        let now = try self.ownership(of: path)
        if (now.user, now.group) != (ownership.user, ownership.group) {
            guard lchown(path.string, ownership.user, ownership.group) == 0 else { throw failure(path, "give back the owner of") }
        }
        if let label = ownership.label, label != now.label {
            guard SELinuxLabel.write(label, path) else { throw failure(path, "label") }
        }
    }

    private func failure(_ path: FilePath, _ action: String) -> FileError {
        let number = Errno(rawValue: errno)
        return number == .notPermitted || number == .permissionDenied
            ? .denied(path) : .other(path, action: action, reason: number.description)
    }
}

/// The extended attribute `security.selinux`, xattr(7).
///
/// Swift's module of the C library leaves out `<sys/xattr.h>`, so its two functions are looked up by name when they are needed.
private enum SELinuxLabel {
    private typealias Get = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutableRawPointer, Int) -> Int
    private typealias Set = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeRawPointer, Int, CInt) -> CInt
    private static let name = "security.selinux"

    static func read(_ path: FilePath) -> [UInt8]? {
        guard let function = dlsym(nil, "lgetxattr") else { return nil }
        var label = [UInt8](repeating: 0, count: 512)
        let length = unsafeBitCast(function, to: Get.self)(path.string, name, &label, label.count)
        return length > 0 ? Array(label[..<length]) : nil
    }

    static func write(_ label: [UInt8], _ path: FilePath) -> Bool {
        guard let function = dlsym(nil, "lsetxattr") else { return false }
        return unsafeBitCast(function, to: Set.self)(path.string, name, label, label.count, 0) == 0
    }
}

extension FileSystem {
    /// Puts new content in the place of a file: mode, owner and label stay, and at every instant there is the old or the new file.
    package func replace(_ path: FilePath, with content: [UInt8], mode: ModeBits) throws {
        guard let owned = self as? any OwnedFiles else { return try write(content, to: path, mode: mode) }
        let ownership = try owned.ownership(of: path)
        let temporary = FilePath("\(path.string).kldload-seal")
        do {
            try write(content, to: temporary, mode: mode)
            try owned.setOwnership(ownership, of: temporary)
            try rename(temporary, to: path)
        } catch {
            try? remove(temporary)
            throw error
        }
    }
}
