public import KldCore
public import KldFiles
public import SystemPackage

/// Another's files, but for what a test changes about them.
///
/// What ``FileSystem`` makes of the rest, as `exchange` of `rename` and `folders` of `list`, is not passed on: a change counts there too.
public protocol FileSystemDecorator: FileSystem {
    var inner: any FileSystem { get }
}

extension FileSystemDecorator {
    public func read(_ path: FilePath) throws -> [UInt8] { try inner.read(path) }
    public func read(_ path: FilePath, _ range: Range<UInt64>) throws -> [UInt8] { try inner.read(path, range) }
    public func write(_ bytes: [UInt8], to path: FilePath, mode: ModeBits) throws { try inner.write(bytes, to: path, mode: mode) }
    public func makeDirectory(_ path: FilePath, mode: ModeBits) throws { try inner.makeDirectory(path, mode: mode) }
    public func remove(_ path: FilePath) throws { try inner.remove(path) }
    public func symlink(_ path: FilePath, to target: String) throws { try inner.symlink(path, to: target) }
    public func rename(_ path: FilePath, to other: FilePath) throws { try inner.rename(path, to: other) }
    public func punchHoles(_ ranges: [Range<Int64>], in path: FilePath) throws { try inner.punchHoles(ranges, in: path) }
    public func list(_ path: FilePath) throws -> [String] { try inner.list(path) }
    public func status(_ path: FilePath) throws -> FileStatus? { try inner.status(path) }
    public func readLink(_ path: FilePath) throws -> String { try inner.readLink(path) }
    public func resolve(_ path: FilePath) throws -> FilePath { try inner.resolve(path) }
    public func isClaimed(_ device: FilePath) throws -> Bool { try inner.isClaimed(device) }
    public func freeSpace(_ path: FilePath) throws -> ByteCount { try inner.freeSpace(path) }
}
