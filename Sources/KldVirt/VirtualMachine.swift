import Glibc
import KldCore
package import SystemPackage

/// A running guest.
///
/// QEMU lives no longer than this value: when the last reference goes, or this program ends in whatever way, it is killed.
package final class VirtualMachine: Sendable {
    package let spec: MachineSpec
    /// The serial console; its transcript is `console.log` in the machine's folder.
    package let console: GuestChannel
    package let monitor: QMPClient
    private let channels: [String: GuestChannel]
    private let child: ChildProcess
    private let loop: StreamLoop
    private let errors: TailLog

    private init(
        spec: MachineSpec, console: GuestChannel, monitor: QMPClient, channels: [String: GuestChannel], child: ChildProcess,
        loop: StreamLoop, errors: TailLog
    ) {
        self.spec = spec
        self.console = console
        self.monitor = monitor
        self.channels = channels
        self.child = child
        self.loop = loop
        self.errors = errors
    }

    deinit {
        child.kill(SIGKILL)
        // What QEMU said last may still be unread; a stream that nobody reads any more must not keep the thread.
        loop.stop()
    }

    /// Starts a guest. When this returns, QEMU has accepted all its arguments and the guest runs.
    ///
    /// **Runs:** `qemu-system-x86_64` with ``MachineSpec/arguments(wiring:)`` (changes the disks that are not read-only).
    /// - Parameters:
    ///   - folder: exists; `console.log`, `channel-NAME.log` and `qemu.log` are begun anew in it.
    ///   - limit: for QEMU's own start, not for the guest's.
    /// - Throws: ``Diagnosis`` `vm.qemu-too-old`, `vm.bad-machine`, `vm.bad-serial`, `vm.cannot-start`; ``VirtError``.
    package static func start(
        _ spec: MachineSpec, qemu: QEMU, folder: FilePath, limit: Duration = .seconds(120)
    ) async throws -> VirtualMachine {
        try qemu.version.check(for: spec.accelerator)
        let machine: VirtualMachine
        do {
            machine = try await launch(spec, qemu: qemu, folder: folder)
        } catch let number as Errno {
            throw Diagnosis(
                "vm.cannot-start", "the virtual machine \(spec.name) cannot be started",
                remedies: ["check that QEMU runs here: qemu-system-x86_64 --version"], causes: [number.description])
        }
        try await machine.monitor.handshake(within: limit)
        return machine
    }

    /// Runs `body` with a guest that is gone afterwards, however `body` ends.
    package static func with<Result>(
        _ spec: MachineSpec, qemu: QEMU, folder: FilePath, _ body: (VirtualMachine) async throws -> Result
    ) async throws -> Result {
        let machine = try await start(spec, qemu: qemu, folder: folder)
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body(machine)) } catch { result = .failure(error) }
        await machine.killAndWait()
        return try result.get()
    }

    /// Kills QEMU and returns when it is gone, so that nobody finds its disks still locked.
    private func killAndWait() async {
        kill()
        // why: a task of its own, because the caller's may be cancelled, and then no wait there would last.
        await Task.detached { _ = try? await self.waitForExit(within: .seconds(30)) }.value
    }

    private static func launch(_ spec: MachineSpec, qemu: QEMU, folder: FilePath) async throws -> VirtualMachine {
        let errors = try TailLog(folder.appending("qemu.log"))
        func channel(_ name: String, file: String, _ overflow: GuestChannel.Overflow) throws -> GuestChannel {
            try GuestChannel(name: name, machine: spec.name, transcript: folder.appending(file), errors: errors, overflow: overflow)
        }
        let monitor = QMPClient(machine: spec.name, errors: errors)
        let console = try channel("console", file: "console.log", .dropOldest)
        let channels = try spec.channels.map { try channel($0, file: "channel-\($0).log", .pause) }
        let sinks: [any StreamSink] = [monitor, console] + channels

        var wiring = MachineWiring(console: .descriptor(4), monitor: .descriptor(3))
        for (index, name) in spec.channels.enumerated() { wiring.channels[name] = .descriptor(Int32(5 + index)) }
        let arguments = try spec.arguments(wiring: wiring)

        var ours: [FileDescriptor] = []
        var theirs: [FileDescriptor] = []
        // Their ends must be closed here, or we never see the end of a stream.
        defer { for descriptor in theirs { try? descriptor.close() } }
        let loop: StreamLoop
        do {
            for _ in 0...sinks.count {
                let pair = try FileDescriptor.socketPair()
                ours.append(pair.0)
                theirs.append(pair.1)
            }
            loop = try StreamLoop(Array(zip(ours, [errors] + sinks)))
        } catch {
            for descriptor in ours { try? descriptor.close() }
            throw error
        }
        let child: ChildProcess
        do {
            let line = qemu.starter + [qemu.executable.string] + arguments
            child = try await ChildProcess.start(
                FilePath(line[0]), Array(line.dropFirst()), inherited: Array(theirs.dropFirst()), errors: theirs[0])
        } catch {
            loop.stop()
            throw error
        }
        monitor.attach(loop, index: 1)
        console.attach(loop, index: 2)
        for (index, channel) in channels.enumerated() { channel.attach(loop, index: 3 + index) }
        return VirtualMachine(
            spec: spec, console: console, monitor: monitor, channels: Dictionary(uniqueKeysWithValues: zip(spec.channels, channels)),
            child: child, loop: loop, errors: errors)
    }

    /// The host's end of a virtio-serial port. - Throws: ``Diagnosis`` `vm.no-such-channel`.
    package func channel(_ name: String) throws -> GuestChannel {
        guard let channel = channels[name] else {
            throw Diagnosis("vm.no-such-channel", "the machine \(spec.name) has no channel \(name)", exit: .bug)
        }
        return channel
    }

    /// The process id while QEMU runs.
    package var process: Int32? { child.process }

    /// How it ended and what was said last: QEMU's end and words, then the console's. For the error of whoever expected more of it.
    package func lastWords() async -> [String] {
        let end = try? await waitForExit(within: .seconds(10))
        return [end.map { "QEMU has ended: \($0)" } ?? "QEMU still runs"] + errors.lines(8) + console.tail()
    }

    /// How QEMU ended; `nil` while it runs.
    package var end: ProcessEnd? { child.end }

    /// Waits until QEMU has ended and its transcripts are complete: after the guest's power-off, `quit`, or a reset with ``MachineSpec/endsOnReboot``.
    ///
    /// - Throws: ``VirtError/stillRunning(machine:limit:tail:)``, `CancellationError`.
    @discardableResult
    package func waitForExit(within limit: Duration) async throws -> ProcessEnd {
        guard let end = try await child.waitForEnd(within: limit) else {
            throw VirtError.stillRunning(machine: spec.name, limit: limit, tail: console.tail())
        }
        // What the kernel still holds is read within moments; a program that QEMU left behind could keep the socket open for ever.
        _ = try await console.waitForEnd(within: .seconds(10))
        return end
    }

    /// As ``waitForExit(within:)``, and anything but exit status 0 is an error.
    package func waitForPowerOff(within limit: Duration) async throws {
        let end = try await waitForExit(within: limit)
        guard end == .exited(0) else {
            throw VirtError.exitedEarly(
                machine: spec.name, during: "its guest should have powered off (\(end))", tail: console.tail(), errors: errors.lines(8))
        }
    }

    /// Cuts the power: SIGKILL to QEMU. Does not wait; ``waitForExit(within:)`` does.
    package func kill() { child.kill(SIGKILL) }
}
