/// Properties in the order in which they are given to `zfs` and `zpool`.
public struct ZFSProperties: Sendable, Hashable, Codable, ExpressibleByDictionaryLiteral {
    public struct Entry: Sendable, Hashable, Codable, CustomStringConvertible {
        public var name: String
        public var value: String
        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
        public var description: String { "\(name)=\(value)" }
    }

    public private(set) var entries: [Entry]

    public init(_ entries: [Entry] = []) { self.entries = entries }
    public init(dictionaryLiteral pairs: (String, String)...) { entries = pairs.map { Entry($0.0, $0.1) } }

    public var isEmpty: Bool { entries.isEmpty }

    /// Setting an entry keeps its place; a new one goes to the end; `nil` takes it out.
    public subscript(name: String) -> String? {
        get { entries.first { $0.name == name }?.value }
        set {
            switch (entries.firstIndex { $0.name == name }, newValue) {
            case (let index?, let value?): entries[index].value = value
            case (let index?, nil): entries.remove(at: index)
            case (nil, let value?): entries.append(Entry(name, value))
            case (nil, nil): break
            }
        }
    }

    /// These, changed and continued by `other`.
    public func merging(_ other: ZFSProperties) -> ZFSProperties {
        other.entries.reduce(into: self) { $0[$1.name] = $1.value }
    }

    /// `["-o", "a=1", "-o", "b=2"]`.
    func words(flag: String) -> [String] { entries.flatMap { [flag, $0.description] } }
}

/// The user properties by which kldload marks what is its own.
public enum KldProperty {
    /// On every dataset and pool that kldload may destroy; the value is ``ownerValue``.
    public static let owner = "com.kldload:owner"
    public static let ownerValue = "kldload"
    /// On a boot environment: whose identity it holds, ``foreign`` or ``own``; not set: ``own``. Snapshots inherit it from their dataset, and one
    /// that holds what the dataset was before it was made the machine's own bears it itself.
    public static let identity = "com.kldload:identity"
    /// It came from another machine, and would start as that one.
    public static let foreign = "foreign"
    /// It is this machine's.
    public static let own = "own"
    /// On a boot environment whose packages are being changed, or were when that ended too early: it is half made while it bears this itself.
    public static let upkeep = "com.kldload:upkeep"
}
