import KldCore
public import SystemPackage

/// What a `kexport` command line asks for.
public struct KexportRequest: Sendable, Hashable {
    public enum Source: Sendable, Hashable {
        case path(FilePath)
        /// Found by ``AutomaticSource``, and refused unless there is exactly one.
        case automatic
    }

    public var source: Source
    /// Never empty, each once, in the order of work.
    public var formats: [ExportFormat]
    public var destination: ExportRequest.Destination
    /// From `--name`, `KEXPORT_NAME` or the output file; `nil`: `kldload-<distro>-<profile>` of what is on the disk.
    public var name: ExportName?
    /// Remove machine identity first, on a copy.
    public var seal: Bool
    public var overwrite: Bool
    public var compression: Qcow2Compression
    public var dryRun: Bool

    public init(
        source: Source, formats: [ExportFormat], destination: ExportRequest.Destination, name: ExportName? = nil, seal: Bool = true,
        overwrite: Bool = false, compression: Qcow2Compression = .zlib, dryRun: Bool = false
    ) {
        self.source = source
        self.formats = formats
        self.destination = destination
        self.name = name
        self.seal = seal
        self.overwrite = overwrite
        self.compression = compression
        self.dryRun = dryRun
    }
}
