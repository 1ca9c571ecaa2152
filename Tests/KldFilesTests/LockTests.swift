import Glibc
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

/// Counts who is inside.
private final class Room: Sendable {
    private let state = Mutex((now: 0, most: 0, visits: 0))
    var most: Int { state.withLock { $0.most } }
    var visits: Int { state.withLock { $0.visits } }
    func enter() { state.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1), $0.visits + 1) } }
    func leave() { state.withLock { $0.now -= 1 } }
}

@Suite("Locks")
struct LockTests {
    @Test("a lock that is held refuses a second one, and says to try again later")
    func refused() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("sub/lock")
            let first = try FileLock(path)
            let problem = problem { _ = try FileLock(path) }
            #expect(problem?.code == "lock.held" && problem?.exit == .tryAgain)
            withExtendedLifetime(first) {}
        }
    }

    @Test("a lock that was let go can be had again")
    func released() async throws {
        try await Scratch.with { folder in
            for _ in 0..<3 { _ = try FileLock(folder.appending("lock")) }
        }
    }

    @Test("a link in a lock's place is not followed: nothing is created where it leads")
    func link() async throws {
        try await Scratch.with { folder in
            try LocalFiles().symlink(folder.appending("lock"), to: folder.appending("elsewhere").string)
            #expect(throws: FileError.self) { try FileLock(folder.appending("lock")) }
            #expect(try LocalFiles().list(folder) == ["lock"])
        }
    }

    @Test("where nobody may make a lock, that is refused as any file would be: who is not root is told so")
    func denied() throws {
        // Not even root makes files there.
        let path: FilePath = "/sys/kldload-test.lock"
        let number = try #require(throws: Errno.self) {
            try FileDescriptor.open(path, .readWrite, options: [.create], permissions: [.ownerReadWrite])
        }
        let problem = #expect(throws: FileError.self) { try FileLock(path) }
        #expect(problem == FileError(number, path, action: "lock"))
        if number == .permissionDenied { #expect(problem?.diagnosis.exit == .needsRoot) }
    }

    @Test("two locks on two files do not know of each other")
    func apart() async throws {
        try await Scratch.with { folder in
            let one = try FileLock(folder.appending("a"))
            let other = try FileLock(folder.appending("b"))
            withExtendedLifetime((one, other)) {}
        }
    }

    @Test("who waits is told once, and gets the lock when the other one ends")
    func waits() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("lock")
            let told = Mutex(0)
            let holder = Mutex<FileLock?>(try FileLock(path))
            let waiting = AsyncStream<Void>.makeStream()
            let task = Task {
                let lock = try await FileLock.acquire(path) {
                    told.withLock { $0 += 1 }
                    waiting.continuation.finish()
                }
                withExtendedLifetime(lock) {}
            }
            for await _ in waiting.stream {}
            holder.withLock { $0 = nil }
            try await task.value
            #expect(told.withLock { $0 } == 1)
        }
    }

    @Test("who need not wait is told nothing")
    func noWait() async throws {
        try await Scratch.with { folder in
            _ = try await FileLock.acquire(folder.appending("lock")) { Issue.record("nobody holds it") }
        }
    }

    @Test("cancelling ends the wait")
    func cancelled() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("lock")
            let lock = try FileLock(path)
            let task = Task { _ = try await FileLock.acquire(path) {} }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            withExtendedLifetime(lock) {}
        }
    }

    @Test("a lock that was refused closes its file once, not twice, which would close somebody else's")
    func closedOnce() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("lock")
            let lock = try FileLock(path)
            // Files opened by others meanwhile get the numbers that a second close would hit.
            let churn = Task.detached {
                while !Task.isCancelled {
                    let file = try FileDescriptor.open("/dev/null", .readOnly)
                    try file.close()
                }
            }
            for _ in 0..<2000 { _ = try? FileLock(path) }
            churn.cancel()
            try await churn.value
            withExtendedLifetime(lock) {}
        }
    }

    @Test("many that wait at once do not keep each other from going on")
    func many() async throws {
        try await Scratch.with { folder in
            let room = Room()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        let lock = try await FileLock.acquire(folder.appending("lock")) {}
                        room.enter()
                        await Task.yield()
                        room.leave()
                        withExtendedLifetime(lock) {}
                    }
                }
                try await group.waitForAll()
            }
            #expect(room.most == 1)
            #expect(room.visits == 16)
        }
    }

    static let hasFlock = access("/usr/bin/flock", X_OK) == 0

    @Test("a lock holds against other processes", .enabled(if: hasFlock, "this needs flock(1)"))
    func processes() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("lock")
            let tryIt = Command(
                Tool("flock", package: "util-linux"), ["--nonblock", "--conflict-exit-code", "9", path.string, "true"], effect: .reads,
                accepting: [0, 9])
            let lock = try FileLock(path)
            #expect(try await SubprocessRunner().run(tryIt).status == 9)
            withExtendedLifetime(lock) {}
        }
    }

    @Test("another process's lock holds against this one", .enabled(if: hasFlock, "this needs flock(1)"))
    func otherProcess() async throws {
        try await Scratch.with { folder in
            let (path, ready, go) = (folder.appending("lock"), folder.appending("ready"), folder.appending("go"))
            let script = "touch '\(ready)'; until test -e '\(go)'; do sleep 0.02; done"
            let task = Task {
                try await SubprocessRunner().run(Command("flock", [path.string, "sh", "-c", script], effect: .reads))
            }
            for _ in 0..<1000 where try !LocalFiles().exists(ready) { try await Task.sleep(for: .milliseconds(10)) }
            #expect(throws: Diagnosis.self) { try FileLock(path) }
            try LocalFiles().write("", to: go)
            _ = try await task.value
            #expect(throws: Never.self) { try FileLock(path) }
        }
    }

    @Test("a command that is started while a lock is held does not inherit it")
    func notInherited() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("lock")
            let task: Task<CommandOutput, any Error>
            do {
                let lock = try FileLock(path)
                let started = folder.appending("started")
                task = Task { try await SubprocessRunner().run(Command("sh", ["-c", "touch '\(started)'; sleep 60"], effect: .reads)) }
                for _ in 0..<1000 where try !LocalFiles().exists(started) { try await Task.sleep(for: .milliseconds(10)) }
                withExtendedLifetime(lock) {}
            }
            #expect(throws: Never.self) { try FileLock(path) }
            task.cancel()
            _ = await task.result
        }
    }
}
