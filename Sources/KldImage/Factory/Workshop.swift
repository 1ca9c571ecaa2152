public import KldAnswers
public import KldCore
public import KldExec
public import KldFiles
import KldPackages
public import KldPlan
public import SystemPackage

/// Everything that builds need besides the answers: cache, payloads, live image, host.
public struct Workshop: Sendable {
    public struct Bench: Sendable {
        public var host: FactoryHost
        public var factory: Factory
        public var payload: PayloadBuilder.Payload
        public var live: LiveImage
    }

    public let cache: ArtifactCache
    public let runner: any CommandRunner
    private let executable: FilePath
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

    /// Makes sure that host, payload and live environment are there.
    public func prepare(_ answers: Answers, mirror: String?, report: @escaping @Sendable (PlanEvent) -> Void) async throws -> Bench {
        func say(_ text: String) { report(PlanEvent(.line, message: text)) }
        let host = try await FactoryHost.find(runner: runner, files: LocalFiles(), cache: cache.root)
        if let reason = host.reason { say("guests are emulated: \(reason)") }
        var from = mirror
        if from == nil, !answers.isGiven("KLDLOAD_DEBIAN_MIRROR") {
            from = HostArchive.parse((try? await runner.run(HostArchive.command).output) ?? "")
        }
        let archive = from ?? answers.debianMirror
        let builder = PayloadBuilder(
            cache: cache, runner: runner, executable: executable, root: root, say: { report(PlanEvent(.line, message: $0)) })
        let live = try await builder.payload(.live(buildMirror: archive, installedMirror: answers.debianMirror))
        let image = try await LiveImage.make(from: live, executable: executable, cache: cache, runner: runner)
        let payload = try await builder.payload(PayloadSpec(answers, buildMirror: archive))
        return Bench(host: host, factory: Factory(host: host, live: image), payload: payload, live: image)
    }
}
