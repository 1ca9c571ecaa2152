import ArgumentParser
import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldImage
import SystemPackage

/// Started by the live environment, once per boot. Without a seed volume it does nothing.
struct AutoinstallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "autoinstall", abstract: "Install as the answers on a seed volume say, then power off.",
        discussion:
            "The volume is labelled \(SeedVolume.labels.joined(separator: ", ")), and holds \(SeedVolume.answersName). KLDLOAD_AFTER_INSTALL=reboot restarts the machine instead.",
        shouldDisplay: false)

    private static let began: FilePath = "/run/kldload/autoinstall"
    private static let answers: FilePath = "/run/kldload/autoinstall-answers.env"

    func run() async throws {
        let (runner, files) = (SubprocessRunner(), LocalFiles())
        guard Host.isRoot else {
            throw Diagnosis(
                "autoinstall.not-root", "installing needs root", remedies: ["it is started by kldload-autoinstall.service"],
                exit: .needsRoot)
        }
        Output.mirrorToConsoles(files)
        // One attempt a boot: whoever looks at a failed one must not see it begin again.
        try files.write("", to: Self.began)
        guard let seed = try await wait(runner, files) else {
            Output.errorLine("kldload: no seed volume; install with: kldload install --answers FILE")
            return
        }
        Output.errorLine("kldload: installing as \(SeedVolume.answersName) on \(seed.device) says")
        do {
            try files.write(try await seed.answers(runner: runner, files: files), to: Self.answers, mode: .secret)
            let answers = try Answers.load(Self.answers, files: files, overrides: [])
            try await InstallCommand.parse(["--answers", Self.answers.string, "--progress", "plain", "--unattended"]).run()
            try files.remove(Self.answers)
            switch answers.afterInstall {
            case .powerOff: try await runner.run(Command(Tool("systemctl", package: "systemd"), ["poweroff"], effect: .changes))
            case .reboot: try await runner.run(Command(Tool("systemctl", package: "systemd"), ["reboot"], effect: .changes))
            case .stay: Output.errorLine("kldload: installed; the machine stays up, as KLDLOAD_NO_AUTO_REBOOT=1 says")
            }
        } catch {
            try? files.remove(Self.answers)
            Output.errorLine("kldload: the installation failed; its log is /var/log/kldload/install.jsonl, and this console is yours")
            throw error
        }
    }

    /// A stick that is slow to appear is waited for: the live medium itself may have come from a faster one.
    private func wait(_ runner: any CommandRunner, _ files: any FileSystem) async throws -> SeedVolume? {
        try await runner.run(
            Command(Tool("udevadm", package: "udev"), ["settle", "--timeout=60"], effect: .reads, accepting: [0, 1]))
        for _ in 0..<20 {
            if let seed = try SeedVolume.find(files) { return seed }
            try await Task.sleep(for: .seconds(1))
        }
        return nil
    }
}
