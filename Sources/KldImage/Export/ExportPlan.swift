public import KldCore
public import KldExec
public import SystemPackage

/// The files and commands of an export, worked out without touching anything.
public struct ExportPlan: Sendable, Hashable {
    public struct Output: Sendable, Hashable {
        public var format: ExportFormat
        /// Where it is written: in ``ExportPlan/staging``, under its own name.
        public var staged: FilePath
        /// Where it is renamed to when everything is whole.
        public var final: FilePath
        /// Its `sha256sum --check` file.
        public var checkFile: FilePath { FilePath(final.string + ".sha256") }
        public var name: String { final.lastComponent?.string ?? "" }
    }

    public let request: ExportRequest
    public let folder: FilePath
    /// `.<name>.partial` beside the results, on the same file system, so that publishing is renaming. A folder and not a file because a
    /// VMDK holds its own name, and a disk within an OVA needs one.
    public let staging: FilePath
    /// In the order of work.
    public let outputs: [Output]
    public let manifest: FilePath
    public let billOfMaterials: FilePath?
    /// Empty where nobody knows how much of the source is data.
    public let estimates: [ExportEstimate]

    /// - Throws: ``ExportError`` `.nothingToExport`, `.outputNames`, `.sourceIsOutput`, `.tooLarge`.
    public init(_ request: ExportRequest) throws(ExportError) {
        let formats = Set(request.formats).sorted()
        guard let first = formats.first else { throw .nothingToExport }
        if formats.contains(.vhd), VHDFormat.limit < request.source.virtualSize {
            throw .tooLarge(.vhd, size: request.source.virtualSize, limit: VHDFormat.limit)
        }
        let folder: FilePath
        let file: FilePath.Component?
        switch request.destination {
        case .folder(let path): (folder, file) = (path, nil)
        case .file(let path):
            guard formats.count == 1 else { throw .outputNames(path, formats: formats) }
            (folder, file) = (path.removingLastComponent(), path.lastComponent)
        }
        let stem = request.name.text
        let staging = folder.appending(".\(stem).partial")
        outputs = formats.map { format in
            let name = (format == first ? file?.string : nil) ?? "\(stem).\(format.suffix)"
            return Output(format: format, staged: staging.appending(name), final: folder.appending(name))
        }
        self.request = request
        self.folder = folder
        self.staging = staging
        manifest = folder.appending("\(stem).manifest.json")
        billOfMaterials = request.sbom == nil ? nil : folder.appending("\(stem).spdx.json")
        estimates = Self.estimate(request.source, formats)
        if let clash = (outputs.flatMap { [$0.final, $0.checkFile] } + [manifest, billOfMaterials].compactMap { $0 })
            .first(where: { $0.lexicallyNormalized() == request.source.path.lexicallyNormalized() })
        {
            throw .sourceIsOutput(clash)
        }
    }

    /// The most that the export takes at one moment: everything staged, before anything is published. Where ``estimates`` are not known,
    /// the least.
    public var needed: ByteCount { estimates.reduce(.mebibytes(4)) { $0 + $1.size } }

    /// Compression may save nothing: then deflate's headers and the rounding to sectors add at most 1/64.
    private static func estimate(_ source: SourceImage, _ formats: [ExportFormat]) -> [ExportEstimate] {
        guard let data = source.dataSize else { return [] }
        let packed = ByteCount(data.bytes + data.bytes / 64) + .mebibytes(1)
        return formats.map { format in
            let size: ByteCount =
                switch format {
                case .raw: data
                case .vhd: data + .mebibytes(2)
                case .qcow2, .vmdk: packed
                // The VMDK is packed into the tar, so both exist at once; it is shared with a vmdk that is exported too.
                case .ova: formats.contains(.vmdk) ? packed : packed + packed
                }
            return ExportEstimate(format: format, size: size)
        }
    }

    /// The disk within the OVA.
    package var memberDisk: String { "\(request.name.text)-disk1.vmdk" }
    package var progressFile: FilePath { staging.appending("progress") }

    /// What makes one output, in order, before it is digested: for dry-run and for ``ImageExporter``.
    public func conversion(_ format: ExportFormat) -> [Command] {
        guard let output = outputs.first(where: { $0.format == format }) else { return [] }
        // An OVA's disk is converted only when no vmdk is exported beside it.
        if format == .ova, outputs.contains(where: { $0.format == .vmdk }) { return [] }
        return ExportCommands.conversion(
            of: request.source, to: format, at: format == .ova ? staging.appending(memberDisk) : output.staged,
            compression: request.compression, progress: progressFile)
    }
}
