import Glibc
import KldCore

/// Ctrl-C and a polite kill cancel what runs, so that guests, servers and folders go with it. A second one ends the process at once.
enum Interrupts {
    // why: a signal handler may touch nothing but a plain number.
    nonisolated(unsafe) private static var seen: Int32 = 0

    static var haveCome: Bool { seen > 0 }

    static func cancelling<Result: Sendable>(_ body: @escaping @Sendable () async -> Result) async -> Result {
        listen()
        let work = Task { await body() }
        let watch = Task {
            while !haveCome { try await Task.sleep(for: .milliseconds(200)) }
            say("interrupted: cleaning up (once more ends at once, and leaves things as they are)")
            work.cancel()
        }
        defer { watch.cancel() }
        return await work.value
    }

    private static func listen() {
        // Made before a handler wants it.
        seen = 0
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number) { _ in
                if Interrupts.seen > 0 { _exit(ExitStatus.interrupted.rawValue) }
                Interrupts.seen = 1
            }
        }
    }
}
