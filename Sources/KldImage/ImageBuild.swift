import FoundationEssentials
public import KldAnswers
public import KldCore
import KldDistro
import KldExec
import KldFiles
public import KldPlan
import KldVirt
public import SystemPackage

/// From answers to sealed images: the factory's whole way.
public struct ImageBuild: Sendable {
    public struct Request: Sendable {
        public var answers: Answers
        public var formats: [ExportFormat]
        public var folder: FilePath
        public var name: ExportName
        public var overwrite: Bool
        public var version: String
        /// Where packages are fetched from during the build; `nil`: what this machine's apt uses, else the answers' mirror.
        public var mirror: String?
        public var created: Timestamp

        public init(
            answers: Answers, formats: [ExportFormat], folder: FilePath, name: ExportName, overwrite: Bool, version: String,
            mirror: String? = nil, created: Timestamp
        ) {
            self.answers = answers
            self.formats = formats
            self.folder = folder
            self.name = name
            self.overwrite = overwrite
            self.version = version
            self.mirror = mirror
            self.created = created
        }
    }

    private let workshop: Workshop
    private let given: @Sendable (PlanEvent) -> Void

    public init(workshop: Workshop, report: @escaping @Sendable (PlanEvent) -> Void) {
        self.workshop = workshop
        given = report
    }

    /// Builds, exports, and leaves nothing else behind: on failure the log of the guest's console, which the error names.
    ///
    /// A second build of the same name into the same folder waits for the first one.
    /// - Returns: the manifest that lies beside the images.
    public func run(_ request: Request) async throws -> ImageManifest {
        try await PlanEvent.telling("\(request.name) into \(request.folder)", to: given) { try await build(request) }
    }

    /// What an image cannot be asked for, all of it at once.
    /// - Throws: ``Diagnosis`` `image.topology`, `image.encrypted`, `image.wifi`, `image.disk-size`, `image.upload-destination`; `image.answers`
    ///   where it is more than one of these; `profile.unknown`.
    static func checkAnswers(_ request: Request) throws {
        let answers = request.answers
        let profile = try ProfileSpec.find(answers.profile.rawValue)
        var problems: [Diagnosis] = []
        if answers.topology != .single || !answers.specialDisks.isEmpty {
            problems.append(
                Diagnosis(
                    "image.topology", "an image is one disk; \(answers.topology.rawValue) needs more",
                    remedies: ["use KLDLOAD_ZFS_TOPOLOGY=single for images", "install a machine with several disks with: kldload install"],
                    exit: .badAnswers))
        }
        if answers.encrypt {
            problems.append(
                Diagnosis(
                    "image.encrypted", "a sealed image carries no secret, so it cannot be encrypted with a passphrase",
                    remedies: ["remove KLDLOAD_ZFS_ENCRYPT=1, or install the machine itself"], exit: .badAnswers))
        }
        if answers.wifi?.passphrase != nil {
            problems.append(
                Diagnosis(
                    "image.wifi", "a sealed image carries no secret, so it cannot hold the passphrase of a wireless network",
                    remedies: ["remove KLDLOAD_WIFI_SSID and KLDLOAD_WIFI_PSK, or install the machine itself"], exit: .badAnswers))
        }
        if answers.diskSize < profile.leastDisk {
            problems.append(
                Diagnosis(
                    "image.disk-size",
                    "a disk of \(answers.diskSize) is too small: the profile \(profile.id) needs \(profile.leastDisk)",
                    remedies: ["set KLDLOAD_DISK_SIZE=\(profile.leastDisk.bytes >> 30)G or more"], exit: .badAnswers))
        }
        if let target = answers.export.target {
            do { _ = try ScpDestination(target) } catch { problems.append(error) }
        }
        guard let first = problems.first else { return }
        if problems.count == 1 { throw first }
        throw Diagnosis(
            "image.answers", "these answers ask for what no image can be", remedies: problems.flatMap(\.remedies), exit: .badAnswers,
            causes: problems.map { "\($0.message) (\($0.code))" })
    }

    private func build(_ request: Request) async throws -> ImageManifest {
        let files = LocalFiles()
        try Self.checkAnswers(request)
        let destination = try request.answers.export.target.map { try ScpDestination($0) }
        let progress = BuildProgress([.prepare, .install, .export] + (destination == nil ? [] : [.upload]), given)
        let report: @Sendable (PlanEvent) -> Void = { progress.report($0) }
        let workshop = workshop.reporting(to: progress)
        let lock = try await lock(request, report)
        defer { withExtendedLifetime(lock) {} }
        try check(request, files)
        if let destination { try await tryOut(destination, request, report) }
        let bench = try await workshop.prepare(request.answers, mirror: request.mirror, report: report)
        let answers = try request.answers.forGuest(disks: [Factory.Disk.first])
        let template = try await workshop.template(answers, bench, report)
        // What the guest writes, and what the export stages elsewhere is checked again when its size is known.
        try workshop.cache.requireRoom(.gibibytes(4), for: "the disk of the image")
        return try await WorkFolder.with("\(request.name)", in: workshop.cache.root, report: report) { work in
            let manifest = try await build(request, answers, bench, of: template, in: work, progress)
            if let destination {
                progress.begin(.upload)
                try await upload(manifest, request, to: destination, scratch: work.appending("upload"), progress)
            }
            return manifest
        }
    }

