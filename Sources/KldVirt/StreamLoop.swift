import Glibc
import Synchronization
import SystemPackage

/// Takes what a stream brings, on the loop's thread.
protocol StreamSink: AnyObject, Sendable {
    func received(_ bytes: some Collection<UInt8>)
    /// The other side is gone. Called once, after everything it had said was received.
    func ended()
    /// `false` stops reading until ``StreamLoop/wake()``: the guest then waits.
    var wantsMore: Bool { get }
}

/// One thread that reads and writes all of a machine's sockets and pipes. It ends by itself when the last of them has ended.
final class StreamLoop: Sendable {
    private struct Outgoing {
        var bytes: ArraySlice<UInt8>
        var done: CheckedContinuation<Void, any Error>
    }
    private struct Stream {
        var descriptor: FileDescriptor
        var sink: any StreamSink
        var outgoing: [Outgoing] = []
    }
    private struct State {
        var streams: [Int: Stream] = [:]
        var ended = false
        /// Closes every stream at the next turn.
        var stop = false
    }
    private let state: Mutex<State>
    private let wakeRead: FileDescriptor
    private let wakeWrite: FileDescriptor

    /// Takes over the descriptors: they are closed when their stream has ended. The first stream's last words are received before any
    /// other stream is told that it has ended.
    ///
    /// - Throws: `Errno`.
    init(_ streams: [(descriptor: FileDescriptor, sink: any StreamSink)]) throws {
        let list = streams.enumerated().map { ($0.offset, Stream(descriptor: $0.element.descriptor, sink: $0.element.sink)) }
        state = Mutex(State(streams: Dictionary(uniqueKeysWithValues: list)))
        (wakeRead, wakeWrite) = try FileDescriptor.socketPair()
        for descriptor in [wakeRead, wakeWrite] + streams.map(\.descriptor) {
            _ = fcntl(descriptor.rawValue, F_SETFL, O_NONBLOCK | fcntl(descriptor.rawValue, F_GETFL))
        }
        try startThread { self.run() }
    }

    deinit {
        try? wakeRead.close()
        try? wakeWrite.close()
    }

    /// Returns when all bytes are handed to the kernel. - Throws: `Errno.brokenPipe` when the other side is gone.
    func send(_ bytes: [UInt8], to index: Int) async throws {
        if bytes.isEmpty { return }
        try await withCheckedThrowingContinuation { continuation in
            let open = state.withLock { state in
                guard state.streams[index] != nil else { return false }
                state.streams[index]?.outgoing.append(Outgoing(bytes: bytes[...], done: continuation))
                return true
            }
            if open { wake() } else { continuation.resume(throwing: Errno.brokenPipe) }
        }
    }

    /// Closes every stream; senders that wait get an error.
    func stop() {
        state.withLock { $0.stop = true }
        wake()
    }

    func wake() {
        var byte: UInt8 = 0
        // A full pipe wakes just as well.
        _ = Glibc.write(wakeWrite.rawValue, &byte, 1)
    }

    private func run() {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let (streams, stop) = state.withLock { ($0.streams.sorted { $0.key < $1.key }, $0.stop) }
            if stop { return endAll(streams) }
            if streams.isEmpty { return }
            var polls = [pollfd(fd: wakeRead.rawValue, events: Int16(POLLIN), revents: 0)]
            polls += streams.map { _, stream in
                let events = (stream.sink.wantsMore ? POLLIN : 0) | (stream.outgoing.isEmpty ? 0 : POLLOUT)
                // A stream that wants nothing is left out: its hang-up would otherwise be reported again and again.
                return pollfd(fd: events == 0 ? -1 : stream.descriptor.rawValue, events: Int16(events), revents: 0)
            }
            guard poll(&polls, nfds_t(polls.count), -1) >= 0 || errno == EINTR else { return endAll(streams) }
            if polls[0].revents != 0 { while Glibc.read(wakeRead.rawValue, &buffer, buffer.count) == buffer.count {} }
            for (poll, (index, stream)) in zip(polls.dropFirst(), streams) where poll.revents != 0 {
                if poll.revents & Int16(POLLOUT) != 0 { flush(index, stream) }
                if poll.revents & ~Int16(POLLOUT) != 0, !receive(stream, &buffer) {
                    if let first = streams.first, first.key != index, isOpen(first.key) {
                        while receive(first.value, &buffer, once: true) {}
                    }
                    end(index, stream)
                }
            }
        }
    }

    private func endAll(_ streams: [(key: Int, value: Stream)]) {
        for (index, stream) in streams { end(index, stream) }
    }

    private func isOpen(_ index: Int) -> Bool { state.withLock { $0.streams[index] != nil } }

    /// - Returns: whether the stream goes on; with `once`, whether anything was there.
    private func receive(_ stream: Stream, _ buffer: inout [UInt8], once: Bool = false) -> Bool {
        let count = Glibc.read(stream.descriptor.rawValue, &buffer, buffer.count)
        if count > 0 {
            stream.sink.received(buffer[..<count])
            return true
        }
        return !once && count < 0 && [EAGAIN, EINTR].contains(errno)
    }

    private func flush(_ index: Int, _ stream: Stream) {
        guard let outgoing = stream.outgoing.first else { return }
        // MSG_NOSIGNAL: a guest that is gone is an error of this call, never a SIGPIPE that ends the whole program.
        let count = outgoing.bytes.withUnsafeBytes {
            Glibc.send(stream.descriptor.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        if count < 0 {
            let number = Errno(rawValue: errno)
            if number == .resourceTemporarilyUnavailable || number == .interrupted { return }
            state.withLock { _ = $0.streams[index]?.outgoing.removeFirst() }
            return outgoing.done.resume(throwing: number)
        }
        let finished = count == outgoing.bytes.count
        state.withLock { state in
            if finished {
                state.streams[index]?.outgoing.removeFirst()
            } else {
                state.streams[index]?.outgoing[0].bytes.removeFirst(count)
            }
        }
        if finished { outgoing.done.resume() }
    }

    private func end(_ index: Int, _ stream: Stream) {
        let waiting = state.withLock { $0.streams.removeValue(forKey: index)?.outgoing ?? [] }
        try? stream.descriptor.close()
        for outgoing in waiting { outgoing.done.resume(throwing: Errno.brokenPipe) }
        stream.sink.ended()
    }
}
