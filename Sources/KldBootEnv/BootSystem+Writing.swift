import KldBoot
import KldCore
public import KldPlan
import SystemPackage

/// An ESP that takes no write keeps nothing from the others.
extension BootSystem {
    /// Makes a plan and does it. An ESP for which a step fails is passed over then, as one that cannot be read is: the plan is made again without
    /// it, and what was done for good is not done twice.
    ///
    /// - Parameters:
    ///   - plan: of what is known.
    ///   - apply: throws what ``PlanRunner`` throws.
    /// - Returns: the same, with the ESPs that failed among ``damaged``.
    /// - Throws: what failed first, where that was no ESP's fault, or no other one is left.
    @discardableResult
    public func applying(
        _ plan: (BootSystem) throws -> Plan, _ apply: (Plan) async throws -> Void
    ) async throws -> BootSystem {
        var system = self
        var done: Set<Step> = []
        var first: (any Error)?
        while true {
            var rest = Plan("", [])
            do {
                rest = try plan(system)
                for index in rest.phases.indices { rest.phases[index].steps.removeAll { done.contains($0) } }
                try await apply(rest)
                return system
            } catch {
                try Task.checkCancellation()
                let problem = Diagnosis(of: error)
                guard let step = rest.failedStep(problem), system.esps.count > 1, let esp = system.culprit(of: step, problem) else {
                    throw first ?? error
                }
                first = first ?? error
                // What a step releases at its end is gone: that one is done again.
                done.formUnion(rest.steps.prefix { $0.id != step.id }.filter { $0.release.isEmpty })
                system.passOver(esp.device, problem)
            }
        }
    }

    /// The ESP that kept a step from being done: the one that it is about; where it copies from another one, whichever of them its tools name.
    private func culprit(of step: Step, _ problem: Diagnosis) -> ESP? {
        let words = step.id.split(separator: ".")
        guard words.count > 2, let own = esps.first(where: { words[2] == $0.name }) else { return nil }
        let places = esps.filter { esp in step.actions.contains { $0.text.contains("\(esp.workplace.string)/") } }
        guard places.count > 1 else { return own }
        let said = [problem.message] + problem.causes.filter { !$0.hasPrefix("step: ") && !$0.hasPrefix("command: ") }
        let named = places.filter { esp in
            said.contains { line in ["/", ":", "'"].contains { line.contains("\(esp.workplace.string)\($0)") } }
        }
        return named.count == 1 ? named[0] : nil
    }

    /// What follows goes on without an ESP. - Parameter problem: what it did not take.
    mutating func passOver(_ device: String, _ problem: Diagnosis) {
        let disk = esps.first { $0.device == device }?.disk
        esps.removeAll { $0.device == device }
        damaged.append(
            Damaged(
                device: device, disk: disk, problem: .damagedESP(device, causes: [problem.message] + problem.causes, visiting: isVisited),
                isVisited: isVisited))
    }
}
