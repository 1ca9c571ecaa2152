import Glibc
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@Suite("Pipelines")
struct PipelineTests {
    let runner = SubprocessRunner()

    @Test("data flows from each command to the next, and the last one's output comes back")
    func flow() async throws {
        let output = try await runner.run(pipeline: [
            shell("printf 'c\\nb\\na\\n'"), Command(Tool("sort", package: "coreutils"), [], effect: .reads),
            Command(Tool("tr", package: "coreutils"), ["a-z", "A-Z"], effect: .reads),
        ])
        #expect(output.output == "A\nB\nC\n")
    }

    @Test("more data than any buffer holds arrives whole")
    func large() async throws {
        let output = try await runner.run(pipeline: [
            shell("head -c 5000000 /dev/zero"), shell("cat"), Command("wc", ["-c"], effect: .reads),
        ])
        #expect(output.output.trimmed == "5000000")
    }

    @Test("the first one reads a file or a text, the last one writes a file")
    func ends() async throws {
        try await Scratch.with { folder in
            let file = folder.appending("out")
            try await runner.run(pipeline: [shell("cat", input: .text("hello")), shell("tr a-z A-Z", output: file)])
            #expect(try LocalFiles().readText(file) == "HELLO")
            let output = try await runner.run(pipeline: [shell("cat", input: .file(file)), shell("cat")])
            #expect(output.output == "HELLO")
        }
    }

    @Test("one command is a pipeline too, and none does nothing")
    func short() async throws {
        #expect(try await runner.run(pipeline: [shell("echo one")]).output == "one\n")
        #expect(try await runner.run(pipeline: []) == CommandOutput())
    }

    @Test("when the middle one fails, the error is about it and not about those that suffer from it")
    func middle() async throws {
        let middle = shell("head -c 1 >/dev/null; echo broken >&2; exit 3")
        let last = shell("cat >/dev/null; echo 'unexpected end' >&2; exit 2")
        await #expect(throws: CommandError.failed(middle, CommandOutput(status: 3, errors: "broken\n"))) {
            try await runner.run(pipeline: [shell("yes"), middle, last])
        }
    }

    @Test("when the first one fails, the error is about it, although the last one complains too")
    func first() async throws {
        let first = shell("printf x; exit 5")
        await #expect(throws: CommandError.failed(first, CommandOutput(status: 5))) {
            try await runner.run(pipeline: [first, shell("cat >/dev/null; exit 2")])
        }
    }

    @Test("when the last one gives up early, the error is about it and not about SIGPIPE")
    func last() async throws {
        // As the command line tools have it: children must not inherit it, or they would not end.
        signal(SIGPIPE, SIG_IGN)
        let last = shell("head -c 10 >/dev/null; exit 6")
        await #expect(throws: CommandError.failed(last, CommandOutput(status: 6))) {
            try await runner.run(pipeline: [shell("yes"), last])
        }
    }

    @Test("when the last one is content with less, the ones before it are ended by SIGPIPE, and that is an error")
    func contentWithLess() async throws {
        await #expect(throws: CommandError.killed(shell("exec yes"), signal: SIGPIPE)) {
            try await runner.run(pipeline: [shell("exec yes"), shell("head -n 1")])
        }
    }

    @Test("a tool that is missing ends the others", arguments: [0, 1, 2])
    func missing(_ position: Int) async throws {
        var commands = [shell("yes"), shell("cat"), shell("cat >/dev/null")]
        commands[position].tool = "no-such-tool-here"
        await #expect(throws: CommandError.toolMissing("no-such-tool-here")) { try await runner.run(pipeline: commands) }
    }

    @Test("pipelines at the same time do not hold each other's pipes open")
    func parallel() async throws {
        try await withThrowingTaskGroup(of: String.self) { group in
            for index in 0..<12 {
                group.addTask { try await runner.run(pipeline: [shell("echo \(index)"), shell("cat"), shell("cat")]).output }
            }
            var seen: Set<String> = []
            for try await output in group { seen.insert(output) }
            #expect(seen == Set((0..<12).map { "\($0)\n" }))
        }
    }

    @Test("a pipeline leaves no descriptor open")
    func descriptors() async throws {
        func count() throws -> Int { try LocalFiles().list("/proc/self/fd").count }
        try await runner.run(pipeline: [shell("echo"), shell("cat")])
        // Other tests run beside this one and open files of their own: the smallest of several looks counts.
        var grown = Int.max
        for _ in 0..<10 {
            let before = try count()
            for _ in 0..<5 { try await runner.run(pipeline: [shell("echo"), shell("cat")]) }
            grown = min(grown, try count() - before)
        }
        #expect(grown <= 0)
    }
}

