import KldAnswers
import KldCore
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@Suite("Secrets in files are checked with the rest")
struct SecretFileTests {
    /// What is wrong with three lines that are enough and others after them, beside files of secrets.
    static func found(_ lines: String..., secrets: [String: String] = [:], overrides: [String] = []) -> [AnswersProblem] {
        let text = threeLines + lines.joined(separator: "\n")
        let files = MemoryFiles(secrets.merging(["/a.env": text]) { $1 })
        do {
            _ = try Answers.load("/a.env", files: files, overrides: overrides)
            return []
        } catch {
            return error.problems
        }
    }

    @Test("a misspelt key, a secret that is too short and a file that is not there, each with its line")
    func together() {
        let found = Self.found(
            "KLDLOAD_TIMEZNOE=UTC", "KLDLOAD_PASSWORD_FILE=/run/secrets/admin", "KLDLOAD_ZFS_ENCRYPT=1",
            "KLDLOAD_ZFS_PASSPHRASE_FILE=/run/secrets/pool", secrets: ["/run/secrets/pool": "1234567\n"])
        #expect(
            found.map(\.description) == [
                "line 4: KLDLOAD_TIMEZNOE: there is no such key (answers.unknown-key)",
                "line 5: KLDLOAD_PASSWORD_FILE: /run/secrets/admin does not exist (answers.secret-file)",
                "line 7: KLDLOAD_ZFS_PASSPHRASE_FILE: the passphrase does not have 8 to 512 bytes (answers.passphrase)",
            ])
        #expect(!found.contains { $0.description.contains("1234567") || $0.remedy.contains("1234567") })
    }

    @Test("all in the order of the lines, rules across keys among them; what stands on a command line comes last")
    func order() {
        let found = Self.found(
            "KLDLOAD_ZFS_PASSPHRASE_FILE=/none", "KLDLOAD_NET_IP=10.0.1.50", "KLDLOAD_WIFI_PSK_FILE=/short", "KLDLOAD_LOCALE=x",
            secrets: ["/short": "1234567"], overrides: ["KLDLOAD_ROOT_PASSWORD_FILE=/nowhere"])
        #expect(found.map(\.line) == [4, 4, 5, 6, 6, 7, nil])
        #expect(found.map(\.code) == [.secretFile, .passphraseUnused, .networkConflict, .wifiPassword, .wifi, .locale, .secretFile])
        #expect(found.last?.key == "KLDLOAD_ROOT_PASSWORD_FILE")
    }

    @Test("a passphrase whose file cannot be used is not also missing")
    func notMissing() {
        let cases: [(text: String?, code: AnswersProblem.Code)] = [
            (nil, .secretFile), ("", .secretFile), ("\nsecond line", .secretFile), ("short", .passphrase),
        ]
        for (text, code) in cases {
            let secrets = text.map { ["/pool": $0] } ?? [:]
            let found = Self.found("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE_FILE=/pool", secrets: secrets)
            #expect(found.map(\.code) == [code])
            #expect(found.map(\.line) == [5])
        }
        #expect(Self.found("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE_FILE=pool").map(\.code) == [.path])
        #expect(Self.found("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE_FILE=").map(\.code) == [.passphraseMissing])
    }

    @Test("a secret that is written and lies in a file is given twice, whatever the file holds")
    func twice() {
        let (written, named) = ("KLDLOAD_PASSWORD=x", "KLDLOAD_PASSWORD_FILE=/admin")
        #expect(Self.found(written, named, secrets: ["/admin": "y"]).map(\.code) == [.passwordConflict])
        #expect(Self.found(written, named).map(\.code) == [.secretFile, .passwordConflict])
    }

    @Test("a line may have 4096 bytes, whatever follows it; one that is longer, or never ends, is refused", .timeLimit(.minutes(10)))
    func length() throws {
        func codes(_ secret: String) -> [AnswersProblem.Code] {
            Self.found("KLDLOAD_EXPORT_SCP_HOST=x", "KLDLOAD_EXPORT_FORMAT=raw", "KLDLOAD_EXPORT_SCP_PASS_FILE=/s", secrets: ["/s": secret])
                .map(\.code)
        }
        #expect(codes(String(repeating: "x", count: 256) + "\r\n" + String(repeating: "y", count: 10_000)) == [])
        // Long enough to be read, and too long for its key.
        #expect(codes(String(repeating: "x", count: 4096) + "\r\n") == [.text])
        #expect(codes(String(repeating: "x", count: 4097)) == [.secretFile])
        let endless = try #require(throws: AnswersError.self) {
            try Answers.load("/dev/null", files: LocalFiles(), overrides: Self.three + ["KLDLOAD_PASSWORD_FILE=/dev/zero"])
        }
        #expect(endless.problems.map(\.code) == [.secretFile])
        let answers = try #require(throws: AnswersError.self) { try Answers.load("/dev/zero", files: LocalFiles()) }
        #expect(answers.problems.map(\.code) == [.tooLarge])
    }

    /// What `--answers <(…)` and `KLDLOAD_PASSWORD_FILE=/dev/fd/3` lead to.
    @Test("answers and secrets may come out of a pipe")
    func pipes() throws {
        func path(_ text: String) throws -> (path: FilePath, end: FileDescriptor) {
            let (input, output) = try FileDescriptor.pipe()
            try output.closeAfter { _ = try output.writeAll(text.utf8) }
            return (FilePath("/proc/self/fd/\(input.rawValue)"), input)
        }
        let (file, secret) = (try path(threeLines), try path("swordfish\n"))
        defer { for end in [file.end, secret.end] { try? end.close() } }
        let loaded = try Answers.load(file.path, files: LocalFiles(), overrides: ["KLDLOAD_PASSWORD_FILE=\(secret.path)"])
        #expect(loaded.credentials == .password(Secret("swordfish")))
        #expect(loaded.hostname.value == "web-prod-01")
    }

    static let three = ["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=/dev/sda", "KLDLOAD_HOSTNAME=web-prod-01"]

    @Test("a secret from a file counts as one that is written")
    func value() throws {
        let text = threeLines + "KLDLOAD_PASSWORD_FILE=/admin\nKLDLOAD_ROOT_PASSWORD_FILE=/root\n"
        let files = MemoryFiles(["/a.env": text, "/admin": "admin\n", "/root": "it's root\n"])
        let loaded = try Answers.load("/a.env", files: files)
        #expect(loaded.credentials == .defaultExpired)
        #expect(try loaded == answers("KLDLOAD_PASSWORD=admin", "KLDLOAD_ROOT_PASSWORD=\"it's root\""))
    }
}
