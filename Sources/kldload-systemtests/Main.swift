import ArgumentParser
import Glibc
import KldCore
import KldExec
import KldFiles
import KldImage
import SystemPackage

/// Runs scenarios on real kernels, real ZFS and real firmware, in QEMU.
@main
struct SystemTests: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kldload-systemtests", abstract: "Install, boot and check machines in QEMU.")

    @Flag(help: "List the scenarios and do nothing.") var list = false
    @Option(help: ArgumentHelp("Only the scenario of this name, or those whose name contains it; may be repeated.", valueName: "text"))
    var filter: [String] = []
    @Option(help: "ci: what every change runs; all: everything that checks; bench: peers of numbers too.") var tier = Scenario.Tier.ci
    @Option(help: "How many scenarios run at once.") var maxConcurrency = 1
    @Flag(help: "Keep disks and logs of scenarios that fail.") var keepOnFailure = false
    @Option(help: "The statically linked kldload to test.") var executable = ".build-static/release/kldload"
    @Option(help: "The folder of example answers.") var examples = "Examples"

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        let names = Set(Scenario.all.map(\.name))
        func isMeant(_ name: String, by text: String) -> Bool { names.contains(text) ? name == text : name.contains(text) }
        for text in filter where !names.contains(where: { isMeant($0, by: text) }) {
            throw ValidationError("no scenario matches \(text); see --list")
        }
        let chosen = Scenario.all.filter { scenario in
            filter.isEmpty ? scenario.tier <= tier : filter.contains { isMeant(scenario.name, by: $0) }
        }
        if list {
            for scenario in Scenario.all { say("\(scenario.tier.rawValue)\t\(scenario.name)\t\(scenario.title)") }
            return
        }
        let runner = SubprocessRunner()
        let home = getenv("HOME").map { String(cString: $0) } ?? "/root"
        var environment = ["HOME": home]
        if let cache = getenv("XDG_CACHE_HOME") { environment["XDG_CACHE_HOME"] = String(cString: cache) }
        let cache = ArtifactCache(root: ArtifactCache.defaultRoot(environment: environment), runner: runner)
        let workshop = Workshop(
            cache: cache, runner: runner, executable: try LocalFiles().resolve(FilePath(executable)), root: geteuid() == 0)
        let suite = Suite(
            workshop: workshop, examples: try LocalFiles().resolve(FilePath(examples)), keepOnFailure: keepOnFailure,
            concurrency: max(1, maxConcurrency))
        let work = Task { await suite.run(chosen) }
        Interrupts.cancel(work) { say($0) }
        let failed = await work.value
        if work.isCancelled { throw ExitCode(ExitStatus.interrupted.rawValue) }
        if failed > 0 { throw ExitCode(ExitStatus.failed.rawValue) }
    }
}

extension Scenario.Tier: ExpressibleByArgument {}
