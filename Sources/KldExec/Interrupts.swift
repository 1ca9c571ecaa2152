import Glibc
import KldCore

/// Turns Ctrl-C, a polite kill and a terminal that is gone into cancellation, so that whatever was begun is cleaned up.
package enum Interrupts {
    // why: a signal handler may touch nothing but a plain number; it is written once, before the handler is installed.
    nonisolated(unsafe) private static var pipeEnd: Int32 = -1

    /// How often somebody has asked that the process ends: the second time it does so at once. A terminal that goes asks for nothing, and says so
    /// more than once: its shell and the kernel send SIGHUP each.
    struct Patience {
        private var asked = 0

        /// - Returns: whether it is over with this signal.
        mutating func isOver(after signal: Int32) -> Bool {
            if signal != SIGHUP { asked += 1 }
            return asked > 1
        }
    }

    /// Cancels the task when SIGINT, SIGTERM or SIGHUP arrives; where nohup(1) has the last ignored, it stays so.
    ///
    /// - Parameter say: told once, for whoever waits.
    package static func cancel<Success, Failure>(_ task: Task<Success, Failure>, say: @escaping @Sendable (String) -> Void) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        pipeEnd = ends[1]
        for number in [SIGINT, SIGTERM, SIGHUP] {
            let earlier = signal(number) { number in
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(Interrupts.pipeEnd, &byte, 1)
            }
            // SIG_IGN, which Swift cannot compare. Source: signal(2), `bits/signum-generic.h`, glibc 2.36.
            if number == SIGHUP, unsafeBitCast(earlier, to: Int.self) == 1 { signal(number, SIG_IGN) }
        }
        let reader = ends[0]
        // why: reading blocks, and a thread of the cooperative pool must not.
        detach {
            var byte: UInt8 = 0
            var patience = Patience()
            while read(reader, &byte, 1) == 1 {
                if patience.isOver(after: Int32(byte)) { _exit(ExitStatus.interrupted.rawValue) }
                // Before it is said: a terminal that is gone, or stopped, may take no word.
                let isNews = !task.isCancelled
                task.cancel()
                if isNews { say("interrupted: cleaning up (once more ends at once, and leaves things as they are)") }
            }
        }
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private static func detach(_ run: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(run)).toOpaque()
        let status = pthread_create(
            &thread, nil,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().run()
                return nil
            }, body)
        if status == 0 { pthread_detach(thread) }
    }
}
