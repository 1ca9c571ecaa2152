import Glibc
import KldExec
import Synchronization
package import SystemPackage

/// How a process ended.
package enum ProcessEnd: Sendable, Hashable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)

    package var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let number): "signal \(number)"
        }
    }
}

/// A process that runs for long, with sockets of ours: in a group of its own, killed with us, always reaped.
///
/// A thread of its own starts it and waits for it. The kernel's parent-death signal (prctl(2), `PR_SET_PDEATHSIG`) is sent when the *thread*
/// that started the process ends, so no other thread would do; it covers the case that we are killed and can clean up nothing.
package final class ChildProcess: Sendable {
    private struct State {
        /// The process id, until it is reaped: afterwards the number may belong to somebody else.
        var process: pid_t?
        var end: ProcessEnd?
    }
    private let state: Mutex<State>
    private let changed = ChangeSignal()

    private init(process: pid_t) { state = Mutex(State(process: process)) }

    /// Starts a process.
    ///
    /// **Runs:** `setpriv --pdeathsig KILL EXECUTABLE ARGUMENTS…` where util-linux has setpriv, else `EXECUTABLE ARGUMENTS…` (changes).
    /// - Parameters:
    ///   - inherited: become the descriptors 3, 4, … of the process; standard input and output are `/dev/null`.
    ///   - errors: becomes its standard error.
    /// - Throws: `Errno`.
    package static func start(
        _ executable: FilePath, _ arguments: [String], inherited: [FileDescriptor] = [], errors: FileDescriptor
    ) async throws -> ChildProcess {
        let setpriv = "/usr/bin/setpriv"
        let direct = [executable.string] + arguments
        let line = access(setpriv, X_OK) == 0 ? [setpriv, "--pdeathsig", "KILL"] + direct : direct
        return try await withCheckedThrowingContinuation { continuation in
            do {
                try startThread {
                    do throws(Errno) {
                        let process = try spawn(line, inherited: inherited, errors: errors)
                        let child = ChildProcess(process: process)
                        continuation.resume(returning: child)
                        child.reap(process)
                    } catch {
                        continuation.resume(throwing: error)
                    }
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// How it ended; `nil` while it runs.
    var end: ProcessEnd? { state.withLock { $0.end } }

    /// The process id while it runs.
    package var process: Int32? { state.withLock { $0.process } }

    /// Sends a signal to the whole group; nothing happens when the process is gone.
    package func kill(_ signal: Int32) {
        state.withLock { state in
            // Under the lock: the number cannot be reaped and given to another process in between.
            if let process = state.process { _ = Glibc.kill(-process, signal) }
        }
    }

    /// - Returns: `nil` when the process still runs after that time.
    func waitForEnd(within limit: Duration?) async throws -> ProcessEnd? {
        try await changed.first(within: limit) { self.end }
    }

    private func reap(_ process: pid_t) {
        var information = siginfo_t()
        // WNOWAIT leaves the zombie, so that the number stays ours until the state says that it is gone.
        while waitid(P_PID, id_t(process), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        state.withLock { state in
            _ = Glibc.kill(-process, SIGKILL)
            var status: Int32 = 0
            while waitpid(process, &status, 0) < 0, errno == EINTR {}
            let signal = status & 0x7f
            state.end = signal == 0 ? .exited(status >> 8 & 0xff) : .signalled(signal)
            state.process = nil
        }
        changed.announce()
    }

    private static func spawn(_ line: [String], inherited: [FileDescriptor], errors: FileDescriptor) throws(Errno) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        // First out of the way of the targets: a source that is itself a target would be overwritten before its turn.
        var moved: [Int32] = []
        defer { for number in moved { close(number) } }
        for (index, descriptor) in ([errors] + inherited).enumerated() {
            let high = fcntl(descriptor.rawValue, F_DUPFD_CLOEXEC, Int32(3 + inherited.count))
            guard high >= 0 else { throw Errno(rawValue: errno) }
            moved.append(high)
            posix_spawn_file_actions_adddup2(&actions, high, Int32(2 + index))
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var words = line.map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer { for text in words + variables { free(text) } }
        var process = pid_t()
        let result = posix_spawn(&process, line[0], &actions, &attributes, &words, &variables)
        guard result == 0 else { throw Errno(rawValue: result) }
        return process
    }

    private static var environment: [String] {
        var list = ["PATH=\(SubprocessRunner.searchPath)", "LC_ALL=C.UTF-8", "TZ=UTC"]
        for name in ["HOME", "TMPDIR", "XDG_RUNTIME_DIR"] {
            if let value = getenv(name) { list.append("\(name)=\(String(cString: value))") }
        }
        return list
    }
}
