import FoundationEssentials
public import KldCore

/// `<name>.manifest.json`: what an export produced, for programs. It is written last, so its presence means that the export is whole.
///
/// Schema `image-manifest/1`: keys are only ever added; a reader ignores those it does not know.
public struct ImageManifest: Sendable, Hashable, Codable {
    public static let schema = "image-manifest/1"

    /// One file of the export.
    public struct Output: Sendable, Hashable, Codable {
        public var format: ExportFormat
        /// Its name, in the manifest's folder.
        public var file: String
        /// The length of the file in bytes; a sparse file takes less room.
        public var size: ByteCount
        public var digest: FileDigest

        public init(format: ExportFormat, file: String, size: ByteCount, digest: FileDigest) {
            self.format = format
            self.file = file
            self.size = size
            self.digest = digest
        }
    }

    /// The software bill of materials beside it.
    public struct BillOfMaterials: Sendable, Hashable, Codable {
        public var file: String
        public var digest: FileDigest

        public init(file: String, digest: FileDigest) {
            self.file = file
            self.digest = digest
        }
    }

    public var name: ExportName
    public var image: ImageDescription
    /// The size of the disk as a guest sees it, in bytes.
    public var virtualSize: ByteCount
    /// In the order of ``ExportFormat``; `formats` in the JSON.
    public var outputs: [Output]
    public var sbom: BillOfMaterials?

    public init(
        name: ExportName, image: ImageDescription, virtualSize: ByteCount, outputs: [Output], sbom: BillOfMaterials? = nil
    ) {
        self.name = name
        self.image = image
        self.virtualSize = virtualSize
        self.outputs = outputs.sorted { $0.format < $1.format }
        self.sbom = sbom
    }

    /// This manifest with the formats of an earlier export of the same image that this one did not replace.
    /// - Returns: `nil` when the earlier one is of another image, or when nothing shows that it is the same: only equal payload digests do.
    public func adding(_ earlier: ImageManifest) -> ImageManifest? {
        guard let payload = image.payload, payload == earlier.image.payload, name == earlier.name, virtualSize == earlier.virtualSize,
            image.kernel == earlier.image.kernel, image.openzfs == earlier.image.openzfs, image.sealed == earlier.image.sealed
        else { return nil }
        var copy = self
        copy.outputs += earlier.outputs.filter { old in !outputs.contains { $0.file == old.file || $0.format == old.format } }
        copy.outputs.sort { $0.format < $1.format }
        return copy
    }

    private enum CodingKeys: String, CodingKey {
        case schema, name, virtualSize, sbom
        case outputs = "formats"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let schema = try values.decode(String.self, forKey: .schema)
        guard schema == Self.schema else {
            throw DecodingError.dataCorruptedError(forKey: .schema, in: values, debugDescription: "not \(Self.schema): \(schema)")
        }
        name = try values.decode(ExportName.self, forKey: .name)
        virtualSize = try values.decode(ByteCount.self, forKey: .virtualSize)
        outputs = try values.decode([Output].self, forKey: .outputs)
        sbom = try values.decodeIfPresent(BillOfMaterials.self, forKey: .sbom)
        image = try ImageDescription(from: decoder)
    }

    public func encode(to encoder: any Encoder) throws {
        try image.encode(to: encoder)
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(Self.schema, forKey: .schema)
        try values.encode(name, forKey: .name)
        try values.encode(virtualSize, forKey: .virtualSize)
        try values.encode(outputs, forKey: .outputs)
        try values.encodeIfPresent(sbom, forKey: .sbom)
    }

    /// Sorted keys, two blanks of indentation, a newline at the end: the same manifest is the same bytes.
    public func json() throws -> String { try SortedJSON.document(self) }

    /// - Throws: ``Diagnosis`` `image.manifest-unreadable`.
    public static func parse(_ text: String) throws(Diagnosis) -> ImageManifest {
        do { return try JSONDecoder().decode(ImageManifest.self, from: Data(text.utf8)) } catch {
            throw Diagnosis(
                "image.manifest-unreadable", "the image manifest is not understood",
                remedies: ["use the manifest that lies beside the image"], causes: ["\(error)"])
        }
    }
}
