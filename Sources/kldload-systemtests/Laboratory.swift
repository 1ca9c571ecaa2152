import KldAnswers
import KldCore
import KldDoctor
import KldExec
import KldFiles
import KldImage
import KldPackages
import KldPlan
import KldVirt
import SystemPackage

/// What a scenario works with: a folder, disks, machines.
struct Laboratory: Sendable {
    let name: String
    /// Whether its machines enforce Secure Boot.
    let isSecure: Bool
    /// Answers that all of its machines have beside their own.
    let overrides: [String]
    let workshop: Workshop
    let examples: FilePath
    let folder: FilePath
    let files = LocalFiles()

    func answers(_ example: String, _ overrides: [String] = []) throws -> Answers {
        try Answers.load(examples.appending("\(example).env"), files: files, overrides: overrides + self.overrides)
    }

    func log(_ text: String) { say("    \(name): \(text)") }

    var report: @Sendable (PlanEvent) -> Void {
        { event in
            switch event.kind {
            case .line, .stepFailed, .planDone: log("\(event.milliseconds / 1000) s \(event.message)")
            default: break
            }
        }
    }

    /// Sparse disks; the serials are what the examples name: `disk0`, `disk1`, …
    func disks(_ count: Int, size: ByteCount = .gibibytes(8), prefix: String = "disk") async throws -> [Factory.Disk] {
        var made: [Factory.Disk] = []
        for index in 0..<count {
            let file = folder.appending("\(prefix)\(index).raw")
            try await workshop.runner.run(FileCommand.resize(file, to: size))
            made.append(Factory.Disk(file: file, serial: "\(prefix)\(index)"))
        }
        return made
    }

    /// A small FAT volume with these files at its top.
    func volume(_ label: String, _ contents: [FilePath], at image: FilePath) async throws -> FilePath {
        let runner = workshop.runner
        try await runner.run(FileCommand.resize(image, to: .mebibytes(4)))
        try await runner.run(Command(Tool("mkfs.vfat", package: "dosfstools"), ["-n", label, image.string], effect: .changes))
        try await runner.run(
            Command(Tool("mcopy", package: "mtools"), ["-i", image.string] + contents.map(\.string) + ["::"], effect: .changes))
        return image
    }

    /// Answers by which a machine reaches its archive: the one that this host uses.
    var archive: [String] { HostArchive.find(files: files).map { ["KLDLOAD_DEBIAN_MIRROR=\($0)"] } ?? [] }

    /// Installs as the answers say, onto disks whose serials they name.
    /// - Parameter kernel: one certain kernel; `nil`: the release's newest.
    func install(
        _ answers: Answers, onto disks: [Factory.Disk], kernel: String? = nil, heard: @escaping @Sendable (PlanEvent) -> Void = { _ in }
    ) async throws {
        let bench = try await workshop.prepare(answers, mirror: nil, kernel: kernel, report: report)
        try await bench.factory.install(
            answers, payload: bench.payload, stream: workshop.stream(bench, report: report), onto: disks, version: "systemtest",
            folder: folder.appending("install"),
            report: { event in
                report(event)
                heard(event)
            })
    }

    /// Disks of a machine that was installed from an example, of profile core unless the overrides say another, with the password that ``Guest`` knows.
    func machine(
        _ example: String = "three-lines", disks count: Int = 1, _ overrides: [String] = [], kernel: String? = nil
    ) async throws -> [Factory.Disk] {
        let disks = try await disks(count)
        let profile = overrides.contains { $0.hasPrefix("KLDLOAD_PROFILE=") } ? [] : ["KLDLOAD_PROFILE=core"]
        let answers = try answers(example, ["KLDLOAD_PASSWORD=Correct-Horse-7"] + profile + overrides)
        try await install(answers.forTest(), onto: disks, kernel: kernel)
        return disks
    }

    /// The live ISO with these profiles on board, and packages beside those that its mirror has anyway.
    func iso(profiles: [String], packages: [String] = [], name: String = "kldload.iso") async throws -> FilePath {
        let file = folder.appending(name)
        let made = try await ISOBuild(workshop: workshop, report: report).run(
            ISOBuild.Request(
                payloads: try profiles.map { try ISOBuild.payload(distro: "debian", profile: $0) }, packages: packages, output: file,
                overwrite: false,
                version: "systemtest"))
        log("\(name): \(made.size)")
        return file
    }

