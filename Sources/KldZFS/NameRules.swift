public import KldCore

/// What is wrong with a name, before ZFS is asked.
///
/// Source: `module/zcommon/zfs_namecheck.c` and `zpool_name_valid()` of OpenZFS 2.4.4, zpool-create(8), zfs(8).
public enum NameProblem: Error, Sendable, Hashable {
    case empty
    /// In bytes, with the longest that would be accepted.
    case tooLong(bytes: Int, most: Int)
    case character(Character)
    case firstLetter
    case reserved
    case emptyComponent
    case relative
    case tooDeep(most: Int)
    case spaceAtEdge
    case delimiters

    var text: String {
        switch self {
        case .empty: "it is empty"
        case .tooLong(let bytes, let most): "it has \(bytes) bytes, and ZFS takes at most \(most)"
        case .character(let character): "the character '\(character)' is not allowed"
        case .firstLetter: "it must begin with a letter"
        case .reserved: "ZFS keeps this name for itself"
        case .emptyComponent: "there is nothing between two slashes, or at an end"
        case .relative: "'.' and '..' are not names"
        case .tooDeep(let most): "it is nested deeper than \(most) levels"
        case .spaceAtEdge: "a part begins or ends with a space"
        case .delimiters: "it needs exactly one '@'"
        }
    }
}

/// A name that ZFS would refuse, with what it was for.
public struct NameError: Error, Sendable, Hashable, Diagnosable {
    public enum Subject: String, Sendable, Hashable { case pool, dataset, snapshot }
    public var subject: Subject
    public var name: String
    public var problem: NameProblem

    public init(_ subject: Subject, _ name: String, _ problem: NameProblem) {
        self.subject = subject
        self.name = name
        self.problem = problem
    }

    public var diagnosis: Diagnosis {
        Diagnosis(
            "zfs.name.\(subject.rawValue)", "'\(name)' cannot be the name of a \(subject.rawValue): \(problem.text)",
            remedies: ["use letters, digits and - _ . : only, beginning with a letter"], exit: .usage)
    }
}

enum NameRules {
    /// `ZFS_MAX_DATASET_NAME_LEN` is 256 with the closing zero byte.
    static let longest = 255
    /// Two bytes and twice `$ORIGIN` are taken from it for the pool's own hidden snapshot.
    static let longestPool = 239
    /// `zfs_max_dataset_nesting`, its default.
    static let deepest = 50

    /// Letters, digits and `-_.: `. ZFS itself also puts `%` into the names of receives under way; nobody else may.
    static func check(characters text: some StringProtocol) throws(NameProblem) {
        for character in text {
            switch character {
            case "a"..."z", "A"..."Z", "0"..."9", "-", "_", ".", ":", " ": continue
            default: throw .character(character)
            }
        }
    }

    /// One part of a dataset's name, or what follows the `@` of a snapshot.
    static func check(component text: some StringProtocol) throws(NameProblem) {
        if text.isEmpty { throw .emptyComponent }
        if text == "." || text == ".." { throw .relative }
        // why: ZFS would take it; nobody could see it in a list, and every list that is split at spaces would lose it.
        if text.first == " " || text.last == " " { throw .spaceAtEdge }
        try check(characters: text)
    }

    static func check(pool text: some StringProtocol) throws(NameProblem) {
        guard let first = text.first else { throw .empty }
        let count = text.utf8.count
        if count > longestPool { throw .tooLong(bytes: count, most: longestPool) }
        try check(characters: text)
        guard ("a"..."z").contains(first) || ("A"..."Z").contains(first) else { throw .firstLetter }
        if text.last == " " { throw .spaceAtEdge }
        if text == "log" || ["mirror", "raidz", "draid", "spare"].contains(where: { text.hasPrefix($0) }) { throw .reserved }
        // why: c0t0d0 and the like are disks to ZFS on illumos; such a pool could not be named there.
        let bytes = Array(text.utf8.prefix(2))
        if bytes.count == 2, bytes[0] == UInt8(ascii: "c"), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[1]) { throw .reserved }
    }

    static func check(dataset text: some StringProtocol) throws(NameProblem) {
        if text.isEmpty { throw .empty }
        let count = text.utf8.count
        if count > longest { throw .tooLong(bytes: count, most: longest) }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count > deepest { throw .tooDeep(most: deepest) }
        if parts[0].isEmpty { throw .emptyComponent }
        try check(pool: parts[0])
        for part in parts.dropFirst() { try check(component: part) }
    }
}
