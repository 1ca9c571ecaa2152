public import KldCore
import KldExec
import KldFiles
public import KldPlan
import KldVirt
import SystemPackage

/// Exports an existing disk or image: `kexport`. The source is only ever read; what is sealed is a copy.
public struct DiskExport: Sendable {
    private let workshop: Workshop
    private let report: @Sendable (PlanEvent) -> Void

    public init(workshop: Workshop, report: @escaping @Sendable (PlanEvent) -> Void) {
        self.workshop = workshop
        self.report = report
    }

    /// - Parameter version: kldload's own.
    /// - Returns: the manifest beside the images; `nil` for a dry run, which only says what would be run.
    /// - Throws: ``ExportError`` when the source is attached, mounted or running, or changes while it is read, or nothing can be written; ``Diagnosis``
    ///   `image.foreign-partitions` or `image.no-partition-table` when it is to be sealed and holds more than is sealed; ``Diagnosis`` of the guest.
    public func run(_ request: KexportRequest, version: String, created: Timestamp) async throws -> ImageManifest? {
        let files = LocalFiles()
        let inspector = SourceInspector(runner: workshop.runner, files: files)
        let path: FilePath =
            switch request.source {
            case .path(let path): path
            case .automatic: try AutomaticSource.choose(try await SourceGuard.Facts.read(workshop.runner, files, isDevice: true))
            }
        let held = try await inspector.hold(path)
        let source = held.image
        // What is raw is looked at where it lies, before the long work.
        if request.seal, source.form == .raw {
            try await ForeignPartitions.refuse(on: source.path, of: source.path, workshop.runner, files)
        }
        // What is installed is known only when a guest has looked into the copy.
        let unknown = ExportRequest(
            source: source, formats: request.formats, name: try request.name ?? ExportName(sanitising: "kldload-\(path.stem ?? "disk")"),
            destination: request.destination,
            image: ImageDescription(
                distro: "unknown", suite: "unknown", profile: "unknown", created: created, kldload: version, sealed: request.seal),
            compression: request.compression, overwrite: request.overwrite)
        let exporter = ImageExporter(runner: workshop.runner, files: files)
        // Before the long work: is there room, would anything be replaced?
        let plan = try exporter.plan(unknown)
        if let note = Self.note(plan) { report(PlanEvent(.line, message: note)) }
        if request.dryRun {
            for format in request.formats {
                for command in plan.conversion(format) { report(PlanEvent(.line, message: command.description)) }
            }
            return nil
        }
        try OutputFolder.check(plan.folder, files)
        let narrator = ExportNarrator()
        let tell: ImageExporter.Report = { report(narrator.event($0)) }
        guard request.seal else { return try await exporter.export(unknown, report: tell, whole: { try held.check() }) }
        // Before the copy too: a live medium, say, has no QEMU.
        let factory = try await workshop.sealer(report: report)
        return try await WorkFolder.with("\(unknown.name)", in: workshop.cache.root, report: report) { work in
            let (copy, system) = try await sealedCopy(of: held, by: factory, in: work, version: version) { system in
                _ = try exporter.checkNames(Self.described(unknown, system, named: request.name))
            }
            var sealed = try system.map { try Self.described(unknown, $0, named: request.name) } ?? unknown
            sealed.source = copy
            return try await exporter.export(sealed, report: tell)
        }
    }

    /// What a person should know of the room for an export of whose source nobody knows how much is data; `nil` where it was checked.
    static func note(_ plan: ExportPlan) -> String? {
        let source = plan.request.source
        guard source.dataSize == nil else { return nil }
        return "\(source.path) has \(source.virtualSize), and how much of that is data only reading it tells: "
            + "whether there is room shows itself meanwhile, and nothing is left behind when there is not"
    }

    /// The export with what the guest has read. - Parameter name: the one that was asked for.
    static func described(_ unknown: ExportRequest, _ system: InstalledSystem, named name: ExportName?) throws -> ExportRequest {
        var known = unknown
        known.image = system.describing(unknown.image)
        known.name = try name ?? system.name ?? unknown.name
        known.sbom = try system.sbom(of: known.image)
        return known
    }

    /// Runs: `qemu-img convert -O raw SOURCE COPY`, then a factory guest that sees nothing but the copy. The table of a source that is not raw is
    /// read in the copy.
    /// - Parameter known: told what is installed there, before it is sealed.
    private func sealedCopy(
        of held: HeldSource, by factory: Factory, in work: FilePath, version: String,
        known: @escaping @Sendable (InstalledSystem) throws -> Void
    ) async throws -> (SourceImage, InstalledSystem?) {
        let (files, source) = (LocalFiles(), held.image)
        try Self.requireRoom(for: source, in: work.removingLastComponent(), free: try files.freeSpace(work))
        report(PlanEvent(.line, message: "copying \(source.path) to seal the copy"))
        let copy = work.appending("copy.raw")
        do {
            try await workshop.runner.run(QemuImg.convert(source.path, format: source.form.disk, to: copy, as: .raw))
        } catch { throw Self.copyFailed(error, of: source, in: work.removingLastComponent()) }
        try held.check()
        if source.form != .raw { try await ForeignPartitions.refuse(on: copy, of: source.path, workshop.runner, files) }
        let guest = work.appending(WorkFolder.guest)
        let system: InstalledSystem?
        do {
            system = try await factory.seal(
                copy: Factory.Disk(file: copy, serial: "disk0"), version: version, folder: guest, known: known,
                report: { event in
                    // The guest's plan is not the export's: that begins before it, and ends after it.
                    if ![.planStarted, .planDone, .planFailed].contains(event.kind) { report(event) }
                })
        } catch let error as ExportError {
            // A name that is taken is not the guest's failure, so its console is of no use.
            try files.remove(guest)
            throw error
        }
        // Whatever fails from here on is not the guest's.
        try files.remove(guest)
        return (try await SourceInspector(runner: workshop.runner, files: files).inspect(copy, form: .raw), system)
    }

    /// - Throws: ``Diagnosis`` `image.no-space` where the copy's data is known not to fit.
    static func requireRoom(for source: SourceImage, in folder: FilePath, free: ByteCount) throws(Diagnosis) {
        guard let data = source.dataSize, free <= data else { return }
        throw Diagnosis(
            "image.no-space", "sealing needs a copy of up to \(data); \(folder) has \(free)",
            remedies: ["free some space, or set XDG_CACHE_HOME to a larger file system"], exit: .cannotCreate)
    }

    /// A file system that was full before the copy was whole: until then nobody knew how much of a device is data.
    static func copyFailed(_ error: any Error, of source: SourceImage, in folder: FilePath) -> any Error {
        guard CommandError.foundDiskFull(error) else { return error }
        return Diagnosis(
            "image.no-space", "sealing needs a copy of the data of \(source.path); \(folder) is full before it is whole",
            remedies: ["free some space, or set XDG_CACHE_HOME to a larger file system"], exit: .cannotCreate)
    }
}
