import Glibc
import KldCore
import KldFiles
import KldVirt
import SystemPackage
import Testing

@Suite("A running guest", .enabled(if: Here.hasQEMU, "qemu-system-x86_64 is not installed"), .serialized)
struct VirtualMachineTests {
    /// Generous: two slow cores, shared with other work, in emulation.
    let patience: Duration = .seconds(180)

    @Test func saysWhatIsExpectedOnItsConsole() async throws {
        try await withProbeGuest { machine, folder in
            try await machine.console.expect(ProbeGuest.ready, within: patience)
            try await machine.console.send("abc")
            let read = try await machine.console.expect("c", within: patience)
            #expect(read == "\r\nabc")
            let transcript = try LocalFiles().readText(folder.appending("console.log"))
            #expect(transcript.contains(ProbeGuest.ready))
        }
    }

    @Test func endsWithTheStatusThatTheGuestChose() async throws {
        try await withProbeGuest { machine, _ in
            try await machine.console.expect(ProbeGuest.ready, within: patience)
            try await machine.console.send("q")
            #expect(try await machine.waitForExit(within: patience) == .exited(ProbeGuest.exitStatus))
            await #expect(throws: VirtError.self) { try await machine.waitForPowerOff(within: patience) }
        }
    }

    @Test func comesWithItsLastLinesWhenItSaysSomethingElse() async throws {
        try await withProbeGuest { machine, _ in
            try await machine.console.expect(ProbeGuest.ready, within: patience)
            let error = await #expect(throws: VirtError.self) {
                try await machine.console.expect("login:", within: .milliseconds(100))
            }
            let diagnosis = try #require(error).diagnosis
            #expect(diagnosis.code == "vm.console-timeout")
            #expect(diagnosis.message == "the guest did not say \"login:\" on console within 0.1 seconds")
            #expect(diagnosis.causes.last == "console: KLDLOAD READY")
        }
    }

    @Test func isGoneAfterAPowerCut() async throws {
        try await withProbeGuest { machine, _ in
            try await machine.console.expect(ProbeGuest.ready, within: patience)
            let process = try #require(machine.process)
            machine.kill()
            #expect(try await machine.waitForExit(within: patience) == .signalled(SIGKILL))
            #expect(kill(process, 0) == -1 && errno == ESRCH)
            #expect(kill(-process, 0) == -1 && errno == ESRCH)
        }
    }

    @Test func isKilledWhenItsLastReferenceGoes() async throws {
        var process: Int32 = 0
        try await withScratch { folder in
            let disk = folder.appending("probe.raw")
            try LocalFiles().write(ProbeGuest.disk, to: disk, mode: .file)
            do {
                let machine = try await VirtualMachine.start(ProbeGuest.machine(.tcg, disk: disk), qemu: Here.qemu, folder: folder)
                process = try #require(machine.process)
            }
            let deadline = ContinuousClock.now + patience
            while kill(process, 0) == 0, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(20)) }
            #expect(kill(process, 0) == -1 && errno == ESRCH)
        }
    }

    @Test func isKilledWhenItsTaskIsCancelled() async throws {
        let (processes, report) = AsyncStream.makeStream(of: Int32.self)
        let task = Task {
            try await withProbeGuest { machine, _ in
                report.yield(try #require(machine.process))
                try await machine.console.expect("never said", within: .seconds(3600))
            }
        }
        var iterator = processes.makeAsyncIterator()
        let process = try #require(await iterator.next())
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        let deadline = ContinuousClock.now + patience
        while kill(process, 0) == 0, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(20)) }
        #expect(kill(process, 0) == -1 && errno == ESRCH)
    }

    @Test func obeysTheMonitor() async throws {
        try await withProbeGuest { machine, _ in
            #expect(try await machine.monitor.status() == "running")
            try await machine.monitor.pause()
            #expect(try await machine.monitor.status() == "paused")
            try await machine.monitor.resume()
            await #expect(throws: VirtError.monitorRefused(command: "device_del", reason: "Device 'none' not found")) {
                try await machine.monitor.execute("device_del", ["id": "none"])
            }
            try await machine.monitor.quit()
            try await machine.waitForPowerOff(within: patience)
        }
    }

    @Test func tellsWhatQEMUSaidWhenItRefusesItsArguments() async throws {
        try await withScratch { folder in
            let spec = ProbeGuest.machine(.tcg, disk: folder.appending("no-such-disk"))
            let error = await #expect(throws: VirtError.self) {
                _ = try await VirtualMachine.start(spec, qemu: Here.qemu, folder: folder)
            }
            let diagnosis = try #require(error).diagnosis
            #expect(diagnosis.code == "vm.exited-early")
            #expect(diagnosis.causes.joined().contains("No such file or directory"), "\(diagnosis.rendered)")
        }
    }

    @Test func tellsOfAnEndInsteadOfWaitingForWords() async throws {
        try await withProbeGuest { machine, _ in
            try await machine.console.expect(ProbeGuest.ready, within: patience)
            async let end: Void = machine.monitor.quit()
            let error = await #expect(throws: VirtError.self) { try await machine.console.expect("login:", within: patience) }
            #expect(error?.diagnosis.code == "vm.exited-early")
            try await end
        }
    }

    @Test func hasNamedChannels() async throws {
        try await withProbeGuest(channels: ["org.kldload.a", "org.kldload.b"]) { machine, folder in
            #expect(try machine.channel("org.kldload.a").name == "org.kldload.a")
            #expect(throws: Diagnosis.self) { try machine.channel("c") }
            let devices = try await machine.monitor.execute("query-chardev")
            let labels = Set((devices.elements ?? []).compactMap { $0["label"]?.text })
            #expect(labels == ["console", "qmp", "channel0", "channel1"])
            try await machine.monitor.quit()
            #expect(try await machine.channel("org.kldload.b").nextLine(within: patience) == nil)
        }
    }
}
