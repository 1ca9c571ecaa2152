import Glibc
import KldCore
import KldFiles
import SystemPackage
import Testing

@testable import KldVirt

/// A channel whose guest is the test.
private struct Line {
    let channel: GuestChannel
    let loop: StreamLoop
    let guest: FileDescriptor
    let errors: FileDescriptor

    init(in folder: FilePath, overflow: GuestChannel.Overflow = .pause, limitBytes: Int = 16 << 20) throws {
        let log = try TailLog(folder.appending("qemu.log"))
        channel = try GuestChannel(
            name: "console", machine: "m", transcript: folder.appending("console.log"), errors: log, overflow: overflow,
            limitBytes: limitBytes)
        let errorPair = try FileDescriptor.socketPair()
        let pair = try FileDescriptor.socketPair()
        loop = try StreamLoop([(errorPair.0, log), (pair.0, channel)])
        (guest, errors) = (pair.1, errorPair.1)
        channel.attach(loop, index: 1)
    }

    func say(_ text: String) throws { _ = try guest.writeAll(text.utf8) }
    func close() {
        try? errors.close()
        try? guest.close()
    }
}

@Suite("A guest's channel") struct GuestChannelTests {
    let patience: Duration = .seconds(60)

    @Test func returnsWhatWasReadAndKeepsTheRest() async throws {
        try await withScratch { folder in
            let line = try Line(in: folder)
            defer { line.close() }
            try line.say("boot\r\nlog")
            try line.say("in: and more")
            #expect(try await line.channel.expect("login:", within: patience) == "boot\r\nlogin:")
            #expect(try await line.channel.read(4, within: patience) == Array(" and".utf8))
            try await line.channel.expect("more", within: patience)
        }
    }

    @Test func findsWhicheverTextComesFirst() async throws {
        try await withScratch { folder in
            let line = try Line(in: folder)
            defer { line.close() }
            try line.say("aab Kernel panic aaab login:")
            let (index, read) = try await line.channel.expect(anyOf: ["login:", "Kernel panic"], within: patience)
            #expect(index == 1)
            #expect(read == "aab Kernel panic")
            // A text that begins with its own beginning.
            #expect(try await line.channel.expect("aab", within: patience) == " aaab")
        }
    }

    @Test func isReadLineByLine() async throws {
        try await withScratch { folder in
            let line = try Line(in: folder)
            try line.say("one\r\n\ntwo\nthree")
            line.close()
            var lines: [String] = []
            while let text = try await line.channel.nextLine(within: patience) { lines.append(text) }
            #expect(lines == ["one", "", "two", "three"])
            #expect(try LocalFiles().readText(folder.appending("console.log")) == "one\r\n\ntwo\nthree")
        }
    }

    @Test func tellsOfQEMUsLastWordsWhenItEnds() async throws {
        try await withScratch { folder in
            let line = try Line(in: folder)
            try line.say("early\n")
            _ = try line.errors.writeAll("qemu: out of memory\n".utf8)
            line.close()
            let error = await #expect(throws: VirtError.self) { try await line.channel.expect("login:", within: patience) }
            #expect(
                error
                    == .exitedEarly(
                        machine: "m", during: "it was to say \"login:\"", tail: ["early"], errors: ["qemu: out of memory"]))
        }
    }

    @Test func letsADataChannelWaitAndLosesNothing() async throws {
        try await withScratch { folder in
            let line = try Line(in: folder, overflow: .pause, limitBytes: 1 << 16)
            let sent = (0..<(4 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            async let sending: Void = onOwnThread {
                _ = try? line.guest.writeAll(sent)
                line.close()
            }
            var received: [UInt8] = []
            while received.count < sent.count { received += try await line.channel.read(1 << 14, within: patience) }
            try await sending
            #expect(received == sent)
        }
    }

    @Test func letsAConsoleRunOnAndKeepsTheNewest() async throws {
        try await withScratch { folder in
            let line = try Line(in: folder, overflow: .dropOldest, limitBytes: 1 << 16)
            try await onOwnThread {
                _ = try? line.guest.writeAll([UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20))
                try? line.say("end")
                line.close()
            }
            let read = try await line.channel.expect("end", within: patience)
            #expect(read.utf8.count <= 1 << 17)
            #expect(try LocalFiles().status(folder.appending("console.log"))?.size == ByteCount((1 << 20) + 3))
        }
    }

    @Test func sendsMoreThanTheKernelHoldsAtOnce() async throws {
        try await withScratch { folder in
            let line = try Line(in: folder)
            let sent = (0..<(2 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 17) }
            async let received = onOwnThread {
                var all: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                while all.count < sent.count, let count = try? buffer.withUnsafeMutableBytes({ try line.guest.read(into: $0) }), count > 0 {
                    all += buffer[..<count]
                }
                return all
            }
            try await line.channel.send(sent)
            #expect(try await received == sent)
            line.close()
        }
    }

    @Test func refusesToSendToAGuestThatIsGone() async throws {
        try await withScratch { folder in
            let line = try Line(in: folder)
            line.close()
            #expect(try await line.channel.nextLine(within: patience) == nil)
            await #expect(throws: Errno.brokenPipe) { try await line.channel.send("x") }
        }
    }

    @Test func stopsWaitingWhenItsTaskIsCancelled() async throws {
        try await withScratch { folder in
            let line = try Line(in: folder)
            defer { line.close() }
            let task = Task { try await line.channel.expect("never", within: .seconds(3600)) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }
}

/// Blocking work of a test, away from the cooperative pool.
private func onOwnThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        do { try startThread { continuation.resume(returning: body()) } } catch { continuation.resume(throwing: error) }
    }
}

@Suite("A line of QEMU's monitor") struct QMPMessageTests {
    /// Lines of QEMU 10.0.2.
    @Test func isRead() {
        func read(_ text: String) -> QMPMessage? { QMPMessage(line: text.utf8) }
        #expect(
            read(
                #"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Debian 1:10.0.2+ds-2+deb13u1~bpo12+1"}, "capabilities": ["oob"]}}"#
            )
                == .greeting)
        #expect(
            read(#"{"return": {"status": "running", "running": true}, "id": 2}"#)
                == .answer(id: 2, value: .object(["status": "running", "running": true])))
        #expect(
            read(#"{"id": 3, "error": {"class": "DeviceNotFound", "desc": "Device 'none' not found"}}"#)
                == .refusal(id: 3, reason: "Device 'none' not found"))
        #expect(
            read(
                #"{"timestamp": {"seconds": 1795230927, "microseconds": 43854}, "event": "SHUTDOWN", "data": {"guest": false, "reason": "host-qmp-quit"}}"#
            ) == nil)
        #expect(read("no json") == nil)
    }

    @Test func isWritten() throws {
        let line = try QMPMessage.command("screendump", ["filename": "/a/b.png"], id: 7)
        #expect(String(decoding: line, as: UTF8.self) == #"{"arguments":{"filename":"/a/b.png"},"execute":"screendump","id":7}"# + "\n")
    }
}