    private func build(
        _ request: Request, _ answers: Answers, _ bench: Workshop.Bench, of template: FilePath, in work: FilePath,
        _ progress: BuildProgress
    ) async throws -> ImageManifest {
        let report: @Sendable (PlanEvent) -> Void = { progress.report($0) }
        let (disk, guest) = (work.appending("disk.raw"), work.appending(WorkFolder.guest))
        progress.begin(.install)
        try await workshop.runner.run(QemuImg.convert(template, format: .qcow2, to: disk, as: .raw))
        try await bench.factory.image(
            answers, payload: bench.payload, on: disk, version: request.version, folder: guest, report: report)
        // Whatever fails from here on is not the guest's.
        try LocalFiles().remove(guest)
        progress.begin(.export)
        let manifest = try await export(request, disk: disk, payload: bench.payload, progress)
        // An upload may take long, and needs the room.
        try LocalFiles().remove(disk)
        return manifest
    }

    private func lock(_ request: Request, _ report: @Sendable (PlanEvent) -> Void) async throws -> FileLock {
        try await workshop.cache.hold(request.folder.appending("\(request.name)")) {
            report(PlanEvent(.line, message: "another build makes \(request.name) in \(request.folder); waiting for it"))
        }
    }

    /// Everything that could refuse the images, before minutes of work: names that are taken, a folder nobody may write, no room.
    private func check(_ request: Request, _ files: LocalFiles) throws {
        try OutputFolder.check(request.folder, files)
        _ = try ImageExporter(runner: workshop.runner, files: files).plan(Self.expected(request))
    }

    /// The export as far as it is known before the build: with what an image of this profile holds. What this one really holds is checked
    /// again when it is known.
    static func expected(_ request: Request) throws -> ExportRequest {
        let source = SourceImage(
            path: "/nowhere", form: .raw, virtualSize: request.answers.diskSize,
            dataSize: try ProfileSpec.find(request.answers.profile.rawValue).content)
        let image = ImageDescription(
            distro: request.answers.distro.rawValue, suite: request.answers.release, profile: request.answers.profile.rawValue,
            created: request.created, kldload: request.version)
        return ExportRequest(
            source: source, formats: request.formats, name: request.name, destination: .folder(request.folder), image: image,
            overwrite: request.overwrite)
    }

    /// A host key that is not known, a login that is refused, a folder that is not there: told before minutes of work too.
    private func tryOut(_ destination: ScpDestination, _ request: Request, _ report: @Sendable (PlanEvent) -> Void) async throws {
        report(PlanEvent(.line, message: "trying whether \(destination.host) takes an upload"))
        try await WorkFolder.with("\(request.name)-upload", in: workshop.cache.root, report: report) { work in
            try await ScpUpload(to: destination, runner: workshop.runner, files: LocalFiles(), scratch: work.appending("upload"))
                .tryOut(request.name)
        }
    }

    private func upload(
        _ manifest: ImageManifest, _ request: Request, to destination: ScpDestination, scratch: FilePath, _ progress: BuildProgress
    ) async throws {
        var names = manifest.outputs.flatMap { [$0.file, $0.file + ".sha256"] }
        if let sbom = manifest.sbom { names.append(sbom.file) }
        names.append("\(request.name).manifest.json")
        let upload = ScpUpload(to: destination, runner: workshop.runner, files: LocalFiles(), scratch: scratch)
        progress.report(PlanEvent(.line, message: "uploading to \(destination.host)"))
        let paths = names.map { request.folder.appending($0) }
        do {
            try await upload.upload(paths) { finished in
                let message = "\(finished) of \(paths.count) files are there"
                progress.report(PlanEvent(.output, message: message, done: finished, total: paths.count))
            }
        } catch { throw upload.telling(error, of: paths) }
    }

    private func export(
        _ request: Request, disk: FilePath, payload: PayloadBuilder.Payload, _ progress: BuildProgress
    ) async throws -> ImageManifest {
        let info = payload.info
        let packages = try InstalledPackage.parse(try LocalFiles().readText(payload.packages), .dpkg)
        let image = ImageDescription(
            distro: info.spec.distro, suite: info.spec.suite, profile: info.spec.profile, kernel: info.kernel, openzfs: info.openZFS,
            payload: FileDigest(hex: payload.digest), mirrors: payload.mirrors,
            created: request.created, kldload: request.version, sealed: true)
        let source = try await SourceInspector(runner: workshop.runner, files: LocalFiles()).inspect(disk, form: .raw)
        let narrator = ExportNarrator()
        return try await ImageExporter(runner: workshop.runner, files: LocalFiles()).export(
            ExportRequest(
                source: source, formats: request.formats, name: request.name, destination: .folder(request.folder), image: image,
                sbom: SBOM(packages: packages, components: SBOM.components(of: image)), overwrite: request.overwrite)
        ) { progress.report(narrator.event($0)) }
    }
}

extension Answers {
    /// The same answers for a factory guest, whose disks are ours and empty.
    package func forGuest(disks: [String]) throws -> Answers {
        func path(_ serial: String) -> String { "/dev/disk/by-id/virtio-\(serial)" }
        var overrides = ["KLDLOAD_DISK=\(path(disks[0]))", "KLDLOAD_FORCE_WIPE=1"]
        overrides.append("KLDLOAD_ZFS_DATA_DISKS=" + disks.dropFirst().map(path).joined(separator: " "))
        overrides.append("KLDLOAD_ZFS_SPECIAL_DISKS=")
        return try replacing(overrides)
    }
}
