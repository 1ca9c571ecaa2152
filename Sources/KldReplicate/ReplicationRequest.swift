package import KldCore
package import KldExec
package import KldSSH
package import KldZFS

/// One end of a replication.
package struct ReplicaPlace: Sendable, Hashable, CustomStringConvertible {
    package var dataset: DatasetName
    /// `nil`: this machine.
    package var host: SSHDestination?

    package init(_ dataset: DatasetName, on host: SSHDestination? = nil) {
        self.dataset = dataset
        self.host = host
    }

    /// Reads `POOL/DATASET`, `HOST:POOL/DATASET` or `USER@HOST:POOL/DATASET`; what stands before a colon, and holds no slash, is a host.
    /// - Throws: ``NameError``; ``Diagnosis`` `ssh.destination`.
    package init(_ text: String) throws {
        // The colons of an IPv6 address stand in brackets.
        let open = text.lastIndex(of: "]").map { text[$0...] } ?? text[...]
        let slash = open.firstIndex(of: "/") ?? open.endIndex
        guard let colon = open[..<slash].firstIndex(of: ":") else {
            self.init(try DatasetName(text))
            return
        }
        self.init(try DatasetName(String(text[text.index(after: colon)...])), on: try SSHDestination(String(text[..<colon])))
    }

    package var description: String { (host.map { "\($0):" } ?? "") + dataset.text }

    /// A command at this end.
    package func at(_ command: Command) -> Command { host.map { command.over($0) } ?? command }

    package func at(_ other: DatasetName) -> ReplicaPlace { ReplicaPlace(other, on: host) }
}

/// What is to be replicated, whereto and how.
package struct ReplicationRequest: Sendable, Hashable {
    package var source: ReplicaPlace
    package var target: ReplicaPlace
    /// With every dataset below.
    package var recursive = false
    /// Only those below.
    package var skipParent = false
    /// Take a snapshot now, and send up to it; otherwise up to the newest that there is.
    package var takesSnapshot = true
    /// With every snapshot between; otherwise straight to the newest.
    package var withSnapshotsBetween = true
    /// Encrypted datasets as they are on disk. `nil`: as the target was begun, and those that are new raw.
    package var raw: Bool?
    /// At most so many bytes a second.
    package var rate: ByteCount?
    /// How old the target may be, in seconds, before somebody should look.
    package var maxLag: Int64 = 26 * 3600
    /// Stable: names of snapshots, bookmarks and holds carry it.
    package let name: String

    /// - Parameter name: letters, digits, `-`, `_` and `.`; `nil`: made from both ends.
    /// - Throws: ``Diagnosis`` `replicate.name`, `replicate.same`.
    package init(from source: ReplicaPlace, to target: ReplicaPlace, name: String? = nil) throws(Diagnosis) {
        if let name {
            guard !name.isEmpty, name.utf8.count <= 40, !name.hasPrefix("-"), !name.hasPrefix("."), name.isPlain(besides: "-_.") else {
                throw Diagnosis(
                    "replicate.name", "'\(name)' cannot be the name of a replication",
                    remedies: ["use at most 40 letters, digits, hyphens, dots and underscores"], exit: .usage)
            }
        }
        if source.host == target.host, source.dataset.isWithin(target.dataset) || target.dataset.isWithin(source.dataset) {
            throw Diagnosis(
                "replicate.same", "\(source) and \(target) lie within each other", remedies: ["name a target in another place"],
                exit: .usage)
        }
        self.source = source
        self.target = target
        self.name = name ?? Self.name(of: "\(source) \(target)")
    }

    /// Eight digits that are the same for the same text (FNV-1a, folded).
    private static func name(of text: String) -> String {
        let hash = text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let digits = String(UInt32(truncatingIfNeeded: hash ^ hash >> 32), radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// The tag of its holds, and what the names of its snapshots and bookmarks begin with.
    package var tag: String { "kreplicate-\(name)" }

    /// Whether a snapshot or bookmark of either end is this replication's own: nothing else is ever destroyed.
    /// - Parameter ours: guids of its snapshots at the source; a copy of one may have arrived without its mark.
    func owns(_ row: ReplicaSnapshot, _ ours: Set<UInt64>) -> Bool {
        row.label.hasPrefix(tag + "-") && (row.isBookmark || row.replication == name || ours.contains(row.guid))
    }

    /// Where a dataset of the source goes. - Throws: ``NameError``.
    package func target(of dataset: String) throws(NameError) -> DatasetName {
        let rest = dataset.dropFirst(source.dataset.text.count)
        return try rest.isEmpty ? target.dataset : DatasetName(target.dataset.text + rest)
    }
}

extension ByteCount {
    /// Reads `512k`, `10m`, `1.5g` as pv and mbuffer take them: powers of 1024. - Returns: `nil` for anything else, and for nothing.
    package init?(rate text: String) {
        let units: [Character: UInt64] = ["k": 1 << 10, "m": 1 << 20, "g": 1 << 30]
        let unit = text.last.flatMap { units[Character($0.lowercased())] }
        guard let number = Double(unit == nil ? text : String(text.dropLast())), number > 0, number < 1e15 else { return nil }
        let bytes = UInt64(number * Double(unit ?? 1))
        if bytes == 0 { return nil }
        self.init(bytes)
    }
}
