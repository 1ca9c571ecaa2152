import FoundationEssentials
package import KldCore

/// What `qemu-img info --output json` says.
///
/// Begins, with qemu-img 10.0.2: `{ "children": [ … ], "virtual-size": 8388608, "filename": "a.qcow2", "cluster-size": 65536, "format": "qcow2",
/// "actual-size": 270336, "format-specific": { "type": "qcow2", "data": { "compat": "1.1", "compression-type": "zstd", …`
package struct ImageInfo: Sendable, Hashable {
    package var filename: String
    /// `raw`, `qcow2`, `vmdk`, `vpc`, …
    package var format: String
    /// What the guest sees.
    package var virtualSize: ByteCount
    /// What the file occupies here; unknown for some storage.
    package var actualSize: ByteCount?
    /// The backing image as it is recorded in this one.
    package var backingFilename: String?
    package var backingFormat: String?
    /// qcow2's `zlib` or `zstd`.
    package var compressionType: String?
    /// vmdk's `streamOptimized`, `monolithicSparse`, …
    package var subformat: String?
    /// qcow2 was not closed properly.
    package var isDirty: Bool
    /// qcow2 is marked as damaged.
    package var isCorrupt: Bool

    /// - Throws: ``Diagnosis`` `image.unreadable-answer`.
    package init(json: String) throws {
        let answer = try decodeAnswer(Answer.self, json)
        filename = answer.filename
        format = answer.format
        virtualSize = ByteCount(answer.virtualSize)
        actualSize = answer.actualSize.map(ByteCount.init)
        backingFilename = answer.backingFilename
        backingFormat = answer.backingFormat
        compressionType = answer.specific?.data?.compressionType
        subformat = answer.specific?.data?.createType
        isDirty = answer.dirty ?? false
        isCorrupt = answer.specific?.data?.corrupt ?? false
    }

    private struct Answer: Decodable {
        struct Specific: Decodable { var data: Details? }
        struct Details: Decodable {
            var compressionType: String?
            var createType: String?
            var corrupt: Bool?
            enum CodingKeys: String, CodingKey {
                case compressionType = "compression-type"
                case createType = "create-type"
                case corrupt
            }
        }
        var filename: String
        var format: String
        var virtualSize: UInt64
        var actualSize: UInt64?
        var backingFilename: String?
        var backingFormat: String?
        var dirty: Bool?
        var specific: Specific?
        enum CodingKeys: String, CodingKey {
            case filename, format
            case virtualSize = "virtual-size"
            case actualSize = "actual-size"
            case backingFilename = "backing-filename"
            case backingFormat = "backing-filename-format"
            case dirty = "dirty-flag"
            case specific = "format-specific"
        }
    }
}

/// A piece of an image, from `qemu-img map --output json`.
///
/// One of them, with qemu-img 10.0.2:
/// `{ "start": 1048576, "length": 65536, "depth": 1, "present": true, "zero": false, "data": true, "compressed": true}`
package struct ImageExtent: Sendable, Hashable, Codable {
    /// Bytes, as the guest counts them.
    package var start: UInt64
    package var length: UInt64
    /// 0 for the image itself, 1 for its backing image, …
    package var depth: Int
    package var zero: Bool
    /// Whether it is stored, not only known to be zero.
    package var data: Bool
    /// Where it lies in the file; none when compressed or not stored.
    package var offset: UInt64?

    package init(start: UInt64, length: UInt64, depth: Int, zero: Bool, data: Bool, offset: UInt64? = nil) {
        self.start = start
        self.length = length
        self.depth = depth
        self.zero = zero
        self.data = data
        self.offset = offset
    }

    /// - Throws: ``Diagnosis`` `image.unreadable-answer`.
    package static func list(json: String) throws -> [ImageExtent] { try decodeAnswer([ImageExtent].self, json) }
}

private func decodeAnswer<Answer: Decodable>(_ type: Answer.Type, _ json: String) throws -> Answer {
    do { return try JSONDecoder().decode(type, from: Data(json.utf8)) } catch {
        throw Diagnosis(
            "image.unreadable-answer", "qemu-img answered in a form that is not known", remedies: ["report the version of qemu-utils"],
            exit: .unavailable, causes: ["\(error)"])
    }
}
