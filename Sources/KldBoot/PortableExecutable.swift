public import KldCore

/// The little that must be known of an EFI program to add sections to it, and to find them again. Source: Microsoft PE/COFF specification, rev. 11, "File Headers".
public struct PortableExecutable: Sendable, Hashable {
    /// The first address behind all sections, in the loaded image.
    public var end: UInt64
    /// What the address of a section is a multiple of.
    public var alignment: UInt64
    /// Where the sections lie in the file, by name.
    public var sections: [String: Range<UInt64>] = [:]
    private struct Room: Sendable, Hashable {
        /// Where the section's header lies, and how many bytes the file has for its content.
        var header: Int
        var bytes: UInt64
    }
    private var rooms: [String: Room] = [:]
    /// Where the signatures lie in the file, behind everything else; empty where there are none.
    public var signatures: Range<UInt64> = 0..<0
    /// Where the headers name that place. Source: PE/COFF, "Optional Header Data Directories": the fifth, "Certificate Table".
    private var directory = 0
    /// Where the headers keep the checksum of the whole file, which signing computes anew.
    private var checksum = 0
    /// The headers of an EFI program lie in its first bytes: as many as these are enough for every one that ukify or objcopy made.
    package static let headers: UInt64 = 8192

    /// - Parameter bytes: the program, or its headers.
    /// - Throws: ``Diagnosis`` `boot.not-an-efi-program`.
    public init(_ bytes: [UInt8]) throws(Diagnosis) {
        func little(_ place: Int, _ count: Int) throws(Diagnosis) -> UInt64 {
            guard place >= 0, place + count <= bytes.count else { throw Self.unreadable }
            return bytes[place..<(place + count)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        let header = Int(try little(0x3c, 4))
        guard try little(0, 2) == 0x5a4d, try little(header, 4) == 0x4550 else { throw Self.unreadable }
        let sections = Int(try little(header + 6, 2))
        let optional = header + 24
        alignment = try little(optional + 32, 4)
        let table = optional + Int(try little(header + 20, 2))
        let wide = try little(optional, 2) == 0x20b
        checksum = optional + 64
        directory = optional + (wide ? 112 : 96) + 32
        if try little(directory - 36, 4) > 4 {
            let start = try little(directory, 4)
            signatures = start..<(start + (try little(directory + 4, 4)))
        }
        end = 0
        for index in 0..<sections {
            let section = table + 40 * index
            end = max(end, try little(section + 12, 4) + little(section + 8, 4))
            let (start, length) = (try little(section + 20, 4), min(try little(section + 8, 4), try little(section + 16, 4)))
            let name = String(decoding: bytes[section..<(section + 8)].prefix { $0 != 0 }, as: UTF8.self)
            self.sections[name] = start..<(start + length)
            rooms[name] = Room(header: section, bytes: try little(section + 16, 4))
        }
        guard alignment > 0, end > 0 else { throw Self.unreadable }
    }

    private static var unreadable: Diagnosis {
        Diagnosis(
            "boot.not-an-efi-program", "the boot stub is not an EFI program", remedies: ["install the package systemd-boot-efi again"],
            exit: .inputMissing)
    }

    /// Whether a section's content could be replaced where it lies.
    public func fits(_ count: Int, in section: String) -> Bool { rooms[section].map { UInt64(count) <= $0.bytes } ?? false }

    /// The program with other content in one section, zeros behind it.
    ///
    /// - Parameter bytes: the whole program, of which this is the description.
    /// - Throws: ``Diagnosis`` `boot.not-an-efi-program` when there is no such section, or not enough room in it.
    public func replacing(_ section: String, with content: [UInt8], in bytes: [UInt8]) throws(Diagnosis) -> [UInt8] {
        guard let room = rooms[section], let place = sections[section], fits(content.count, in: section),
            place.lowerBound + room.bytes <= bytes.count
        else { throw Self.unreadable }
        var result = bytes
        let start = Int(place.lowerBound)
        result.replaceSubrange(
            start..<(start + Int(room.bytes)), with: content + [UInt8](repeating: 0, count: Int(room.bytes) - content.count))
        for index in 0..<4 { result[room.header + 8 + index] = UInt8(truncatingIfNeeded: content.count >> (8 * index)) }
        return result
    }

    /// The program as it was before it was signed. - Parameter bytes: the whole program, of which this is the description.
    public func unsigned(_ bytes: [UInt8]) -> [UInt8] {
        guard !signatures.isEmpty else { return bytes }
        var result = Array(bytes.prefix(Int(signatures.lowerBound)))
        result.replaceSubrange(directory..<(directory + 8), with: [UInt8](repeating: 0, count: 8))
        return result
    }

    /// What signing leaves alone: the program without its signatures and its checksum. - Parameter bytes: the whole program.
    func content(_ bytes: [UInt8]) -> [UInt8] {
        var result = unsigned(bytes)
        result.replaceSubrange(checksum..<(checksum + 4), with: [0, 0, 0, 0])
        return result
    }

    func aligned(_ address: UInt64) -> UInt64 { (address + alignment - 1) / alignment * alignment }
}
