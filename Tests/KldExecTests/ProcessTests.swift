import Glibc
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

func shell(
    _ script: String, input: Command.Input = .none, accepting: Set<Int32> = [0], environment: [String: String] = [:],
    output: FilePath? = nil,
    folder: FilePath? = nil
) -> Command {
    Command(
        "sh", ["-c", script], effect: .reads, accepting: accepting, input: input, environment: environment, outputFile: output,
        workingDirectory: folder)
}

@Suite("Real processes")
struct ProcessTests {
    let runner = SubprocessRunner()

    @Test("output, errors and exit status come back apart")
    func streams() async throws {
        let output = try await runner.run(shell("echo out; echo err >&2; exit 3", accepting: [3]))
        #expect(output == CommandOutput(status: 3, output: "out\n", errors: "err\n"))
    }

    @Test("an exit status that is not accepted is an error with what was printed")
    func status() async throws {
        let command = shell("echo out; echo why >&2; exit 4")
        await #expect(throws: CommandError.failed(command, CommandOutput(status: 4, output: "out\n", errors: "why\n"))) {
            try await runner.run(command)
        }
    }

    @Test("zero is an error too where it is not accepted")
    func zero() async throws {
        await #expect(throws: CommandError.self) { try await runner.run(shell("exit 0", accepting: [1])) }
    }

    @Test("a process ended by a signal is an error that names the signal")
    func signal() async throws {
        let command = shell("kill -9 $$")
        await #expect(throws: CommandError.killed(command, signal: 9)) { try await runner.run(command) }
    }

    @Test("a tool that is not there is an error that names it")
    func missing() async throws {
        let tool = Tool("no-such-tool-here", package: "some-package")
        await #expect(throws: CommandError.toolMissing(tool)) { try await runner.run(Command(tool, [], effect: .reads)) }
        let path = Tool("/no/such/path")
        await #expect(throws: CommandError.toolMissing(path)) { try await runner.run(Command(path, [], effect: .reads)) }
    }

    @Test("a folder is not a tool")
    func folderIsNoTool() async throws {
        let tool = Tool("/usr/bin")
        await #expect(throws: CommandError.toolMissing(tool)) { try await runner.run(Command(tool, [], effect: .reads)) }
    }

    @Test("text and secrets arrive on standard input, byte for byte", arguments: [0, 1, 4096, 300_000])
    func input(_ count: Int) async throws {
        let text = String(repeating: "ä\n", count: count)
        #expect(try await runner.run(Command("cat", [], effect: .reads, input: .text(text))).output == text)
        #expect(try await runner.run(Command("cat", [], effect: .reads, input: .secret(Secret(text)))).output == text)
    }

    @Test("without an input, standard input is at its end")
    func noInput() async throws { #expect(try await runner.run(Command("cat", [], effect: .reads)).output.isEmpty) }

    @Test("a process that does not read its input is no error")
    func unread() async throws {
        // As the command line tools have it.
        Glibc.signal(SIGPIPE, SIG_IGN)
        let text = String(repeating: "x", count: 1 << 20)
        #expect(try await runner.run(shell("echo done", input: .text(text))).output == "done\n")
    }

    @Test("a file is read as input, and written as output")
    func files() async throws {
        try await Scratch.with { folder in
            let (from, to) = (folder.appending("from"), folder.appending("to"))
            try LocalFiles().write("one\ntwo\n", to: from)
            try LocalFiles().write("something longer that was there before", to: to)
            let output = try await runner.run(
                Command(Tool("tac", package: "coreutils"), [], effect: .reads, input: .file(from), outputFile: to))
            #expect(output.output.isEmpty)
            #expect(try LocalFiles().readText(to) == "two\none\n")
            let text = try await runner.run(Command("cat", [], effect: .reads, input: .text("typed"), outputFile: to))
            #expect(text.output.isEmpty)
            #expect(try LocalFiles().readText(to) == "typed")
        }
    }

    @Test("an output file is for its maker alone, unless a command says otherwise; one that is there stays as it is")
    func outputMode() async throws {
        try await Scratch.with { folder in
            var command = Command("echo", ["secret"], effect: .reads, outputFile: folder.appending("own"))
            try await runner.run(command)
            #expect(try LocalFiles().status(folder.appending("own"))?.mode == .secret)
            command.outputFile = folder.appending("open")
            command.outputPermissions = [.ownerReadWrite, .groupRead]
            try await runner.run(command)
            #expect(try LocalFiles().status(folder.appending("open"))?.mode == 0o640)
            try LocalFiles().write("longer than that\n", to: folder.appending("old"), mode: 0o604)
            command.outputFile = folder.appending("old")
            try await runner.run(command)
            #expect(try LocalFiles().status(folder.appending("old"))?.mode == 0o604)
            #expect(try LocalFiles().readText(folder.appending("old")) == "secret\n")
        }
    }

    @Test("a link in the place of an output file is not followed, unless the command says so")
    func outputLink() async throws {
        try await Scratch.with { folder in
            try LocalFiles().write("mine", to: folder.appending("file"))
            try LocalFiles().symlink(folder.appending("link"), to: folder.appending("file").string)
            var command = Command("echo", ["other"], effect: .reads, outputFile: folder.appending("link"))
            let refused = command
            await #expect(throws: CommandError.self) { try await runner.run(refused) }
            #expect(try LocalFiles().readText(folder.appending("file")) == "mine")
            command.followsOutputLink = true
            try await runner.run(command)
            #expect(try LocalFiles().readText(folder.appending("file")) == "other\n")
        }
    }

    @Test("an input that is not there, and an output that cannot be, are errors that name the file")
    func noSuchFile() async throws {
        for command in [
            Command("cat", [], effect: .reads, input: .file("/no/such/file")),
            Command("cat", [], effect: .reads, outputFile: "/no/such/folder/file"),
        ] {
            let problem = await problem { _ = try await runner.run(command) }
            #expect(problem?.code == "command.cannot-start", "\(command)")
            #expect(problem?.causes.last?.contains("/no/such") == true)
        }
    }

    @Test("a working folder is the one that was asked for; one that is not there is an error")
    func workingFolder() async throws {
        try await Scratch.with { folder in
            let output = try await runner.run(shell("pwd", folder: folder)).output
            #expect(output == "\(folder)\n")
            let command = shell("pwd", folder: folder.appending("missing"))
            #expect(await problem { _ = try await runner.run(command) }?.code == "command.cannot-start")
        }
    }

    @Test("the environment is clean, in a fixed language and time zone")
    func environment() async throws {
        setenv("KLDLOAD_TEST_LEAK", "leaked", 1)
        setenv("LC_MESSAGES", "de_DE.UTF-8", 1)
        setenv("LANG", "de_DE.UTF-8", 1)
        defer { for name in ["KLDLOAD_TEST_LEAK", "LC_MESSAGES", "LANG"] { unsetenv(name) } }
        let output = try await runner.run(Command("env", [], effect: .reads, environment: ["MINE": "a b", "TZ": "Europe/Rome"])).output
        let known = Set(output.lines.compactMap { $0.split(separator: "=").first.map(String.init) })
        #expect(output.lines.contains("LC_ALL=C.UTF-8"))
        #expect(output.lines.contains("DEBIAN_FRONTEND=noninteractive"))
        #expect(output.lines.contains("MINE=a b"))
        #expect(output.lines.contains("TMPDIR=\(getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp")"), "not in memory")
        #expect(output.lines.contains("TZ=Europe/Rome"), "what the command asks for wins")
        let allowed: Set = [
            "PATH", "LC_ALL", "TZ", "HOME", "DEBIAN_FRONTEND", "MINE", "http_proxy", "https_proxy", "no_proxy", "XDG_RUNTIME_DIR", "TMPDIR",
            "SSL_CERT_FILE",
        ]
        #expect(known.subtracting(allowed).isEmpty)
    }

    @Test("lines of standard error are told as they come, before the process ends")
    func lines() async throws {
        try await Scratch.with { folder in
            let go = folder.appending("go")
            let told = Mutex<[String]>([])
            let runner = SubprocessRunner { command, line in
                told.withLock { $0.append("\(command.tool.name): \(line)") }
                // The process waits for this file: a runner that told its lines at the end would never end.
                if line == "first" { try? LocalFiles().write("", to: go) }
            }
            let output = try await runner.run(shell("echo first >&2; until test -e '\(go)'; do sleep 0.02; done; printf last >&2"))
            #expect(told.withLock { $0 } == ["sh: first", "sh: last"])
            #expect(output.errors == "first\nlast\n")
        }
    }

    @Test("a command that tells on both is heard on both, in order")
    func both() async throws {
        let told = Mutex<[String]>([])
        let runner = SubprocessRunner { _, line in told.withLock { $0.append(line) } }
        var command = shell("echo one; echo two >&2; echo three")
        command.tellsOnBoth = true
        let output = try await runner.run(command)
        #expect(told.withLock { $0 } == ["one", "two", "three"])
        #expect(output.errors == "one\ntwo\nthree\n" && output.output.isEmpty)
    }

    @Test("much standard error is kept from its end")
    func manyErrors() async throws {
        let output = try await runner.run(shell("i=0; while test $i -lt 60000; do echo \"this is line $i of many\" >&2; i=$((i+1)); done"))
        #expect(output.errors.utf8.count <= 1 << 20)
        #expect(output.errors.hasSuffix("this is line 59999 of many\n"))
    }

    @Test("nothing that was printed is lost when the process ends at once")
    func nothingLost() async throws {
        for round in 0..<40 {
            let output = try await runner.run(shell("echo out \(round); echo err \(round) >&2"))
            #expect(output.output == "out \(round)\n")
            #expect(output.errors == "err \(round)\n")
        }
        let large = try await runner.run(shell("head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2"))
        #expect(large.output.utf8.count == 3_000_000)
        #expect(large.errors == "end\n")
    }

    @Test("output that is not UTF-8 does not stop anything")
    func notText() async throws {
        let output = try await runner.run(shell("printf 'a\\377b\\n'; printf '\\376\\n' >&2"))
        #expect(output.output.hasPrefix("a"))
        #expect(output.output.hasSuffix("b\n"))
        #expect(!output.errors.isEmpty)
    }

    @Test("a child that stays behind with the streams open does not keep the command from ending, and is ended")
    func daemon() async throws {
        let begin = ContinuousClock.now
        let output = try await runner.run(shell("sleep 1800 & echo $!"))
        #expect(begin.duration(to: .now) < .seconds(1500))
        let pid = try #require(pid_t(output.output.trimmed))
        #expect(await gone(pid))
    }

    @Test("many at once do not get into each other's way")
    func many() async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<24 {
                group.addTask { try await runner.run(shell("cat", input: .text("text \(index)"))).output == "text \(index)" }
            }
            for try await right in group { #expect(right) }
        }
    }
}

/// Whether a process is gone within some seconds.
func gone(_ pid: pid_t) async -> Bool {
    for _ in 0..<400 {
        if kill(pid, 0) != 0 { return true }
        // A zombie whose parent has not waited for it is gone too.
        if let status = try? LocalFiles().readText(FilePath("/proc/\(pid)/stat")), status.contains(") Z ") { return true }
        try? await Task.sleep(for: .milliseconds(25))
    }
    return false
}
