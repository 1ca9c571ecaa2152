public import KldAnswers
import KldBlock
import KldCore
public import KldExec
import KldFiles
import KldInstall
import KldPackages
public import KldPlan
import KldVirt
public import SystemPackage

/// Everything that builds need besides the answers: cache, payloads, live image, host.
public struct Workshop: Sendable {
    public struct Bench: Sendable {
        public var host: FactoryHost
        public var factory: Factory
        public var payload: PayloadBuilder.Payload
        public var live: LiveImage
    }

    public private(set) var cache: ArtifactCache
    public let runner: any CommandRunner
    public let executable: FilePath
    private let root: Bool

    /// - Parameters:
    ///   - executable: the statically linked tool, which goes into the live environment and from there onto the machine.
    ///   - root: whether the user is root.
    public init(cache: ArtifactCache, runner: any CommandRunner, executable: FilePath, root: Bool) {
        self.cache = cache
        self.runner = runner
        self.executable = executable
        self.root = root
    }

    /// The same workshop, whose builds of artefacts count in a progress, and whose cache tells what a person should know.
    func reporting(to progress: BuildProgress) -> Workshop {
        var copy = self
        copy.cache.building = { progress.artefact($0, begins: $1) }
        copy.cache.noticing = { progress.report(PlanEvent(.line, message: $0)) }
        return copy
    }

