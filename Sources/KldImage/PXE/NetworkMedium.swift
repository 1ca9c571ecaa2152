import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// A live environment that came over the network. What it installs stays on the server until it is asked for, and is fetched into memory then:
/// it is looked at whole before anything of it is used.
public struct NetworkMedium: Sendable, Hashable {
    /// Of the folder that it came from: `http://10.0.1.5/kldload`.
    let address: String
    /// Of the list of what else there is.
    let list: FileDigest

    /// What is left for the installer itself.
    private static let reserve = ByteCount.mebibytes(512)
    private static let listFile = LiveMedium.mountPoint.pushing(FilePath(MediumList.path))

    /// - Parameter commandLine: `/proc/cmdline`.
    /// - Returns: `nil` where the live environment lies on a medium, or where nothing says what the server should have.
    public init?(commandLine: String) {
        let words = UnattendedSeed.split(commandLine)
        func value(_ name: String) -> String? { words.last { $0.hasPrefix(name) }.map { String($0.dropFirst(name.count)) } }
        guard let root = value("root=live:"), root.hasPrefix("http://") || root.hasPrefix("https://"), let slash = root.lastIndex(of: "/"),
            let list = value("kldload.medium-sha256=").flatMap({ FileDigest(hex: $0) })
        else { return nil }
        address = String(root[..<slash])
        self.list = list
    }

    /// The one that this machine was started from. - Throws: ``FileError``.
    public static func running(_ files: any FileSystem) throws -> NetworkMedium? {
        NetworkMedium(commandLine: try files.readText("/proc/cmdline"))
    }

    /// What can be installed from it, as folders: `debian-trixie-core`.
    public func payloads(runner: any CommandRunner, files: any FileSystem) async throws -> [String] {
        LiveMedium.payloads(in: try await contents(.seconds(3), runner, files))
    }

    /// Fetches one payload, with what it builds on, or the mirror of what may be added to it, where it is not there yet.
    ///
    /// Runs: `curl … --output FILE URL`, again while the network or the server is not up; `sha256sum`; changes.
    /// - Parameters:
    ///   - folder: as ``LiveMedium/payload(_:)`` or ``LiveMedium/mirror(_:)`` says it.
    ///   - whole: `false`: only its description.
    /// - Returns: its folder, as on a medium; `nil` when the server has none.
    /// - Throws: ``Diagnosis`` `medium.unreachable`, `medium.wrong-digest`, `medium.no-memory`, `medium.list-unreadable`,
    ///   `medium.base-missing`.
    public func fetch(
        _ folder: String, whole: Bool = true, every pause: Duration = .seconds(3), runner: any CommandRunner, files: any FileSystem,
        say: (String) -> Void
    ) async throws -> FilePath? {
        let list = try await contents(pause, runner, files)
        let description = [PayloadManifest.info, PayloadManifest.packages, MirrorInfo.name].map { "\(folder)/\($0)" }
        var wanted = list.files(in: folder).filter { whole || description.contains($0.path) }
        let bases = try list.bases(in: folder)
        if whole { wanted = bases + wanted }
        if wanted.isEmpty { return nil }
        let missing = try wanted.filter { file in
            // It was looked at before it got its name.
            try files.status(LiveMedium.mountPoint.pushing(FilePath(file.path)))?.size != file.size
        }
        let needed = ByteCount(missing.reduce(0) { $0 + $1.size.bytes })
        if whole, !missing.isEmpty {
            try requireMemory(needed, files)
            say("fetching \(needed) from \(address)/\(folder)")
        }
        for file in missing { try await get(file, pause, runner, files) }
        return LiveMedium.mountPoint.pushing(FilePath(folder))
    }

    private func contents(
        _ pause: Duration, _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws -> MediumList {
        if try !files.exists(Self.listFile) {
            try await get(.init(path: MediumList.path, size: .mebibytes(1), digest: list), pause, runner, files)
        }
        return try MediumList(text: files.readText(Self.listFile))
    }

    /// `MemAvailable:   13373580 kB`, Linux 6.12. Source: proc_meminfo(5), Linux man-pages 6.9.
    private func requireMemory(_ needed: ByteCount, _ files: any FileSystem) throws {
        let line = (try? files.readText("/proc/meminfo"))?.lines.first { $0.hasPrefix("MemAvailable:") }
        guard let free = line.flatMap({ UInt64($0.words.dropFirst().first ?? "") }).map({ ByteCount($0 << 10) }) else { return }
        let room = min(free, try files.freeSpace(LiveMedium.mountPoint) + Self.reserve)
        guard room < needed + Self.reserve else { return }
        throw Diagnosis(
            "medium.no-memory",
            "this machine's memory has no room for what is to be installed: that takes \(needed + Self.reserve), \(room) is free",
            remedies: ["start it from the ISO instead, which is read from a stick", "give it more memory"], exit: .unavailable)
    }

    /// A file gets its name when it is whole and what the list means. One that was cut off goes on where it was.
    ///
    /// Source: curl(1), 7.88 to 8.14; it ends with 33 when the server sends no parts of files.
    private func get(_ file: MediumList.File, _ pause: Duration, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        let target = LiveMedium.mountPoint.pushing(FilePath(file.path))
        let partial = FilePath("\(target.string).part")
        try files.makeDirectory(target.removingLastComponent(), mode: .directory)
        try files.remove(partial)
        let fetch = Fetch(
            "\(address)/\(file.path)",
            [
                "--speed-limit", "1", "--speed-time", "60", "--continue-at", "-", "--max-filesize", String(file.size.bytes), "--output",
                partial.string,
            ])
        let answer = try await fetch.run(every: pause, runner) { answer in
            // The server cannot go on in the middle of a file.
            if answer.status == 33 { try files.remove(partial) }
            return answer.status != Fetch.refused
        }
        guard answer.status == 0 else {
            throw Diagnosis(
                "medium.unreachable", "\(address)/\(file.path) cannot be fetched",
                remedies: ["check the network: networkctl status", "check the server: curl -v \(address)/\(MediumList.path)"],
                exit: .unavailable, causes: answer.errors.lines)
        }
        let found = try await SHA256Sum.digest(of: partial, runner)
        guard found == file.digest else {
            try files.remove(partial)
            throw Diagnosis(
                "medium.wrong-digest", "\(address)/\(file.path) is not what the boot menu means; it was not used",
                remedies: [
                    "start the machine again: the server's files may just have been replaced", "export them again: kldload pxe export",
                ],
                exit: .unavailable, causes: ["its sha256 is \(found.hex), not \(file.digest.hex)"])
        }
        try files.rename(partial, to: target)
    }
}
