import KldBoot
import KldCore
import KldExec
import KldFiles
import KldImage
import SystemPackage

/// What makes a machine itself, in an environment that came from another one: replaced by what the running environment has, or taken away.
///
/// It is what sealing an image takes out (``SealCatalogue``), and what a machine was told about itself: network, mounts, who may log in.
struct OwnFiles: Sendable {
    /// Beside what a seal knows.
    static let more: [PathPattern] = [
        "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/fstab", "etc/crypttab", "etc/adjtime", "etc/localtime", "etc/timezone",
        "etc/subuid", "etc/subgid", "etc/sudoers", "etc/sudoers.d", "etc/ssh", "etc/kldload", "etc/network", "etc/netplan",
        "etc/NetworkManager/system-connections", "etc/systemd/network", "etc/systemd/resolved.conf", "etc/systemd/resolved.conf.d",
        "etc/nftables.conf", "etc/nftables.d", "etc/zfs/zpool.cache", "etc/zfs/zfs-list.cache", "etc/ca-certificates.conf", "etc/ssl/certs",
        // What is kept of whose datasets: the policy names the machine's own pool.
        "etc/sanoid",
        // Whether this machine signs what it boots.
        PathPattern(MachineOwnerKey.configuration),
    ]
    /// Of the seal, what is no identity: what grows by itself, or can be fetched again; and accounts, which are joined.
    static let others: Set<String> = [
        "passwords", "package-cache", "package-lists", "rpm-db-regions", "configuration-backups", "journal", "login-records", "audit-logs",
        "process-accounting", "kldload-logs", "logs", "crash-dumps", "core-dumps", "crash-reports", "tmp", "var-tmp", "lost-and-found",
        "swap-files", "package-build-leftovers",
    ]
    /// Of the seal, what is taken away and has no equal here: traces of what people did, and caches.
    static let traces: Set<String> = [
        "shell-history", "zsh-history", "database-history", "interpreter-history", "pager-editor-history", "desktop-traces",
    ]
    /// Given after everything else: with another machine's an environment is not activated, so one that is half done is none.
    private static let last = "etc/hostid"
    private static let accounts = ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"]

    /// Paths below a root, in their order; none of them lies below another.
    struct Choice: Sendable, Hashable {
        /// As it is here; what is not here goes.
        var own: [String]
        /// Goes in any case.
        var gone: [String]
        /// Is not here, and has lines there that are the other machine's own: they go.
        var edited: [Edit]
    }

    struct Edit: Sendable, Hashable {
        var path: String
        var edit: LineEdit
    }

    let here: SealTree
    let there: SealTree
    let files: any FileSystem
    /// Where something else is mounted: all environments share it.
    let shared: [String]

    /// - Parameters:
    ///   - root: where the environment is mounted, to be written to.
    ///   - running: the system that runs.
    ///   - shared: `nil`: wherever something is mounted.
    init(into root: FilePath, from running: FilePath = "/", shared: [String]? = nil, files: any FileSystem) throws {
        here = SealTree(root: running, files: files)
        there = SealTree(root: root, files: files)
        self.files = files
        self.shared = try shared ?? files.mounts().map(\.place).filter { $0 != "/" }
    }

    /// What is replaced, and what is taken away. - Throws: ``FileError``.
    func choice() throws -> Choice {
        var (own, gone, edited) = (Set<String>(), Set<String>(), [Edit]())
        func has(_ edit: LineEdit, _ tree: SealTree, _ path: String) throws -> Bool {
            let file = tree.root.appending(path)
            return try files.status(file)?.kind == .file && edit.applied(to: files.read(file)).changes > 0
        }
        // People's are shared by all environments; those of services may lie in them.
        let homes = Set(try here.homes() + there.homes()).sorted()
        func paths(_ pattern: PathPattern, in trees: [SealTree], except: [PathPattern] = []) throws -> [String] {
            try trees.flatMap { try $0.expand(pattern, homes: homes).matches }.compactMap { match in
                let path = match.names.joined(separator: "/")
                if shared.contains(where: { "/\(path)" == $0 || "/\(path)".hasPrefix($0 + "/") }) { return nil }
                return except.contains { $0.covers(match.names) } ? nil : path
            }
        }
        for pattern in Self.more { own.formUnion(try paths(pattern, in: [here, there])) }
        for kind in SealCatalogue.classes where !Self.others.contains(kind.id) {
            for target in kind.targets {
                for pattern in target.patterns {
                    if Self.traces.contains(kind.id) {
                        gone.formUnion(try paths(pattern, in: [there], except: target.excluding))
                    } else if case .edit(let edit) = target.operation {
                        // A file of settings is the package's, unless it has lines that are a machine's own.
                        for path in Set(try paths(pattern, in: [here, there], except: target.excluding)).sorted() {
                            let isOwn = try has(edit, here, path)
                            guard try isOwn || has(edit, there, path) else { continue }
                            if try isOwn || files.exists(here.root.appending(path)) {
                                own.insert(path)
                            } else {
                                edited.append(Edit(path: path, edit: edit))
                            }
                        }
                    } else {
                        own.formUnion(try paths(pattern, in: [here, there], except: target.excluding))
                    }
                }
            }
        }
        own.subtract(Self.accounts)
        func tops(_ all: Set<String>) -> [String] {
            all.filter { path in
                let names = path.split(separator: "/")
                return !(1..<names.count).contains { all.contains(names.prefix($0).joined(separator: "/")) }
            }.sorted()
        }
        let taken = tops(own)
        return Choice(
            own: taken, gone: tops(gone.subtracting(own)),
            edited: edited.filter { edit in !taken.contains { edit.path == $0 || edit.path.hasPrefix($0 + "/") } })
    }

