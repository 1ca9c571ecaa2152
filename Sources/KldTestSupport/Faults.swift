import KldCore
public import KldExec
public import KldFiles
public import KldPlan
import Synchronization
public import SystemPackage

/// Counts everything that happens to a machine, and fails the n-th of those things: once, or it and all that follow, as a power cut does.
public final class Fuse: Sendable {
    public struct Blown: Error, CustomStringConvertible {
        public init() {}
        public var description: String { "the fuse blew" }
    }

    private let position: Int?
    private let forever: Bool
    private let seen = Mutex(0)

    /// - Parameter position: counted from zero; `nil`: never.
    public init(at position: Int?, forever: Bool = false) {
        self.position = position
        self.forever = forever
    }

    public var count: Int { seen.withLock { $0 } }
    public var blown: Bool { position.map { count > $0 } ?? false }

    public func tick() throws {
        let now = seen.withLock { seen in
            defer { seen += 1 }
            return seen
        }
        if let position, now == position || forever && now > position { throw Blown() }
    }
}

/// Runs commands through a fuse.
public struct FaultyRunner: CommandRunner {
    private let inner: any CommandRunner
    private let fuse: Fuse
    public init(_ inner: any CommandRunner, _ fuse: Fuse) {
        self.inner = inner
        self.fuse = fuse
    }
    public func run(_ command: Command) async throws -> CommandOutput {
        try fuse.tick()
        return try await inner.run(command)
    }
    public func run(pipeline: [Command]) async throws -> CommandOutput {
        try fuse.tick()
        return try await inner.run(pipeline: pipeline)
    }
}

/// Changes files through a fuse; reading is free.
public struct FaultyFiles: FileSystemDecorator {
    public let inner: any FileSystem
    private let fuse: Fuse
    public init(_ inner: any FileSystem, _ fuse: Fuse) {
        self.inner = inner
        self.fuse = fuse
    }
    public func write(_ bytes: [UInt8], to path: FilePath, mode: ModeBits) throws {
        try fuse.tick()
        try inner.write(bytes, to: path, mode: mode)
    }
    public func makeDirectory(_ path: FilePath, mode: ModeBits) throws {
        try fuse.tick()
        try inner.makeDirectory(path, mode: mode)
    }
    public func remove(_ path: FilePath) throws {
        try fuse.tick()
        try inner.remove(path)
    }
    public func symlink(_ path: FilePath, to target: String) throws {
        try fuse.tick()
        try inner.symlink(path, to: target)
    }
    public func rename(_ path: FilePath, to other: FilePath) throws {
        try fuse.tick()
        try inner.rename(path, to: other)
    }
    public func punchHoles(_ ranges: [Range<Int64>], in path: FilePath) throws {
        try fuse.tick()
        try inner.punchHoles(ranges, in: path)
    }
}

/// Files of which what lies below a place can neither be read nor listed: a disk that fails, or somebody who may not.
public struct UnreadableFiles: FileSystemDecorator {
    public let inner: any FileSystem
    private let place: String
    private let denied: Bool
    public init(_ inner: any FileSystem, below place: String, denied: Bool = false) {
        self.inner = inner
        self.place = place
        self.denied = denied
    }

    private func check(_ path: FilePath, _ action: String) throws {
        guard path.string == place || path.string.hasPrefix(place + "/") else { return }
        throw denied ? FileError.denied(path) : FileError.other(path, action: action, reason: "Input/output error")
    }

    public func read(_ path: FilePath) throws -> [UInt8] {
        try check(path, "read")
        return try inner.read(path)
    }
    public func read(_ path: FilePath, _ range: Range<UInt64>) throws -> [UInt8] {
        try check(path, "read")
        return try inner.read(path, range)
    }
    public func list(_ path: FilePath) throws -> [String] {
        try check(path, "list")
        return try inner.list(path)
    }
}

/// Keeps the events of a plan in the order in which they came.
public final class EventLog: Sendable {
    private let kept = Mutex<[PlanEvent]>([])
    public init() {}
    public var events: [PlanEvent] { kept.withLock { $0 } }
    public func report(_ event: PlanEvent) { kept.withLock { $0.append(event) } }
    /// `step-started zfs.datasets`, one for each event.
    public var lines: [String] { events.map { "\($0.kind.rawValue) \($0.step ?? "")".trimmed } }
}

/// Random numbers that are the same in every run (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64
    public init(_ seed: UInt64) { state = seed }
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
