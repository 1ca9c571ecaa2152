public import KldCore
public import KldExec
public import KldFiles
import Synchronization
public import SystemPackage

/// A runner that refuses every command it was not told about, and remembers what it was asked.
public final class ScriptedRunner: CommandRunner {
    public typealias Answer = @Sendable (Command) throws -> CommandOutput?
    private let answers: [Answer]
    private let seen = Mutex<[Command]>([])

    /// - Parameter answers: asked in order; the first that does not return `nil` answers.
    public init(_ answers: [Answer]) { self.answers = answers }

    /// Exact command lines and what they print.
    public convenience init(_ table: [String: String]) {
        self.init([{ table[$0.description].map { CommandOutput(output: $0) } }])
    }

    /// Accepts everything, prints nothing.
    public static var accepting: ScriptedRunner { ScriptedRunner([{ _ in CommandOutput() }]) }

    public var commands: [Command] { seen.withLock { $0 } }

    public func run(_ command: Command) async throws -> CommandOutput {
        seen.withLock { $0.append(command) }
        for answer in answers {
            if let output = try answer(command) {
                guard command.acceptedExitStatuses.contains(output.status) else { throw CommandError.failed(command, output) }
                return output
            }
        }
        throw Unscripted(what: command.description)
    }

    public func run(pipeline: [Command]) async throws -> CommandOutput {
        var last = CommandOutput()
        for command in pipeline { last = try await run(command) }
        return last
    }
}

/// Something a test did not script.
public struct Unscripted: Error, CustomStringConvertible {
    public var what: String
    public init(what: String) { self.what = what }
    public var description: String { "unscripted: \(what)" }
}

/// Files in memory; reading what is not there is an error, as on a disk.
public final class MemoryFiles: FileSystem {
    fileprivate struct State {
        var files: [FilePath: (bytes: [UInt8], mode: ModeBits)] = [:]
        var links: [FilePath: String] = [:]
        var directories: Set<FilePath> = ["/"]
        var devices: Set<FilePath> = []
    }
    private let state = Mutex(State())
    private let free: ByteCount

    public init(_ texts: [String: String] = [:], devices: [String] = [], links: [String: String] = [:], free: ByteCount = .gibibytes(100)) {
        self.free = free
        state.withLock { state in
            for (path, text) in texts { state.add(FilePath(path), Array(text.utf8), .file) }
            for path in devices { state.devices.insert(FilePath(path)) }
            for (path, target) in links { state.links[FilePath(path)] = target }
        }
    }

    /// Every file's path and text.
    public var texts: [String: String] {
        state.withLock { state in
            Dictionary(uniqueKeysWithValues: state.files.map { ($0.key.string, String(decoding: $0.value.bytes, as: UTF8.self)) })
        }
    }
    public func mode(of path: String) -> ModeBits? { state.withLock { $0.files[FilePath(path)]?.mode } }

    public func read(_ path: FilePath) throws -> [UInt8] {
        guard let file = state.withLock({ $0.files[path] }) else { throw FileError.missing(path) }
        return file.bytes
    }
    public func write(_ bytes: [UInt8], to path: FilePath, mode: ModeBits) throws { state.withLock { $0.add(path, bytes, mode) } }
    public func makeDirectory(_ path: FilePath, mode: ModeBits) throws { state.withLock { $0.addFolders(path) } }
    public func remove(_ path: FilePath) throws {
        state.withLock { state in
            func inside(_ other: FilePath) -> Bool { other == path || other.starts(with: path) }
            state.files = state.files.filter { !inside($0.key) }
            state.links = state.links.filter { !inside($0.key) }
            state.directories = state.directories.filter { !inside($0) }
        }
    }
    public func symlink(_ path: FilePath, to target: String) throws { state.withLock { $0.links[path] = target } }
    public func rename(_ path: FilePath, to other: FilePath) throws {
        try state.withLock { state in
            guard let file = state.files.removeValue(forKey: path) else { throw FileError.missing(path) }
            state.add(other, file.bytes, file.mode)
        }
    }
    public func list(_ path: FilePath) throws -> [String] {
        try state.withLock { state in
            let all = Array(state.files.keys) + Array(state.links.keys) + Array(state.directories) + Array(state.devices)
            let names = Set(all.filter { $0 != path && $0.removingLastComponent() == path }.compactMap { $0.lastComponent?.string })
            guard !names.isEmpty || state.directories.contains(path) else { throw FileError.missing(path) }
            return names.sorted()
        }
    }
    public func status(_ path: FilePath) throws -> FileStatus? {
        state.withLock { state in
            if let file = state.files[path] { return FileStatus(kind: .file, size: ByteCount(UInt64(file.bytes.count)), mode: file.mode) }
            if state.links[path] != nil { return FileStatus(kind: .symlink, size: ByteCount(0), mode: 0o777) }
            if state.devices.contains(path) { return FileStatus(kind: .blockDevice, size: ByteCount(0), mode: 0o660) }
            if state.directories.contains(path) { return FileStatus(kind: .directory, size: ByteCount(0), mode: .directory) }
            return nil
        }
    }
    public func readLink(_ path: FilePath) throws -> String {
        guard let target = state.withLock({ $0.links[path] }) else { throw FileError.missing(path) }
        return target
    }
    public func resolve(_ path: FilePath) throws -> FilePath {
        guard let target = state.withLock({ $0.links[path] }) else { return path }
        return try resolve(target.hasPrefix("/") ? FilePath(target) : path.removingLastComponent().appending(target).lexicallyNormalized())
    }
    public func freeSpace(_ path: FilePath) throws -> ByteCount { free }
}

extension MemoryFiles.State {
    fileprivate mutating func add(_ path: FilePath, _ bytes: [UInt8], _ mode: ModeBits) {
        addFolders(path.removingLastComponent())
        files[path] = (bytes, mode)
    }
    fileprivate mutating func addFolders(_ path: FilePath) {
        var folder = path
        while !folder.isEmpty, directories.insert(folder).inserted { folder = folder.removingLastComponent() }
    }
}
