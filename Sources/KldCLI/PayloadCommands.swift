import ArgumentParser
import FoundationEssentials
import Glibc
import KldCore
import KldExec
import KldFiles
import KldImage
import KldPlan
import SystemPackage

/// Runs inside a new tree, called by the builder.
struct PayloadConfigure: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "payload-configure", abstract: "Configure a new root file system from inside.", shouldDisplay: false)

    @Argument(help: "The payload's description.") var spec: String

    func run() async throws {
        let payload = try JSONDecoder().decode(PayloadSpec.self, from: Data(LocalFiles().read(FilePath(spec))))
        let runner = PlanRunner(
            runner: SubprocessRunner(), files: LocalFiles(), performers: PayloadRecipe.performers(payload),
            report: { event in if event.kind == .stepStarted { Output.errorLine("kldload: \(event.message)") } })
        try await runner.apply(try PayloadRecipe.plan(payload))
    }
}

struct PayloadBuild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "payload-build", abstract: "Build a payload into the cache.", shouldDisplay: false)

    @Argument(help: "The payload's description as JSON.") var spec: String

    func run() async throws {
        let payload = try JSONDecoder().decode(PayloadSpec.self, from: Data(LocalFiles().read(FilePath(spec))))
        let builder = Builder()
        let built = try await builder.payloads.payload(payload)
        Output.line(built.archive.string)
    }
}

struct FactoryGuestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "factory-guest", abstract: "Install as the factory's host asks.", shouldDisplay: false)

    func run() async throws { try await FactoryGuest(runner: SubprocessRunner(), files: LocalFiles()).run() }
}

/// What the building commands share.
struct Builder {
    let runner = SubprocessRunner()
    let cache: ArtifactCache
    let payloads: PayloadBuilder
    let executable: FilePath

    init() {
        var environment: [String: String] = [:]
        for name in ["HOME", "XDG_CACHE_HOME"] { if let value = getenv(name) { environment[name] = String(cString: value) } }
        cache = ArtifactCache(
            root: ArtifactCache.defaultRoot(environment: environment), runner: runner,
            waiting: { Output.errorLine("waiting for another build of \($0)") })
        executable = (try? LocalFiles().resolve("/proc/self/exe")) ?? "/usr/lib/kldload/kldload"
        payloads = PayloadBuilder(
            cache: cache, runner: runner, executable: executable, root: geteuid() == 0, say: { Output.errorLine($0) })
    }
}
