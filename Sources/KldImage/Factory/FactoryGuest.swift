import FoundationEssentials
import KldAnswers
import KldBlock
import KldCore
import KldDistro
public import KldExec
public import KldFiles
import KldInstall
import KldPlan
import KldZFS
import SystemPackage

/// The guest's side of the factory: reads the job, installs, and reports. The power goes when it ends.
public struct FactoryGuest: Sendable {
    /// What it says first.
    package static let isUp = "live environment is up"
    private let runner: any CommandRunner
    private let files: any FileSystem
    private static let configuration: FilePath = "/sys/firmware/qemu_fw_cfg/by_name"

    public init(runner: any CommandRunner, files: any FileSystem) {
        self.runner = ZFSExplainingRunner(runner)
        self.files = files
    }

    public func run() async throws {
        let channel = FilePath("/dev/virtio-ports/\(FactoryJob.channel)")
        // It measures its checksums for seconds when it is loaded: the first that needs it waits.
        let module = Task { [runner] in try await Preflight.loadOpenZFS(runner) }
        try await runner.run(Command(Tool("modprobe", package: "kmod"), ["--all", "qemu_fw_cfg", "virtio_console"], effect: .changes))
        try await wait(for: channel)
        let port = try FileDescriptor.open(channel, .writeOnly, options: [.closeOnExec])
        defer { try? port.close() }
        @Sendable func send(_ value: some Encodable & SendableMetatype) {
            if var line = try? JSONEncoder().encode(value) {
                line.append(UInt8(ascii: "\n"))
                _ = try? port.writeAll(line)
            }
        }
        let report: @Sendable (PlanEvent) -> Void = { send($0) }
        do {
            report(PlanEvent(.line, message: Self.isUp))
            try await work(report, tell: { send($0) }, module)
        } catch {
            // A failed plan has said so itself; anything before it has not.
            report(PlanEvent(.planFailed, message: Diagnosis(of: error).message, diagnosis: Diagnosis(of: error)))
            throw error
        }
    }

    private func work(
        _ report: @escaping @Sendable (PlanEvent) -> Void, tell: @escaping @Sendable (InstalledSystem) -> Void,
        _ module: Task<Void, any Error>
    ) async throws {
        let job = try JSONDecoder().decode(FactoryJob.self, from: Data(raw(FactoryJob.jobFile)))
        try await runner.run(Disk.settling(within: 60))
        switch job.work {
        // Their plans wait for the module where they need it.
        case .install, .template, .image: try await install(job, report)
        case .pack, .increment:
            try await module.value
            try await pack(job, report)
        case .seal:
            try await module.value
            try await seal(report, tell: tell)
        }
    }

    private func raw(_ name: String) throws -> [UInt8] { try files.read(Self.configuration.appending(name).appending("raw")) }

    private func install(_ job: FactoryJob, _ report: @escaping @Sendable (PlanEvent) -> Void) async throws {
        // The host has checked them, maybe against newer lists than there are here.
        let answers = try Answers(bytes: raw(FactoryJob.answersFile), source: "the factory's answers", reference: .checkedBefore)
        let facts = try await MachineFacts.gather(runner: runner, files: files)
        let planner = try Self.planner(answers, facts, job)
        let options = SealOptions(
            keepUser: answers.sshKeys.user.isEmpty ? nil : answers.username, keepAuthorizedKeys: answers.sshKeys.user.map(\.line),
            keepNetwork: true)
        // The power goes with the process.
        let watch = PoolWatch.endProcess(whenSuspended: answers.poolName, disks: planner.diskNames, files: files) { problem in
            report(PlanEvent(.planFailed, message: problem.message, diagnosis: problem))
        }
        defer { watch.cancel() }
        try await apply(try Self.plan(planner, job), approvals: planner.approvals, options, report)
    }

    private static func planner(_ answers: Answers, _ facts: MachineFacts, _ job: FactoryJob) throws -> InstallPlanner {
        // What many machines are made of is worth packing; a template is filled once.
        let source: InstallRequest.Payload.Source =
            job.work == .template
            ? .archive(device(FactoryJob.payloadSerial))
            : .stream(root: device(FactoryJob.streamSerial), rest: device(FactoryJob.restSerial))
        return try InstallPlanner(
            InstallRequest(
                answers: answers, facts: facts,
                spec: try DistroSpec.find(distro: answers.distro.rawValue, suite: answers.release, backports: answers.backports),
                profile: try ProfileSpec.find(answers.profile.rawValue),
                payload: InstallRequest.Payload(source, kernel: job.kernel, openZFS: job.openZFS),
                identity: job.identity ?? .random(), sealed: job.work != .install, version: job.version,
                executable: "/usr/lib/kldload/kldload"))
    }

    private static func plan(_ planner: InstallPlanner, _ job: FactoryJob) throws -> Plan {
        switch job.work {
        case .template: try planner.template
        case .image: try planner.image
        default: try planner.plan
        }
    }