@Suite("Cancelled commands")
struct CancellationTests {
    /// Cancels a command as soon as it has written its own process id, and another one's, into a file.
    func cancel(_ script: (FilePath) -> String, pipeline: Bool = false) async throws -> (error: (any Error)?, pids: [pid_t], took: Duration)
    {
        try await Scratch.with { folder in
            let file = folder.appending("pids")
            let command = shell(script(file))
            let task = Task {
                if pipeline {
                    try await SubprocessRunner().run(pipeline: [shell("yes"), command, shell("cat >/dev/null")])
                } else {
                    try await SubprocessRunner().run(command)
                }
            }
            var pids: [pid_t] = []
            for _ in 0..<12_000 where pids.count < 2 {
                pids = ((try? LocalFiles().readText(file)) ?? "").words.compactMap { pid_t($0) }
                try await Task.sleep(for: .milliseconds(10))
            }
            let begin = ContinuousClock.now
            task.cancel()
            let result = await task.result
            let took = begin.duration(to: .now)
            switch result {
            case .success: return (nil, pids, took)
            case .failure(let error): return (error, pids, took)
            }
        }
    }

    @Test("cancelling ends the command, and says that it was interrupted")
    func plain() async throws {
        let result = try await cancel { "echo $$ 0 > '\($0)'; exec sleep 1800" }
        #expect(result.took < .seconds(1500))
        #expect(result.error.map { Diagnosis(of: $0).exit } == .interrupted)
        #expect(await gone(result.pids[0]))
    }

    @Test("cancelling ends the children of a command too")
    func children() async throws {
        let result = try await cancel { "sleep 60 & echo $$ $! > '\($0)'; wait" }
        for pid in result.pids { #expect(await gone(pid)) }
    }

    @Test("a command that ignores SIGTERM is ended after two seconds")
    func stubborn() async throws {
        let result = try await cancel { "trap '' TERM; echo $$ 0 > '\($0)'; while :; do sleep 0.1; done" }
        #expect(result.took > .seconds(1.5))
        #expect(await gone(result.pids[0]))
    }

    @Test("a command that has much to clear up is given the time for it")
    func slow() async throws {
        try await Scratch.with { folder in
            let (ready, cleared) = (folder.appending("ready"), folder.appending("cleared"))
            var command = shell("trap 'sleep 4; : >\(cleared); exit 1' TERM; : >\(ready); while :; do sleep 0.1; done")
            command.timeToEnd = .seconds(120)
            let task = Task { [command] in try await SubprocessRunner().run(command) }
            while try !LocalFiles().exists(ready) { try await Task.sleep(for: .milliseconds(10)) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try LocalFiles().exists(cleared))
        }
    }

    @Test("a grandchild that ignores SIGTERM does not outlive its parent")
    func grandchild() async throws {
        let result = try await cancel {
            "sh -c \"trap '' TERM; echo \\$\\$ \\$PPID > '\($0)'; while :; do sleep 0.1; done\" & wait"
        }
        for pid in result.pids { #expect(await gone(pid)) }
    }

    @Test("cancelling a pipeline ends every part of it")
    func pipeline() async throws {
        let result = try await cancel({ "sh -c 'sleep 61 & echo $$ $! > \($0); wait'" }, pipeline: true)
        #expect(result.error.map { Diagnosis(of: $0).exit } == .interrupted)
        for pid in result.pids { #expect(await gone(pid)) }
    }

    @Test("a command of a task that was cancelled before is not left running")
    func before() async throws {
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await SubprocessRunner().run(shell("sleep 1800"))
        }
        let begin = ContinuousClock.now
        _ = await task.result
        #expect(begin.duration(to: .now) < .seconds(1500))
    }
}
