import Glibc
import SystemPackage

/// Runs blocking work on a thread of its own: never on the cooperative pool, which has only as many threads as processors.
///
/// - Throws: `Errno` when no thread can be made.
func startThread(_ body: @escaping @Sendable () -> Void) throws(Errno) {
    let box = Unmanaged.passRetained(ThreadBody(body))
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { argument in
            if let argument { Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, box.toOpaque())
    guard result == 0 else {
        box.release()
        throw Errno(rawValue: result)
    }
    pthread_detach(thread)
}

private final class ThreadBody: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
