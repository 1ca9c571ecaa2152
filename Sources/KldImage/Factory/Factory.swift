import FoundationEssentials
public import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldInstall
public import KldPlan
import KldVirt
public import SystemPackage

/// Installs onto disk images inside a guest that runs the live environment: no root, no KVM and no ZFS on the host.
public struct Factory: Sendable {
    public struct Disk: Sendable, Hashable {
        /// The serial number of an image's only disk.
        static let first = "disk0"
        public var file: FilePath
        /// `disk0`: the guest knows it as `/dev/disk/by-id/virtio-disk0`.
        public var serial: String
        public init(file: FilePath, serial: String) {
            self.file = file
            self.serial = serial
        }
    }

    private let host: FactoryHost
    private let live: LiveImage
    private let files = LocalFiles()

    public init(host: FactoryHost, live: LiveImage) {
        self.host = host
        self.live = live
    }

    /// A payload as it is installed: see ``KldInstall/PayloadPack``.
    public struct Stream: Sendable, Hashable {
        public var root: FilePath
        public var rest: FilePath

        init(in folder: FilePath) {
            root = folder.appending(PayloadFolder.root)
            rest = folder.appending(PayloadFolder.rest)
        }

        var disks: [MachineDisk] {
            [
                MachineDisk(root, serial: FactoryJob.streamSerial, readOnly: true),
                MachineDisk(rest, serial: FactoryJob.restSerial, readOnly: true),
            ]
        }
    }

