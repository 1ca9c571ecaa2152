package import KldFiles
package import SystemPackage

/// One thing that sealing does to one path. What the plan prints is the value that is applied.
package enum SealAction: Sendable, Hashable {
    case remove(FilePath)
    /// New content with the old file's mode and owner. The words say what is different; the content may hold secrets and is not printed.
    case replace(FilePath, content: [UInt8], mode: ModeBits, what: String)
    /// A file that sealing itself brings.
    case write(FilePath, content: [UInt8], mode: ModeBits)

    package var path: FilePath {
        switch self {
        case .remove(let path), .replace(let path, _, _, _), .write(let path, _, _): path
        }
    }

    package var text: String {
        switch self {
        case .remove(let path): "remove \(path)"
        case .replace(let path, _, _, let what): "\(what): \(path)"
        case .write(let path, let content, _): "write \(path) (\(content.count) bytes)"
        }
    }

    package func apply(to files: any FileSystem) throws {
        switch self {
        case .remove(let path): try files.remove(path)
        case .replace(let path, let content, let mode, _): try files.replace(path, with: content, mode: mode)
        case .write(let path, let content, let mode): try files.write(content, to: path, mode: mode)
        }
    }
}

/// Something that sealing did not change, and why.
package struct SealLeft: Sendable, Hashable, Codable {
    package var path: String
    package var why: String

    package init(_ path: FilePath, _ why: String) {
        self.path = path.string
        self.why = why
    }
}

/// What sealing is about to do, class by class: printed by a dry run, applied by ``Sealer``.
package struct SealPlan: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package var id: String
        package var title: String
        package var found: [FilePath] = []
        package var actions: [SealAction] = []
        package var left: [SealLeft] = []

        package init(id: String, title: String) {
            self.id = id
            self.title = title
        }
    }

    package var root: FilePath
    package var entries: [Entry]

    package var actions: [SealAction] { entries.flatMap(\.actions) }
    package var left: [SealLeft] { entries.flatMap(\.left) }

    /// Classes with nothing to do are not printed.
    package var text: String {
        var lines = ["seal \(root)"]
        for entry in entries where !entry.actions.isEmpty || !entry.left.isEmpty {
            lines.append("\(entry.id): \(entry.title)")
            lines += entry.actions.map { "  \($0.text)" }
            lines += entry.left.map { "  LEFT \($0.path): \($0.why)" }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
