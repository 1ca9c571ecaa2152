import KldCore
import KldExec
import KldSSH
import KldTestSupport
import Testing

@testable import KldFleet

@Suite struct FleetRolloutTests {
    let time = FakeClock()
    let said = Said()

    private func rollout(_ machines: [(String, FakeMachine)], batch: Int = 1) throws -> FleetRollout {
        var request = FleetRollout.Request("golden", try machines.map { try FleetHosts.host($0.0) })
        (request.batch, request.pause) = (batch, 60)
        return FleetRollout(
            request, fleet: fleet(Dictionary(uniqueKeysWithValues: machines.map { ($0.0, $0.1 as any CommandRunner) })), clock: time.clock
        ) { [said] in said.add($0) }
    }

    private func run(_ machines: [(String, FakeMachine)], batch: Int = 1) async throws -> FleetRolloutOutcome {
        let rollout = try rollout(machines, batch: batch)
        return await rollout.run(try await rollout.ready())
    }

    @Test func `machines try the environment one after another, and are seen to be well with it`() async throws {
        let (a, b) = (FakeMachine(), FakeMachine())
        let outcome = try await run([("a", a), ("b", b)])
        #expect(outcome.rows.map(\.state) == [.done, .done] && outcome.rows.map(\.runs) == ["golden", "golden"])
        #expect(outcome.problem("golden") == nil)
        #expect(a.told == ["adopt golden of 77", "activate golden", "reboot"] && b.told == a.told)
        #expect(
            said.all == [
                "a: make golden its own, as it is now", "a: activate golden, on trial", "a: restart", "a: it is back, with golden",
                "a: runs golden, and is as well as before", "waiting for 60 s", "b: make golden its own, as it is now",
                "b: activate golden, on trial", "b: restart", "b: it is back, with golden",
                "b: runs golden, and is as well as before",
            ])
        // Three questions that nobody answers, one that is; for each.
        #expect(time.seconds == 60 + 2 * 4 * 5)
    }

    @Test func `who runs it already is left alone`() async throws {
        let (a, b) = (FakeMachine("golden", also: []), FakeMachine(also: [.init(name: "golden", state: "good")]))
        let outcome = try await run([("a", a), ("b", b)])
        #expect(outcome.rows.map(\.state) == [.already, .done] && a.told.isEmpty)
    }

    @Test func `an environment that does not boot is left by the machine itself, and the others are not touched`() async throws {
        let (a, b, c) = (FakeMachine(), FakeMachine(), FakeMachine())
        b.change { $0.boot = .back }
        let outcome = try await run([("a", a), ("b", b), ("c", c)])
        #expect(outcome.rows.map(\.state) == [.done, .cameBack, .untouched])
        #expect(outcome.rows.map(\.runs) == ["golden", "debian", "debian"])
        #expect(b.told == ["adopt golden of 77", "activate golden", "reboot", "activate debian"] && c.told.isEmpty)
        let problem = try #require(outcome.problem("golden"))
        #expect(problem.code == "fleet.stopped" && problem.exit == .failed)
        #expect(problem.message == "b did not take golden; 1 of 3 machines run it, and nothing more is restarted")
        #expect(problem.causes.first?.hasPrefix("b: b did not boot golden well, and came back to debian by itself") == true)
    }

    @Test func `a machine that boots it, and is not as well as before, is sent back`() async throws {
        let (a, b) = (FakeMachine(), FakeMachine())
        // What was ill before is no reason.
        a.change { $0.failing = ["debian": ["ssh.keys"], "golden": ["ssh.keys", "systemd.failed"]] }
        let outcome = try await run([("a", a), ("b", b)])
        #expect(outcome.rows.map(\.state) == [.reverted, .untouched] && outcome.rows[0].runs == "debian")
        #expect(outcome.rows[0].problem?.message == "a runs golden, and is not as well as before: systemd.failed")
        #expect(a.told == ["adopt golden of 77", "activate golden", "reboot", "activate debian", "reboot"] && b.told.isEmpty)
        // It was given time to settle.
        #expect(time.seconds >= 120)
    }

    @Test func `what was ill before and is ill now keeps nobody from going on`() async throws {
        let a = FakeMachine()
        a.change { $0.failing = ["debian": ["ssh.keys", "x.y"], "golden": ["ssh.keys"]] }
        #expect(try await run([("a", a)]).rows.map(\.state) == [.done])
    }

    @Test func `a machine that is never noted as good is sent back when its time is over`() async throws {
        let a = FakeMachine()
        a.change { $0.boot = .unproven }
        let outcome = try await run([("a", a)])
        #expect(outcome.rows[0].state == .reverted && outcome.rows[0].problem?.code == "fleet.late" && a.running == "debian")
        #expect(time.seconds >= 1200)
    }

    @Test func `a machine that does not come back is told, and stops everything`() async throws {
        let (a, b) = (FakeMachine(), FakeMachine())
        a.change { $0.boot = .never }
        let outcome = try await run([("a", a), ("b", b)])
        #expect(outcome.rows.map(\.state) == [.unknown, .untouched] && outcome.rows[0].runs == nil)
        #expect(outcome.rows[0].problem?.code == "fleet.late")
        #expect(outcome.rows[0].problem?.causes == ["root@a cannot be reached, or the connection broke"])
        #expect(b.told.isEmpty && time.seconds <= 1210)
    }

    @Test func `a machine that does not go down keeps what it runs, and its trial is taken back`() async throws {
        let a = FakeMachine()
        a.change { $0.boot = .ignored }
        let outcome = try await run([("a", a)])
        #expect(outcome.rows[0].state == .notRestarted && outcome.rows[0].runs == "debian")
        #expect(a.told == ["adopt golden of 77", "activate golden", "reboot", "activate debian"])
    }

    @Test func `a machine on which it cannot be activated is not restarted`() async throws {
        let (a, b) = (FakeMachine(), FakeMachine())
        a.change { $0.refusing = "activate golden" }
        let outcome = try await run([("a", a), ("b", b)])
        #expect(outcome.rows.map(\.state) == [.notRestarted, .untouched])
        #expect(outcome.rows[0].problem?.causes.contains("error[boot.esp-full]: the ESP is full") == true)
        #expect(!a.told.contains("reboot") && b.told.isEmpty)
    }

    @Test func `where the way back cannot be told either, it is said so`() async throws {
        let a = FakeMachine()
        a.change { $0.refusing = "kbe activate" }
        let outcome = try await run([("a", a)])
        #expect(outcome.rows[0].state == .unknown && outcome.rows[0].problem?.code == "fleet.half-activated")
    }

    @Test func `a batch is restarted together, and all of it is seen to its end`() async throws {
        let machines = (0..<5).map { ("m\($0)", FakeMachine()) }
        machines[1].1.change { $0.boot = .back }
        let outcome = try await run(machines, batch: 3)
        #expect(outcome.rows.map(\.state) == [.done, .cameBack, .done, .untouched, .untouched])
        #expect(outcome.problem("golden")?.message.hasPrefix("m1 did not take golden; 2 of 5 machines run it") == true)
    }

    @Test func `the order is told before`() async throws {
        let rollout = try rollout([
            ("a", FakeMachine("golden", also: [])), ("b", FakeMachine(also: [.init(name: "golden", state: "good")])),
        ])
        let ready = try await rollout.ready()
        #expect(rollout.text(ready) == "a runs golden already\n1. b: debian -> golden")
    }

    @Test func `nobody is touched where one machine cannot begin`() async throws {
        let well = FakeMachine()
        let (gone, lacking, failed, unproven, waiting, other) = (
            FakeMachine(), FakeMachine(also: []), FakeMachine(also: [.init(name: "golden", state: "failed: it panics", image: "77")]),
            FakeMachine(), FakeMachine(), FakeMachine(also: [.init(name: "golden", state: "never activated", image: "78")])
        )
        gone.change { $0.isGone = true }
        unproven.change { $0.report.good = false }
        waiting.change { $0.report.next = "third" }
        let machines = [
            ("well", well), ("gone", gone), ("lacking", lacking), ("failed", failed), ("unproven", unproven), ("waiting", waiting),
            ("twin", FakeMachine()), ("other", other),
        ]
        let rollout = try rollout(machines)
        let problem = await problem { _ = try await rollout.ready() }
        #expect(problem?.code == "fleet.not-ready" && problem?.exit == .problemsFound)
        #expect(
            problem?.causes == [
                "gone: root@gone cannot be reached, or the connection broke",
                "lacking: it has no environment golden: kldload kfleet push golden brings it",
                "failed: golden was tried there before: failed: it panics", "unproven: its boot of debian was not noted as good",
                "waiting: third boots next there already: restart it, or kldload kbe activate debian",
                "other: its golden is not what the others have",
            ])
        #expect(machines.allSatisfy { $0.1.told.isEmpty })
    }

    @Test func `nobody is touched where the environment is not the machines' own yet`() async throws {
        func foreign() -> FakeMachine {
            FakeMachine(also: [.init(name: "golden", state: "another machine's: kldload kbe adopt golden", image: "77", foreign: true)])
        }
        let machines = [("a", foreign()), ("b", foreign())]
        let rollout = try rollout(machines)
        let problem = await problem { _ = try await rollout.ready() }
        #expect(problem?.code == "fleet.not-ready")
        #expect(problem?.causes == ["a", "b"].map { "\($0): golden is not its own yet: kldload kfleet push golden finishes it" })
        #expect(machines.allSatisfy { $0.1.told.isEmpty })
    }

    /// Rolls out to machines that something happens to after all were looked at.
    private func changed(_ machines: [(String, FakeMachine)], _ change: () -> Void) async throws -> FleetRolloutOutcome {
        let rollout = try rollout(machines)
        let ready = try await rollout.ready()
        change()
        return await rollout.run(ready)
    }

    @Test func `a machine that restarted by itself meanwhile is judged by the boot that it has when it is its turn`() async throws {
        let (a, b) = (FakeMachine(), FakeMachine())
        let outcome = try await changed([("a", a), ("b", b)]) {
            b.change { ($0.starts, $0.report.boot, $0.boot) = (5, "\($0.boots)-5", .ignored) }
        }
        #expect(outcome.rows.map(\.state) == [.done, .notRestarted])
        #expect(outcome.rows[1].problem?.code == "fleet.not-restarted")
        #expect(b.told == ["adopt golden of 77", "activate golden", "reboot", "activate debian"])
    }

    @Test func `what was ill when it was its turn is not blamed on the environment`() async throws {
        let a = FakeMachine()
        let outcome = try await changed([("a", a)]) {
            a.change {
                $0.report.pools[0].state = "DEGRADED"
                $0.failing = ["debian": ["x.y"], "golden": ["x.y"]]
            }
        }
        #expect(outcome.rows.map(\.state) == [.done])
    }

    @Test func `a machine that somebody changed meanwhile is left alone, and nothing more is restarted`() async throws {
        let changes: [(String, (inout FakeMachine.State) -> Void)] = [
            ("it runs third", { $0.report.running = "third" }),
            ("third boots next there already: restart it, or kldload kbe activate debian", { $0.report.next = "third" }),
            ("its boot of debian was not noted as good", { $0.report.good = false }),
            ("golden was tried there before: failed: it panics", { $0.report.environments[1].state = "failed: it panics" }),
            ("it has no environment golden: kldload kfleet push golden brings it", { $0.report.environments.removeLast() }),
            ("its golden is another one", { $0.report.environments[1].image = "78" }),
        ]
        for (why, change) in changes {
            let (a, b) = (FakeMachine(), FakeMachine())
            let outcome = try await changed([("a", a), ("b", b)]) { a.change(change) }
            #expect(outcome.rows.map(\.state) == [.changed, .untouched], "\(why)")
            #expect(
                outcome.rows[0].problem?.message == "a is not as it was when all were looked at, and was left alone: \(why)")
            #expect(outcome.rows[0].problem?.code == "fleet.changed" && outcome.rows[0].runs == a.running)
            #expect(a.told.isEmpty && b.told.isEmpty && outcome.problem("golden")?.code == "fleet.stopped")
        }
    }

    @Test func `a machine that does not answer when it is its turn stops everything`() async throws {
        let (a, b) = (FakeMachine(), FakeMachine())
        let outcome = try await changed([("a", a), ("b", b)]) { a.change { $0.isGone = true } }
        #expect(outcome.rows.map(\.state) == [.unknown, .untouched] && outcome.rows[0].runs == nil && b.told.isEmpty)
        #expect(outcome.rows[0].problem?.code == "ssh.unreachable")
    }

    @Test func `a machine under two names is refused, with both of them`() async throws {
        let a = FakeMachine()
        let rollout = try rollout([("web", a), ("b", FakeMachine()), ("web.example.org", a)])
        let problem = await problem { _ = try await rollout.ready() }
        #expect(problem?.code == "fleet.one-machine" && problem?.exit == .usage)
        #expect(problem?.causes == ["web and web.example.org are one machine: they have the same boot"])
        #expect(a.told.isEmpty)
    }

    @Test func `what was made on the machine, and what ran there well, is not made its own anew`() async throws {
        let (made, ran) = (
            FakeMachine(also: [.init(name: "golden", state: "never activated")]),
            FakeMachine(also: [.init(name: "golden", state: "good", image: "77")])
        )
        #expect(try await run([("a", made)]).rows.map(\.state) == [.done])
        #expect(try await run([("a", ran)]).rows.map(\.state) == [.done])
        #expect(made.told == ["activate golden", "reboot"] && ran.told == made.told)
    }

    @Test func `a machine that cannot make it its own is not restarted`() async throws {
        let (a, b) = (FakeMachine(), FakeMachine())
        a.change { $0.refusing = "kbe adopt" }
        let outcome = try await run([("a", a), ("b", b)])
        #expect(outcome.rows.map(\.state) == [.notRestarted, .untouched] && outcome.rows[0].problem?.code == "fleet.refused")
        #expect(a.told == ["/usr/lib/kldload/kldload kbe adopt golden --image 77"] && b.told.isEmpty)
    }

    @Test func `interrupted while the environment is made its own, a machine is not touched any further`() async throws {
        let (outcome, told, others) = try await interrupted(when: "adopt golden")
        #expect(outcome.interrupted && outcome.rows.map(\.state) == [.untouched, .untouched])
        #expect(told == ["adopt golden of 77"] && others.isEmpty)
    }

    /// Cancels itself once a machine hears something: as Ctrl-C does, in the middle of it.
    private func interrupted(when text: String) async throws -> (outcome: FleetRolloutOutcome, told: [String], others: [String]) {
        let work = Locked<Task<FleetRolloutOutcome, Never>?>(nil)
        let a = FakeMachine { heard in if heard.contains(text) { work.value?.cancel() } }
        let b = FakeMachine()
        let rollout = try rollout([("a", a), ("b", b)])
        let ready = try await rollout.ready()
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            for await _ in started { break }
            return await rollout.run(ready)
        }
        work.value = task
        start.yield()
        return (await task.value, a.told, b.told)
    }

    @Test func `interrupted after an activation, a machine is not restarted, and boots what it boots now`() async throws {
        let (outcome, told, others) = try await interrupted(when: "activate golden")
        #expect(outcome.interrupted && outcome.rows.map(\.state) == [.untouched, .untouched])
        #expect(told == ["adopt golden of 77", "activate golden", "activate debian"] && others.isEmpty)
        #expect(outcome.problem("golden")?.exit == .interrupted)
    }

    @Test func `interrupted while a machine starts, it is said to be on trial`() async throws {
        let (outcome, told, others) = try await interrupted(when: "reboot")
        #expect(outcome.interrupted && outcome.rows.map(\.state) == [.restarting, .untouched])
        #expect(outcome.rows[0].problem?.code == "fleet.restarting" && outcome.rows[0].runs == nil)
        #expect(told == ["adopt golden of 77", "activate golden", "reboot"] && others.isEmpty)
        #expect(outcome.problem("golden")?.code == "fleet.interrupted")
    }
}
