import FoundationEssentials
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
            let cache = folder.appending("cache")
            let probe = AcceleratorProbe(qemu: try await Here.qemu, files: LocalFiles(), cache: cache)
            let choice = try await probe.choose(limits: [.kvm: .seconds(10), .tcg: .seconds(240)])
            print("on this machine: \(choice)")
            #expect((choice.accelerator == .kvm) == (choice.reason == nil), "\(choice)")
            // Deadlines in which nothing could be probed: the answer comes from the cache.
            #expect(try await probe.choose(limits: [.kvm: .zero, .tcg: .zero]) == choice)
            let name = try #require(try LocalFiles().list(cache).first)
            let boot = try LocalFiles().readText("/proc/sys/kernel/random/boot_id").trimmed
            #expect(name.hasPrefix("accelerator-\(boot)-"))
        }
    }

    @Test func isEmulationWhenKVMAborts() async throws {
        try await withScratch { folder in
            let qemu = try await BrokenQEMU.make(.aborts, in: folder)
            let probe = AcceleratorProbe(qemu: qemu, files: LocalFiles(), cache: folder.appending("cache"), device: "/dev/null")
            let choice = try await probe.choose(limits: [.kvm: .seconds(60), .tcg: .seconds(240)])
            #expect(choice.accelerator == .tcg)
            #expect(
                choice.reason?.hasPrefix("KVM does not work here: failed to set MSR 0x10a to 0xc000069 (vm.") == true,
                "\(choice.reason ?? "")")
            // Nobody is shown the last words of that guest.
            #expect(choice.reason?.contains("remedy") == false)
        }
    }

    @Test func isEmulationWhenKVMHangs() async throws {
        try await withScratch { folder in
            let qemu = try await BrokenQEMU.make(.hangs, in: folder)
            let probe = AcceleratorProbe(qemu: qemu, files: LocalFiles(), cache: folder.appending("cache"), device: "/dev/null")
            let choice = try await probe.choose(limits: [.kvm: .seconds(10), .tcg: .seconds(240)])
            #expect(choice.accelerator == .tcg)
            let reason = try #require(choice.reason)
            // On a crowded machine the time may be up before QEMU itself has answered.
            let known = ["the guest did not say \"KLDLOAD READY\"", "QEMU did not answer"]
            #expect(known.contains { reason.hasPrefix("KVM does not work here: \($0)") }, "\(reason)")
        }
    }

    @Test func isEmulationWithoutTheDevice() async throws {
        try await withScratch { folder in
            let probe = AcceleratorProbe(
                qemu: try await Here.qemu, files: LocalFiles(), cache: folder.appending("cache"), device: "/nowhere/kvm")
            let choice = try await probe.choose(limits: [.tcg: .seconds(240)])
            #expect(
                choice.reason
                    == "KVM does not work here: there is no /nowhere/kvm (vm.no-kvm; remedy: switch on virtualization in the firmware, and load kvm_intel or kvm_amd: guests run 10 to 20 times as fast)"
            )
        }
    }

    @Test func namesAnOldQEMUAsTheCause() async throws {
        try await withScratch { folder in
            let old = QEMU(executable: try await Here.qemu.executable, version: QEMUVersion(7, 2, 15))
            let probe = AcceleratorProbe(qemu: old, files: LocalFiles(), cache: folder, device: "/nowhere/kvm")
            let error = await #expect(throws: Diagnosis.self) { try await probe.choose() }
            #expect(error?.code == "vm.qemu-too-old")
            #expect(error?.remedies == ["install a newer one: apt-get install -t bookworm-backports qemu-system-x86"])
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

@Suite("What is remembered of the accelerator")
struct AcceleratorMemoryTests {
    @Test("a device that is missing, closed to this process or open is told apart")
    func states() throws {
        #expect(AcceleratorProbe.DeviceState(of: "/nowhere/kvm") == .missing)
        // A folder opens for writing to nobody, root included.
        #expect(AcceleratorProbe.DeviceState(of: "/tmp") == .closed)
        #expect(AcceleratorProbe.DeviceState(of: "/dev/null") == .open)
    }

    @Test(
        "an answer counts only as long as the device is in the state in which it was found",
        arguments: [
            AcceleratorChoice(accelerator: .kvm, speed: SpeedFactor(0.05)), .init(accelerator: .tcg, speed: SpeedFactor(1), reason: "x"),
        ])
    func stateChanges(_ choice: AcceleratorChoice) async throws {
        try await withScratch { folder in
            let (files, cache, device) = (LocalFiles(), folder.appending("cache"), folder.appending("kvm"))
            // So old that every trial is refused: what does not fail comes from the cache.
            let qemu = QEMU(executable: "/nowhere/qemu", version: QEMUVersion(5, 0))
            let probe = AcceleratorProbe(qemu: qemu, files: files, cache: cache, device: device)
            if choice.accelerator == .kvm { try files.write("", to: device) }
            let boot = try files.readText("/proc/sys/kernel/random/boot_id").trimmed
            let known = cache.appending("accelerator-\(boot)-5.0.0-\(AcceleratorProbe.DeviceState(of: device)).json")
            try files.write(Array(try JSONEncoder().encode(choice)), to: known, mode: .file)
            #expect(try await probe.choose() == choice)
            if choice.accelerator == .kvm { try files.remove(device) } else { try files.write("", to: device) }
            let error = await #expect(throws: Diagnosis.self) { try await probe.choose() }
            #expect(error?.code == "vm.qemu-too-old")
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
