import FoundationEssentials
import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// What in an initramfs of initramfs-tools decides whether it can boot from ZFS.
public struct InitramfsContent: Sendable, Hashable, Codable {
    /// How many files, folders and links it holds.
    public var count: Int
    /// OpenZFS' module is among them, compressed or not.
    public var holdsOpenZFS: Bool
    public var holdsZPool: Bool
    public var holdsHostID: Bool
    /// It imports a pool.
    public var importsPools: Bool { holdsOpenZFS && holdsZPool }

    /// - Parameter names: paths without a slash at the beginning.
    public init(_ names: [String]) {
        count = names.count
        holdsOpenZFS = names.contains { name in
            let file = name.split(separator: "/").last ?? ""
            return file == "zfs.ko" || file.hasPrefix("zfs.ko.")
        }
        holdsZPool = names.contains { $0.hasSuffix("/zpool") }
        holdsHostID = names.contains("etc/hostid")
    }

    /// Lists a file, one path a line. Source: lsinitramfs(8), initramfs-tools 0.142 to 0.148.
    public static func listing(_ file: FilePath) -> Command {
        Command(Tool("lsinitramfs", package: "initramfs-tools-core"), [file.string], effect: .reads)
    }

    /// What was found before is kept here, by the version of the file: unpacking one takes longer than all else that the doctor asks.
    public static let known: FilePath = "/var/cache/kldload/initramfs.json"
    /// So many are kept: more than an ESP has room for.
    private static let room = 32

    /// Looks into a file, unless it is known from before and has not changed since; in another environment's clone of it neither.
    ///
    /// Runs: ``listing(_:)``, reads. Writes `known` where it may.
    /// - Returns: `nil` where the tool is not installed: this initramfs is of another family.
    public static func of(
        _ file: FilePath, runner: any CommandRunner, files: any FileSystem, known: FilePath = known
    ) async throws -> InitramfsContent? {
        let version = try files.version(file)
        var contents = (try? JSONDecoder().decode([String: InitramfsContent].self, from: Data(files.read(known)))) ?? [:]
        if let version, let found = contents[version] { return found }
        let content: InitramfsContent
        do { content = InitramfsContent(try await runner.run(listing(file)).output.lines) } catch CommandError.toolMissing { return nil }
        // Of one that was written meanwhile nobody knows which was read.
        if let version, try files.version(file) == version {
            if contents.count >= room { contents = [:] }
            contents[version] = content
            // why without a word: whoever may not write there, or has no room, asks again.
            if let text = try? JSONEncoder().encode(contents) { try? files.write(Array(text), to: known, mode: .file) }
        }
        return content
    }
}
