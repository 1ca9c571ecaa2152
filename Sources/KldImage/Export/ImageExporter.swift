import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// Makes images of a finished, sealed disk, with check files, manifest and bill of materials beside them.
///
/// All or nothing: every file is written into `.<name>.partial`, put on the disk, and only when the last one is whole are they renamed,
/// the manifest last. On failure or cancellation that folder is removed and nothing else has changed. What a killed export left there is
/// removed by the next one of the same name; two at once are refused (`lock.held`), and a folder of somebody else's is (`image.staging`).
public struct ImageExporter: Sendable {
    public typealias Report = @Sendable (ExportProgress) -> Void
    let runner: any CommandRunner
    let files: any FileSystem
    private let stage: @Sendable (FilePath) throws -> (any Sendable)?
    private let stamp: @Sendable (ReproducibleHeader, FilePath, ExportFormat) throws -> Void

    /// - Parameters:
    ///   - stage: makes the staging folder, and keeps others out of it as long as the value lives; tests without real files return `nil`.
    ///   - stamp: rewrites headers in place, for the same reason.
    public init(
        runner: any CommandRunner, files: any FileSystem,
        stage: @escaping @Sendable (FilePath) throws -> (any Sendable)? = { try StagingFolder.take($0) },
        stamp: @escaping @Sendable (ReproducibleHeader, FilePath, ExportFormat) throws -> Void = { try $0.stamp($1, as: $2) }
    ) {
        self.runner = runner
        self.files = files
        self.stage = stage
        self.stamp = stamp
    }

    /// Works out an export and checks that it can begin: nothing exists that would be replaced, and there is room, where it is known how much
    /// that takes. Changes nothing.
    /// - Throws: ``ExportError``; ``FileError``.
    public func plan(_ request: ExportRequest) throws -> ExportPlan {
        let plan = try checkNames(request)
        let free = try files.freeSpace(existingFolder(plan.folder))
        guard plan.needed <= free else {
            throw ExportError.noSpace(
                folder: plan.folder, needed: plan.needed, free: free, virtualSize: request.source.virtualSize, parts: plan.estimates)
        }
        return plan
    }

    /// The first half of ``plan(_:)``: nothing exists that would be replaced.
    func checkNames(_ request: ExportRequest) throws -> ExportPlan {
        let plan = try ExportPlan(located(request))
        for path in plan.outputs.map(\.final) {
            // Renaming would put a file where a device node was, or fail on a folder after all the work.
            if let kind = try files.status(path)?.kind, kind != .file, kind != .symlink { throw ExportError.outputIsNotAFile(path) }
        }
        if !request.overwrite {
            let taken = try plan.outputs.map(\.final).filter { try files.exists($0) }
            if !taken.isEmpty { throw ExportError.exists(taken) }
            if try files.exists(plan.manifest), try earlier(plan) == nil { throw ExportError.exists([plan.manifest]) }
        }
        return plan
    }

    /// Exports.
    /// - Parameters:
    ///   - report: called from any task, at most twice a second within a stage.
    ///   - whole: called when everything is made, and nothing has its name yet; what it throws ends the export.
    /// - Returns: what was written as `<name>.manifest.json`.
    /// - Throws: what ``plan(_:)`` and ``StagingFolder/take(_:)`` throw; ``CommandError``; ``FileError``; `CancellationError`.
    @discardableResult
    public func export(
        _ request: ExportRequest, report: @escaping Report = { _ in }, whole: @escaping @Sendable () throws -> Void = {}
    ) async throws -> ImageManifest {
        let plan = try plan(request)
        let held = try stage(plan.staging)
        return try await withCleanUp(plan) {
            for name in try files.list(plan.staging) where name != StagingFolder.lock { try files.remove(plan.staging.appending(name)) }
            var made: [ImageManifest.Output] = []
            for output in plan.outputs { made.append(try await make(output, plan, done: made, report)) }
            try whole()
            report(ExportProgress(.publishing, finished: made.count, total: plan.outputs.count))
            let manifest = try await publish(plan, made)
            report(ExportProgress(.done, percent: 100, finished: made.count, total: plan.outputs.count))
            withExtendedLifetime(held) {}
            return manifest
        }
    }

    /// Removes the staging folder in any case, and tells a cancelled command and a full disk for what they are.
    private func withCleanUp<Result>(_ plan: ExportPlan, _ body: () async throws -> Result) async throws -> Result {
        do {
            let result = try await body()
            try files.remove(plan.staging)
            return result
        } catch {
            try? files.remove(plan.staging)
            if Task.isCancelled { throw CancellationError() }
            if CommandError.foundDiskFull(error) { throw FileError.noSpace(plan.folder) }
            throw error
        }
    }

    private func make(
        _ output: ExportPlan.Output, _ plan: ExportPlan, done: [ImageManifest.Output], _ report: @escaping Report
    ) async throws -> ImageManifest.Output {
        func tell(_ stage: ExportProgress.Stage, _ percent: Double = 0) {
            report(ExportProgress(stage, format: output.format, percent: percent, finished: done.count, total: plan.outputs.count))
        }
        tell(.converting)
        for command in plan.conversion(output.format) {
            try await run(command, plan) { [finished = done.count, total = plan.outputs.count] percent in
                report(ExportProgress(.converting, format: output.format, percent: percent, finished: finished, total: total))
            }
        }
        let header = ReproducibleHeader(time: plan.request.image.created.seconds, seed: plan.headerSeed)
        if output.format == .ova {
            tell(.packing)
            try await OVAPackage(plan: plan, runner: runner, files: files).pack(
                into: output.staged, vmdk: done.first { $0.format == .vmdk }, stamp: { try stamp(header, $0, .vmdk) })
        } else {
            try stamp(header, output.staged, output.format)
        }
        // It holds every secret of the machine, and qemu-img makes files that everybody may read.
        if !plan.request.image.sealed { try await runner.run(ExportCommands.close(output.staged)) }
        tell(.digesting)
        try await runner.run(FileCommand.sync([output.staged]))
        let digest = try await SHA256Sum.digest(of: output.staged, runner)
        guard let size = try files.status(output.staged)?.size else { throw FileError.missing(output.staged) }
        return ImageManifest.Output(format: output.format, file: output.name, size: size, digest: digest)
    }

