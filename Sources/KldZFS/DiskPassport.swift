public import KldCore

/// What is known of a disk beside what it says of itself: where it is, whose it is, what helps when it fails. It lies in the pool, on the disk's
/// vdev, so that it is there when the disk is not.
public struct DiskPassport: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// Of the place: the disk that comes after it inherits it.
        case place
        /// Of this one disk.
        case disk
        /// Written by kldload alone.
        case record
    }

    public struct Field: Sendable, Hashable {
        public var key: String
        public var title: String
        public var kind: Kind
        var isDate = false
    }

    /// In the order of a label.
    public static let fields: [Field] = [
        Field(key: "region", title: "Region", kind: .place), Field(key: "datacenter", title: "Datacenter", kind: .place),
        Field(key: "rack", title: "Rack", kind: .place), Field(key: "enclosure", title: "Enclosure", kind: .place),
        Field(key: "bay", title: "Bay", kind: .place), Field(key: "slot", title: "Slot", kind: .place),
        Field(key: "owner", title: "Owner", kind: .place), Field(key: "asset", title: "Asset ID", kind: .disk),
        Field(key: "bought", title: "Bought", kind: .disk, isDate: true),
        Field(key: "warranty", title: "Warranty", kind: .disk, isDate: true),
        Field(key: "rma", title: "RMA", kind: .disk), Field(key: "note", title: "Note", kind: .disk),
        Field(key: "serial", title: "Serial", kind: .record), Field(key: "model", title: "Model", kind: .record),
        Field(key: "since", title: "In service since", kind: .record, isDate: true),
        Field(key: "history", title: "Before it", kind: .record),
    ]

    /// What a key of one's own begins with: then a mistyped one is no new field.
    public static let freePrefix = "x-"
    /// In bytes. Short enough that a label's QR code is always possible.
    static let longest = 128
    static let longestNote = 1024
    /// Below the 4096 bytes that `zpool get` prints. Source: `ZFS_MAXPROPLEN`, OpenZFS 2.4.
    static let longestHistory = 2048

    /// By key; none is empty.
    public private(set) var values: [String: String]

    public init(_ values: [String: String] = [:]) { self.values = values.filter { !$0.value.isEmpty } }

    public subscript(key: String) -> String? { values[key] }
    public var isEmpty: Bool { values.isEmpty }

    /// Keys that are set: known ones as ``fields`` has them, then one's own.
    public var keys: [String] {
        let known = Self.fields.map(\.key)
        return known.filter { values[$0] != nil } + values.keys.filter { !known.contains($0) }.sorted()
    }

    public static func title(_ key: String) -> String {
        fields.first { $0.key == key }?.title ?? (key.hasPrefix(freePrefix) ? String(key.dropFirst(freePrefix.count)) : key)
    }

    /// Whether the disk that takes the place has it too. One's own fields are of the place.
    static func isOfPlace(_ key: String) -> Bool { fields.first { $0.key == key }.map { $0.kind == .place } ?? true }

    // MARK: changing it

    /// The same with fields set and taken away, for the disk with this serial number and model.
    ///
    /// - Throws: ``Diagnosis`` `passport.field`, `passport.value`.
    public func changed(
        setting: [(key: String, value: String)], unsetting: [String] = [], serial: String?, model: String?
    ) throws(Diagnosis) -> DiskPassport {
        var copy = self
        for (key, value) in setting {
            try Self.check(key)
            try Self.check(key, value)
            copy.values[key] = value
        }
        for key in unsetting {
            try Self.check(key)
            copy.values[key] = nil
        }
        // A disk that is gone cannot say it any more.
        let records: Set<String> = ["serial", "model"]
        if copy.values.keys.allSatisfy({ records.contains($0) }) { return DiskPassport() }
        if let serial = serial.flatMap(Self.plain) { copy.values["serial"] = serial }
        if let model = model.flatMap(Self.plain) { copy.values["model"] = model }
        return copy
    }

    /// What a new disk gets that takes this one's place: the place, and a line about what was there.
    ///
    /// - Parameters:
    ///   - day: `2026-11-29`.
    ///   - setting: fields of the new disk itself.
    /// - Throws: as ``changed(setting:unsetting:serial:model:)``.
    public func carried(
        on day: String, setting: [(key: String, value: String)], serial: String?, model: String?, oldSerial: String?, oldModel: String?
    ) throws(Diagnosis) -> DiskPassport {
        var next = DiskPassport(values.filter { Self.isOfPlace($0.key) })
        var line = "out \(day)"
        for (word, value) in [
            ("serial", values["serial"] ?? oldSerial), ("model", values["model"] ?? oldModel), ("asset", values["asset"]),
            ("since", values["since"]), ("warranty", values["warranty"]),
        ] {
            if let value = value.flatMap(Self.plain) { line += ", \(word) \(value)" }
        }
        // The oldest ones go when it becomes too long.
        var lines = [line] + (values["history"].map { $0.split(separator: ";").map(\.trimmed) } ?? [])
        while lines.count > 1, lines.joined(separator: "; ").utf8.count > Self.longestHistory { lines.removeLast() }
        next.values["history"] = lines.joined(separator: "; ")
        next.values["since"] = day
        return try next.changed(setting: setting, serial: serial, model: model)
    }

    /// - Throws: ``Diagnosis`` `passport.field`.
    static func check(_ key: String) throws(Diagnosis) {
        let own = key.hasPrefix(freePrefix) ? key.dropFirst(freePrefix.count) : ""
        if !own.isEmpty, key.utf8.count <= 32, own.utf8.first != UInt8(ascii: "-"), String(own).isPlain(besides: "-"),
            own == own.lowercased()
        {
            return
        }
        let mine = fields.filter { $0.kind != .record }.map(\.key)
        if mine.contains(key) { return }
        throw Diagnosis(
            "passport.field", "a disk's passport has no field '\(key)'",
            remedies: didYouMean(key, mine) + [
                "fields: \(mine.joined(separator: ", "))",
                "one of your own: \(freePrefix)NAME, lower-case letters, digits and - (serial, model and history are written by kldload)",
            ], exit: .usage)
    }

    /// - Throws: ``Diagnosis`` `passport.value`.
    static func check(_ key: String, _ value: String) throws(Diagnosis) {
        func refuse(_ problem: String, _ remedy: String) -> Diagnosis {
            Diagnosis("passport.value", "\(key) cannot be '\(value.prefix(40))': \(problem)", remedies: [remedy], exit: .usage)
        }
        let most = key == "note" ? longestNote : longest
        if value.isEmpty { throw refuse("it is empty", "take the field away: --unset \(key)") }
        // ZFS' tools write it where there is no value.
        if value == "-" { throw refuse("ZFS means 'nothing' by it", "take the field away: --unset \(key)") }
        if value.utf8.count > most { throw refuse("it has more than \(most) bytes", "shorten it") }
        if value.trimmed != value { throw refuse("it begins or ends with a space", "leave the space out") }
        if plain(value) != value { throw refuse("it has characters that do not print, or a ';'", "write one line of plain text") }
        if fields.contains(where: { $0.key == key && $0.isDate }), Timestamp("\(value)T00:00:00Z") == nil {
            throw refuse("it is no date", "write it as 2028-02-12")
        }
        // A label is read by whoever passes the rack.
        if let scheme = value.firstRange(of: "://"), value[scheme.upperBound...].prefix(while: { $0 != "/" }).contains("@") {
            throw refuse("the address holds a name or a password", "leave out what stands before the @")
        }
    }

    /// What a disk says of itself, as a passport holds it.
    package static func printable(_ text: String) -> String { plain(text) ?? "" }

    /// Without what would break a line or a list; `nil` where nothing is left.
    static func plain(_ text: String) -> String? {
        let unprinted: Set<Unicode.GeneralCategory> = [.control, .lineSeparator, .paragraphSeparator]
        let kept = String(
            text.unicodeScalars.filter {
                !$0.properties.isDefaultIgnorableCodePoint && !unprinted.contains($0.properties.generalCategory) && $0 != ";"
            }
        ).trimmed
        return kept.isEmpty ? nil : kept
    }
}
