import Glibc
import KldTerminal
import SystemPackage

/// Terminals that show the same, with keys as they are pressed on any of them. Source: termios(3), Linux man-pages 6.9; ECMA-48.
struct Screen: Sendable {
    struct Terminal: Sendable {
        let input: Int32
        let output: Int32
        /// `/dev/ttyS0`, where it was opened by name.
        var path: String?
        fileprivate var before = termios()
        fileprivate var bytes: [UInt8] = []

        init(input: Int32, output: Int32) {
            self.input = input
            self.output = output
        }

        /// - Returns: `nil` where there is none.
        init?(path: String) {
            guard let file = Self.open(path) else { return nil }
            self.init(input: file, output: file)
            self.path = path
        }

        private static func open(_ path: String) -> Int32? {
            // A line that waits for its carrier would keep everybody waiting.
            let file = Glibc.open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
            guard file >= 0, isatty(file) == 1 else { return nil }
            _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) & ~O_NONBLOCK)
            return file
        }

        /// Opens it again under the same number. A terminal is hung up for all who have it open when the leader of its session ends.
        /// Source: Linux 6.12, `drivers/tty/tty_jobctrl.c`, `disassociate_ctty`.
        fileprivate func reopen() {
            guard let path, let file = Self.open(path) else { return }
            _ = dup2(file, input)
            _ = fcntl(input, F_SETFD, FD_CLOEXEC)
            _ = Glibc.close(file)
        }

        fileprivate func write(_ text: String) { _ = try? FileDescriptor(rawValue: output).writeAll(text.utf8) }
    }

    private(set) var terminals: [Terminal]
    let columns: Int
    let rows: Int

    /// - Throws: `Errno` where none of them is a terminal.
    init(_ terminals: Terminal...) throws { try self.init(terminals) }

    init(_ terminals: [Terminal]) throws {
        self.terminals = []
        var (columns, rows) = (120, Int.max)
        for var terminal in terminals {
            guard tcgetattr(terminal.input, &terminal.before) == 0 else { continue }
            var size = winsize()
            let known = ioctl(terminal.output, UInt(TIOCGWINSZ), &size) == 0
            // A serial console does not know its size.
            columns = min(columns, known && size.ws_col >= 80 ? Int(size.ws_col) : 80)
            rows = min(rows, known && size.ws_row >= 24 ? Int(size.ws_row) : 24)
            self.terminals.append(terminal)
        }
        guard !self.terminals.isEmpty else { throw Errno(rawValue: ENOTTY) }
        (self.columns, self.rows) = (columns, rows)
        open()
    }

    /// Takes the terminals, again.
    func open() {
        for terminal in terminals {
            var now = terminal.before
            now.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
            now.c_iflag &= ~tcflag_t(IXON | ICRNL)
            tcsetattr(terminal.input, TCSAFLUSH, &now)
            terminal.write("\u{1b}[?25l\u{1b}[2J")
        }
    }

    /// Leaves them as they were.
    func close() {
        for terminal in terminals {
            var shown = terminal.before
            tcsetattr(terminal.input, TCSAFLUSH, &shown)
            terminal.write("\u{1b}[2J\u{1b}[H\u{1b}[?25h")
        }
    }

    /// More keys are waiting.
    var isBusy: Bool {
        terminals.contains { terminal in
            var waiting = pollfd(fd: terminal.input, events: Int16(POLLIN), revents: 0)
            return !terminal.bytes.isEmpty || poll(&waiting, 1, 0) > 0
        }
    }

    func draw(_ lines: [String]) {
        let text = "\u{1b}[H" + lines.joined(separator: "\r\n")
        for terminal in terminals { terminal.write(text) }
    }

    /// - Returns: the key, and whose it is; `nil` at the end of the input of all terminals.
    mutating func key() async throws -> (key: TerminalKey, terminal: Int)? {
        var silent = 0
        while true {
            try Task.checkCancellation()
            var waiting = terminals.map { pollfd(fd: $0.input, events: Int16(POLLIN), revents: 0) }
            guard poll(&waiting, nfds_t(waiting.count), 0) > 0 else {
                // A key's bytes follow one another at once, even over a slow line; Esc alone is followed by nothing.
                if silent > 8 {
                    for index in terminals.indices { if let key = parse(index, complete: true) { return (key, index) } }
                }
                silent += 1
                try await Task.sleep(for: .milliseconds(20))
                continue
            }
            silent = 0
            var ended = 0
            for index in terminals.indices where waiting[index].revents != 0 {
                var byte: UInt8 = 0
                if read(terminals[index].input, &byte, 1) == 1 {
                    terminals[index].bytes.append(byte)
                    if let key = parse(index, complete: false) { return (key, index) }
                } else {
                    ended += 1
                }
            }
            guard ended < terminals.count else { return nil }
            // One of several that was hung up is asked again, not in a hurry.
            if ended > 0 { try await Task.sleep(for: .milliseconds(20)) }
        }
    }

    private mutating func parse(_ index: Int, complete: Bool) -> TerminalKey? {
        while !terminals[index].bytes.isEmpty, let (key, count) = TerminalKey.parse(terminals[index].bytes, complete: complete) {
            terminals[index].bytes.removeFirst(count)
            if let key { return key }
        }
        return nil
    }
}

extension Screen {
    /// `POSIX_SPAWN_SETSID`, which Swift does not see. Source: spawn.h, glibc 2.26 to 2.41.
    private static let newSession: Int32 = 0x80

    /// Runs a program on one of the terminals, in a session of its own, and waits for its end: interrupts are its own business.
    ///
    /// - Returns: its exit status, or the negative number of the signal that ended it; `nil` where it could not be started.
    func run(_ words: [String], on index: Int, environment: [String]) -> Int32? {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Opened by the leader of a new session it becomes the session's terminal. Source: tty(4), posix_spawn(3), glibc 2.36.
        posix_spawn_file_actions_addopen(&actions, 0, terminals[index].path ?? "/dev/tty", O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (ignored, none) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigemptyset(&ignored)
        for signal in [SIGPIPE, SIGINT, SIGTERM] { sigaddset(&ignored, signal) }
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &ignored)
        posix_spawnattr_setflags(&attributes, Int16(Self.newSession | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var arguments = words.map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        var process: pid_t = 0
        guard posix_spawnp(&process, words[0], &actions, &attributes, &arguments, &variables) == 0 else { return nil }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 { if errno != EINTR { return nil } }
        terminals[index].reopen()
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : -signal
    }
}
