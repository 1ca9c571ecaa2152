import KldCore
import KldFiles
import KldTestSupport
import KldVirt
import SystemPackage
import Testing

@Suite("The accelerator", .enabled(if: Here.hasQEMU, "qemu-system-x86_64 is not installed"), .serialized)
struct AcceleratorProbeTests {
    @Test func isProbedUnderEmulation() async throws {
        try await withScratch { folder in
            let probe = AcceleratorProbe(qemu: try await Here.qemu, files: LocalFiles(), cache: folder)
            let speed = try await probe.probe(.tcg, within: .seconds(240))
            #expect(speed.value > 0.01 && speed.value < 100)
            #expect(try LocalFiles().list(folder) == [])
        }
    }

    /// Where KVM works the answer is KVM, without a reason; elsewhere it is emulation, and the reason is told.
    @Test func isChosenByTrialAndRemembered() async throws {
        try await withScratch { folder in
            let probe = AcceleratorProbe(qemu: try await Here.qemu, files: LocalFiles(), cache: folder)
            let choice = try await probe.choose(limits: [.kvm: .seconds(10), .tcg: .seconds(240)])
            #expect((choice.accelerator == .kvm) == (choice.reason == nil), "\(choice)")
            if let reason = choice.reason { #expect(reason.hasPrefix("KVM does not work here: ")) }
            // A deadline in which nothing could be probed: the answer comes from the cache.
            #expect(try await probe.choose(limits: [.kvm: .zero, .tcg: .zero]) == choice)
        }
    }

    @Test func isNoneWhenNothingWorksInTime() async throws {
        try await withScratch { folder in
            let probe = AcceleratorProbe(qemu: try await Here.qemu, files: LocalFiles(), cache: folder)
            let error = await #expect(throws: Diagnosis.self) { try await probe.choose(limits: [.kvm: .zero, .tcg: .zero]) }
            #expect(error?.code == "vm.no-accelerator")
            #expect(try LocalFiles().list(folder) == [], "a failure must not be remembered")
        }
    }
}

@Suite("The speed factor")
struct SpeedFactorTests {
    @Test func scalesDeadlines() {
        #expect(SpeedFactor(work: SpeedFactor.reference * 2).deadline(.seconds(10)) == .seconds(20))
        #expect(SpeedFactor(0.05).deadline(.seconds(60)) == .seconds(15))
        #expect(SpeedFactor(1).deadline(.seconds(1), crowding: 3) == .seconds(3))
        #expect(SpeedFactor(1000).deadline(.seconds(1)) == .seconds(40))
    }

    @Test func knowsHowCrowdedTheMachineIs() throws {
        let files = MemoryFiles(["/proc/loadavg": "5.00 0.50 0.71 2/317 4711\n"])
        #expect(try SpeedFactor.crowding(files: files, processors: 2) == 2.5)
        #expect(try SpeedFactor.crowding(files: files, processors: 16) == 1)
    }
}