    /// Makes sure that host, payload and live environment are there.
    ///
    /// - Parameters:
    ///   - mirror: where packages come from; `nil`: the answers' mirror where they name one, else the one that this machine's apt uses.
    ///   - kernel: one certain kernel, as `uname -r` prints it; `nil`: the release's newest.
    public func prepare(
        _ answers: Answers, mirror: String?, kernel: String? = nil, report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws -> Bench {
        async let made = materials(answers, mirror: mirror, kernel: kernel, report)
        // Trying what guests may use takes seconds, or fails: then nothing else is worth doing.
        let host = try await host(report)
        let (payload, live) = try await made
        return Bench(host: host, factory: Factory(host: host, live: live), payload: payload, live: live)
    }

    private func materials(
        _ answers: Answers, mirror: String?, kernel: String?, _ report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws -> (PayloadBuilder.Payload, LiveImage) {
        let archive = Self.archive(answers, mirror)
        let builder = builder(report)
        let live = try await builder.settle(.live(backports: answers.backports, buildMirror: archive, installedMirror: Self.defaultMirror))
        let target = try await builder.settle(target(answers, archive, kernel: kernel))
        async let made = self.live(builder, live)
        let payload = try await builder.payload(target)
        return (payload, try await made)
    }

    private func target(_ answers: Answers, _ archive: BuildArchive, kernel: String?) -> PayloadSpec {
        var spec = PayloadSpec(answers, buildMirror: archive)
        spec.kernel = kernel
        return spec
    }

    /// The releases of kernels that the answers' archive has now, with their headers, the oldest first.
    package func kernels(_ answers: Answers, report: @escaping @Sendable (PlanEvent) -> Void) async throws -> [String] {
        try await builder(report).kernels(target(answers, Self.archive(answers, nil), kernel: nil))
    }

    /// OpenZFS' modules for a kernel as DKMS makes them on this host, and its record of that: `modules.tar`, from the cache or built now.
    /// - Parameter kernel: as `uname -r` prints it; `nil`: the one that a payload of the answers gets.
    package func modules(
        _ answers: Answers, kernel: String? = nil, report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws -> FilePath {
        try await builder(report).modules(of: target(answers, Self.archive(answers, nil), kernel: kernel))
    }

    /// Where the packages of a build come from.
    private static func archive(_ answers: Answers, _ mirror: String?) -> BuildArchive {
        let named = answers.customMirrorURL ?? (answers.isGiven("KLDLOAD_DEBIAN_MIRROR") ? answers.debianMirror : nil)
        return .choose(mirror ?? named, files: LocalFiles(), otherwise: answers.debianMirror)
    }

    /// Asks the archives for packages, before anything is built.
    /// - Throws: ``Diagnosis`` `iso.no-package`.
    func requireOffered(
        _ packages: [String], for answers: [Answers], mirror: String?, report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws {
        let builder = builder(report)
        for answers in answers {
            try await builder.requireOffered(packages, PayloadSpec(answers, buildMirror: Self.archive(answers, mirror)))
        }
    }

    /// What may be added to payloads, one or more of one release, without a network.
    /// - Parameter packages: beyond what the release's own optional ones are.
    func mirror(
        of payloads: [(answers: Answers, payload: PayloadBuilder.Payload)], packages: [String], mirror: String?,
        report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws -> PayloadBuilder.Mirror {
        try await builder(report).mirror(
            of: payloads.map { (PayloadSpec($0.answers, buildMirror: Self.archive($0.answers, mirror)), $0.payload) }, packages: packages)
    }

    /// The payload as machines are installed from it, from the cache or made now.
    public func stream(_ bench: Bench, report: @escaping @Sendable (PlanEvent) -> Void) async throws -> Factory.Stream {
        let payload = bench.payload
        let plan = try FactoryGuest.packing(payload.info.spec).plan
        let folder = try await cache.artifact("stream", inputs: "stream/1\n\(payload.digest)\n\(plan.text(contents: true))\n") { partial in
            report(PlanEvent(.line, message: "packing it as a ZFS stream, once"))
            try await WorkFolder.with("pack", in: cache.root, report: report) { work in
                try await bench.factory.pack(payload, into: partial, work: work, report: Self.building("stream", report))
            }
        }
        return Factory.Stream(in: folder)
    }

    /// What a payload's stream has beyond another's, from the cache or made now.
    ///
    /// Its key is made of both streams and not of what they were made of: an increment fits one stream only.
    func increment(
        of whole: Factory.Stream, onto base: Factory.Stream, _ bench: Bench, report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws -> FilePath {
        let plan = try FactoryGuest.incrementing(bench.payload.info.spec).plan
        var inputs = "increment/1\n"
        for stream in [base, whole] { inputs += "\(try await digest(of: stream))\n" }
        let folder = try await cache.artifact("increment", inputs: inputs + "\(plan.text(contents: true))\n") { partial in
            report(PlanEvent(.line, message: "packing what profile \(bench.payload.info.spec.profile) has beyond its base, once"))
            try await WorkFolder.with("increment", in: cache.root, report: report) { work in
                try await bench.factory.increment(
                    bench.payload, whole: whole, onto: base, to: partial.appending(PayloadFolder.increment), work: work,
                    report: Self.building("increment", report))
            }
        }
        return folder.appending(PayloadFolder.increment)
    }

    /// As the cache has it, where the stream was verified.
    private func digest(of stream: Factory.Stream) async throws -> String {
        if let known = try cache.digest(of: PayloadFolder.root, in: stream.root.removingLastComponent()) { return known }
        return try await SHA256Sum.digest(of: stream.root, runner).hex
    }

    /// A disk image (qcow2) that holds everything but what the answers make of it, from the cache or made now.
    ///
    /// - Parameter answers: as the guest gets them. Only their pool, the size of their disk and what lies on the ESP matter here.
    func template(_ answers: Answers, _ bench: Bench, _ report: @escaping @Sendable (PlanEvent) -> Void) async throws -> FilePath {
        let name = "disk.qcow2"
        let job = Factory.job(.template, bench.payload)
        let plan = try FactoryGuest.template(answers, job)
        let live = "\(bench.live.info.kernel) \(bench.live.info.openZFS)"
        let inputs = "template/3\n\(bench.payload.digest)\n\(live)\n\(answers.diskSize.bytes)\n\(plan)\n"
        let folder = try await cache.artifact("template", inputs: inputs) { partial in
            report(PlanEvent(.line, message: "filling a disk with it, once"))
            try await WorkFolder.with("template", in: cache.root, report: report) { work in
                let disk = work.appending("disk.raw")
                try await runner.run(QemuImg.create(disk, format: .raw, size: answers.diskSize))
                try await bench.factory.template(
                    answers, payload: bench.payload, onto: disk, folder: work.appending(WorkFolder.guest),
                    report: Self.building("template", report))
                let serial = (job.identity ?? .placeholder).espSerial
                try await ESPImage(disk: disk, serial: serial, runner: runner, files: LocalFiles()).remake(in: work.appending("esp"))
                try await runner.run(QemuImg.convert(disk, format: .raw, to: partial.appending(name), as: .qcow2))
            }
        }
        return folder.appending(name)
    }

    /// Events of a guest that makes an artefact are not the build's own: only what a person should see of them.
    private static func building(
        _ kind: String, _ report: @escaping @Sendable (PlanEvent) -> Void
    ) -> @Sendable (PlanEvent) -> Void {
        { event in if event.kind == .output || event.kind == .stepStarted { report(BuildProgress.event(event, building: kind)) } }
    }

    /// What sealing a copy needs: no payload. Nobody knows which features the copy's pool has, so the newest OpenZFS opens it.
    func sealer(report: @escaping @Sendable (PlanEvent) -> Void) async throws -> Factory {
        let host = try await host(report)
        return Factory(host: host, live: try await liveMedium(mirror: nil, report: report).image)
    }

    /// The live environment as a medium carries it: the newest kernel and OpenZFS that there are, for the newest machines.
    func liveMedium(
        mirror: String?, report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws -> (image: LiveImage, payload: PayloadBuilder.Payload) {
        let archive = BuildArchive.choose(mirror, files: LocalFiles(), otherwise: Self.defaultMirror)
        let builder = builder(report)
        let settled = try await builder.settle(.live(backports: true, buildMirror: archive, installedMirror: Self.defaultMirror))
        let payload = try await builder.payload(settled)
        return (try await LiveImage.make(from: payload, executable: executable, cache: cache, runner: runner, root: root), payload)
    }

    /// The initramfs of the same live environment for machines that are started over the network, from the cache or made now.
    func netboot(_ payload: PayloadBuilder.Payload) async throws -> FilePath {
        let inputs = "\(NetworkInitramfs.inputs)\(payload.digest)\n"
        let folder = try await cache.artifact("netboot", inputs: inputs) { partial in
            try await NetworkInitramfs.make(
                from: payload, to: partial.appending(NetworkInitramfs.name), folder: partial.appending("tree"), files: LocalFiles(),
                runner: runner)
        }
        return folder.appending(NetworkInitramfs.name)
    }

    private static var defaultMirror: String { AnswerKey.named("KLDLOAD_DEBIAN_MIRROR")?.defaultValue ?? "" }

    private func builder(_ report: @escaping @Sendable (PlanEvent) -> Void) -> PayloadBuilder {
        PayloadBuilder(cache: cache, runner: runner, executable: executable, root: root, say: { report(PlanEvent(.line, message: $0)) })
    }

    /// What building runs on this machine, beside QEMU.
    static let tools = [
        Mmdebstrap.tool, Tool("apt-get", package: "apt"), QemuImg.tool,
        Tool("mksquashfs", package: "squashfs-tools"), FATImage.mcopy, FATImage.mkfs, Tool("xz", package: "xz-utils"), "zstd",
    ]

    /// Before anything is built: some of them are needed only minutes later. - Throws: ``Diagnosis`` `image.tools-missing`.
    static func requireTools(path: String = SubprocessRunner.searchPath) throws {
        let missing = tools.filter { SubprocessRunner.find($0.name, path: path) == nil }
        guard missing.isEmpty else {
            throw Diagnosis(
                "image.tools-missing", "building needs programs that are not here: \(missing.map(\.name).joined(separator: ", "))",
                remedies: ["apt-get install \(Set(missing.map(\.package)).sorted().joined(separator: " "))"], exit: .unavailable)
        }
    }

    private func host(_ report: @Sendable (PlanEvent) -> Void) async throws -> FactoryHost {
        try Self.requireTools()
        let host = try await FactoryHost.find(runner: runner, files: LocalFiles(), cache: cache.root)
        if let reason = host.reason { report(PlanEvent(.line, message: "guests are emulated: \(reason)")) }
        return host
    }

    private func live(_ builder: PayloadBuilder, _ settled: PayloadBuilder.Settled) async throws -> LiveImage {
        try await LiveImage.make(from: builder.payload(settled), executable: executable, cache: cache, runner: runner, root: root)
    }
}