    /// Takes all of it.
    ///
    /// Runs: `cp --archive --no-target-directory FROM TO` for each, changes. Source: cp(1), coreutils 9.1.
    /// - Throws: ``Diagnosis`` `fleet.link`, `fleet.accounts`; ``FileError``; ``CommandError``.
    func take(runner: any CommandRunner) async throws {
        let choice = try choice()
        // All of it is looked at before any of it is changed.
        let joined = try joinedAccounts()
        for path in choice.own + choice.gone + choice.edited.map(\.path) { try refuseLinks(on: path) }
        for edit in choice.edited {
            let file = there.root.appending(edit.path)
            guard let status = try files.status(file) else { continue }
            try files.replace(file, with: edit.edit.applied(to: files.read(file)).content, mode: status.mode)
        }
        for path in choice.gone { try clear(path) }
        let last = Self.last
        for path in choice.own where path != last { try await give(path, runner) }
        for (path, text) in joined {
            let file = there.root.appending(path)
            try files.replace(file, with: Array(text.utf8), mode: try files.status(file)?.mode ?? .file)
        }
        if choice.own.contains(last) { try await give(last, runner) }
    }

    /// As it is here; what is not here goes.
    private func give(_ path: String, _ runner: any CommandRunner) async throws {
        let (from, to) = (here.root.appending(path), there.root.appending(path))
        guard try files.exists(from) else { return try clear(path) }
        try files.remove(to)
        try files.makeDirectory(to.removingLastComponent(), mode: .directory)
        try await runner.run(FileCommand.copyTree(from, to: to))
    }

    /// Removes a file, or all files of a folder: the folder may be a package's, and services expect theirs, with owner and mode.
    private func clear(_ path: String) throws {
        let place = there.root.appending(path)
        guard try files.status(place)?.kind == .directory else { return try files.remove(place) }
        for match in try there.filesBelow(path.split(separator: "/").map(String.init)) { try files.remove(match.path) }
    }

    /// A link on the way would lead out of the environment, into the system that runs.
    private func refuseLinks(on path: String) throws {
        let names = path.split(separator: "/").map(String.init)
        for count in 1..<max(1, names.count) {
            let folder = there.path(names.prefix(count))
            guard let status = try files.status(folder) else { return }
            guard status.kind == .directory else {
                throw Diagnosis(
                    "fleet.link", "\(folder) is no folder, and /\(path) is this machine's own: it cannot be put there",
                    remedies: ["make the environment on a machine that was installed as this one"])
            }
        }
    }

    private func joinedAccounts() throws -> [(String, String)] {
        func tables(_ root: FilePath) throws -> AccountTables {
            func text(_ path: String) throws -> String {
                let file = root.appending(path)
                return try files.exists(file) ? files.readText(file) : ""
            }
            return AccountTables(
                passwd: try text("etc/passwd"), group: try text("etc/group"), shadow: try text("etc/shadow"),
                gshadow: try text("etc/gshadow"))
        }
        let joined = try tables(here.root).taking(from: tables(there.root))
        return zip(Self.accounts, [joined.passwd, joined.group, joined.shadow, joined.gshadow]).filter { !$0.1.isEmpty }.map { ($0, $1) }
    }
}
