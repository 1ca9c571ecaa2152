import FoundationEssentials
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldPackages
import KldPlan
import SystemPackage

extension PayloadBuilder {
    /// What may be added to root file systems without a network: files of the release's archives as they are.
    struct Mirror: Sendable {
        /// Where each lies below the mirror, and in the cache.
        var items: [(path: String, file: FilePath)]
        var size: ByteCount
    }

    /// - Throws: ``Diagnosis`` `iso.no-package`, with every one that the archive does not have.
    func requireOffered(_ packages: [String], _ wanted: PayloadSpec) async throws {
        if packages.isEmpty { return }
        let offered = try await withIndexes(wanted) { indexes, _ in try await indexes.candidates(packages) }
        let missing = packages.filter { offered[$0] == nil }
        guard missing.isEmpty else {
            throw Diagnosis(
                "iso.no-package", "the archive of \(try wanted.spec.title) has no package \(missing.joined(separator: ", "))",
                remedies: ["correct --with-packages: apt-cache search WORD finds names"], exit: .badAnswers)
        }
    }

    /// A mirror for payloads of one release, from the cache or made now: every package that may be added to one of them, with all that it needs
    /// there, and the signed indexes that name them.
    ///
    /// - Parameters:
    ///   - payloads: one or more, all of one release, each with what it was built from.
    ///   - packages: beyond ``ProfileSpec/optionalPackages(for:)``.
    /// - Throws: ``Diagnosis`` `packages.unmet` when they cannot be installed together, `packages.unreachable`, `iso.mirror-incomplete`.
    func mirror(of payloads: [(wanted: PayloadSpec, payload: Payload)], packages: [String]) async throws -> Mirror {
        let first = payloads[0].wanted
        let info = try Self.additions(to: payloads.map { $0.wanted }, packages: packages)
        let text = try SortedJSON.line(info)
        let folder = try await withIndexes(first) { indexes, sources in
            let state = try await indexes.state().map(\.sha256).sorted()
            let inputs = (["mirror/1", text] + state + payloads.map(\.payload.digest)).joined(separator: "\n") + "\n"
            return try await cache.artifact("mirror", inputs: inputs) { partial in
                say("choosing what the ISO's offline mirror holds")
                try await WorkFolder.with("mirror", in: cache.root, report: { say($0.message) }) { work in
                    try await make(info, text, payloads, indexes, sources, into: partial, work: work)
                }
            }
        }
        return try Self.mirror(in: folder, files)
    }

    /// Which packages a mirror is made of, for payloads of one release: none of what they are built from.
    static func additions(to payloads: [PayloadSpec], packages: [String]) throws -> MirrorInfo {
        var info = MirrorInfo(packages: [:])
        guard let first = payloads.first else { return info }
        let optional = try ProfileSpec.optionalPackages(for: first.spec) + packages
        for wanted in payloads { info.packages[wanted.profile] = try Set(optional).subtracting(wanted.packages).sorted() }
        return info
    }

    /// Where things lie below the mirror, one path a line. A folder of the cache holds files alone.
    private static let places = "places"

    private static func mirror(in folder: FilePath, _ files: any FileSystem) throws -> Mirror {
        var mirror = Mirror(items: [], size: ByteCount(0))
        for path in try files.readText(folder.appending(places)).lines {
            let file = folder.appending(flat(path))
            mirror.items.append((path, file))
            mirror.size = mirror.size + (try files.status(file)?.size ?? ByteCount(0))
        }
        return mirror
    }

    private static func flat(_ path: String) -> String { path.replacing("/", with: "_") }

