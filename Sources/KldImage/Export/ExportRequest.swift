public import KldCore
public import SystemPackage

/// What is to be exported, and where to.
public struct ExportRequest: Sendable, Hashable {
    /// Where the files go.
    public enum Destination: Sendable, Hashable {
        /// `<folder>/<name>.<format>`; made when missing.
        case folder(FilePath)
        /// This very file; for one format only.
        case file(FilePath)
    }

    /// Absolute and without links, as ``SourceInspector`` returns it.
    public var source: SourceImage
    public var formats: [ExportFormat]
    public var name: ExportName
    public var destination: Destination
    public var image: ImageDescription
    /// `nil` when nobody knows what is installed on the disk: then no `<name>.spdx.json` is written.
    public var sbom: SBOM?
    public var hardware: VirtualHardware
    public var compression: Qcow2Compression
    /// Existing files of the same names are replaced.
    public var overwrite: Bool

    public init(
        source: SourceImage, formats: [ExportFormat], name: ExportName, destination: Destination, image: ImageDescription,
        sbom: SBOM? = nil,
        hardware: VirtualHardware = VirtualHardware(), compression: Qcow2Compression = .zlib, overwrite: Bool = false
    ) {
        self.source = source
        self.formats = formats
        self.name = name
        self.destination = destination
        self.image = image
        self.sbom = sbom
        self.hardware = hardware
        self.compression = compression
        self.overwrite = overwrite
    }
}

/// The room that one format may take.
public struct ExportEstimate: Sendable, Hashable {
    public var format: ExportFormat
    public var size: ByteCount
    public init(format: ExportFormat, size: ByteCount) {
        self.format = format
        self.size = size
    }
}

/// How far an export is.
public struct ExportProgress: Sendable, Hashable {
    public enum Stage: String, Sendable, Hashable, Codable {
        case converting, packing, digesting, publishing, done
    }
    public var stage: Stage
    /// The format at hand; `nil` while publishing and when done.
    public var format: ExportFormat?
    /// 0 to 100, of this stage of this format.
    public var percent: Double
    /// Formats that are whole, and formats in all.
    public var finished: Int
    public var total: Int

    public init(_ stage: Stage, format: ExportFormat? = nil, percent: Double = 0, finished: Int, total: Int) {
        self.stage = stage
        self.format = format
        self.percent = percent
        self.finished = finished
        self.total = total
    }
}
