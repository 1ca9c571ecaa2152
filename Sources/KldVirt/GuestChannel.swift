import Glibc
import KldCore
import Synchronization
package import SystemPackage

/// Our end of a guest's serial console or of one of its virtio-serial ports. One reader at a time.
package final class GuestChannel: StreamSink {
    /// What happens when nobody reads what the guest says.
    enum Overflow {
        /// Keep the newest: a console must never stop its guest.
        case dropOldest
        /// Let the guest wait: no byte of a data channel is lost.
        case pause
    }

    private struct State {
        var unread: [UInt8] = []
        /// The last of everything ever received, for error messages.
        var tail: [UInt8] = []
        var ended = false
        var paused = false
        var loop: StreamLoop?
        var index = 0
    }

    package let name: String
    /// Where everything that the guest said is written, from the first byte.
    package let transcript: FilePath
    private let machine: String
    private let transcriptFile: FileDescriptor
    private let overflow: Overflow
    private let limit: Int
    /// QEMU's standard error, for the message when QEMU ends too early.
    private let errors: TailLog
    private let state = Mutex(State())
    private let changed = ChangeSignal()

    init(
        name: String, machine: String, transcript: FilePath, errors: TailLog, overflow: Overflow, limitBytes: Int = 16 << 20
    ) throws {
        self.name = name
        self.machine = machine
        self.transcript = transcript
        self.errors = errors
        self.overflow = overflow
        limit = limitBytes
        transcriptFile = try openLog(transcript)
    }

    deinit { try? transcriptFile.close() }

    func attach(_ loop: StreamLoop, index: Int) {
        state.withLock { state in
            state.loop = loop
            state.index = index
        }
    }

    // MARK: Reading

    /// Waits until the guest has said `text`, byte for byte.
    ///
    /// - Returns: everything since the last read, up to and with `text`.
    /// - Throws: ``VirtError/consoleTimeout(channel:expected:limit:tail:)``, ``VirtError/exitedEarly(machine:during:tail:errors:)``,
    ///   `CancellationError`.
    @discardableResult
    package func expect(_ text: String, within limit: Duration) async throws -> String {
        try await expect(anyOf: [text], within: limit).read
    }

    /// Waits for whichever comes first, for instance success or a known failure: no need to wait for a deadline to learn of a panic.
    ///
    /// - Returns: the index of the text that came, and everything since the last read, up to and with it.
    /// - Throws: as ``expect(_:within:)``.
    package func expect(anyOf texts: [String], within limit: Duration) async throws -> (index: Int, read: String) {
        let needles = texts.map { Array($0.utf8) }
        let found = try await changed.first(within: limit) {
            try self.state.withLock { state in
                let places = needles.enumerated().compactMap { index, needle in
                    place(of: needle, in: state.unread).map { (index: index, end: $0 + needle.count) }
                }
                if let first = places.min(by: { $0.end < $1.end }) { return (first.index, self.take(first.end, &state)) }
                if state.ended { throw self.endedEarly("it was to say \(texts.map { "\"\($0)\"" }.joined(separator: " or "))", state) }
                return nil
            }
        }
        guard let (index, bytes) = found else { throw timeout(texts, limit) }
        return (index, String(decoding: bytes, as: UTF8.self))
    }

    /// The next line without its line end, or the rest when the guest has closed the channel.
    ///
    /// - Returns: `nil` at the end.
    /// - Throws: ``VirtError/consoleTimeout(channel:expected:limit:tail:)``, `CancellationError`.
    package func nextLine(within limit: Duration) async throws -> String? {
        let line = try await changed.first(within: limit) {
            self.state.withLock { state -> Line? in
                if let end = state.unread.firstIndex(of: UInt8(ascii: "\n")) { return .text(self.take(end + 1, &state)) }
                if state.ended { return state.unread.isEmpty ? .end : .text(self.take(state.unread.count, &state)) }
                return nil
            }
        }
        switch line {
        case .text(var bytes):
            while let last = bytes.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") { bytes.removeLast() }
            return String(decoding: bytes, as: UTF8.self)
        case .end: return nil
        case nil: throw timeout([], limit)
        }
    }

    private enum Line: Sendable {
        case text([UInt8])
        case end
    }

    /// Exactly so many bytes. - Throws: as ``expect(_:within:)``.
    package func read(_ count: Int, within limit: Duration) async throws -> [UInt8] {
        let bytes = try await changed.first(within: limit) {
            try self.state.withLock { state -> [UInt8]? in
                if state.unread.count >= count { return self.take(count, &state) }
                if state.ended { throw self.endedEarly("\(count) bytes were to come", state) }
                return nil
            }
        }
        guard let bytes else { throw timeout(["\(count) bytes"], limit) }
        return bytes
    }

    /// Waits until the other side is gone and everything it said is here and in the transcript.
    ///
    /// - Returns: `false` when time is up.
    func waitForEnd(within limit: Duration) async throws -> Bool {
        try await changed.first(within: limit) { self.state.withLock { $0.ended } ? true : nil } ?? false
    }

    /// The last lines that the guest said, read or not: for error messages.
    package func tail() -> [String] { state.withLock { lastLines($0.tail, 20) } }

    // MARK: Writing

    /// Sends text; returns when QEMU has taken it. - Throws: `Errno.brokenPipe` when QEMU is gone.
    package func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    package func send(_ bytes: [UInt8]) async throws {
        let (loop, index) = state.withLock { ($0.loop, $0.index) }
        guard let loop else { throw Errno.brokenPipe }
        try await loop.send(bytes, to: index)
    }

    // MARK: The loop's side

    func received(_ bytes: some Collection<UInt8>) {
        // A full disk must not stop the guest; the tail in memory is still there.
        _ = try? transcriptFile.writeAll(bytes)
        state.withLock { state in
            state.unread += bytes
            if overflow == .dropOldest, state.unread.count > limit { state.unread.removeFirst(state.unread.count - limit / 2) }
            state.paused = overflow == .pause && state.unread.count >= limit
            appendTail(bytes, to: &state.tail)
        }
        changed.announce()
    }

    func ended() {
        state.withLock { state in
            state.ended = true
            state.loop = nil
        }
        changed.announce()
    }

    var wantsMore: Bool { state.withLock { !$0.paused } }

    // MARK: Pieces

    private func take(_ count: Int, _ state: inout State) -> [UInt8] {
        let bytes = Array(state.unread[..<count])
        state.unread.removeFirst(count)
        if state.paused, state.unread.count < limit {
            state.paused = false
            state.loop?.wake()
        }
        return bytes
    }

    private func timeout(_ expected: [String], _ limit: Duration) -> VirtError {
        .consoleTimeout(channel: name, expected: expected, limit: limit, tail: tail())
    }

    private func endedEarly(_ during: String, _ state: State) -> VirtError {
        .exitedEarly(machine: machine, during: during, tail: lastLines(state.tail, 20), errors: errors.lines(8))
    }
}

/// The index at which `needle` begins; an empty one begins at 0. libc's functions are a hundred times faster than a loop in a debug build.
private func place(of needle: [UInt8], in bytes: [UInt8]) -> Int? {
    guard let first = needle.first else { return 0 }
    return bytes.withUnsafeBytes { haystack in
        guard let start = haystack.baseAddress else { return nil }
        var offset = 0
        while offset + needle.count <= haystack.count {
            guard let hit = memchr(start + offset, Int32(first), haystack.count - needle.count - offset + 1) else { return nil }
            if memcmp(hit, needle, needle.count) == 0 { return UnsafeRawPointer(hit) - start }
            offset = UnsafeRawPointer(hit) - start + 1
        }
        return nil
    }
}
