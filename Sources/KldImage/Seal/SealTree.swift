import KldCore
package import KldFiles
package import SystemPackage

/// The files below one root, looked at without ever leaving it.
///
/// Every name on the way is looked at by itself, and a symbolic link on the way ends the way: a link in a sealed tree may point to a
/// path of the machine that does the sealing (`/var/log -> /etc`). What a link hides is reported, so that a person decides.
package struct SealTree: Sendable {
    package struct Match: Sendable, Hashable {
        package var path: FilePath
        /// The names below the root.
        package var names: [String]
        package var status: FileStatus
    }

    /// A link that ended the way of a pattern.
    package struct Blocked: Sendable, Hashable {
        package var path: FilePath
        package var target: String
        /// Where it leads when the root is taken as `/`, as after chroot(2).
        package var destination: FilePath
    }

    package struct Expansion: Sendable, Hashable {
        package var matches: [Match] = []
        package var blocked: [Blocked] = []
        /// The real folders that were looked into.
        package var visited: Set<FilePath> = []
    }

    /// Mounted from the running system, or made anew at every boot: never entered.
    package static let neverEntered: Set<String> = ["proc", "sys", "dev", "run"]

    package let root: FilePath
    package let files: any FileSystem
    private let seen = SealTreeMemory()

    /// - Parameter files: not changed while this value is used: what was seen once is not looked at again.
    package init(root: FilePath, files: any FileSystem) {
        self.root = root
        self.files = files
    }

    package func status(_ path: FilePath) throws -> FileStatus? { try seen.status(path) { try files.status(path) } }
    package func list(_ path: FilePath) throws -> [String] { try seen.list(path) { try files.list(path) } }
    private func folders(in path: FilePath) throws -> [String] { try seen.folders(path) { try files.folders(in: path) } }

    package func path(_ names: some Sequence<String>) -> FilePath { FilePath("\(root)/\(names.joined(separator: "/"))") }

    /// Every home, relative to the root: `root`, each folder of `home`, the homes that passwd(5) names below `home`, `var`, `srv` and
    /// `opt`, and elsewhere those of accounts that can log in.
    package func homes() throws -> [String] {
        var homes = ["root"]
        if try status(root.appending("home"))?.kind == .directory {
            homes += try list(root.appending("home")).map { "home/\($0)" }
        }
        for account in try accounts() {
            let isUsual = ["home/", "var/", "srv/", "opt/"].contains(where: account.home.hasPrefix)
            if let home = try isUsual ? account.home : homeElsewhere(account), !homes.contains(home) { homes.append(home) }
        }
        return homes
    }

    /// Shells that let nobody in, and those of accounts that only run one program. An empty one is `/bin/sh`. Source: passwd(5).
    private static let noShells: Set = ["nologin", "false", "true", "sync", "shutdown", "halt"]
    /// Accounts of programs have their homes there.
    private static let systemFolders: Set = [
        "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "nonexistent", "proc", "run", "sbin", "sys", "usr",
    ]

    /// The home of somebody who can log in, where it is a folder. Links are resolved within the root: else what is below one would be left.
    private func homeElsewhere(_ account: (name: String, home: String, shell: String)) throws -> String? {
        if Self.noShells.contains(account.shell.leaf) { return nil }
        let names = try destinationNames(of: account.home.split(separator: "/").map(String.init))
        guard let first = names.first, !Self.systemFolders.contains(first) else { return nil }
        guard try status(path(names))?.kind == .directory else { return nil }
        return names.joined(separator: "/")
    }

    /// The accounts of the root's own passwd(5), with homes relative to the root.
    package func accounts() throws -> [(name: String, home: String, shell: String)] {
        let path = path(["etc", "passwd"])
        guard try status(path)?.kind == .file else { return [] }
        return String(decoding: try files.read(path), as: UTF8.self).lines.compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 7 else { return nil }
            let home = fields[5].split(separator: "/")
            return home.isEmpty || home.contains("..") ? nil : (fields[0], home.joined(separator: "/"), fields[6])
        }
    }

    package func expand(_ pattern: PathPattern, homes: [String]) throws -> Expansion {
        var result = Expansion()
        for pattern in pattern.isBelowHome ? homes.map(pattern.below) : [pattern] {
            try walk([], pattern.components[...], into: &result)
        }
        return result
    }

    private func walk(_ names: [String], _ rest: ArraySlice<PathPattern.Component>, into result: inout Expansion) throws {
        guard let component = rest.first, !isForbidden(names) else { return }
        let here = path(names)
        result.visited.insert(here)
        switch component {
        case .literal(let name): try step(names + [name], rest.dropFirst(), into: &result)
        case .wildcard:
            for name in try list(here) where component.matches(name) {
                try step(names + [name], rest.dropFirst(), into: &result)
            }
        case .folders:
            try walk(names, rest.dropFirst(), into: &result)
            for name in try folders(in: here) { try walk(names + [name], rest, into: &result) }
        }
    }

    private func step(_ names: [String], _ rest: ArraySlice<PathPattern.Component>, into result: inout Expansion) throws {
        let path = path(names)
        guard !isForbidden(names), let found = try status(path) else { return }
        if rest.isEmpty {
            result.matches.append(Match(path: path, names: names, status: found))
        } else if found.kind == .directory {
            try walk(names, rest, into: &result)
        } else if found.kind == .symlink {
            let destination = try destinationNames(of: names)
            // A link that hides nothing the pattern means is of no interest: each look behind one uses up part of the pattern.
            var hidden = Expansion()
            if try status(self.path(destination))?.kind == .directory { try walk(destination, rest, into: &hidden) }
            if !hidden.matches.isEmpty || !hidden.blocked.isEmpty {
                result.blocked.append(Blocked(path: path, target: try files.readLink(path), destination: self.path(destination)))
            }
        }
    }

    private func isForbidden(_ names: [String]) -> Bool { names.first.map(Self.neverEntered.contains) ?? false }

    /// Every file below a folder, links included and not followed, folders left out.
    package func filesBelow(_ names: [String]) throws -> [Match] {
        var found: [Match] = []
        guard !isForbidden(names) else { return found }
        for name in try list(path(names)) {
            let below = names + [name]
            guard let here = try status(path(below)) else { continue }
            if here.kind == .directory {
                found += try filesBelow(below)
            } else {
                found.append(Match(path: path(below), names: below, status: here))
            }
        }
        return found
    }

    /// Where a path leads with every link taken from the root, as after chroot(2). `..` never climbs out of the root.
    package func destination(of names: [String]) throws -> FilePath { path(try destinationNames(of: names)) }

    /// Whether a link ends below `/run`, which is empty in every image.
    package func leadsOutside(_ names: [String]) throws -> Bool { try destinationNames(of: names).first == "run" }

    private func destinationNames(of names: [String]) throws -> [String] {
        var rest = names[...]
        var done: [String] = []
        var links = 0
        while let name = rest.popFirst() {
            if name == "." { continue }
            if name == ".." {
                _ = done.popLast()
                continue
            }
            done.append(name)
            guard try status(path(done))?.kind == .symlink else { continue }
            links += 1
            // The kernel's own limit, path_resolution(7).
            guard links <= 40 else { throw FileError.other(path(names), action: "resolve", reason: "too many links") }
            let target = try files.readLink(path(done))
            if target.hasPrefix("/") { done = [] } else { done.removeLast() }
            rest = (target.split(separator: "/").map(String.init) + rest)[...]
        }
        return done
    }
}
