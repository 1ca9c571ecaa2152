import KldCore
import KldExec
package import KldSSH

/// Time as a rollout sees it: tests have one of their own.
package struct FleetClock: Sendable {
    /// Counts up, in seconds, from any beginning.
    var seconds: @Sendable () -> Int64
    var sleep: @Sendable (Int64) async throws -> Void

    package init(seconds: @escaping @Sendable () -> Int64, sleep: @escaping @Sendable (Int64) async throws -> Void) {
        self.seconds = seconds
        self.sleep = sleep
    }

    package static var real: FleetClock {
        let start = ContinuousClock.now
        return FleetClock(seconds: { Int64(start.duration(to: .now) / .seconds(1)) }, sleep: { try await Task.sleep(for: .seconds($0)) })
    }
}

/// Starts machines into a boot environment that they have already, some at a time, and stops at the first that does not do well with it.
///
/// Each machine tries the environment on trial: should it not come up, its loader goes back by itself. What came up, and is not as well as before,
/// is sent back.
package struct FleetRollout: Sendable {
    package struct Request: Sendable, Hashable {
        package var environment: String
        package var hosts: [SSHDestination]
        /// So many machines at a time.
        package var batch = 1
        /// Between one batch and the next, in seconds.
        package var pause: Int64 = 0
        /// How long a machine may take from its restart until it has noted its boot as good, in seconds. A trial has up to three boots.
        package var patience: Int64 = 1200
        /// How long its doctor may find more than before, in seconds: services take their time.
        package var settling: Int64 = 120
        /// Between two questions, in seconds.
        package var interval: Int64 = 5

        package init(_ environment: String, _ hosts: [SSHDestination]) {
            self.environment = environment
            self.hosts = hosts
        }
    }

    /// A machine that can begin, as it was before.
    package struct Ready: Sendable, Hashable {
        package var host: SSHDestination
        package var report: FleetReport
        /// It runs the environment, and has noted it as good.
        package var isDone: Bool
    }

    package let request: Request
    let fleet: Fleet
    let clock: FleetClock
    let say: @Sendable (String) -> Void

    /// Staging what boots may mean to build and sign an image.
    private static let staging: Int64 = 600

    package init(_ request: Request, fleet: Fleet, clock: FleetClock = .real, say: @escaping @Sendable (String) -> Void) {
        self.request = request
        self.fleet = fleet
        self.clock = clock
        self.say = say
    }

    // MARK: doing

    /// Restarts batch after batch, and stops after the first with a machine that did not do well.
    ///
    /// Runs there: `kldload kbe adopt NAME`, `kldload kbe activate NAME`, `systemctl --no-block reboot`, changes; `kldload kfleet self`, reads.
    /// - Returns: one row for each machine, in their order, whatever happened.
    package func run(_ ready: [Ready]) async -> FleetRolloutOutcome {
        var rows = Dictionary(
            uniqueKeysWithValues: ready.map { one in
                let state: FleetRolloutRow.State = one.isDone ? .already : .untouched
                return (one.host, FleetRolloutRow(host: one.host, state: state, before: one.report.running, runs: one.report.running))
            })
        for (number, batch) in batches(ready).enumerated() {
            if Task.isCancelled { break }
            if number > 0, request.pause > 0 {
                say("waiting for \(request.pause) s")
                guard (try? await clock.sleep(request.pause)) != nil else { break }
            }
            let results = await Fleet.each(batch, parallel: batch.count) { await advance($0) }
            for row in results { rows[row.host] = row }
            if results.contains(where: { $0.state != .done }) { break }
        }
        return FleetRolloutOutcome(rows: ready.compactMap { rows[$0.host] }, interrupted: Task.isCancelled)
    }

    /// One machine, all the way.
    private func advance(_ ready: Ready) async -> FleetRolloutRow {
        let host = ready.host
        var row = FleetRolloutRow(host: host, state: .untouched, before: ready.report.running, runs: ready.report.running)
        if Task.isCancelled { return row }
        guard let before = await again(ready, &row), !Task.isCancelled else { return row }
        if let problem = await adopt(before, host) {
            row.problem = problem
            row.state = .notRestarted
            return row
        }
        if Task.isCancelled { return row }
        say("\(host.knownName): activate \(request.environment), on trial")
        if let problem = await activate(request.environment, host) {
            row.problem = problem
            await stay(&row)
            return row
        }
        // It was activated as a whole, whatever was pressed meanwhile; from here on there are two ways, and both are taken to their end.
        if Task.isCancelled {
            await stay(&row)
            return row
        }
        say("\(host.knownName): restart")
        if let problem = await whole({ try await $0.restart(host) }) {
            row.problem = problem
            await stay(&row)
            return row
        }
        row.runs = nil
        do { try await judge(before, &row) } catch {
            if row.problem != nil {
                // On its way back.
                row.problem?.causes.append("interrupted before it was seen to run \(before.running) again")
                return row
            }
            // What is left of a trial is the machine's own.
            row.state = .restarting
            row.problem = Diagnosis(
                "fleet.restarting",
                "\(host.knownName) was starting \(request.environment) on trial: it goes back by itself if it does not boot well",
                remedies: ["see what became of it: kldload kfleet health \(host.knownName)"], exit: .interrupted)
        }
        return row
    }

    /// Asks a machine whose turn it is once more: the others may have taken hours, and it is judged, and sent back, by what it is now.
    ///
    /// - Returns: `nil`, with the reason in the row, where it is not as it was.
    private func again(_ ready: Ready, _ row: inout FleetRolloutRow) async -> FleetReport? {
        let (host, before) = (ready.host, ready.report)
        let now: FleetReport
        do { now = try await fleet.report(of: host) } catch {
            if Task.isCancelled { return nil }
            (row.state, row.runs, row.problem) = (.unknown, nil, Diagnosis(of: error))
            return nil
        }
        row.runs = now.running
        let why: String? =
            if now.running != before.running {
                "it runs \(now.running)"
            } else if let why = obstacle(now) {
                why
            } else if image(now) != image(before) {
                "its \(request.environment) is another one"
            } else { nil }
        guard let why else { return now }
        row.state = .changed
        row.problem = Diagnosis(
            "fleet.changed", "\(host.knownName) is not as it was when all were looked at, and was left alone: \(why)",
            remedies: ["see how it is: kldload kfleet health \(host.knownName)"])
        return nil
    }

    /// What was pushed is what the machine was at that time: since then somebody may have lost an account, or a key. One that ran there, and was
    /// good, is that machine's as it was then: what it wrote is not written over.
    ///
    /// - Returns: what went wrong.
    private func adopt(_ before: FleetReport, _ host: SSHDestination) async -> Diagnosis? {
        guard let environment = environment(before), let image = environment.image, environment.state != "good" else { return nil }
        say("\(host.knownName): make \(environment.name) its own, as it is now")
        return await whole {
            try await $0.run($0.tools.adopt(environment.name, image: image), on: host, within: FleetPush.adoption)
        }
    }

    /// Does something in a task of its own: what was begun on a machine is not left half done when somebody presses Ctrl-C here.
    ///
    /// - Returns: what went wrong.
    private func whole(_ body: @escaping @Sendable (Fleet) async throws -> Void) async -> Diagnosis? {
        let fleet = fleet
        // why: a task of its own does not inherit the cancellation.
        return await Task { () -> Diagnosis? in
            do {
                try await body(fleet)
                return nil
            } catch { return Diagnosis(of: error) }
        }.value
    }

    private func activate(_ name: String, _ host: SSHDestination) async -> Diagnosis? {
        await whole { try await $0.run($0.tools.activate(name), on: host, within: Self.staging) }
    }

    /// Takes an activation back before any restart. Activating what boots already changes nothing.
    private func stay(_ row: inout FleetRolloutRow) async {
        row.state = row.problem == nil ? .untouched : .notRestarted
        guard let problem = await activate(row.before, row.host) else { return }
        row.state = .unknown
        row.problem = Diagnosis(
            "fleet.half-activated", "\(row.host.knownName) runs \(row.before), and \(request.environment) may boot next there, on trial",
            remedies: ["on that machine: kldload kbe list, and kldload kbe activate \(row.before)"],
            causes: [row.problem?.message, problem.message].compactMap { $0 })
    }

    /// Waits until a machine that was restarted is well, or knows that it is not; then it is sent back.
    ///
    /// - Throws: `CancellationError`.
    private func judge(_ before: FleetReport, _ row: inout FleetRolloutRow) async throws {
        let (host, name) = (row.host, request.environment)
        switch try await arrival(host, after: before.boot, expecting: name) {
        case .good(let report):
            row.runs = report.running
            guard let worse = try await worse(than: before, host) else {
                row.state = .done
                say("\(host.knownName): runs \(name), and is as well as before")
                return
            }
            row.problem = Diagnosis(
                "fleet.worse", "\(host.knownName) runs \(name), and is not as well as before: \(worse)",
                remedies: ["look at it there: kldload kbe mount \(name), kldload kbe diff \(before.running) \(name)"])
            try await revert(report, &row)
        case .back(let report):
            row.runs = report.running
            row.state = .cameBack
            let state = environment(report)?.state
            row.problem = Diagnosis(
                "fleet.came-back", "\(host.knownName) did not boot \(name) well, and came back to \(report.running) by itself",
                remedies: ["look at it there: kldload kbe list, kldload kbe diff \(before.running) \(name)"],
                causes: state.map { ["\(name): \($0)"] } ?? []
            )
            // Its loader has no try left; should it have one, the next restart must not be a surprise.
            if let problem = await activate(report.running, host) { row.problem?.causes.append(problem.message) }
        case .stuck(let report):
            row.runs = report.running
            row.problem = Diagnosis(
                "fleet.not-restarted", "\(host.knownName) did not restart within \(request.patience) s",
                remedies: ["see what it waits for: systemctl list-jobs"])
            await stay(&row)
        case .late(let report, let why):
            row.problem = Diagnosis(
                "fleet.late",
                "\(host.knownName) was not well within \(request.patience) s of its restart: \(report.map { "it runs \($0.running)" } ?? "it does not answer")",
                remedies: ["look at its console: an environment that does not boot well is left by the loader after three boots"],
                causes: why.map { [$0.message] } ?? [])
            row.runs = report?.running
            if let report, report.running == name { try await revert(report, &row) } else { row.state = .unknown }
        }
    }

    private enum Arrival {
        /// The environment runs, and was noted as good.
        case good(FleetReport)
        /// Another one runs.
        case back(FleetReport)
        /// It never went down.
        case stuck(FleetReport)
        /// Time is over; what it said last, and why it says nothing.
        case late(FleetReport?, Diagnosis?)
    }

    private func arrival(_ host: SSHDestination, after boot: String, expecting name: String) async throws -> Arrival {
        let end = clock.seconds() + request.patience
        var (last, old, why) = (FleetReport?.none, FleetReport?.none, Diagnosis?.none)
        var heard = false
        while clock.seconds() < end {
            try await clock.sleep(request.interval)
            do {
                let report = try await fleet.report(of: host, brief: true)
                why = nil
                guard report.boot != boot else {
                    old = report
                    continue
                }
                if !heard { say("\(host.knownName): it is back, with \(report.running)") }
                (last, old, heard) = (report, nil, true)
                if report.running != name { return .back(report) }
                if report.good { return .good(report) }
            } catch let error as CancellationError { throw error } catch {
                // On its way down or up; or it answers, and cannot be believed.
                (last, old, why) = (nil, nil, Diagnosis(of: error))
            }
        }
        if let old { return .stuck(old) }
        return .late(last, why)
    }

    /// - Returns: what the doctor finds now and did not find before; `nil`: nothing.
    private func worse(than before: FleetReport, _ host: SSHDestination) async throws -> String? {
        let end = clock.seconds() + request.settling
        let known = Set(before.failed ?? []).union(before.pools.filter { $0.state != "ONLINE" }.map(\.name))
        while true {
            let found: String
            do {
                let report = try await fleet.report(of: host)
                let new = (report.failed ?? ["it could not be asked"]) + report.pools.filter { $0.state != "ONLINE" }.map(\.name)
                let worse = new.filter { !known.contains($0) }
                if worse.isEmpty { return nil }
                found = worse.joined(separator: ", ")
            } catch let error as CancellationError { throw error } catch { found = Diagnosis(of: error).message }
            if clock.seconds() >= end { return found }
            try await clock.sleep(request.interval)
        }
    }

    /// Sends a machine back to what ran before, and waits for it.
    ///
    /// - Throws: `CancellationError`.
    private func revert(_ now: FleetReport, _ row: inout FleetRolloutRow) async throws {
        let (host, before) = (row.host, row.before)
        say("\(host.knownName): back to \(before)")
        row.state = .unknown
        if let problem = await activate(before, host) {
            row.problem?.causes.append("\(before) could not be activated again: \(problem.message)")
            return
        }
        if let problem = await whole({ try await $0.restart(host) }) {
            row.problem?.causes.append("it boots \(before) next, and could not be restarted: \(problem.message)")
            return
        }
        row.runs = nil
        if case .good(let report) = try await arrival(host, after: now.boot, expecting: before) {
            (row.runs, row.state) = (report.running, .reverted)
            say("\(host.knownName): runs \(before) again")
        } else {
            row.problem?.causes.append("it was sent back to \(before), and has not come up yet")
        }
    }
}
