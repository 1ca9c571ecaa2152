import FoundationEssentials
import KldCore
public import KldDoctor
import KldExec
import KldFiles
public import KldPlan
package import KldVirt
public import SystemPackage

/// Boots an image under UEFI from a throw-away overlay, and asks the system inside what it thinks of itself; then cuts the power, and asks
/// what its first boot has made of it.
public struct ImageVerification: Sendable {
    private let workshop: Workshop
    private let report: @Sendable (PlanEvent) -> Void

    public init(workshop: Workshop, report: @escaping @Sendable (PlanEvent) -> Void) {
        self.workshop = workshop
        self.report = report
    }

    /// The port on which the shipped `kldload-verify.service` answers.
    package static let channel = "com.kldload.verify"

    /// - Parameters:
    ///   - image: qcow2, vmdk, vhd, raw, or an ova, whose disk is taken out of it first.
    ///   - once: only its first boot.
    /// - Throws: ``Diagnosis`` `image.no-answer` with the last lines of the console when the system did not come up, `image.not-checked`,
    ///   `image.no-disk`, `image.disk-elsewhere`; ``ExportError`` when the image is missing, in use, of another format, or leans on another file.
    public func run(_ image: FilePath, once: Bool = false) async throws -> VerifyReport {
        // Before the accelerator is tried, which takes seconds.
        guard try LocalFiles().exists(image) else { throw ExportError.sourceMissing(image) }
        let host = try await FactoryHost.find(runner: workshop.runner, files: LocalFiles(), cache: workshop.cache.root)
        if let reason = host.reason { report(PlanEvent(.line, message: "guests are emulated: \(reason)")) }
        // The console's end is in the error; an overlay of gigabytes is of no use to anybody.
        return try await WorkFolder.with("verify", in: workshop.cache.root, report: report) {
            try await run(image, once: once, on: host, in: $0)
        }
    }

    private func run(_ image: FilePath, once: Bool, on host: FactoryHost, in folder: FilePath) async throws -> VerifyReport {
        let files = LocalFiles()
        let (disk, format) = try await disk(of: image, in: folder)
        let overlay = folder.appending("overlay.qcow2")
        try await workshop.runner.run(QemuImg.createOverlay(overlay, backing: disk, backingFormat: format))
        let firmware = try Firmware.find(.uefi, files: files)
        let spec = MachineSpec(
            name: "verify", accelerator: host.accelerator, memory: .gibibytes(2), processors: 2,
            boot: .uefi(code: firmware.code, variables: try firmware.copyVariables(to: folder.appending("vars.fd"), files: files)),
            disks: [MachineDisk(overlay, format: .qcow2, serial: "disk0")], networks: [MachineNetwork()], channels: [Self.channel])
        report(PlanEvent(.line, message: "booting \(image.lastComponent?.string ?? image.string)"))
        return try await VirtualMachine.with(spec, qemu: host.qemu, folder: folder) { machine in
            let first = try await Self.answer(machine, on: host)
            guard first.summary.fail == 0, !once else { return first }
            report(PlanEvent(.line, message: "its first boot is well; cutting the power, and booting it again"))
            try await machine.monitor.reset()
            return try await Self.answer(machine, on: host)
        }
    }

