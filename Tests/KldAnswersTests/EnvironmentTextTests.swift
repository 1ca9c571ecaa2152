import KldAnswers
import KldCore
import SystemPackage
import Testing

@Suite struct EnvironmentText {
    @Test func threeLinesAreEnough() throws {
        let answers = try answers()
        #expect(answers.distro == .debian)
        #expect(answers.disk == .path("/dev/sda"))
        #expect(answers.hostname.value == "web-prod-01")
    }

    @Test(arguments: [
        ("KLDLOAD_EXTRA_PACKAGES=vim", "vim"),
        ("  KLDLOAD_EXTRA_PACKAGES=vim  ", "vim"),
        ("export KLDLOAD_EXTRA_PACKAGES=vim", "vim"),
        ("KLDLOAD_EXTRA_PACKAGES= vim", "vim"),
        ("KLDLOAD_EXTRA_PACKAGES=vim tmux # editors", "vim tmux"),
        ("KLDLOAD_EXTRA_PACKAGES='vim tmux' # editors", "vim tmux"),
        ("KLDLOAD_EXTRA_PACKAGES=\"vim\"\r", "vim"),
    ])
    func valuesAreReadInEveryForm(line: String, value: String) throws {
        #expect(try answers(line)["KLDLOAD_EXTRA_PACKAGES"] == value)
    }

    @Test(arguments: [
        ("'a$b`c$(d)\"e'", "a$b`c$(d)\"e"),
        ("\"a$b\"", "a$b"),
        ("a$b", "a$b"),
        ("a#b", "a#b"),
        ("#b", "#b"),
        ("\"a # b\"", "a # b"),
        (#""\"\\\$\`\n""#, #""\$`\n"#),
        (#"'it'\''s'"#, "it's"),
        (#"'it'"'"'s'"#, "it's"),
        (#"back\slash"#, #"back\slash"#),
    ])
    func passwordsKeepTheirCharacters(written: String, meant: String) throws {
        #expect(try answers("KLDLOAD_PASSWORD=" + written).credentials == .password(Secret(meant)))
    }

    @Test func byteOrderMarkAndForeignLineEndsAreTolerated() throws {
        let text = "\u{FEFF}" + threeLines.split(separator: "\n").joined(separator: "\r\n")
        #expect(try Answers(text) == answers())
    }

    @Test func commentsAndBlankLinesAreSkipped() throws {
        #expect(try answers("", "   ", "# KLDLOAD_DISTRO=rocky", "\t# more", "KLDLOAD_KEYBOARD_VARIANT=          # none") == answers())
    }

    @Test func anEmptyValueMeansTheDefault() throws {
        #expect(try answers("KLDLOAD_TIMEZONE=", "KLDLOAD_ZFS_TOPOLOGY=''") == answers())
    }

    @Test(arguments: [
        ("KLDLOAD_TIMEZONE", AnswersProblem.Code.syntax),
        ("KLDLOAD_TIMEZONE =UTC", .syntax),
        ("=UTC", .syntax),
        ("1KLDLOAD=1", .syntax),
        ("export", .syntax),
        ("[section]", .syntax),
        ("KLDLOAD_PASSWORD='abc", .unterminatedQuote),
        ("KLDLOAD_PASSWORD=\"abc\\\"", .unterminatedQuote),
        ("KLDLOAD_PASSWORD='abc'def", .textAfterQuote),
        ("KLDLOAD_PASSWORD='abc' def", .textAfterQuote),
        ("KLDLOAD_PASSWORD=ab\"c\"", .quoteInside),
        ("KLDLOAD_PASSWORD=$(id)", .evaluation),
        ("KLDLOAD_PASSWORD=\"`id`\"", .evaluation),
        ("KLDLOAD_PASSWORD=a\u{1B}b", .controlCharacter),
        ("KLDLOAD_PASSWORD=a\0b", .nulByte),
    ])
    func malformedLinesAreRefused(line: String, code: AnswersProblem.Code) {
        #expect(codes(line) == [code])
    }

    @Test func problemsKnowTheirLines() {
        let found = problems("KLDLOAD_DISTRO=debain\n\n# x\nKLDLOAD_DISK=sda\nnonsense\n")
        #expect(found.map(\.line) == [1, 4, 5])
        #expect(found.map(\.code) == [.choice, .disk, .syntax])
    }

    @Test func bytesThatAreNoTextAreRefused() {
        #expect(throws: AnswersError.self) { try Answers(bytes: [0xFF, 0xFE, 0x4B, 0x00]) }
        #expect(throws: AnswersError.self) { try Answers(bytes: Array("KLDLOAD_PASSWORD=".utf8) + [0xC3, 0x28]) }
    }

    @Test func sizesHaveLimits() {
        #expect(problems(String(repeating: "#", count: 65_537)).map(\.code) == [.lineTooLong])
        #expect(problems(String(repeating: "#\n", count: 524_289)).map(\.code) == [.tooLarge])
        #expect(codes("#" + String(repeating: "x", count: 65_535)) == [])
    }

    @Test func aMebibyteOfMistakesEndsSoonAndSaysThereAreMore() {
        let found = problems(String(repeating: "KLDLOAD_DISKX=1\n", count: 65_000))
        #expect(found.count == 100)
        #expect(found.last?.code == .tooManyProblems)
    }

    /// By name, so that a mebibyte does not stand in the log of the tests.
    static let floods: [String: String] = [
        "repeated keys": String(repeating: "KLDLOAD_EXTRA_PACKAGES=a\n", count: 40_000),
        "one long line": String(repeating: "'\"\\", count: 300_000),
        "open quotes": String(repeating: "a='\n", count: 200_000),
        "long values": String(repeating: "KLDLOAD_DISK=" + String(repeating: "/", count: 65_000) + "\n", count: 16),
        "JSON braces": String(repeating: "{\n", count: 400_000),
        "JSON keys": "{\"ssh_pubkey\":[" + String(repeating: "\"\(ed25519)\",\n", count: 8_000) + "\"\"]}",
        "JSON list": "{\"extra_packages\":[" + String(repeating: "\"a\",\n", count: 150_000) + "\"b\"]}",
    ]

    @Test(.timeLimit(.minutes(10)), arguments: floods.keys.sorted())
    func aMebibyteOfAnythingEndsSoon(name: String) throws {
        #expect(!problems(try #require(Self.floods[name])).isEmpty)
    }

    @Test(arguments: ["plain", "two words", "it's", "$5 `a` \"b\" \\ it's", "tab\tbed", "#", " leading", "é𝄞", "'", "\\'"])
    func everyValueSurvivesBeingWritten(value: String) throws {
        let given = try answers(overrides: ["KLDLOAD_WIFI_SSID=\(value)"])
        let again = try Answers(given.environmentText)
        #expect(again == given)
        #expect(again.wifi?.ssid == value)
    }
}
