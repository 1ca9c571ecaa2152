import KldFiles
import Synchronization
import SystemPackage

/// What a look through a tree has seen: a hundred patterns begin in the same few folders.
final class SealTreeMemory: Sendable {
    private let statuses = Mutex<[FilePath: FileStatus?]>([:])
    private let lists = Mutex<[FilePath: [String]]>([:])
    private let folders = Mutex<[FilePath: [String]]>([:])

    func status(_ path: FilePath, _ look: () throws -> FileStatus?) throws -> FileStatus? {
        if let known = statuses.withLock({ $0[path] }) { return known }
        let status = try look()
        statuses.withLock { $0[path] = .some(status) }
        return status
    }

    func list(_ path: FilePath, _ look: () throws -> [String]) throws -> [String] {
        if let known = lists.withLock({ $0[path] }) { return known }
        let names = try look()
        lists.withLock { $0[path] = names }
        return names
    }

    func folders(_ path: FilePath, _ look: () throws -> [String]) throws -> [String] {
        if let known = folders.withLock({ $0[path] }) { return known }
        let names = try look()
        folders.withLock { $0[path] = names }
        return names
    }
}
