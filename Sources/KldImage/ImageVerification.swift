import FoundationEssentials
public import KldCore
public import KldDoctor
import KldExec
import KldFiles
public import KldPlan
package import KldVirt
public import SystemPackage

/// Boots an image under UEFI from a throw-away overlay and asks the system inside what it thinks of itself.
public struct ImageVerification: Sendable {
    private let workshop: Workshop
    private let report: @Sendable (PlanEvent) -> Void

    public init(workshop: Workshop, report: @escaping @Sendable (PlanEvent) -> Void) {
        self.workshop = workshop
        self.report = report
    }

    /// The port on which the shipped `kldload-verify.service` answers.
    package static let channel = "com.kldload.verify"

    /// - Throws: ``Diagnosis`` `image.no-answer` with the last lines of the console when the system did not come up.
    public func run(_ image: FilePath) async throws -> VerifyReport {
        let files = LocalFiles()
        let host = try await FactoryHost.find(runner: workshop.runner, files: files, cache: workshop.cache.root)
        if let reason = host.reason { report(PlanEvent(.line, message: "guests are emulated: \(reason)")) }
        let folder = workshop.cache.root.appending("work/verify-\(UInt32.random(in: 0 ... .max))")
        try files.makeDirectory(folder, mode: 0o700)
        let source = try await SourceInspector(runner: workshop.runner, files: files).inspect(image)
        let overlay = folder.appending("overlay.qcow2")
        try await workshop.runner.run(
            QemuImg.createOverlay(overlay, backing: source.path, backingFormat: source.form == .raw ? .raw : .qcow2))
        let firmware = try Firmware.find(.uefi, files: files)
        let spec = MachineSpec(
            name: "verify", accelerator: host.accelerator, memory: .gibibytes(2), processors: 2,
            boot: .uefi(code: firmware.code, variables: try firmware.copyVariables(to: folder.appending("vars.fd"), files: files)),
            disks: [MachineDisk(overlay, format: .qcow2, serial: "disk0")], networks: [MachineNetwork()], channels: [Self.channel])
        report(PlanEvent(.line, message: "booting \(image.lastComponent?.string ?? image.string)"))
        let answer = try await VirtualMachine.with(spec, qemu: host.qemu, folder: folder) { machine in
            try await Self.answer(machine, on: host)
        }
        try files.remove(folder)
        return answer
    }

    /// Waits for the report of the system inside a guest that has ``channel``.
    package static func answer(_ machine: VirtualMachine, on host: FactoryHost) async throws -> VerifyReport {
        let limit = host.deadline(.seconds(240))
        do {
            guard let line = try await machine.channel(channel).nextLine(within: limit) else {
                throw Diagnosis(
                    "image.no-answer", "the guest ended before it answered",
                    remedies: ["read the end of its console below", "boot the image by hand: qemu-system-x86_64 -snapshot …"],
                    causes: machine.console.tail())
            }
            return try JSONDecoder().decode(VerifyReport.self, from: Data(line.utf8))
        } catch let error as VirtError {
            throw Diagnosis(
                "image.no-answer", "the system inside did not answer within \(limit)",
                remedies: ["look at its console below; on a busy machine try again"],
                causes: [error.diagnosis.message] + machine.console.tail())
        }
    }
}
