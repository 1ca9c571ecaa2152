import FoundationEssentials
import KldCore
package import KldFiles
package import SystemPackage

/// Finds out by trial whether KVM works.
///
/// That `/dev/kvm` is there, opens and makes a virtual machine says little: in nested and filtered environments QEMU then aborts
/// (`failed to set MSR 0x10a to 0xc000069`, QEMU 10.0.2 with `-cpu host` on Linux 6.18), or the guest never executes an instruction. So a tiny guest has to reach 64-bit mode, say
/// so, and do some work, all before a deadline.
package struct AcceleratorProbe: Sendable {
    private let qemu: QEMU
    private let files: any FileSystem
    private let cache: FilePath
    private let device: FilePath

    /// - Parameters:
    ///   - cache: a folder of this user for answers; also holds the probe's disk while it runs.
    ///   - device: without this file KVM is not tried.
    package init(qemu: QEMU, files: any FileSystem, cache: FilePath, device: FilePath = "/dev/kvm") {
        self.qemu = qemu
        self.files = files
        self.cache = cache
        self.device = device
    }

    /// KVM if it works, else emulation; asks the machine once per boot, version of QEMU, and state of the device: who gets into the group
    /// `kvm`, loads the module or loses either is not told of earlier trials.
    ///
    /// - Parameter limits: how long the probe guest may take under each.
    /// - Throws: ``Diagnosis`` `vm.no-accelerator` when emulation does not work either, `vm.qemu-too-old` when that is why; ``FileError``; `CancellationError`.
    package func choose(limits: [Accelerator: Duration] = [.kvm: .seconds(10), .tcg: .seconds(120)]) async throws -> AcceleratorChoice {
        let boot = try files.readText("/proc/sys/kernel/random/boot_id").trimmed
        let file = cache.appending("accelerator-\(boot)-\(qemu.version)-\(DeviceState(of: device)).json")
        if let known = try? files.read(file), let choice = try? JSONDecoder().decode(AcceleratorChoice.self, from: Data(known)) {
            return choice
        }
        let choice = try await probeAll(limits)
        try forgetOtherBoots(except: file)
        try files.write(SortedJSON.pretty(choice), to: file)
        return choice
    }

    /// What this process can do with the device now. An answer of an earlier trial is one to this state only.
    package enum DeviceState: String, Sendable, CustomStringConvertible {
        case missing, closed, open

        package init(of device: FilePath) {
            do {
                try FileDescriptor.open(device, .readWrite, options: [.closeOnExec]).close()
                self = .open
            } catch Errno.noSuchFileOrDirectory { self = .missing } catch { self = .closed }
        }

        package var description: String { rawValue }
    }

    private func probeAll(_ limits: [Accelerator: Duration]) async throws -> AcceleratorChoice {
        let reason: Diagnosis
        if try files.exists(device) {
            do {
                return AcceleratorChoice(accelerator: .kvm, speed: try await probe(.kvm, within: limits[.kvm] ?? .seconds(10)))
            } catch let error where !(error is CancellationError) {
                reason = Diagnosis(of: error)
            }
        } else {
            reason = Diagnosis(
                "vm.no-kvm", "there is no \(device)",
                remedies: ["switch on virtualization in the firmware, and load kvm_intel or kvm_amd: guests run 10 to 20 times as fast"])
        }
        do {
            let speed = try await probe(.tcg, within: limits[.tcg] ?? .seconds(120))
            // The first thing that QEMU complained of says it; what follows are its last words.
            let said = reason.causes.first.map { $0.text(after: "error: ") } ?? reason.message
            // Remedies for a guest that failed lead to its last words, which nobody is shown here.
            let remedy = reason.code == "vm.no-kvm" ? reason.remedies.first.map { "; remedy: \($0)" } ?? "" : ""
            let why = "KVM does not work here: \(said) (\(reason.code)\(remedy))"
            return AcceleratorChoice(accelerator: .tcg, speed: speed, reason: why)
        } catch let error where !(error is CancellationError) {
            var diagnosis = Diagnosis(of: error)
            if diagnosis.code == "vm.qemu-too-old" {
                // The one cause that a person can remove; KVM's may be out of reach.
                diagnosis.causes += ["KVM does not work here: \(reason.message)"] + reason.causes
                throw diagnosis
            }
            throw Diagnosis(
                "vm.no-accelerator", "virtual machines work neither with KVM nor in emulation here", remedies: diagnosis.remedies,
                exit: .unavailable,
                causes: ["KVM: \(reason.message)"] + reason.causes + ["emulation: \(diagnosis.message)"] + diagnosis.causes)
        }
    }

    /// Boots ``ProbeGuest``.
    ///
    /// - Parameter limit: for everything, from QEMU's start to the end of the work.
    /// - Returns: the speed, from the quickest of three pieces of work: the one that was disturbed least.
    /// - Throws: ``Diagnosis`` `vm.probe-failed`, `vm.qemu-too-old`; ``VirtError``; ``FileError``; `CancellationError`.
    package func probe(_ accelerator: Accelerator, within limit: Duration) async throws -> SpeedFactor {
        let folder = cache.appending("probe-\(UInt64.random(in: 0 ... .max))")
        defer { try? files.remove(folder) }
        let disk = folder.appending("probe.raw")
        try files.write(ProbeGuest.disk, to: disk, mode: .file)
        let clock = ContinuousClock()
        let deadline = clock.now + limit
        func left() -> Duration { max(clock.now.duration(to: deadline), .zero) }
        let machine = ProbeGuest.machine(accelerator, disk: disk)
        let guest = try await VirtualMachine.start(machine, qemu: qemu, folder: folder, limit: limit)
        defer { guest.kill() }
        func expect(_ text: String) async throws {
            guard try await guest.console.expect(anyOf: [text, ProbeGuest.broken], within: left()).index == 0 else {
                throw Diagnosis(
                    "vm.probe-failed", "a guest computes wrongly under \(accelerator.rawValue)",
                    remedies: ["install another version of QEMU"], exit: .unavailable)
            }
        }
        try await expect(ProbeGuest.ready)
        var best = limit
        for _ in 0..<3 {
            let start = clock.now
            try await guest.console.send("w")
            try await expect(ProbeGuest.workDone)
            best = min(best, start.duration(to: clock.now))
        }
        return SpeedFactor(work: best)
    }

    /// Answers of earlier boots are of no use to anybody.
    private func forgetOtherBoots(except file: FilePath) throws {
        guard try files.exists(cache) else { return }
        for name in try files.list(cache) where name.hasPrefix("accelerator-") && name != file.lastComponent?.string {
            // Another version of QEMU, or another state of the device, in this same boot is asked again one day; that costs a second.
            try files.remove(cache.appending(name))
        }
    }
}

extension String {
    /// What follows the first occurrence of a word; all of it where there is none.
    fileprivate func text(after word: String) -> String {
        guard let range = firstRange(of: word) else { return self }
        return String(self[range.upperBound...])
    }
}
