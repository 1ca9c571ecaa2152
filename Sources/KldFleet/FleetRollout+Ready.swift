import KldCore
import KldSSH

/// What is looked at before any machine is touched.
extension FleetRollout {
    /// Looks at every machine before any of them is touched.
    ///
    /// - Throws: ``Diagnosis`` `fleet.not-ready`, with what is wrong on which machine; `fleet.one-machine`; `CancellationError`.
    ///
    /// Runs: `kldload kfleet self` on each, reads.
    package func ready() async throws -> [Ready] {
        let asked = await fleet.health(request.hosts)
        try Task.checkCancellation()
        try Self.refuseTwoNames(asked)
        var ready: [Ready] = []
        var problems: [String] = []
        for health in asked {
            guard let report = health.report else {
                problems.append("\(health.host.knownName): \(health.problem?.message ?? "no answer")")
                continue
            }
            if let why = obstacle(report) {
                problems.append("\(health.host.knownName): \(why)")
            } else {
                ready.append(Ready(host: health.host, report: report, isDone: report.running == request.environment))
            }
        }
        let images = Dictionary(grouping: ready) { image($0.report) ?? "" }
        if images.count > 1 {
            problems += images.sorted { $0.value.count < $1.value.count }.dropLast().flatMap(\.value).map {
                "\($0.host.knownName): its \(request.environment) is not what the others have"
            }
        }
        guard problems.isEmpty else {
            throw Diagnosis(
                "fleet.not-ready", "\(problems.count) of \(request.hosts.count) machines cannot begin; no machine was touched",
                remedies: ["mend what is told here, or leave those machines out", "kldload kfleet health says how they are"],
                exit: .problemsFound, causes: problems)
        }
        return ready
    }

    /// A machine under two names would be restarted twice, at the same time or while it is judged.
    private static func refuseTwoNames(_ asked: [FleetHealth]) throws(Diagnosis) {
        let answers = asked.compactMap { health in health.report.map { (health.host, $0.boot) } }.filter { !$0.1.isEmpty }
        let twice = Dictionary(grouping: answers) { $0.1 }.values.filter { $0.count > 1 }
        guard !twice.isEmpty else { return }
        throw Diagnosis(
            "fleet.one-machine", "a machine is named twice; no machine was touched", remedies: ["name each machine once"], exit: .usage,
            causes: twice.map { "\($0.map(\.0.knownName).joined(separator: " and ")) are one machine: they have the same boot" }.sorted())
    }

    func environment(_ report: FleetReport) -> FleetReport.Environment? {
        report.environments.first { $0.name == request.environment }
    }

    func image(_ report: FleetReport) -> String? { environment(report)?.image }

    func obstacle(_ report: FleetReport) -> String? {
        let name = request.environment
        guard let environment = environment(report) else {
            return "it has no environment \(name): kldload kfleet push \(name) brings it"
        }
        if environment.foreign == true { return "\(name) is not its own yet: kldload kfleet push \(name) finishes it" }
        guard report.good else { return "its boot of \(report.running) was not noted as good" }
        if report.running == name { return nil }
        if environment.state.hasPrefix("failed") { return "\(name) was tried there before: \(environment.state)" }
        if let next = report.next, next != report.running {
            return "\(next) boots next there already: restart it, or kldload kbe activate \(report.running)"
        }
        return nil
    }

    /// The machines that are restarted, so many at a time.
    package func batches(_ ready: [Ready]) -> [[Ready]] {
        let waiting = ready.filter { !$0.isDone }
        return stride(from: 0, to: waiting.count, by: max(1, request.batch)).map {
            Array(waiting[$0..<min($0 + max(1, request.batch), waiting.count)])
        }
    }

    /// What would be done, for people.
    package func text(_ ready: [Ready]) -> String {
        var lines = ready.filter(\.isDone).map { "\($0.host.knownName) runs \(request.environment) already" }
        for (number, batch) in zip(1..., batches(ready)) {
            lines += batch.map { "\(number). \($0.host.knownName): \($0.report.running) -> \(request.environment)" }
        }
        return lines.joined(separator: "\n")
    }
}
