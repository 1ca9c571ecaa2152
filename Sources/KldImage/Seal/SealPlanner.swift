import KldCore
import KldFiles
import SystemPackage

/// Looks through a root and says what has to be done. Reads only.
struct SealPlanner {
    let tree: SealTree
    let options: SealOptions
    let homes: [String]
    /// The home whose authorised keys may stay.
    let keptHome: String?
    /// What earlier classes decided: a removed path needs nothing more, an edit builds on the edit before it.
    private var removed: Set<FilePath> = []
    private var pending: [FilePath: [UInt8]] = [:]

    init(tree: SealTree, options: SealOptions) throws {
        self.tree = tree
        self.options = options
        homes = try tree.homes()
        keptHome = try options.keepUser.flatMap { user in try tree.accounts().first { $0.name == user }?.home }
    }

    mutating func entry(for sealClass: SealClass) -> SealPlan.Entry {
        var entry = SealPlan.Entry(id: sealClass.id, title: sealClass.title)
        if options.keepNetwork, sealClass.id == SealCatalogue.networkOfAnswers { return entry }
        var blocked: [SealTree.Blocked] = []
        var visited: Set<FilePath> = []
        for target in sealClass.targets {
            for pattern in target.patterns {
                do {
                    let isFolder = target.operation == .clear || target.operation == .clearFiles
                    let expansion = try tree.expand(isFolder ? pattern.inside : pattern, homes: homes)
                    blocked += expansion.blocked
                    visited.formUnion(expansion.visited)
                    for match in expansion.matches where !isOfAnswers(match) { try plan(target, match, into: &entry) }
                } catch {
                    entry.left.append(SealLeft(tree.root.appending(pattern.text), Diagnosis(of: error).message))
                }
            }
        }
        // A link into a folder that the class looks at anyway (/var/spool/mail -> ../mail) hides nothing.
        for link in Set(blocked).sorted(by: { $0.path.string < $1.path.string }) where !visited.contains(link.destination) {
            entry.left.append(SealLeft(link.path, "a link to \(link.target); links are not followed"))
        }
        return entry
    }

    /// An open network's settings stay with the units that read them. One with a key is never in the answers of an image (`image.wifi`).
    private func isOfAnswers(_ match: SealTree.Match) -> Bool {
        options.keepNetwork && SealCatalogue.wirelessOfAnswers.covers(match.names)
    }

    private mutating func plan(_ target: SealTarget, _ match: SealTree.Match, into entry: inout SealPlan.Entry) throws {
        guard !isExcluded(match, target), !isRemoved(match.path) else { return }
        switch target.operation {
        case .clearFiles where match.status.kind == .directory:
            for child in try tree.filesBelow(match.names) where !isExcluded(child, target) && !isRemoved(child.path) {
                remove(child, into: &entry)
            }
        case .remove, .clear, .clearFiles: remove(match, into: &entry)
        case .truncate: try rewrite(match, "empty", into: &entry) { _ in [] }
        case .content(let text): try rewrite(match, "set to its neutral content", into: &entry) { _ in Array(text.utf8) }
        case .edit(let edit): try rewrite(match, edit.text, into: &entry) { edit.applied(to: $0).content }
        case .filterAuthorizedKeys: try filterKeys(match, into: &entry)
        }
    }

    private mutating func remove(_ match: SealTree.Match, into entry: inout SealPlan.Entry) {
        entry.found.append(match.path)
        entry.actions.append(.remove(match.path))
        removed.insert(match.path)
    }

    private func leave(_ match: SealTree.Match, _ why: String, into entry: inout SealPlan.Entry) {
        let isLink = match.status.kind == .symlink
        let target = isLink ? (try? tree.files.readLink(match.path)) ?? "?" : ""
        entry.left.append(SealLeft(match.path, isLink ? "a link to \(target); links are not followed" : why))
    }

    private mutating func rewrite(
        _ match: SealTree.Match, _ what: String, into entry: inout SealPlan.Entry, _ change: ([UInt8]) -> [UInt8]
    ) throws {
        // A link into /run hides nothing: no image holds what lies there.
        if match.status.kind == .symlink, try tree.leadsOutside(match.names) { return }
        guard match.status.kind == .file else { return leave(match, "not a file", into: &entry) }
        let old = try pending[match.path] ?? tree.files.read(match.path)
        let new = change(old)
        guard new != old else { return }
        entry.found.append(match.path)
        entry.actions.append(.replace(match.path, content: new, mode: match.status.mode, what: what))
        pending[match.path] = new
    }

    private mutating func filterKeys(_ match: SealTree.Match, into entry: inout SealPlan.Entry) throws {
        guard match.status.kind == .file, let keptHome, match.names.starts(with: keptHome.split(separator: "/").map(String.init)) else {
            return remove(match, into: &entry)
        }
        let kept = Set(options.keepAuthorizedKeys.map(\.trimmed))
        let lines = String(decoding: try tree.files.read(match.path), as: UTF8.self).lines.filter { kept.contains($0.trimmed) }
        if lines.isEmpty { return remove(match, into: &entry) }
        try rewrite(match, SealOperation.filterAuthorizedKeys.text, into: &entry) { _ in Array((lines.joined(separator: "\n") + "\n").utf8)
        }
    }

    private func isExcluded(_ match: SealTree.Match, _ target: SealTarget) -> Bool {
        target.excluding.contains { pattern in
            (pattern.isBelowHome ? homes.map(pattern.below) : [pattern]).contains { $0.covers(match.names) }
        }
    }

    /// Whether a class before removes the path, or a folder above it.
    private func isRemoved(_ path: FilePath) -> Bool {
        var path = path
        while path != tree.root, !path.isEmpty, path != "/" {
            if removed.contains(path) { return true }
            path = path.removingLastComponent()
        }
        return false
    }
}
