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

struct FactoryGuestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "factory-guest", abstract: "Install as the factory's host asks.", shouldDisplay: false)

    func run() async throws { try await FactoryGuest(runner: SubprocessRunner(), files: LocalFiles()).run() }
}
