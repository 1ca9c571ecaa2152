import Glibc
public import KldCore
public import SystemPackage

/// The files of this machine.
public struct LocalFiles: FileSystem {
    public init() {}

    public func read(_ path: FilePath) throws -> [UInt8] {
        try wrap("read", path) {
            let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
            defer { try? file.close() }
            var content: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 18)
            while true {
                let count = try buffer.withUnsafeMutableBytes { try file.read(into: $0) }
                if count == 0 { return content }
                content += buffer[..<count]
            }
        }
    }

    public func read(_ path: FilePath, _ range: Range<UInt64>) throws -> [UInt8] {
        try wrap("read", path) {
            let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
            defer { try? file.close() }
            return try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, filled in
                while filled < range.count {
                    let rest = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[filled..<range.count]))
                    let count: Int
                    do {
                        count = try file.read(fromAbsoluteOffset: Int64(range.lowerBound) + Int64(filled), into: rest)
                    } catch Errno.illegalSeek where range.lowerBound == 0 {
                        // A pipe or a terminal has no places: it is read from where it is. Source: pread(2), man-pages 6.9.
                        count = try file.read(into: rest)
                    }
                    if count == 0 { break }
                    filled += count
                }
            }
        }
    }

    public func write(_ bytes: [UInt8], to path: FilePath, mode: ModeBits) throws {
        let folder = path.removingLastComponent()
        try makeDirectory(folder, mode: .directory)
        let temporary = FilePath("\(path.string).kldload-\(getpid())-\(UInt32.random(in: 0 ... .max))")
        try wrap("write", path) {
            let file = try FileDescriptor.open(
                temporary, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec], permissions: [.ownerReadWrite])
            do {
                try file.closeAfter {
                    try file.writeAll(bytes)
                    guard fchmod(file.rawValue, mode.bits) == 0, fsync(file.rawValue) == 0 else { throw Errno(rawValue: errno) }
                    guard Glibc.rename(temporary.string, path.string) == 0 else { throw Errno(rawValue: errno) }
                    // why: on FAT the new name stands for nothing until the file itself is written once more, and the folder's sync alone
                    // would make just that durable. Source: Linux `fs/fat/namei_vfat.c`, `vfat_rename`, 6.12.
                    guard fsync(file.rawValue) == 0 else { throw Errno(rawValue: errno) }
                }
            } catch {
                unlink(temporary.string)
                throw error
            }
        }
        try sync(folder: folder)
    }

    private func sync(folder: FilePath) throws {
        try wrap("sync", folder) {
            let descriptor = try FileDescriptor.open(folder.isEmpty ? "." : folder, .readOnly, options: [.directory, .closeOnExec])
            defer { try? descriptor.close() }
            guard fsync(descriptor.rawValue) == 0 || errno == EINVAL else { throw Errno(rawValue: errno) }
        }
    }

    public func makeDirectory(_ path: FilePath, mode: ModeBits) throws {
        if path.isEmpty { return }
        var information = stat()
        if stat(path.string, &information) == 0, information.st_mode & S_IFMT == S_IFDIR { return }
        try makeDirectory(path.removingLastComponent(), mode: .directory)
        guard mkdir(path.string, 0o700) == 0 else {
            let number = Errno(rawValue: errno)
            // Somebody else may have made it meanwhile; but a file is no folder.
            if number == .fileExists, stat(path.string, &information) == 0, information.st_mode & S_IFMT == S_IFDIR { return }
            throw error("make", path, number)
        }
        guard chmod(path.string, mode.bits) == 0 else { throw error("make", path) }
    }

    public func remove(_ path: FilePath) throws {
        guard let found = try status(path) else { return }
        if found.kind == .directory {
            let device = try device(of: path)
            if !path.removingLastComponent().isEmpty, try device != self.device(of: path.removingLastComponent()) {
                throw FileError.other(path, action: "remove", reason: "something is mounted there")
            }
            for name in try list(path) { try remove(path.appending(name)) }
            guard rmdir(path.string) == 0 || errno == ENOENT else { throw error("remove", path) }
        } else {
            guard unlink(path.string) == 0 || errno == ENOENT else { throw error("remove", path) }
        }
    }

    private func device(of path: FilePath) throws -> UInt {
        var information = stat()
        guard lstat(path.string, &information) == 0 else { throw error("inspect", path) }
        return UInt(information.st_dev)
    }

    public func symlink(_ path: FilePath, to target: String) throws {
        try makeDirectory(path.removingLastComponent(), mode: .directory)
        if let found = try status(path), found.kind != .directory { unlink(path.string) }
        guard Glibc.symlink(target, path.string) == 0 else { throw error("link", path) }
    }

    public func rename(_ path: FilePath, to other: FilePath) throws {
        guard Glibc.rename(path.string, other.string) == 0 else { throw error("rename", path) }
        try sync(folder: other.removingLastComponent())
    }

    /// Source: renameat2(2), `RENAME_EXCHANGE` (2); every Linux file system that holds systems knows it, NFS does not. Swift's module of the C
    /// library leaves the function out, so it is looked up by name.
    public func exchange(_ path: FilePath, with other: FilePath) throws {
        typealias Call = @convention(c) (CInt, UnsafePointer<CChar>, CInt, UnsafePointer<CChar>, CUnsignedInt) -> CInt
        guard let function = dlsym(nil, "renameat2") else { throw error("exchange", path, .noFunction) }
        guard unsafeBitCast(function, to: Call.self)(AT_FDCWD, path.string, AT_FDCWD, other.string, 2) != 0 else {
            return try sync(folder: other.removingLastComponent())
        }
        let number = Errno(rawValue: errno)
        guard number == .invalidArgument || number == .noFunction else { throw error("exchange", path, number) }
        try exchangeByRenaming(path, with: other)
    }

    public func list(_ path: FilePath) throws -> [String] { try entries(path).map(\.name).sorted() }

    /// The folder says what its entries are, so they are not looked at one by one; where it does not (`DT_UNKNOWN`), they are. Source: readdir(3).
    public func folders(in path: FilePath) throws -> [String] {
        try entries(path).filter { entry in
            if entry.type == UInt8(DT_UNKNOWN) { return try status(path.appending(entry.name))?.kind == .directory }
            return entry.type == UInt8(DT_DIR)
        }.map(\.name).sorted()
    }

    private func entries(_ path: FilePath) throws -> [(name: String, type: UInt8)] {
        guard let handle = opendir(path.string) else { throw error("list", path) }
        defer { closedir(handle) }
        var entries: [(name: String, type: UInt8)] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { entries.append((name, entry.pointee.d_type)) }
        }
        return entries
    }

    private func inspect(_ path: FilePath) throws -> stat? {
        var information = stat()
        guard lstat(path.string, &information) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw error("inspect", path)
        }
        return information
    }

    public func status(_ path: FilePath) throws -> FileStatus? {
        guard let information = try inspect(path) else { return nil }
        let kind: FileKind =
            switch information.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .directory
            case S_IFLNK: .symlink
            case S_IFBLK: .blockDevice
            default: .other
            }
        return FileStatus(
            kind: kind, size: ByteCount(UInt64(information.st_size)), mode: ModeBits(integerLiteral: information.st_mode & 0o7777))
    }

    /// Source: inode(7), man-pages 6.9: the time of the last change moves with each write, and nobody can set it.
    public func version(_ path: FilePath) throws -> String? {
        guard let information = try inspect(path) else { return nil }
        let (written, changed) = (information.st_mtim, information.st_ctim)
        return "\(information.st_ino)-\(information.st_size)-\(written.tv_sec).\(written.tv_nsec)-\(changed.tv_sec).\(changed.tv_nsec)"
    }

    public func readLink(_ path: FilePath) throws -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink(path.string, &buffer, Int(PATH_MAX))
        guard count >= 0 else { throw error("read the link", path) }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public func resolve(_ path: FilePath) throws -> FilePath {
        guard let resolved = realpath(path.string, nil) else { throw error("resolve", path) }
        defer { free(resolved) }
        return FilePath(String(cString: resolved))
    }

    /// Source: fallocate(2), `FALLOC_FL_KEEP_SIZE` (1) and `FALLOC_FL_PUNCH_HOLE` (2); of block devices since Linux 4.9. Unlike a discard it
    /// fails where the device does not promise zeros. Swift's module of the C library leaves the function out, so it is looked up by name.
    public func punchHoles(_ ranges: [Range<Int64>], in path: FilePath) throws {
        typealias Call = @convention(c) (CInt, CInt, Int, Int) -> CInt
        try wrap("give back space in", path) {
            guard let function = dlsym(nil, "fallocate") else { throw Errno.noFunction }
            let fallocate = unsafeBitCast(function, to: Call.self)
            let file = try FileDescriptor.open(path, .readWrite, options: [.closeOnExec])
            try file.closeAfter {
                for range in ranges where !range.isEmpty {
                    guard fallocate(file.rawValue, 3, Int(range.lowerBound), Int(range.upperBound - range.lowerBound)) == 0 else {
                        throw Errno(rawValue: errno)
                    }
                }
                guard fsync(file.rawValue) == 0 else { throw Errno(rawValue: errno) }
            }
        }
    }

    public func isClaimed(_ device: FilePath) throws -> Bool { try DeviceClaim.isHeld(device) }

    public func freeSpace(_ path: FilePath) throws -> ByteCount {
        var information = statvfs()
        guard statvfs(path.string, &information) == 0 else { throw error("inspect", path) }
        return ByteCount(UInt64(information.f_bavail) * UInt64(information.f_frsize))
    }

    private func wrap<Result>(_ action: String, _ path: FilePath, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let number as Errno { throw error(action, path, number) }
    }

    private func error(_ action: String, _ path: FilePath, _ number: Errno = Errno(rawValue: errno)) -> FileError {
        FileError(number, path, action: action)
    }
}
