import Glibc
import KldCore
package import KldFiles
package import SystemPackage

/// Commands of an installer that was killed: each has a process group of its own, and goes on without it.
package struct LeftCommands: Sendable {
    private let files: any FileSystem
    private let itself: Int32
    private let pause: Duration
    private let signal: @Sendable (Int32, Int32) -> Void

    /// - Parameters:
    ///   - itself: the process that looks, which is spared with all that it descends from.
    ///   - pause: between two looks.
    ///   - signal: sends a process a signal.
    package init(
        _ files: any FileSystem, itself: Int32, every pause: Duration,
        signal: @escaping @Sendable (_ process: Int32, _ signal: Int32) -> Void
    ) {
        self.files = files
        self.itself = itself
        self.pause = pause
        self.signal = signal
    }

    /// Those of this machine.
    static func here(_ files: any FileSystem) -> LeftCommands {
        LeftCommands(files, itself: getpid(), every: .milliseconds(100)) { process, number in _ = kill(process, number) }
    }

    /// Waits while a pool is being filled, ten minutes at most: `zfs receive` has nothing open by which it could be found, and ends with its
    /// stream.
    ///
    /// Reads `/proc/PID/cmdline`: words with a NUL byte behind each. Source: proc_pid_cmdline(5).
    /// - Parameter say: is told once what is waited for.
    package func waitForReceive(into pool: String, say: (String) -> Void) async throws {
        for attempt in 0..<6000 {
            guard let process = processes.first(where: { receives($0, pool) }) else { return }
            if attempt == 0 { say("\(name(process)) of an earlier run still fills the pool \(pool): waiting, ten minutes at most") }
            try await Task.sleep(for: pause)
        }
    }

    /// Ends what has a folder as its root, or something of it as its working folder or open: asks it to (SIGTERM), and makes it after two
    /// seconds (SIGKILL). Never PID 1, this process, or one that this descends from.
    ///
    /// - Returns: who it was: `tar (process 4711)`.
    package func end(inside folder: FilePath) async throws -> [String] {
        var left = inside(folder)
        let found = left.map { name($0) }
        for (number, looks) in [(SIGTERM, 20), (SIGKILL, 100)] {
            for process in left { signal(process, number) }
            for _ in 0..<looks where !left.isEmpty {
                try await Task.sleep(for: pause)
                left = inside(folder)
            }
        }
        return found
    }

    private var processes: [Int32] { (try? files.processes()) ?? [] }

    private func name(_ process: Int32) -> String {
        let program = (try? files.readText(FilePath("/proc/\(process)/comm")).trimmed) ?? "?"
        return "\(program) (process \(process))"
    }

    private func receives(_ process: Int32, _ pool: String) -> Bool {
        guard let text = try? files.readText(FilePath("/proc/\(process)/cmdline")) else { return false }
        let words = text.split(separator: "\0").map(String.init)
        guard words.count > 2, words[0] == "zfs" || words[0].hasSuffix("/zfs"), words[1] == "receive", let name = words.last else {
            return false
        }
        return name == pool || name.hasPrefix(pool + "/")
    }

    /// Reads the links `/proc/PID/root`, `cwd`, and those in `fd`. What goes away meanwhile holds nothing. Source: proc_pid_fd(5).
    private func inside(_ folder: FilePath) -> [Int32] {
        var spared: Set<Int32> = [1]
        var ancestor = itself
        while ancestor > 0, spared.insert(ancestor).inserted { ancestor = parent(of: ancestor) ?? 0 }
        return processes.filter { process in !spared.contains(process) && holds(process, folder) }
    }

    private func holds(_ process: Int32, _ folder: FilePath) -> Bool {
        let own = FilePath("/proc/\(process)")
        let open = ((try? files.list(own.appending("fd"))) ?? []).map { "fd/\($0)" }
        return (["root", "cwd"] + open).contains { link in
            guard let place = try? files.readLink(own.appending(link)) else { return false }
            return place == folder.string || place.hasPrefix(folder.string + "/")
        }
    }

    /// Reads `PPid:\t1234` of `/proc/PID/status`.
    private func parent(of process: Int32) -> Int32? {
        let lines = (try? files.readText(FilePath("/proc/\(process)/status")).lines) ?? []
        return lines.first { $0.hasPrefix("PPid:") }.flatMap { Int32($0.words.last ?? "") }
    }
}