    /// The disk to boot, never written to, and how to read it.
    ///
    /// Whoever made an image may have it name any file of this machine, which its guest would read: a disk that is not all in one file of
    /// its own is refused.
    ///
    /// Runs: `tar --list`, `tar --extract` of the one VMDK in an ova; `qemu-img info` and what ``SourceInspector`` runs.
    func disk(of image: FilePath, in folder: FilePath) async throws -> (path: FilePath, format: MachineDisk.Format) {
        let (runner, files) = (workshop.runner, LocalFiles())
        let path: FilePath
        do { path = try files.resolve(image) } catch FileError.missing { throw ExportError.sourceMissing(image) }
        // A device or a folder may be called anything.
        let ending = try files.status(path)?.kind == .file ? image.extension?.lowercased() : nil
        switch ending {
        case "ova":
            report(PlanEvent(.line, message: "taking the disk out of the package"))
            let names = try await runner.run(Command("tar", ["--list", "--file=\(image)"], effect: .reads)).output.lines
            guard let name = names.first(where: { $0.hasSuffix(".vmdk") && !$0.contains("/") }) else {
                throw Diagnosis(
                    "image.no-disk", "\(image) holds no VMDK", remedies: ["check the file: sha256sum --check \(image).sha256"],
                    exit: .inputMissing, causes: names)
            }
            try await runner.run(
                Command("tar", ["--extract", "--file=\(image)", "--directory=\(folder)", "--", name], effect: .changes))
            let disk = try files.resolve(folder).appending(name)
            var problem: String? = "it is a link, or no file at all"
            // Before qemu-img opens what a link leads to.
            if try files.status(disk)?.kind == .file {
                problem = try await otherFile(of: disk, .vmdk).map { "it takes content from another file (\($0))" }
            }
            if let problem {
                throw Diagnosis(
                    "image.disk-elsewhere", "the disk in \(image), \(name), does not hold all of its content itself",
                    remedies: ["do not use it: it can name any file of this machine", "make it anew: kldload kexport DISK ova"],
                    exit: .inputMissing, causes: [problem])
            }
            return (disk, .vmdk)
        case "vmdk", "vhd":
            let format: MachineDisk.Format = ending == "vmdk" ? .vmdk : .vpc
            if let other = try await otherFile(of: path, format) { throw ExportError.sourceHasBackingFile(path, backing: other) }
            return (path, format)
        default:
            let source = try await SourceInspector(runner: runner, files: files).inspect(image)
            return (source.path, source.form == .raw ? .raw : .qcow2)
        }
    }

    /// A file that a disk takes content from, besides its own. - Parameter disk: absolute, without links.
    ///
    /// Runs: `qemu-img info --output json -f FORMAT DISK`, reads.
    private func otherFile(of disk: FilePath, _ format: MachineDisk.Format) async throws -> String? {
        try QemuImageInfo.parse(try await workshop.runner.run(QemuImg.info(disk, format: format)).output).otherFile(than: disk)
    }

    /// So many checks at least look at an installed system: a report of fewer was cut short. There were 41 in the first version.
    private static let fewest = 30

    /// What the system inside sent: a line of JSON.
    /// - Throws: ``Diagnosis`` `image.not-checked` when what says nothing against the system is that little was looked at.
    static func report(_ line: String) throws -> VerifyReport {
        let report = try JSONDecoder().decode(VerifyReport.self, from: Data(line.utf8))
        let problem = report.manifestProblem ?? (report.results.count < fewest ? "it looked at \(report.results.count) things only" : nil)
        if let problem {
            throw Diagnosis(
                "image.not-checked", "the system inside did not check itself against what it was installed as",
                remedies: ["use no such image or machine: build or install it anew"], exit: .problemsFound, causes: [problem])
        }
        return report
    }

    /// Waits for the report of the system inside a guest that has ``channel``.
    /// - Throws: ``Diagnosis`` `image.no-answer`, `image.not-checked`.
    package static func answer(_ machine: VirtualMachine, on host: FactoryHost) async throws -> VerifyReport {
        let limit = host.deadline(.seconds(240))
        do {
            guard let line = try await machine.channel(channel).nextLine(within: limit) else {
                throw Diagnosis(
                    "image.no-answer", "the guest ended before it answered",
                    remedies: ["read the end of its console below", "boot the image by hand: qemu-system-x86_64 -snapshot …"],
                    causes: await machine.lastWords())
            }
            return try Self.report(line)
        } catch let error as VirtError {
            throw Diagnosis(
                "image.no-answer", "the system inside did not answer within \(limit)",
                remedies: ["look at its console below; on a busy machine try again"],
                causes: [error.diagnosis.message] + machine.console.tail())
        }
    }
}
