import Glibc
import KldCore

/// Turns Ctrl-C and a polite kill into cancellation, so that whatever was begun is cleaned up. A second one ends the process at once.
enum Interrupts {
    // why: a signal handler may touch nothing but a plain number; it is written once, before the handler is installed.
    nonisolated(unsafe) private static var pipeEnd: Int32 = -1

    /// Cancels the task when SIGINT, SIGTERM or SIGHUP arrives.
    static func cancel(_ task: Task<Void, Never>) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        pipeEnd = ends[1]
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number) { _ in
                var byte: UInt8 = 0
                _ = write(Interrupts.pipeEnd, &byte, 1)
            }
        }
        let reader = ends[0]
        // why: reading blocks, and a thread of the cooperative pool must not.
        detach {
            var byte: UInt8 = 0
            var seen = 0
            while read(reader, &byte, 1) == 1 {
                seen += 1
                if seen > 1 { _exit(ExitStatus.interrupted.rawValue) }
                Reporter.note("interrupted: cleaning up (once more ends at once, and leaves things as they are)")
                task.cancel()
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
