public import KldExec
public import SystemPackage

/// What to import, and how. `-f` is never a default: a pool that asks for it was last used by another host.
public struct PoolImport: Sendable, Hashable {
    public enum Identity: Sendable, Hashable {
        case name(PoolName)
        /// Unambiguous, even with two pools of one name.
        case guid(UInt64)

        var word: String {
            switch self {
            case .name(let name): name.text
            case .guid(let guid): String(guid)
            }
        }
    }

    public var identity: Identity
    public var newName: PoolName?
    /// Import, mount nothing (`-N`).
    public var noMount = true
    public var readOnly = false
    public var altroot: FilePath?
    /// Look for devices here only (`-d`, once each): folders or devices.
    public var devices: [FilePath] = []
    /// Leave no trace in `/etc/zfs/zpool.cache`. An altroot does the same by itself.
    public var noCacheFile = false
    public var force: Force?

    public init(_ identity: Identity) { self.identity = identity }
    public init(_ name: PoolName) { identity = .name(name) }
}

extension ZPool {
    /// Runs: `zpool import [-N] [-f] [-o readonly=on] [-o cachefile=none] [-R DIR] [-d DIR]… NAME|GUID [NEWNAME]`, changes.
    ///
    /// Source: zpool-import(8), OpenZFS 2.4. Errors: see ``ZFSError``, above all ``ZFSError/foreignHost(pool:host:hostID:)``.
    public static func `import`(_ request: PoolImport) -> Command {
        var words = ["import"]
        if request.noMount { words.append("-N") }
        if request.force != nil { words.append("-f") }
        if request.readOnly { words += ["-o", "readonly=on"] }
        if request.noCacheFile { words += ["-o", "cachefile=none"] }
        if let altroot = request.altroot { words += ["-R", altroot.string] }
        words += request.devices.flatMap { ["-d", $0.string] }
        words.append(request.identity.word)
        if let name = request.newName { words.append(name.text) }
        return Command(tool, words, effect: .changes)
    }

    /// The pools that could be imported. - Parameter devices: look here only.
    ///
    /// Runs: `zpool import [-d DIR]…`, reads. Ends with 0 and "no pools available to import" on standard error (1 before 2.0) when
    /// there are none. Parsed by ``ImportablePool/parse(_:)``.
    public static func importable(devices: [FilePath] = []) -> Command {
        Command(tool, ["import"] + devices.flatMap { ["-d", $0.string] }, effect: .reads, accepting: [0, 1])
    }
}
