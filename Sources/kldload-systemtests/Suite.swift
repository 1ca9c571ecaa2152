import KldCore
import KldFiles
import KldImage
import SystemPackage

/// Runs scenarios, each in a folder of its own, and counts; those that cannot run here are told with the reason.
struct Suite: Sendable {
    let workshop: Workshop
    let examples: FilePath
    let keepOnFailure: Bool
    let concurrency: Int

    private struct Outcome: Sendable {
        var scenario: Scenario
        var failure: String?
        var skipped: String?
        var seconds: Int
    }

    /// - Returns: how many failed.
    func run(_ scenarios: [Scenario]) async -> Int {
        var failed: [Outcome] = []
        var skipped: [Outcome] = []
        var passed = 0
        func count(_ outcome: Outcome) {
            if let reason = outcome.skipped {
                skipped.append(outcome)
                say("skipped \(outcome.scenario.name): \(reason)")
            } else if let failure = outcome.failure {
                failed.append(outcome)
                say("not ok \(outcome.scenario.name) (\(outcome.seconds) s)")
                say(failure.split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)" }.joined(separator: "\n"))
            } else {
                passed += 1
                say("ok \(outcome.scenario.name) (\(outcome.seconds) s)")
            }
        }
        try? await LeftFolders.sweep(workshop.cache.root)
        await withTaskGroup(of: Outcome.self) { group in
            var waiting = scenarios[...]
            for scenario in waiting.prefix(concurrency) { group.addTask { await run(scenario) } }
            waiting = waiting.dropFirst(concurrency)
            for await outcome in group {
                count(outcome)
                if !Task.isCancelled, let next = waiting.popFirst() { group.addTask { await run(next) } }
            }
        }
        for outcome in failed { say("failed: \(outcome.scenario.name)") }
        for outcome in skipped { say("skipped: \(outcome.scenario.name): \(outcome.skipped ?? "")") }
        say("\(passed) passed, \(failed.count) failed, \(skipped.count) skipped")
        return failed.count
    }

    private func run(_ scenario: Scenario) async -> Outcome {
        let start = ContinuousClock.now
        let folder = LeftFolders.scenarios(workshop.cache.root).appending("\(scenario.name)-\(UInt32.random(in: 0 ... .max))")
        let laboratory = Laboratory(
            name: scenario.name, isSecure: scenario.isSecure, overrides: scenario.overrides, workshop: workshop, examples: examples,
            folder: folder)
        say("run \(scenario.name): \(scenario.title)")
        var failure: String?
        var skipped: String?
        var own: OwnFolder?
        do {
            // What is missing is told before anything is built.
            _ = try laboratory.firmware()
            own = try await OwnFolder.make(folder, mode: 0o700, gate: LeftFolders.gate(workshop.cache.root))
            try await within(scenario.limit) { try await scenario.run(laboratory) }
        } catch let error as ScenarioSkipped {
            skipped = error.reason
        } catch let error as CheckFailure {
            failure = error.description
        } catch {
            failure = Diagnosis(of: error).rendered
        }
        // One that was interrupted shows nothing.
        if failure == nil || !keepOnFailure || Task.isCancelled {
            if failure != nil, !Task.isCancelled { failure? += "\nkeep its disks and logs with --keep-on-failure" }
            try? own?.remove()
        } else {
            failure? += "\nkept: \(folder)"
            own?.keep()
        }
        return Outcome(scenario: scenario, failure: failure, skipped: skipped, seconds: Int(start.duration(to: .now) / .seconds(1)))
    }

    private func within(_ limit: Duration, _ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(operation: body)
            group.addTask {
                try await Task.sleep(for: limit)
                throw CheckFailure("it took longer than \(limit)")
            }
            try await group.next()
            group.cancelAll()
        }
    }
}