    /// Boots disks under UEFI, with Secure Boot enforcing or without, and hands over the running machine.
    /// - Parameters:
    ///   - variables: what the firmware keeps; `nil`: as if new, but with the disks' own keys enrolled where Secure Boot enforces.
    ///   - writeLog: records every write and every flush; QEMU drops the guest's flushes otherwise.
    ///   - ownNetwork: what `network`'s tap device is a card of.
    func boot<Result: Sendable>(
        _ disks: [Factory.Disk], interface: MachineDisk.Interface = .virtioBlock, label: String = "boot",
        network: MachineNetwork? = MachineNetwork(), more: [MachineDisk] = [],
        variables: FilePath? = nil, graphics: Bool = false, writeLog: FilePath? = nil,
        memory: ByteCount = .gibibytes(2), on ownNetwork: OwnNetwork? = nil,
        _ body: (VirtualMachine, FactoryHost) async throws -> Result
    ) async throws -> Result {
        let host = try await FactoryHost.find(runner: workshop.runner, files: files, cache: workshop.cache.root)
        let place = folder.appending(label)
        try files.makeDirectory(place, mode: 0o700)
        let firmware = try firmware()
        let trusted: FilePath
        if let variables {
            trusted = variables
        } else {
            trusted = try await self.variables(at: place.appending("vars.fd"), trusting: disks)
        }
        let spec = MachineSpec(
            name: name, accelerator: host.accelerator, memory: memory, processors: 2,
            boot: isSecure
                ? .secureBoot(code: firmware.code, variables: trusted) : .uefi(code: firmware.code, variables: trusted),
            disks: disks.enumerated().map { index, disk in
                // Of a machine that has an order of starting, OVMF forgets what is not in it.
                MachineDisk(
                    disk.file, serial: disk.serial, cache: writeLog == nil ? .unsafe : .writeback, interface: interface,
                    bootIndex: network?.bootIndex.map { $0 + index + 1 }, writeLog: writeLog)
            } + more, networks: network.map { [$0] } ?? [],
            channels: [ImageVerification.channel], graphics: graphics)
        return try await VirtualMachine.with(spec, qemu: ownNetwork?.inside(host.qemu) ?? host.qemu, folder: place) {
            try await body($0, host)
        }
    }

    /// Waits until a machine that boots from an encrypted pool hears its passphrase: behind its prompt the program turns echo off, and forgets
    /// what was typed before.
    static func passphrasePrompt(_ machine: VirtualMachine, _ host: FactoryHost) async throws {
        _ = try await machine.console.expect("Enter passphrase for", within: host.deadline(.seconds(60)))
        try await Task.sleep(for: host.deadline(.seconds(3)))
    }

    /// Boots disks and asks the system inside; every check must hold.
    func verify(_ disks: [Factory.Disk], label: String = "boot", passphrase: String? = nil) async throws {
        let report = try await boot(disks, label: label) { machine, host in
            if let passphrase {
                try await Self.passphrasePrompt(machine, host)
                try await machine.console.send(passphrase + "\n")
            }
            return try await ImageVerification.answer(machine, on: host)
        }
        try require(report)
    }

    /// Says what the checks of a machine found; every one must hold.
    func require(_ report: VerifyReport) throws {
        let bad = report.results.filter { $0.status == .fail }
        log(
            "verify: \(report.summary.ok) ok, \(report.summary.fail) failed, \(report.summary.warn) warnings, \(report.summary.skip) skipped"
        )
        for result in report.results where result.status == .warn { log("warning \(result.name): \(result.actual)") }
        try check(bad.isEmpty, bad.map { "\($0.name): \($0.title): \($0.actual) (expected \($0.expected ?? "-"))" }.joined(separator: "\n"))
    }

    /// Logs in on the serial console, answering each prompt, and returns when there is a shell.
    func logIn(_ machine: VirtualMachine, _ host: FactoryHost, _ answers: [(prompt: String, answer: String)]) async throws {
        try await machine.console.send("\n")
        for (prompt, answer) in answers {
            _ = try await machine.console.expect(prompt, within: host.deadline(.seconds(60)))
            try await machine.console.send(answer + "\n")
        }
        _ = try await machine.console.expect("$ ", within: host.deadline(.seconds(60)))
    }

    /// What a line of shell prints on the serial console of a machine that somebody is logged in to.
    func ask(_ machine: VirtualMachine, _ host: FactoryHost, _ line: String) async throws -> String {
        try await machine.console.send("\(line); echo END''-OF\n")
        return try await machine.console.expect("END-OF", within: host.deadline(.seconds(60)))
    }
}