    /// Installs, and returns when the guest has powered off with everything exported.
    ///
    /// - Parameters:
    ///   - folder: for this run's sockets, console log and firmware files; secrets in it are removed before this returns.
    /// - Throws: the guest's own ``Diagnosis``; `factory.died` when it ended without one.
    public func install(
        _ answers: Answers, payload: PayloadBuilder.Payload, stream: Stream, onto disks: [Disk], version: String,
        folder: FilePath, report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws {
        try await run(
            Self.job(.install, payload, version: version), answers: answers.environmentText,
            disks: stream.disks + disks.map(Self.machineDisk), folder: folder, report: report)
    }

    /// Fills the disk of a template: ``KldInstall/InstallPlanner/template``. Parameters and errors as those of an installation.
    func template(
        _ answers: Answers, payload: PayloadBuilder.Payload, onto disk: FilePath, folder: FilePath,
        report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws {
        try await run(
            Self.job(.template, payload), answers: answers.environmentText,
            disks: [Self.archiveDisk(payload), Self.machineDisk(Disk(file: disk, serial: Disk.first))], folder: folder,
            silence: Self.unpacking, report: report)
    }

    /// Makes a sealed image of a copy of a template: ``KldInstall/InstallPlanner/image``. Parameters and errors as those of an installation.
    func image(
        _ answers: Answers, payload: PayloadBuilder.Payload, on disk: FilePath, version: String, folder: FilePath,
        report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws {
        try await run(
            Self.job(.image, payload, version: version), answers: answers.environmentText,
            disks: [Self.machineDisk(Disk(file: disk, serial: Disk.first))], folder: folder, report: report)
    }

    static func job(_ work: FactoryJob.Work, _ payload: PayloadBuilder.Payload, version: String = "") -> FactoryJob {
        FactoryJob(
            work: work, kernel: payload.info.kernel, openZFS: payload.info.openZFS,
            identity: work == .install ? nil : InstallRequest.Identity(digest: payload.digest), version: version)
    }

    /// Makes `root.zfs` and `rest.tar` of a payload's archive, in a folder.
    ///
    /// They end with at most 4095 bytes of nothing: they are written as block devices.
    public func pack(
        _ payload: PayloadBuilder.Payload, into folder: FilePath, work: FilePath, report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws {
        let stream = Stream(in: folder)
        let scratch = work.appending("scratch.raw")
        try Self.makeDisks([stream.root, stream.rest, scratch])
        let job = FactoryJob(work: .pack, payload: payload.info.spec, version: "")
        let disks = [
            Self.archiveDisk(payload),
            Self.machineDisk(Disk(file: scratch, serial: FactoryJob.scratchSerial)),
            Self.machineDisk(Disk(file: stream.root, serial: FactoryJob.streamSerial)),
            Self.machineDisk(Disk(file: stream.rest, serial: FactoryJob.restSerial)),
        ]
        try await run(job, answers: "", disks: disks, folder: work.appending(WorkFolder.guest), silence: Self.unpacking, report: report)
        try Self.cut([stream.root, stream.rest])
        // With these the folder is one that `kldload install --payload` takes.
        for name in PayloadManifest.files {
            try files.write(files.read(payload.folder.appending(name)), to: folder.appending(name), mode: .file)
        }
    }

    /// Makes a stream of what one payload's stream has beyond another's: see ``KldInstall/IncrementPack``. It ends as the others do.
    func increment(
        _ payload: PayloadBuilder.Payload, whole: Stream, onto base: Stream, to file: FilePath, work: FilePath,
        report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws {
        let scratch = work.appending("scratch.raw")
        try Self.makeDisks([file, scratch])
        let disks = [
            MachineDisk(base.root, serial: FactoryJob.baseSerial, readOnly: true),
            MachineDisk(whole.root, serial: FactoryJob.streamSerial, readOnly: true),
            Self.machineDisk(Disk(file: scratch, serial: FactoryJob.scratchSerial)),
            Self.machineDisk(Disk(file: file, serial: FactoryJob.incrementSerial)),
        ]
        try await run(
            FactoryJob(work: .increment, payload: payload.info.spec, version: ""), answers: "", disks: disks,
            folder: work.appending(WorkFolder.guest), silence: Self.unpacking, report: report)
        try Self.cut([file])
    }

    /// Sparse files, larger than what will be on them.
    private static func makeDisks(_ files: [FilePath]) throws {
        for file in files {
            let disk = try FileDescriptor.open(
                file, .writeOnly, options: [.create, .truncate, .closeOnExec], permissions: [.ownerReadWrite])
            try disk.closeAfter { try disk.resize(to: Int64(ByteCount.gibibytes(64).bytes)) }
        }
    }

    private static func cut(_ files: [FilePath]) throws {
        for file in files {
            let disk = try FileDescriptor.open(file, .readWrite, options: [.closeOnExec])
            try disk.closeAfter { try disk.resize(to: try Self.end(of: disk)) }
        }
    }

    /// Where the last data of a sparse file ends. Source: lseek(2), `SEEK_DATA` (3) and `SEEK_HOLE` (4), Linux 3.1.
    private static func end(of file: FileDescriptor) throws -> Int64 {
        var end: Int64 = 0
        while true {
            do { end = try file.seek(offset: try file.seek(offset: end, from: .init(rawValue: 3)), from: .init(rawValue: 4)) } catch Errno
                .noSuchAddressOrDevice
            {
                return end
            }
        }
    }

    /// Seals a disk image in place: always a copy of what it came from.
    /// - Parameter known: told what is installed on it, before it is sealed; what it throws ends the guest.
    /// - Returns: what is installed on it.
    package func seal(
        copy: Disk, version: String, folder: FilePath, known: @escaping @Sendable (InstalledSystem) throws -> Void,
        report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws -> InstalledSystem? {
        try await run(
            FactoryJob(work: .seal, version: version), answers: "", disks: [Self.machineDisk(copy)], folder: folder, known: known,
            report: report)
    }

    /// Compressing a whole system is one step, and the longest.
    private static let unpacking = Duration.seconds(600)

    private static func archiveDisk(_ payload: PayloadBuilder.Payload) -> MachineDisk {
        MachineDisk(payload.archive, serial: FactoryJob.payloadSerial, readOnly: true)
    }

    private static func machineDisk(_ disk: Disk) -> MachineDisk {
        MachineDisk(disk.file, serial: disk.serial, cache: .unsafe, discard: true, detectZeroes: true)
    }

    /// - Returns: what the guest tells of the system on its disk, when it does.
    /// - Parameters:
    ///   - known: told that at once; what it throws ends the guest.
    ///   - silence: the longest on a fast machine. A busy host makes everything slow; only a guest that says nothing any more has hung.
    @discardableResult
    private func run(
        _ job: FactoryJob, answers: String, disks: [MachineDisk], folder: FilePath, silence: Duration = .seconds(240),
        known: @escaping @Sendable (InstalledSystem) throws -> Void = { _ in }, report: @escaping @Sendable (PlanEvent) -> Void
    ) async throws -> InstalledSystem? {
        try files.makeDirectory(folder, mode: 0o700)
        let jobFile = folder.appending("job.json")
        let answersFile = folder.appending("answers.env")
        try files.write(Array(JSONEncoder().encode(job)), to: jobFile, mode: .secret)
        try files.write(Array(answers.utf8), to: answersFile, mode: .secret)
        defer { try? files.remove(answersFile) }

        let spec = MachineSpec(
            name: "factory", accelerator: host.accelerator, memory: .gibibytes(2), processors: 2,
            boot: live.factoryBoot, disks: [live.disk] + disks,
            channels: [FactoryJob.channel], endsOnReboot: true,
            firmwareFiles: [FactoryJob.jobFile: jobFile, FactoryJob.answersFile: answersFile])
        let start = ContinuousClock.now
        let system = try await VirtualMachine.with(spec, qemu: host.qemu, folder: folder) { machine in
            let channel = try machine.channel(FactoryJob.channel)
            var last: PlanEvent?
            var system: InstalledSystem?
            while let line = try await channel.nextLine(within: host.deadline(silence)) {
                guard let event = try? JSONDecoder().decode(PlanEvent.self, from: Data(line.utf8)) else {
                    if let told = InstalledSystem(line: line) {
                        try known(told)
                        system = told
                    }
                    continue
                }
                report(event)
                last = event
                if event.kind == .planDone || event.kind == .planFailed { break }
            }
            if let problem = last?.diagnosis { throw problem }
            guard last?.kind == .planDone else {
                throw Diagnosis(
                    "factory.died", "the factory's guest ended before it was done",
                    remedies: ["read its console: \(folder.appending("console.log"))"], causes: await machine.lastWords())
            }
            try await machine.waitForPowerOff(within: .seconds(120))
            return system
        }
        report(PlanEvent(.line, message: "the guest was on for \(Int(start.duration(to: .now) / .seconds(1))) s"))
        return system
    }
}
