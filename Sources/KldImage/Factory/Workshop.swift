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
    ///
    /// - Parameter mirror: where packages come from; `nil`: the answers' mirror where they name one, else the one that this machine's apt
    ///   uses.
    public func prepare(_ answers: Answers, mirror: String?, report: @escaping @Sendable (PlanEvent) -> Void) async throws -> Bench {
        let host = try await host(report)
        let named = answers.isGiven("KLDLOAD_DEBIAN_MIRROR") ? answers.debianMirror : nil
        let archive = mirror ?? named ?? HostArchive.find(files: LocalFiles()) ?? answers.debianMirror
        let builder = builder(report)
        let image = try await live(builder, archive: archive, installed: answers.debianMirror)
        let payload = try await builder.payload(PayloadSpec(answers, buildMirror: archive))
        return Bench(host: host, factory: Factory(host: host, live: image), payload: payload, live: image)
    }

    /// What sealing a copy needs: no payload.
    func sealer(report: @escaping @Sendable (PlanEvent) -> Void) async throws -> (FactoryHost, Factory) {
        let host = try await host(report)
        let archive = HostArchive.find(files: LocalFiles()) ?? Self.defaultMirror
        let image = try await live(builder(report), archive: archive, installed: Self.defaultMirror)
        return (host, Factory(host: host, live: image))
    }

    private static var defaultMirror: String { AnswerKey.named("KLDLOAD_DEBIAN_MIRROR")?.defaultValue ?? "" }

    private func builder(_ report: @escaping @Sendable (PlanEvent) -> Void) -> PayloadBuilder {
        PayloadBuilder(cache: cache, runner: runner, executable: executable, root: root, say: { report(PlanEvent(.line, message: $0)) })
    }

    private func host(_ report: @Sendable (PlanEvent) -> Void) async throws -> FactoryHost {
        let host = try await FactoryHost.find(runner: runner, files: LocalFiles(), cache: cache.root)
        if let reason = host.reason { report(PlanEvent(.line, message: "guests are emulated: \(reason)")) }
        return host
    }

    private func live(_ builder: PayloadBuilder, archive: String, installed: String) async throws -> LiveImage {
        let payload = try await builder.payload(.live(buildMirror: archive, installedMirror: installed))
        return try await LiveImage.make(from: payload, executable: executable, cache: cache, runner: runner)
    }
}