    /// The steps of a template in full, as a guest would take them: what templates of the same text have in common is all.
    static func template(_ answers: Answers, _ job: FactoryJob) throws -> String {
        let facts = MachineFacts(
            disks: [BlockDevice(path: "/dev/vda", size: answers.diskSize)], stableNames: ["/dev/vda": device(Factory.Disk.first).string])
        return try plan(planner(answers, facts, job), job).text(contents: true)
    }

    /// A payload's packing with the disks of a factory guest.
    static func packing(_ payload: PayloadSpec) throws -> PayloadPack {
        PayloadPack(
            spec: try payload.spec, archive: device(FactoryJob.payloadSerial), scratch: device(FactoryJob.scratchSerial).string,
            root: device(FactoryJob.streamSerial), rest: device(FactoryJob.restSerial))
    }

    /// The packing of what one stream has beyond another, likewise.
    static func incrementing(_ payload: PayloadSpec) throws -> IncrementPack {
        IncrementPack(
            compatibility: try payload.spec.compatibility, base: device(FactoryJob.baseSerial), whole: device(FactoryJob.streamSerial),
            scratch: device(FactoryJob.scratchSerial).string, result: device(FactoryJob.incrementSerial))
    }

    private static func device(_ serial: String) -> FilePath { FilePath("/dev/disk/by-id/virtio-\(serial)") }

    private func pack(_ job: FactoryJob, _ report: @escaping @Sendable (PlanEvent) -> Void) async throws {
        guard let payload = job.payload else { throw Diagnosis("factory.job", "the job names no payload", exit: .bug) }
        let scratch = Self.device(FactoryJob.scratchSerial).string
        let plan = try job.work == .increment ? Self.incrementing(payload).plan : Self.packing(payload).plan
        let approval = WipeApproval(forceWipe: true, named: [scratch], disk: scratch)
        try await apply(plan, approvals: [approval].compactMap { $0 }, SealOptions(), report)
    }

    /// The only disk with a pool is the copy.
    private func seal(
        _ report: @escaping @Sendable (PlanEvent) -> Void, tell: @escaping @Sendable (InstalledSystem) -> Void
    ) async throws {
        let pools = try ImportablePool.parse(
            await runner.run(ZPool.importable(devices: ["/dev/disk/by-id"])).output)
        guard let pool = pools.first, pools.count == 1 else {
            throw Diagnosis(
                "image.no-pool", pools.isEmpty ? "there is no ZFS pool on the disk" : "there is more than one pool on the disk",
                remedies: ["export it as it is: --no-seal"], exit: .inputMissing, causes: pools.map(\.name))
        }
        let copy = CopySeal(
            disk: Self.device(Factory.Disk.first).string, pool: pool.name, device: "/dev/disk/by-id/\(try Self.onlyDevice(of: pool))",
            foreign: true, espSerial: .random(in: 1 ... .max))
        let approval = WipeApproval(forceWipe: true, named: [copy.disk], disk: copy.disk)
        try await apply(try copy.plan, approvals: [approval].compactMap { $0 }, SealOptions(), report, tell: tell)
    }

    /// One disk of a mirror opens, but its pool cannot get a GUID of its own, here or at the first boot of a clone.
    static func onlyDevice(of pool: ImportablePool) throws -> String {
        let missing = pool.vdevs.filter { $0.state != .online && $0.state != .available }.map { "\($0.name): \($0.state)" }
        guard missing.isEmpty else {
            throw Diagnosis(
                "image.incomplete-pool", "the disk holds only a part of the pool \(pool.name)",
                remedies: ["export a disk that is a whole pool", "export it as it is: --no-seal"], exit: .inputMissing, causes: missing)
        }
        guard pool.vdevs.count == 2, let device = pool.vdevs.last else {
            throw Diagnosis(
                "image.several-devices", "the pool \(pool.name) has more than one device on the disk",
                remedies: ["export it as it is: --no-seal"], exit: .inputMissing, causes: pool.vdevs.dropFirst().map(\.name))
        }
        return device.name
    }

    private func apply(
        _ plan: Plan, approvals: [WipeApproval], _ options: SealOptions, _ report: @escaping @Sendable (PlanEvent) -> Void,
        tell: @escaping @Sendable (InstalledSystem) -> Void = { _ in }
    ) async throws {
        // The report's file is gone with the guest; the log of the run keeps what it says.
        let say: @Sendable (String) -> Void = { report(PlanEvent(.output, step: "seal", message: $0)) }
        let performers = Performers.table(logs: []) { parameters, _, files in
            guard let root = parameters["root"] else { return }
            try SealStep.seal(FilePath(root), options, report: SealStep.guestReport, files, say: say)
        }.merging(SealStep.performers(say: say)) { $1 }.merging(CopySeal.performers(tell: tell)) { $1 }.merging(IncrementPack.performers) {
            $1
        }
        try await PlanRunner(runner: runner, files: files, performers: performers, report: report).apply(plan, approvals: approvals)
    }

    private func wait(for path: FilePath) async throws {
        for _ in 0..<600 {
            if try files.exists(path) { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw Diagnosis(
            "factory.no-channel", "\(path) did not appear", remedies: ["report this as a defect of kldload, with the log"], exit: .bug)
    }
}
