import FoundationEssentials
public import KldCore
public import KldFiles
import KldZFS
public import SystemPackage

/// A replacement under way, kept until the new disk is alone in its place: what the old disk's passport said goes with the old disk.
public struct ReplacementRecord: Sendable, Hashable, Codable {
    public static let currentSchema = "disk-replacement/1"
    /// Shared by all boot environments.
    public static let folder: FilePath = "/var/lib/kldload/disks"

    public var schema = currentSchema
    public var pool: String
    /// The GUID of the old vdev.
    public var old: UInt64
    /// All names that the old disk may be called by.
    public var oldNames: [String]
    /// The new disk's stable name, its serial number, and the path that the pool was given.
    public var new: String
    public var newSerial: String?
    public var newVdev: String
    /// The new disk's passport.
    public var passport: [String: String]
    public var started: Timestamp
    /// Somebody approved that the new disk is wiped.
    public var approved: Bool

    public init(
        pool: String, old: UInt64, oldNames: [String], new: String, newSerial: String?, newVdev: String, passport: [String: String],
        started: Timestamp, approved: Bool
    ) {
        self.pool = pool
        self.old = old
        self.oldNames = oldNames
        self.new = new
        self.newSerial = newSerial
        self.newVdev = newVdev
        self.passport = passport
        self.started = started
        self.approved = approved
    }

    static func file(_ old: UInt64) -> FilePath { folder.appending("replace-\(old).json") }
    public var file: FilePath { Self.file(old) }

    /// - Throws: what the encoder throws.
    public var text: String {
        get throws { try SortedJSON.document(self) }
    }

    public func isOf(old word: String) -> Bool {
        oldNames.contains { $0 == word || $0.leaf == word } || String(old) == word
    }

    /// All that are under way. - Throws: ``Diagnosis`` `kdisk.record`.
    public static func all(_ files: any FileSystem) throws -> [ReplacementRecord] {
        let names: [String]
        do { names = try files.list(folder) } catch FileError.missing { return [] }
        return try names.sorted().filter { $0.hasPrefix("replace-") && $0.hasSuffix(".json") }.map { try read(folder.appending($0), files) }
    }

    static func read(_ file: FilePath, _ files: any FileSystem) throws -> ReplacementRecord {
        let record = try? JSONDecoder().decode(ReplacementRecord.self, from: Data(files.read(file)))
        guard let record, record.schema == currentSchema else {
            throw Diagnosis(
                "kdisk.record", "the record of a replacement cannot be read: \(file)",
                remedies: ["look at it and at zpool status; if nothing is being replaced, remove it"], exit: .badConfiguration)
        }
        return record
    }
}
