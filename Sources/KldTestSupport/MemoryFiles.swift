public import KldCore
public import KldFiles
import Synchronization
public import SystemPackage

/// Files in memory; reading what is not there is an error, as on a disk.
public final class MemoryFiles: FileSystem {
    // why texts as keys: an unoptimized build takes a hundred times longer for `FilePath`.
    fileprivate struct State {
        var files: [String: (bytes: [UInt8], mode: ModeBits)] = [:]
        var links: [String: String] = [:]
        var directories: Set<String> = ["/"]
        var devices: Set<String> = []
        var disks: [String: MemoryDisk] = [:]
    }
    private let state = Mutex(State())
    private let free: ByteCount
    private let claimed: Set<String>

    /// - Parameters:
    ///   - devices: without content.
    ///   - disks: devices with content; it is read in parts only.
    ///   - claimed: devices that something in the kernel has for itself.
    public init(
        _ texts: [String: String] = [:], devices: [String] = [], links: [String: String] = [:], disks: [String: MemoryDisk] = [:],
        claimed: Set<String> = [], free: ByteCount = .gibibytes(100)
    ) {
        self.free = free
        self.claimed = claimed
        state.withLock { state in
            for (path, text) in texts { state.add(path, Array(text.utf8), .file) }
            for path in devices + disks.keys { state.devices.insert(path) }
            state.disks = disks
            for (path, target) in links { state.links[path] = target }
        }
    }

    /// Every file's path and text.
    public var texts: [String: String] { state.withLock { $0.files.mapValues { String(decoding: $0.bytes, as: UTF8.self) } } }
    public func mode(of path: String) -> ModeBits? { state.withLock { $0.files[path]?.mode } }

    public func read(_ path: FilePath) throws -> [UInt8] {
        guard let file = state.withLock({ $0.files[path.string] }) else { throw FileError.missing(path) }
        return file.bytes
    }
    public func read(_ path: FilePath, _ range: Range<UInt64>) throws -> [UInt8] {
        if let disk = state.withLock({ $0.disks[path.string] }) { return try disk.read(path, range) }
        let whole = try read(path)
        let inside = range.clamped(to: 0..<UInt64(whole.count))
        return Array(whole[Int(inside.lowerBound)..<Int(inside.upperBound)])
    }
    public func write(_ bytes: [UInt8], to path: FilePath, mode: ModeBits) throws { state.withLock { $0.add(path.string, bytes, mode) } }
    public func makeDirectory(_ path: FilePath, mode: ModeBits) throws { state.withLock { $0.addFolders(path.string) } }
    public func remove(_ path: FilePath) throws {
        let path = path.string
        state.withLock { state in
            func inside(_ other: String) -> Bool { other == path || other.hasPrefix(path + "/") }
            state.files = state.files.filter { !inside($0.key) }
            state.links = state.links.filter { !inside($0.key) }
            state.directories = state.directories.filter { !inside($0) }
        }
    }
    /// A device has no content here.
    public func punchHoles(_ ranges: [Range<Int64>], in path: FilePath) throws {
        try state.withLock { state in
            if state.devices.contains(path.string) { return }
            guard var file = state.files[path.string] else { throw FileError.missing(path) }
            for range in ranges { for index in range where index < file.bytes.count { file.bytes[Int(index)] = 0 } }
            state.files[path.string] = file
        }
    }
    public func symlink(_ path: FilePath, to target: String) throws { state.withLock { $0.links[path.string] = target } }
    public func rename(_ path: FilePath, to other: FilePath) throws {
        try state.withLock { state in
            guard let file = state.files.removeValue(forKey: path.string) else { throw FileError.missing(path) }
            state.add(other.string, file.bytes, file.mode)
        }
    }
    public func list(_ path: FilePath) throws -> [String] {
        let folder = path.string == "/" ? "/" : path.string + "/"
        return try state.withLock { state in
            let all = Array(state.files.keys) + Array(state.links.keys) + Array(state.directories) + Array(state.devices)
            let names = Set(
                all.filter { $0.hasPrefix(folder) }.map { $0.dropFirst(folder.count) }.filter { !$0.isEmpty && !$0.contains("/") })
            guard !names.isEmpty || state.directories.contains(path.string) else { throw FileError.missing(path) }
            return names.map(String.init).sorted()
        }
    }
    public func status(_ path: FilePath) throws -> FileStatus? {
        let path = path.string
        return state.withLock { state in
            if let file = state.files[path] { return FileStatus(kind: .file, size: ByteCount(UInt64(file.bytes.count)), mode: file.mode) }
            if state.links[path] != nil { return FileStatus(kind: .symlink, size: ByteCount(0), mode: 0o777) }
            if state.devices.contains(path) { return FileStatus(kind: .blockDevice, size: ByteCount(0), mode: 0o660) }
            if state.directories.contains(path) { return FileStatus(kind: .directory, size: ByteCount(0), mode: .directory) }
            return nil
        }
    }
    public func readLink(_ path: FilePath) throws -> String {
        guard let target = state.withLock({ $0.links[path.string] }) else { throw FileError.missing(path) }
        return target
    }
    public func resolve(_ path: FilePath) throws -> FilePath {
        guard let target = state.withLock({ $0.links[path.string] }) else { return path }
        return try resolve(target.hasPrefix("/") ? FilePath(target) : path.removingLastComponent().appending(target).lexicallyNormalized())
    }
    public func isClaimed(_ device: FilePath) throws -> Bool { claimed.contains(device.string) }
    public func freeSpace(_ path: FilePath) throws -> ByteCount { free }
}

extension MemoryFiles.State {
    fileprivate mutating func add(_ path: String, _ bytes: [UInt8], _ mode: ModeBits) {
        addFolders(parent(path))
        files[path] = (bytes, mode)
    }
    fileprivate mutating func addFolders(_ path: String) {
        var folder = path
        while !folder.isEmpty, directories.insert(folder).inserted { folder = parent(folder) }
    }
    private func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