    private func make(
        _ info: MirrorInfo, _ text: String, _ payloads: [(wanted: PayloadSpec, payload: Payload)], _ indexes: AptIndexes,
        _ sources: [AptSource], into partial: FilePath, work: FilePath
    ) async throws {
        // Below a mirror the archives lie as at their owner's, whatever the address is that they were fetched from.
        let names = try payloads[0].wanted.spec.sources(mirror: "/debian").map { String($0.uri.dropFirst()) }
        let archives = Dictionary(zip(sources.map(\.uri), names), uniquingKeysWith: { $1 })
        func place(_ download: AptDownload) throws -> String {
            for (uri, name) in archives { if let path = download.path(in: uri) { return "\(name)/\(path)" } }
            throw Diagnosis("packages.uris", "apt-get names a package of another archive", exit: .bug, causes: [download.uri])
        }
        let (signed, lists) = try indexes.published(sources)
        var wanted = try Dictionary(lists.map { (try place($0), $0) }, uniquingKeysWith: { $1 })
        for (payload, built) in payloads {
            let folder = work.appending(payload.profile)
            try files.makeDirectory(folder, mode: .directory)
            try await built.extract(["./\(Self.dpkgStatus)"], into: folder, runner)
            // Alone and at once: what satisfies one of several needs may differ.
            for names in Self.requests(info.packages[payload.profile] ?? []) {
                for download in try await indexes.downloads(names, status: folder.appending(Self.dpkgStatus)) {
                    wanted[try place(download)] = download
                }
            }
        }
        let size = ByteCount(wanted.values.reduce(0) { $0 + $1.size.bytes })
        try cache.requireRoom(size, for: "the offline mirror")
        say("fetching \(wanted.count) files, \(size), for the ISO's offline mirror")
        try await indexes.fetch(wanted.sorted { $0.key < $1.key }.map { ($0.value, partial.appending(Self.flat($0.key))) })
        var places = wanted.keys.sorted()
        for (source, file) in signed {
            let path = "\(archives[source.uri] ?? "")/dists/\(source.suite)/InRelease"
            try files.write(files.read(file), to: partial.appending(Self.flat(path)), mode: .file)
            places.append(path)
        }
        try files.write(text, to: partial.appending(MirrorInfo.name))
        try files.write((places.sorted() + [MirrorInfo.name]).map { $0 + "\n" }.joined(), to: partial.appending(Self.places))
        try await verify(info, payloads, places, in: partial, work: work)
    }

    private static let dpkgStatus = "var/lib/dpkg/status"

    /// Each by itself, and all at once.
    static func requests(_ packages: [String]) -> [[String]] {
        (packages.isEmpty ? [] : [packages]) + (packages.count > 1 ? packages.map { [$0] } : [])
    }

    /// With the mirror as its only source apt verifies the indexes' signatures, and takes every package from it that an installation would.
    private func verify(
        _ info: MirrorInfo, _ payloads: [(wanted: PayloadSpec, payload: Payload)], _ places: [String], in partial: FilePath, work: FilePath
    ) async throws {
        say("verifying the offline mirror: it is apt's only source now")
        let tree = work.appending("tree")
        for path in places {
            let link = tree.pushing(FilePath(path))
            try files.makeDirectory(link.removingLastComponent(), mode: .directory)
            try files.symlink(link, to: partial.appending(Self.flat(path)).string)
        }
        for (payload, _) in payloads {
            let state = work.appending("\(payload.profile)-apt")
            let mirror = try payload.spec.offlineMirror(
                in: tree, state: state, status: work.appending(payload.profile).pushing(FilePath(Self.dpkgStatus)))
            for folder in OfflineMirror.folders { try files.makeDirectory(state.pushing(FilePath(folder)), mode: .directory) }
            for (path, text) in mirror.texts { try files.write(text, to: state.appending(path)) }
            do {
                try await runner.run(mirror.refresh)
                for names in Self.requests(info.packages[payload.profile] ?? []) { try await runner.run(mirror.verify(names)) }
            } catch let error as CommandError {
                throw Diagnosis(
                    "iso.mirror-incomplete", "the offline mirror cannot install all that it should onto profile \(payload.profile)",
                    remedies: ["try again: the archive may be in the middle of a change"], exit: .tryAgain,
                    causes: error.failure?.errors.lines.suffix(12) ?? [error.diagnosis.message])
            }
        }
    }
}
