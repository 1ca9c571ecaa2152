import KldCore

/// The one line of fstab(5) that would change with the disk: an ESP that somebody named by its serial number. kldload's own tables have none.
public struct MountTable: Sendable, Hashable {
    public var text: String

    public init(_ text: String) { self.text = text }

    /// The same table with another serial number in the ESP's line. Whatever stood there before: a table that was left behind by a
    /// power cut is put right too.
    ///
    /// - Parameter uuid: as ``Disk/fatUUID(_:)`` writes it.
    public func namingESP(_ uuid: String) -> MountTable {
        MountTable(
            text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
                guard let old = Self.fields(String(line))?[0], let range = line.firstRange(of: old) else { return String(line) }
                return "\(line[..<range.lowerBound])UUID=\(uuid)\(line[range.upperBound...])"
            }.joined(separator: "\n"))
    }

    /// The words of a line that mounts an ESP by its serial number.
    private static func fields(_ line: String) -> [String]? {
        let words = line.words
        guard words.count > 2, words[0].hasPrefix("UUID="), ["/boot/efi", "/efi"].contains(words[1]), words[2] == "vfat" else { return nil }
        return words
    }
}
