import ArgumentParser
import FoundationEssentials
import KldAnswers
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldImage
import KldInstall
import KldSystemd
import SystemPackage

/// Started by the live environment, once per boot. Where nobody says what to install, it starts the screens that ask a person.
struct AutoinstallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "autoinstall",
        abstract: "Install without a person, as the boot menu, a seed volume or the medium says, then power off.",
        discussion: """
            Answers are taken from the first of these: kldload.answers=URL on the kernel's command line; a volume labelled \(SeedVolume.labels.joined(separator: ", ")) that holds \(SeedVolume.answersName); \(UnattendedSeed.bakedIn.map(\.string).joined(separator: ", ")). Other words kldload.KEY=value there replace single answers. KLDLOAD_AFTER_INSTALL=reboot restarts the machine instead.
            """,
        shouldDisplay: false)

    private static let began: FilePath = "/run/kldload/autoinstall"
    private static let answers: FilePath = "/run/kldload/autoinstall-answers.env"

    /// Where the answers came from.
    private struct Found {
        var name: String
        var bytes: [UInt8]
        var volume: SeedVolume?
    }

    func run() async throws {
        let (runner, files) = (SubprocessRunner(), LocalFiles())
        try Host.needRoot(
            Diagnosis(
                "autoinstall.not-root", "installing needs root", remedies: ["it is started by kldload-autoinstall.service"],
                exit: .needsRoot))
        Output.mirrorToConsoles(files)
        // One attempt a boot: whoever looks at a failed one must not see it begin again.
        try files.write("", to: Self.began)
        var volume: SeedVolume?
        var answers: Answers?
        var instruction: String?
        do {
            let said = try UnattendedSeed(commandLine: files.readText("/proc/cmdline"))
            guard let found = try await find(said, runner, files) else {
                Output.errorLine(
                    "kldload: nobody says what to install. The installer is on the machine's screen (Alt-F1; Alt-F2 is a shell); here: kldload install-target --guided; or: kldload install --answers FILE"
                )
                try await runner.run(Systemctl.change(["start", "--no-block", "kldload-guided.service"]))
                return
            }
            volume = found.volume
            Output.errorLine("kldload: installing as \(SeedVolume.answersName) on \(found.name) says")
            try files.write(found.bytes, to: Self.answers, mode: .secret)
            try await said.check(Self.answers, runner: runner)
            answers = try Answers.load(Self.answers, files: files, overrides: said.overrides)
            let words =
                ["--answers", Self.answers.string, "--progress", "plain", "--unattended"] + said.overrides.flatMap { ["--set", $0] }
            let command = try InstallCommand.parse(words)
            let (seed, known) = (volume, answers)
            instruction = try await command.run { problem in
                try? files.remove(Self.answers)
                // A pool that is suspended lets none of its tools end.
                let limited = TimeLimitRunner(SubprocessRunner(), limit: .seconds(20))
                await Self.report(on: seed, "failed\n\(problem.rendered)", known, limited, files)
            }
            try files.remove(Self.answers)
        } catch {
            try? files.remove(Self.answers)
            await Self.report(on: volume, "failed\n\(Diagnosis(of: error).rendered)", answers, runner, files)
            let log = (try? files.exists(EventLog.install)) == true ? "its log is \(EventLog.install), and " : ""
            Output.errorLine("kldload: the installation failed; \(log)this console is yours")
            throw error
        }
        let remembered = await Self.report(
            on: volume, SeedVolume.result(of: .read(files), saying: instruction), answers, runner, files)
        let end = UnattendedEnd(
            answers?.afterInstall ?? .powerOff, remembered: remembered, wipes: answers?.forceWipe == true, asksPassword: instruction != nil)
        try await Self.leave(end, instruction, runner)
    }

    /// - Parameter instruction: with a password that the machine does not start without.
    private static func leave(_ end: UnattendedEnd, _ instruction: String?, _ runner: any CommandRunner) async throws {
        if let reason = end.reason { Output.errorLine("kldload: \(reason)") }
        if end.holds {
            // Their shells would take the keys, and clear the screen when they end.
            _ = try? await runner.run(Systemctl.change(["stop", "getty@*.service", "serial-getty@*.service"]))
            let held = try await ConsoleHold.wait(on: Output.consoles) { Output.errorLine(end.notice(instruction ?? "")) }
            guard held else {
                Output.errorLine("kldload: no console takes a key, so the machine stays on: \(KeyEnrolment.passwordFile) has the password")
                return
            }
        }
        switch end.action {
        case .powerOff: try await runner.run(Systemctl.powerOff)
        case .reboot: try await runner.run(Systemctl.reboot())
        case .stay: Output.errorLine("kldload: installed; the machine stays up, as KLDLOAD_NO_AUTO_REBOOT=1 says")
        }
    }

    private func find(_ said: UnattendedSeed, _ runner: any CommandRunner, _ files: any FileSystem) async throws -> Found? {
        if said.url != nil {
            // The network may still be coming up: by which card it is reached, is known when there is a route.
            for _ in 0..<60 where UnattendedSeed.Machine.read(files, isUp: false).mac == nil { try await Task.sleep(for: .seconds(1)) }
            // A card that the boot menu names is known before DHCP has told what the machine is called.
            for _ in 0..<20 where (try? files.list("/run/systemd/netif/leases"))?.isEmpty != false {
                try await Task.sleep(for: .seconds(1))
            }
            let machine = UnattendedSeed.Machine.read(files)
            guard let (address, bytes) = try await said.fetch(for: machine, runner: runner, files: files) else {
                Output.errorLine("kldload: no answers for this machine at \(try said.addresses(for: machine).joined(separator: ", "))")
                return nil
            }
            return Found(name: address, bytes: bytes)
        }
        if let volume = try await SeedVolume.wait(runner: runner) {
            let bytes = try await volume.open(for: .read(files), runner: runner, files: files)
            return Found(name: volume.device.string, bytes: bytes, volume: volume)
        }
        guard let file = try UnattendedSeed.bakedIn.first(where: { try files.exists($0) }) else { return nil }
        return Found(name: "this medium", bytes: try files.read(file))
    }

    /// What became of it, on the stick that asked for it: log, manifest, and what the machine is. Whoever comes for the stick reads it
    /// elsewhere; the stick itself knows by it which machines it has installed.
    ///
    /// - Returns: whether the result is there, which is written first; `nil` where there is no stick.
    @discardableResult
    private static func report(
        on volume: SeedVolume?, _ result: String, _ answers: Answers?, _ runner: any CommandRunner, _ files: any FileSystem
    ) async -> Bool? {
        guard let volume else { return nil }
        do {
            var contents: [(name: String, bytes: [UInt8])] = [(SeedVolume.resultName, Array("\(result)\n".utf8))]
            if let facts = try? await MachineFacts.gather(runner: runner, files: files) {
                contents.append((SeedVolume.factsName, Array(try JSONEncoder().encode(facts))))
            }
            if result.lines.first == SeedVolume.installed, let manifest = try? files.read(InstallState.manifest) {
                contents.append(("install-manifest.json", manifest))
            }
            if let answers { contents.append(("answers.env", Array(answers.redactedEnvironmentText.utf8))) }
            // The largest comes last: a stick may be full.
            if try files.exists(EventLog.install) { contents.append(("install.jsonl", try files.read(EventLog.install))) }
            let machine = UnattendedSeed.Machine.read(files)
            let name = answers?.hostname.description ?? machine.serial ?? machine.mac?.replacing(":", with: "-") ?? "machine"
            let plain = String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "-" })
            let folder = "\(SeedVolume.reports)\(plain)-\(Timestamp.current.digits)"
            let lost = try await volume.report(contents, in: folder, runner: runner, files: files)
            for (name, problem) in lost {
                Output.errorLine("kldload: not all was written to the seed volume: \(name): \(problem.message)")
            }
            return !lost.contains { $0.name == SeedVolume.resultName }
        } catch {
            Output.errorLine("kldload: nothing was written to the seed volume: \(Diagnosis(of: error).message)")
            return false
        }
    }
}
