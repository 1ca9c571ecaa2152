import ArgumentParser
import Glibc
import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldImage
import KldInstall
import KldPlan
import KldTerminal
import SystemPackage

/// `kldload-install-target`: the installer under the seeds' name, and its screens.
struct GuidedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install-target", abstract: "Install onto this machine: six screens, or an answers file.",
        discussion: "Without --answers it is guided. Nothing is written before every disk's name was typed on the last screen.",
        aliases: [AppletName.installTarget.rawValue])

    private static let file: FilePath = "/run/kldload/guided-answers.env"

    @Flag(help: "Ask on six screens; the default.") var guided = false
    @Option(help: "An answers file: as kldload install.") var answers: String?
    @Flag(help: "With the screens, but end with the plan and change nothing.") var dryRun = false
    @Option(help: "Ask for the machine that this file describes (kldload facts), and change nothing.") var facts: String?

    func run() async throws {
        if let answers {
            guard !guided else {
                throw Diagnosis("guided.both", "--guided asks what --answers says", remedies: ["leave one of them out"], exit: .usage)
            }
            try await InstallCommand.parse(["--answers", answers] + (dryRun ? ["--dry-run"] : [])).run()
            return
        }
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else {
            throw Diagnosis(
                "guided.no-terminal", "the screens need a terminal", remedies: ["kldload install --answers FILE"], exit: .usage)
        }
        let files = LocalFiles()
        var folders = ((try? files.folders(in: LiveMedium.payloads)) ?? []).sorted()
        if facts == nil, let medium = try NetworkMedium.running(files) {
            folders = try await medium.payloads(runner: SubprocessRunner(), files: files)
        }
        var payloads = folders.compactMap { GuidedInstall.Payload(folder: $0) }
        // A rehearsal needs no medium.
        if payloads.isEmpty, facts != nil { payloads = ["debian-trixie-server", "debian-trixie-core"].compactMap { .init(folder: $0) } }
        guard let answers = try await ask(GuidedInstall(facts: SavedFacts.machine(facts), payloads: payloads)) else {
            Output.errorLine("nothing was installed")
            return
        }
        if dryRun || facts != nil { return }
        // Every disk's name was typed: that is what this word says.
        try files.write(answers.environmentText + "KLDLOAD_FORCE_WIPE=1\n", to: Self.file, mode: .secret)
        defer { try? files.remove(Self.file) }
        try await InstallCommand.parse(["--answers", Self.file.string]).run()
    }

    /// - Returns: `nil` when the person leaves.
    private func ask(_ start: GuidedInstall) async throws -> Answers? {
        var guide = start
        let screen = try Screen()
        defer { screen.close() }
        while true {
            // Over a slow line a screen takes seconds: not one for each letter of what was pasted.
            if !screen.isBusy { screen.draw(guide.lines(columns: screen.columns, rows: screen.rows)) }
            guard let key = try await screen.key() else { return nil }
            switch guide.handle(key) {
            case .stays: continue
            case .quits: return nil
            case .installs: return try guide.answers()
            case .plans:
                do {
                    let answers = try guide.answers()
                    let payload = facts == nil ? try await PayloadOptions.parse([]).find(answers, whole: false) : PlanCommand.payload
                    let machine = try await SavedFacts.machine(facts, asked: answers.allDisks)
                    let plan = try InstallCommand.planner(answers, payload, .placeholder, machine).plan
                    guide.show(plan.text().lines, wipes: plan.destroys)
                } catch {
                    let problem = Diagnosis(of: error)
                    guide.refuse(([problem.message] + problem.remedies.prefix(1)).joined(separator: "; "))
                }
            }
        }
    }

    /// The terminal, with keys as they are pressed. Source: termios(3), Linux man-pages 6.9; ECMA-48.
    private struct Screen {
        private let before: termios
        let columns: Int
        let rows: Int

        init() throws {
            var now = termios()
            guard tcgetattr(STDIN_FILENO, &now) == 0 else { throw Errno(rawValue: errno) }
            before = now
            now.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
            now.c_iflag &= ~tcflag_t(IXON | ICRNL)
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &now)
            var size = winsize()
            let known = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0
            // A serial console does not know its size.
            columns = known && size.ws_col >= 80 ? min(Int(size.ws_col), 120) : 80
            rows = known && size.ws_row >= 24 ? Int(size.ws_row) : 24
            Output.raw("\u{1b}[?25l\u{1b}[2J")
        }

        /// More keys are waiting.
        var isBusy: Bool {
            var waiting = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            return poll(&waiting, 1, 0) > 0
        }

        func draw(_ lines: [String]) { Output.raw("\u{1b}[H" + lines.joined(separator: "\r\n")) }

        func close() {
            var shown = before
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown)
            Output.raw("\u{1b}[2J\u{1b}[H\u{1b}[?25h")
        }

        /// - Returns: `nil` at the end of the input.
        func key() async throws -> TerminalKey? {
            var bytes: [UInt8] = []
            var silent = 0
            while true {
                try Task.checkCancellation()
                var waiting = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
                guard poll(&waiting, 1, 0) > 0 else {
                    // A key's bytes follow one another at once, even over a slow line; Esc alone is followed by nothing.
                    if !bytes.isEmpty, silent > 8, let (key, count) = TerminalKey.parse(bytes, complete: true) {
                        if let key { return key }
                        bytes.removeFirst(count)
                    }
                    silent += 1
                    try await Task.sleep(for: .milliseconds(20))
                    continue
                }
                silent = 0
                var byte: UInt8 = 0
                guard read(STDIN_FILENO, &byte, 1) == 1 else { return nil }
                bytes.append(byte)
                if let (key, count) = TerminalKey.parse(bytes, complete: false) {
                    if let key { return key }
                    bytes.removeFirst(count)
                }
            }
        }
    }
}
