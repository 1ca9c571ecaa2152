public import KldCore
public import SystemPackage

/// Permission bits, as chmod(2) takes them.
public struct ModeBits: Sendable, Hashable, Codable, ExpressibleByIntegerLiteral {
    public var bits: UInt32
    public init(integerLiteral bits: UInt32) { self.bits = bits }
    public static let file: ModeBits = 0o644
    public static let script: ModeBits = 0o755
    public static let secret: ModeBits = 0o600
    public static let directory: ModeBits = 0o755
}

public enum FileKind: Sendable, Hashable { case file, directory, symlink, blockDevice, other }

public struct FileStatus: Sendable, Hashable {
    public var kind: FileKind
    public var size: ByteCount
    public var mode: ModeBits
    public init(kind: FileKind, size: ByteCount, mode: ModeBits) {
        self.kind = kind
        self.size = size
        self.mode = mode
    }
}

/// The files of one machine. `LocalFiles` is the real one; tests use a double that refuses what is not scripted.
public protocol FileSystem: Sendable {
    /// - Throws: ``FileError``.
    func read(_ path: FilePath) throws -> [UInt8]
    /// Some bytes of a file; fewer where it ends before.
    func read(_ path: FilePath, _ range: Range<UInt64>) throws -> [UInt8]
    /// Writes a whole file or nothing: temporary name, fsync, rename, fsync of the folder. Makes missing folders (0755).
    func write(_ bytes: [UInt8], to path: FilePath, mode: ModeBits) throws
    func makeDirectory(_ path: FilePath, mode: ModeBits) throws
    /// Removes a file, a link, or a folder with all it holds; nothing there is no error. Never crosses a mount point.
    func remove(_ path: FilePath) throws
    func symlink(_ path: FilePath, to target: String) throws
    func rename(_ path: FilePath, to other: FilePath) throws
    /// Two files or folders of one file system change places; where the file system can, at once: neither name is ever missing.
    func exchange(_ path: FilePath, with other: FilePath) throws
    func list(_ path: FilePath) throws -> [String]
    /// The names in a folder that are folders themselves; links to folders are not.
    func folders(in path: FilePath) throws -> [String]
    /// Without following a link. - Returns: `nil` when nothing is there.
    func status(_ path: FilePath) throws -> FileStatus?
    /// Differs whenever a file's content may: its inode, its size, and when it was written and changed last. A clone of its file system says
    /// the same of its own. - Returns: `nil` where that is not known, or nothing is there.
    func version(_ path: FilePath) throws -> String?
    func readLink(_ path: FilePath) throws -> String
    /// The absolute path without links.
    func resolve(_ path: FilePath) throws -> FilePath
    /// Makes ranges of bytes of a file or a block device read as zeros, and gives their room back to what lies below.
    func punchHoles(_ ranges: [Range<Int64>], in path: FilePath) throws
    /// Something in the kernel has a block device, or a partition of it, for itself: see ``DeviceClaim``.
    func isClaimed(_ device: FilePath) throws -> Bool
    /// Free bytes for an ordinary user on the file system that holds `path`.
    func freeSpace(_ path: FilePath) throws -> ByteCount
}

public enum FileError: Error, Sendable, Equatable {
    case missing(FilePath)
    case denied(FilePath)
    case noSpace(FilePath)
    case other(FilePath, action: String, reason: String)
}

extension FileError {
    /// What the kernel said of a file. - Parameter action: a verb, for ``other(_:action:reason:)``.
    package init(_ number: Errno, _ path: FilePath, action: String) {
        self =
            switch number {
            case .noSuchFileOrDirectory: .missing(path)
            case .permissionDenied, .notPermitted: .denied(path)
            case .noSpace, .diskQuotaExceeded: .noSpace(path)
            default: .other(path, action: action, reason: number.description)
            }
    }
}

extension FileError: Diagnosable {
    public var diagnosis: Diagnosis {
        switch self {
        case .missing(let path): Diagnosis("file.missing", "\(path) does not exist", remedies: ["check the name"], exit: .inputMissing)
        case .denied(let path):
            Diagnosis(
                "file.denied", "no permission for \(path)", remedies: ["run as root, or choose a place you may write"], exit: .needsRoot)
        case .noSpace(let path):
            Diagnosis("file.no-space", "no space left where \(path) lies", remedies: ["free some space"], exit: .cannotCreate)
        case .other(let path, let action, let reason):
            Diagnosis(
                "file.failed", "cannot \(action) \(path)",
                remedies: ["look at what is there: ls -ld \(path)", "look at the kernel's log: dmesg"], exit: .cannotCreate,
                causes: [reason])
        }
    }
}

extension FileSystem {
    public func read(_ path: FilePath, _ range: Range<UInt64>) throws -> [UInt8] {
        let whole = try read(path)
        let inside = range.clamped(to: 0..<UInt64(whole.count))
        return Array(whole[Int(inside.lowerBound)..<Int(inside.upperBound)])
    }

    public func version(_ path: FilePath) throws -> String? { nil }

    public func isClaimed(_ device: FilePath) throws -> Bool { false }

    public func exchange(_ path: FilePath, with other: FilePath) throws { try exchangeByRenaming(path, with: other) }

    /// For a moment nothing is called `other`.
    func exchangeByRenaming(_ path: FilePath, with other: FilePath) throws {
        let aside = FilePath("\(other.string).kldload-aside")
        try rename(other, to: aside)
        try rename(path, to: other)
        try rename(aside, to: path)
    }

    public func folders(in path: FilePath) throws -> [String] {
        try list(path).filter { try status(path.appending($0))?.kind == .directory }
    }

    package func exists(_ path: FilePath) throws -> Bool { try status(path) != nil }

    /// The ids of all processes. Reads `/proc`.
    package func processes() throws -> [Int32] { try list("/proc").compactMap { Int32($0) } }

    /// - Throws: ``FileError`` when the content is not UTF-8.
    package func readText(_ path: FilePath) throws -> String {
        guard let text = String(validating: try read(path), as: UTF8.self) else {
            throw FileError.other(path, action: "read", reason: "not UTF-8")
        }
        return text
    }

    package func write(_ text: String, to path: FilePath, mode: ModeBits = .file) throws {
        try write(Array(text.utf8), to: path, mode: mode)
    }
}
