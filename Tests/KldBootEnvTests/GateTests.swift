import KldBoot
import KldCore
import KldExec
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("An environment that would not start is not staged")
struct BootGateTests {
    private func codes(_ change: (inout BootTarget) -> Void) throws -> [String] {
        var target = try Fixture.target("test")
        change(&target)
        let codes = BootGate(try Fixture.system(), target).problems.map(\.code)
        // The verb refuses with the first of them.
        if let first = codes.first {
            #expect { try BootEnvironments(Fixture.system()).activate(target) } throws: { Diagnosis(of: $0).code == first }
        }
        return codes
    }

    @Test("unknown features of the pool, another host id, and an initramfs without OpenZFS keep it from being chosen")
    func problems() throws {
        #expect(try codes { _ in }.isEmpty)
        #expect(try codes { $0.facts.unknownFeatures = ["longname"] } == ["boot.features"])
        #expect(try codes { $0.facts.hostID = HostID(0x7654_3210) } == ["boot.host-id"])
        #expect(try codes { $0.facts.hostID = HostID(0x0123_4567) }.isEmpty)
        #expect(try codes { $0.kernels[0].hasModule = false } == ["boot.initramfs"])
        #expect(try codes { $0.kernels[0].hasModule = true }.isEmpty)
    }

    @Test("what came from another machine is refused before anything else, also with this one's host id, and from inside of it")
    func foreign() throws {
        for (index, name) in ["debian", "test"].enumerated() {
            var target = try Fixture.target(name)
            target.facts.hostID = HostID(0x0123_4567)
            var system = try Fixture.system()
            #expect(BootGate(system, target).problems.isEmpty)
            system.environments[index].isForeign = true
            #expect(BootGate(system, target).problems.map(\.code) == ["boot.foreign"])
            #expect { try BootEnvironments(system).activate(target) } throws: { Diagnosis(of: $0).code == "boot.foreign" }
            #expect { try BootEnvironments(system).activate(target, once: true) } throws: { Diagnosis(of: $0).code == "boot.foreign" }
            target.facts.hostID = HostID(0x7654_3210)
            target.facts.unknownFeatures = ["longname"]
            let problems = BootGate(system, target).problems
            #expect(problems.map(\.code) == ["boot.foreign", "boot.features", "boot.host-id"])
            #expect(problems[0].remedies.first == "kldload kbe adopt \(name)" && problems[0].remedies.last?.hasSuffix("--own") == true)
            // Nobody is led to boot the other machine.
            #expect(problems[2].remedies == ["kldload kbe adopt \(name)"])
            // It is that one's, and nobody else's.
            #expect(BootGate(system, try Fixture.target(index == 0 ? "test" : "debian")).problems.isEmpty)
        }
    }

    @Test("doctor boot says the same before")
    func prediction() throws {
        let prediction = try BootPredictionTests.predict { $1.target?.facts.unknownFeatures = ["longname"] }
        #expect(!prediction.starts && prediction.findings.contains { $0.text.contains("longname") && $0.remedy != nil })
        let foreign = try BootPredictionTests.predict { system, _ in system.environments[0].isForeign = true }
        #expect(!foreign.starts && foreign.findings.contains { $0.remedy?.contains("kbe adopt debian") == true })
    }

    @Test("a kernel that is newer than OpenZFS supports is a doubt: it is tried, and left if it does not start")
    func doubts() throws {
        func doubts(_ supported: KernelSeries?) throws -> Int {
            var target = try Fixture.target("test")
            target.facts.supported = supported
            #expect(BootGate(try Fixture.system(), target).problems.isEmpty)
            return BootGate(try Fixture.system(), target).doubts.count
        }
        #expect(try doubts(KernelSeries("6.11")) == 1 && doubts(KernelSeries("6.12")) == 0 && doubts(nil) == 0)
        let prediction = try BootPredictionTests.predict { $1.target?.facts.supported = KernelSeries("5.10") }
        #expect(prediction.starts && prediction.findings.contains { $0.status == .warn })
    }

    @Test("a tree says which features its OpenZFS knows, and which kernels it supports")
    func gather() async throws {
        let pool = try PoolName("rpool")
        let runner = ScriptedRunner([
            ZPool.get(pool, ["all"]).description:
                "rpool\tfeature@async_destroy\tactive\tlocal\nrpool\tfeature@longname\tactive\tlocal\nrpool\tfeature@raidz_expansion\tenabled\tlocal\nrpool\tsize\t1\t-\n"
        ])
        let lists = "/be/usr/share/zfs/compatibility.d"
        let files = MemoryFiles([
            "\(lists)/openzfs-2.2": "# Features\nasync_destroy # old\nbookmarks, embedded_data\n",
            "\(lists)/openzfsonosx-2.1.6": "longname\n", "\(lists)/openzfs-2.2-freebsd": "longname\n",
            "/be/usr/src/zfs-2.2.1/META": "Linux-Maximum: 6.6\n", "/be/usr/src/zfs-2.2.9/META": "Linux-Maximum: 6.17\n",
        ])
        let facts = try await BootGate.Facts.gather(in: "/be", pool: pool, runner: runner, files: files)
        // What is enabled only keeps nobody out.
        #expect(facts == BootGate.Facts(unknownFeatures: ["longname"], supported: KernelSeries("6.17")))
        // Without lists nothing is known, and nothing is asked.
        #expect(try await BootGate.Facts.gather(in: "/other", pool: pool, runner: ScriptedRunner([:]), files: files) == BootGate.Facts())
    }
}
