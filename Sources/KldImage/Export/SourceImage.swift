import FoundationEssentials
public import KldCore
public import SystemPackage

/// The disk that is exported: a sealed image file, a zvol or a whole disk.
public struct SourceImage: Sendable, Hashable {
    /// A form that is read. Block devices are always raw.
    public enum Form: String, Sendable, Hashable, Codable { case raw, qcow2 }

    public var path: FilePath
    public var form: Form
    /// What the guest sees as the size of its disk.
    public var virtualSize: ByteCount
    /// At most this much is data; the rest is known to be zero.
    public var dataSize: ByteCount

    public init(path: FilePath, form: Form, virtualSize: ByteCount, dataSize: ByteCount) {
        self.path = path
        self.form = form
        self.virtualSize = virtualSize
        self.dataSize = dataSize
    }
}

/// What `qemu-img info --output json` says, as far as an export needs it.
package struct QemuImageInfo: Sendable, Hashable, Decodable {
    package var format: String
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
    package static func parse(_ text: String) throws(Diagnosis) -> QemuImageInfo {
        do { return try JSONDecoder().decode(QemuImageInfo.self, from: Data(text.utf8)) } catch {
            throw Diagnosis("image.info-unreadable", "qemu-img printed something that is not understood", exit: .bug, causes: ["\(error)"])
        }
    }

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

    /// The form to read the file in.
    /// - Throws: ``ExportError`` for other formats, and for a file that leans on another one: the guest could have written that header
    ///   into a raw disk itself, to have a file of this machine copied into the image.
    package func form(of path: FilePath) throws(ExportError) -> SourceImage.Form {
        if let other = backingFile ?? dataFile { throw .sourceHasBackingFile(path, backing: other) }
        guard let form = SourceImage.Form(rawValue: format) else { throw .sourceFormat(path, format: format) }
        return form
    }
}

/// What `qemu-img measure --output json` says: the bytes that a conversion to qcow2 would need without compression.
package struct QemuImageMeasure: Sendable, Hashable, Decodable {
    package var required: ByteCount

    /// Reads `{ "required": 3080192, "fully-allocated": 21364736 }` (qemu-img 10.0.2).
    /// - Throws: ``Diagnosis`` `image.info-unreadable`.
    package static func parse(_ text: String) throws(Diagnosis) -> QemuImageMeasure {
        do { return try JSONDecoder().decode(QemuImageMeasure.self, from: Data(text.utf8)) } catch {
            throw Diagnosis("image.info-unreadable", "qemu-img printed something that is not understood", exit: .bug, causes: ["\(error)"])
        }
    }
}
