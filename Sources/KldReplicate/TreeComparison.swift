import KldCore
package import KldFiles
import Synchronization
package import SystemPackage

/// Two folders, file by file: kinds, modes, sizes, where links point, and every byte.
package struct TreeComparison: Sendable, Hashable {
    package var files: UInt64 = 0
    package var bytes: UInt64 = 0
    /// The first of what differs, in words.
    package var differences: [String] = []
    /// How many differ.
    package var count = 0
    /// Names that are no UTF-8: they cannot be opened by name here.
    package var unnamed: UInt64 = 0

    private static let piece: UInt64 = 4 << 20

    package init() {}

    /// - Throws: ``FileError`` where something cannot be read; `CancellationError`.
    package init(_ one: FilePath, _ other: FilePath, files system: any FileSystem) throws {
        // The control folder `.zfs` is in no list unless it was made visible, and then in the one that is mounted elsewhere as well.
        var waiting = [""]
        while let folder = waiting.popLast() {
            try Task.checkCancellation()
            let (here, there) = (Self.path(one, folder), Self.path(other, folder))
            let (names, others) = (Set(try system.list(here)), Set(try system.list(there)))
            for name in names.symmetricDifference(others).sorted() where !(folder.isEmpty && name == ".zfs") {
                differ("\(folder)/\(name) is only in \(names.contains(name) ? "the restored copy" : "the original")")
            }
            for name in names.intersection(others).sorted() where !(folder.isEmpty && name == ".zfs") {
                let path = "\(folder)/\(name)"
                guard let status = try system.status(Self.path(one, path)), let wanted = try system.status(Self.path(other, path)) else {
                    unnamed += 1
                    continue
                }
                files += 1
                if status.kind != wanted.kind || status.mode != wanted.mode {
                    differ("\(path) is another kind of file, or has another mode")
                } else if status.kind == .directory {
                    waiting.append(path)
                } else if status.kind == .symlink {
                    if try system.readLink(Self.path(one, path)) != system.readLink(Self.path(other, path)) {
                        differ("\(path) points elsewhere")
                    }
                } else if status.kind == .file {
                    bytes += status.size.bytes
                    if try !Self.isEqual(Self.path(one, path), status, Self.path(other, path), wanted, system) {
                        differ("\(path) has another content")
                    }
                }
            }
        }
    }

    private static func path(_ root: FilePath, _ rest: String) -> FilePath { rest.isEmpty ? root : FilePath(root.string + rest) }

    private mutating func differ(_ text: String) {
        count += 1
        if differences.count < 10 { differences.append(text) }
    }

    private static func isEqual(
        _ one: FilePath, _ status: FileStatus, _ other: FilePath, _ wanted: FileStatus, _ files: any FileSystem
    ) throws -> Bool {
        guard status.size == wanted.size else { return false }
        var start: UInt64 = 0
        while start < status.size.bytes {
            try Task.checkCancellation()
            let range = start..<min(start + piece, status.size.bytes)
            if try files.read(one, range) != files.read(other, range) { return false }
            start = range.upperBound
        }
        return true
    }
}

/// Several of them together.
final class Summing: Sendable {
    private let sum = Mutex(TreeComparison())
    func add(_ other: TreeComparison) {
        sum.withLock {
            $0.files += other.files
            $0.bytes += other.bytes
            $0.unnamed += other.unnamed
        }
    }
    var total: TreeComparison { sum.withLock { $0 } }
}
