import FoundationEssentials
package import KldCore
package import SystemPackage

/// What `qemu-img info --output json` says, as far as it is asked for.
///
/// Ends, with qemu-img 10.0.2: `"virtual-size": 8388608, "filename": "ov.qcow2", "cluster-size": 65536, "format": "qcow2", "actual-size": 200704,
/// "format-specific": { "type": "qcow2", "data": { "compat": "1.1", … } }, "backing-filename": "a.qcow2", "dirty-flag": false }`
package struct QemuImageInfo: Sendable, Hashable, Decodable {
    package var format: String
    /// What the guest sees.
    package var virtualSize: ByteCount
    package var backingFile: String?
    /// qcow2 with an external data file (`data_file`): the second way in which a header names another file.
    package var dataFile: String?
    /// The files that hold a vmdk's content: its descriptor names them, and they may be any.
    package var extents: [String]

    private enum CodingKeys: String, CodingKey {
        case format
        case virtualSize = "virtual-size"
        case backingFile = "backing-filename"
        case specific = "format-specific"
    }
    private struct Specific: Decodable {
        struct Values: Decodable {
            struct Extent: Decodable { var filename: String }
            var dataFile: String?
            var extents: [Extent]?
            enum CodingKeys: String, CodingKey {
                case dataFile = "data-file"
                case extents
            }
        }
        var data: Values?
    }

    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        format = try values.decode(String.self, forKey: .format)
        virtualSize = try values.decode(ByteCount.self, forKey: .virtualSize)
        backingFile = try values.decodeIfPresent(String.self, forKey: .backingFile)
        let details = try values.decodeIfPresent(Specific.self, forKey: .specific)?.data
        dataFile = details?.dataFile
        extents = details?.extents?.map(\.filename) ?? []
    }

    /// - Throws: ``Diagnosis`` `image.info-unreadable`.
    package static func parse(_ text: String) throws(Diagnosis) -> QemuImageInfo { try decodeAnswer(QemuImageInfo.self, text) }

    /// A file that an image takes content from, besides its own; `nil`: all of it is in there.
    ///
    /// A vmdk in one file is its own only extent. One in several has a text as its descriptor, with lines such as
    /// `RW 16384 FLAT "/etc/shadow" 0`. Source: QEMU 7.2 to 10, `block/vmdk.c`, `vmdk_parse_extents()`, `vmdk_get_extent_info()`.
    /// - Parameter path: as qemu-img was given it: absolute, without links.
    package func otherFile(than path: FilePath) -> String? {
        if let other = backingFile ?? dataFile { return other }
        guard format == "vmdk", extents != [path.string] else { return nil }
        return extents.first { $0 != path.string } ?? "which one, qemu-img does not say"
    }
}

/// What `qemu-img measure --output json` says: the bytes that a conversion to qcow2 would need without compression.
package struct QemuImageMeasure: Sendable, Hashable, Decodable {
    package var required: ByteCount

    /// Reads `{ "required": 3080192, "fully-allocated": 21364736 }` (qemu-img 10.0.2).
    /// - Throws: ``Diagnosis`` `image.info-unreadable`.
    package static func parse(_ text: String) throws(Diagnosis) -> QemuImageMeasure { try decodeAnswer(QemuImageMeasure.self, text) }
}

private func decodeAnswer<Answer: Decodable>(_ type: Answer.Type, _ text: String) throws(Diagnosis) -> Answer {
    do { return try JSONDecoder().decode(type, from: Data(text.utf8)) } catch {
        throw Diagnosis("image.info-unreadable", "qemu-img printed something that is not understood", exit: .bug, causes: ["\(error)"])
    }
}