    /// Runs a command and meanwhile reads how far it is from the file that it prints its progress into.
    private func run(_ command: Command, _ plan: ExportPlan, _ report: @escaping @Sendable (Double) -> Void) async throws {
        guard command.outputFile != nil else {
            try await runner.run(command)
            return
        }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await runner.run(command)
                return true
            }
            group.addTask {
                while true {
                    try await Task.sleep(for: .milliseconds(500))
                    // Nothing to read yet is no failure of the export.
                    if let bytes = try? files.read(plan.progressFile), let percent = ConversionProgress.parse(bytes) { report(percent) }
                }
            }
            while let finished = try await group.next(), !finished {}
            group.cancelAll()
        }
        report(100)
    }

    /// Renames everything into place. The old manifest goes first and the new one comes last: while it is missing, nothing is promised.
    private func publish(_ plan: ExportPlan, _ made: [ImageManifest.Output]) async throws -> ImageManifest {
        let request = plan.request
        var manifest = ImageManifest(
            name: request.name, image: request.image, virtualSize: request.source.virtualSize, outputs: made)
        if !request.overwrite {
            // Somebody may have put a file there while we were at work.
            let taken = try plan.outputs.map(\.final).filter { try files.exists($0) }
            if !taken.isEmpty { throw ExportError.exists(taken) }
        }
        // Replaced as a whole: formats that are not made again are of another image.
        if !request.overwrite, let old = try earlier(plan), let merged = manifest.adding(old) { manifest = merged }
        let billOfMaterials = try await billOfMaterials(plan, made)
        manifest.sbom = billOfMaterials?.entry
        try files.remove(plan.manifest)
        for (output, entry) in zip(plan.outputs, made) {
            try files.remove(output.checkFile)
            try files.rename(output.staged, to: output.final)
            try files.write(SHA256Sum.checkFile([(entry.file, entry.digest)]), to: output.checkFile)
        }
        if let path = plan.billOfMaterials, let text = billOfMaterials?.text { try files.write(text, to: path) }
        try files.write(try manifest.json(), to: plan.manifest)
        return manifest
    }

    private func billOfMaterials(
        _ plan: ExportPlan, _ made: [ImageManifest.Output]
    ) async throws -> (text: String, entry: ImageManifest.BillOfMaterials)? {
        guard let sbom = plan.request.sbom, let path = plan.billOfMaterials, let first = made.first else { return nil }
        let text = try sbom.document(
            name: plan.request.name, image: plan.request.image, digest: plan.request.image.payload ?? first.digest
        ).json()
        let staged = plan.staging.appending(path.lastComponent?.string ?? "spdx.json")
        try files.write(text, to: staged)
        let digest = try await SHA256Sum.digest(of: staged, runner)
        return (text, ImageManifest.BillOfMaterials(file: path.lastComponent?.string ?? "", digest: digest))
    }

    /// The manifest of an earlier export of the very same image under this name, to which this one adds formats.
    private func earlier(_ plan: ExportPlan) throws -> ImageManifest? {
        guard try files.exists(plan.manifest) else { return nil }
        let mine = ImageManifest(
            name: plan.request.name, image: plan.request.image, virtualSize: plan.request.source.virtualSize, outputs: [])
        // One that cannot be read is somebody else's, or broken: it is not added to.
        guard let old = try? ImageManifest.parse(files.readText(plan.manifest)), mine.adding(old) != nil else { return nil }
        return old
    }

    /// The request with its folder absolute and without links, if it exists: so that the source is recognised under another name.
    private func located(_ request: ExportRequest) throws -> ExportRequest {
        func real(_ folder: FilePath) throws -> FilePath {
            let folder = folder.isEmpty ? "." : folder
            return try files.exists(folder) ? files.resolve(folder) : folder
        }
        var copy = request
        switch request.destination {
        case .folder(let folder): copy.destination = .folder(try real(folder))
        case .file(let file):
            if let name = file.lastComponent { copy.destination = .file(try real(file.removingLastComponent()).appending(name)) }
        }
        return copy
    }

    private func existingFolder(_ path: FilePath) throws -> FilePath {
        var folder = path
        while !folder.isEmpty, try !files.exists(folder), folder != folder.removingLastComponent() { folder.removeLastComponent() }
        return folder.isEmpty ? "." : folder
    }
}

extension ExportPlan {
    /// Distinguishes images for ``ReproducibleHeader``.
    var headerSeed: String { "\(request.name.text) \(request.image.payload?.hex ?? "") \(request.image.kldload)" }
}

extension CommandError {
    /// Whether a command failed because the file system that it wrote to is full, by what it printed.
    static func foundDiskFull(_ error: any Error) -> Bool {
        (error as? CommandError)?.failure?.errors.contains("No space left on device") == true
    }
}
