import KldCore
import KldExec
import KldTestSupport
import SystemPackage
import Testing

@Suite("Command lines as values")
struct CommandTests {
    @Test(
        "words that a shell would change are quoted, others are not",
        arguments: [
            ("plain", "plain"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$HOME", "'$HOME'"), ("a;b", "'a;b'"), ("*", "'*'"),
            ("~", "'~'"), ("a\\b", "'a\\b'"), ("a\"b", "'a\"b'"), ("a\nb", "'a\nb'"), ("ü", "'ü'"), ("'", "''\\'''"), ("#x", "'#x'"),
            ("/dev/disk/by-id/ata-A_1.2:3-part1", "/dev/disk/by-id/ata-A_1.2:3-part1"), ("user@host", "user@host"),
            ("A=1,b+c%^", "A=1,b+c%^"),
            ("{a}", "'{a}'"), ("[a]", "'[a]'"), ("a?", "'a?'"), ("!", "'!'"), ("a&b", "'a&b'"), ("a|b", "'a|b'"), ("<", "'<'"),
            ("`a`", "'`a`'"),
        ])
    func quoting(_ word: String, _ shown: String) {
        #expect(Command("x", [word], effect: .reads).description == "x \(shown)")
    }

    @Test("what is printed means the same to a shell")
    func shellAgrees() async throws {
        let words = ["", "a b", "it's", "$HOME", "a\nb", "''", "\\", "ü ö", "*", "-n", "a;b|c&d", "`x`", "\"", "~", "{a,b}", "#"]
        let shown = Command("printf", ["%s\\0"] + words, effect: .reads).description
        let output = try await SubprocessRunner().run(Command("sh", ["-c", shown], effect: .reads)).output
        #expect(output.split(separator: "\0", omittingEmptySubsequences: false).dropLast().map(String.init) == words)
    }

    @Test("input and output are shown, secrets and texts are not")
    func redirections() {
        #expect(Command("a", [], effect: .reads, input: .file("/x y")).description == "a < '/x y'")
        #expect(Command("a", [], effect: .reads, outputFile: "/out").description == "a > /out")
        #expect(Command("a", ["b"], effect: .reads, input: .secret(Secret("hush"))).description == "a b < <redacted>")
        #expect(Command("a", [], effect: .reads, input: .text("long text")).description == "a")
    }

    @Test("a secret input is in no form of the command")
    func secret() {
        let command = Command("a", [], effect: .reads, input: .secret(Secret("correct horse")))
        var dumped = ""
        dump(command, to: &dumped)
        for text in ["\(command)", String(reflecting: command), dumped, "\(CommandError.failed(command, CommandOutput(status: 1)))"] {
            #expect(!text.contains("horse"))
        }
        #expect(!CommandError.failed(command, CommandOutput(status: 1)).diagnosis.rendered.contains("horse"))
    }

    @Test("inside a root the tool becomes an argument of chroot; everything else stays")
    func inside() {
        let command = Command(
            Tool("useradd", package: "passwd"), ["a b"], effect: .changes, accepting: [0, 9], input: .text("t"), environment: ["A": "1"],
            outputFile: "/out", workingDirectory: "/w")
        let inside = command.inside("/target")
        #expect(inside.description == "chroot /target useradd 'a b' > /out")
        #expect(inside.tool == Tool("chroot", package: "coreutils"))
        #expect(inside.effect == .changes)
        #expect(inside.acceptedExitStatuses == [0, 9])
        #expect(inside.input == .text("t"))
        #expect(inside.environment == ["A": "1"])
        #expect(inside.outputFile == "/out")
    }

    @Test("effects are ordered: reads, changes, destroys")
    func effects() {
        #expect(Effect.reads < .changes)
        #expect(Effect.changes < .destroys)
        #expect([Effect.changes, .destroys, .reads].max() == .destroys)
    }

    @Test("two commands are equal when every part of them is")
    func equality() {
        let command = Command("a", ["b"], effect: .reads)
        #expect(command == Command("a", ["b"], effect: .reads))
        #expect(command != Command("a", ["b"], effect: .changes))
        #expect(command != Command("a", ["b"], effect: .reads, accepting: [0, 1]))
        #expect(command != Command("a", ["b"], effect: .reads, input: .text("")))
    }

    @Test("a missing tool names the package that brings it")
    func toolMissing() {
        let problem = CommandError.toolMissing(Tool("sgdisk", package: "gdisk")).diagnosis
        #expect(
            problem.rendered
                == "error[command.tool-missing]: the program sgdisk is not installed\n  remedy: install it: apt-get install gdisk")
        #expect(problem.exit == .unavailable)
    }

    @Test("a failure shows the command and the last lines of what it said")
    func failed() {
        let errors = (1...20).map { "line \($0)\n" }.joined()
        let problem = CommandError.failed(Command("a", ["b c"], effect: .reads), CommandOutput(status: 3, errors: errors)).diagnosis
        #expect(problem.message == "a failed with exit status 3")
        #expect(problem.causes == ["command: a 'b c'"] + (13...20).map { "line \($0)" })
    }
}
