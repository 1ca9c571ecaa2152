import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("A network boot that fails")
struct NetworkRetryTests {
    @Test("who leaves the shell ends what runs at the other consoles; who lets the time pass ends nothing")
    func retry() async throws {
        let start = try #require(NetworkInitramfs.start.firstRange(of: "offer() {"))
        let rest = NetworkInitramfs.start[start.lowerBound...]
        let end = try #require(rest.firstRange(of: "\n}\n"))
        // Under another name, so that nothing here can end a real process.
        let offer = String(rest[..<end.upperBound]).replacing("kill ", with: "ended ")
        try await Scratch.with { folder in
            let files = LocalFiles()
            let (asked, silent, script) = (folder.appending("asked"), folder.appending("silent"), folder.appending("script"))
            try files.write(
                """
                log=/log reason=why
                consoles() { echo \(asked); echo \(silent); }
                say() { :; }
                read() { [ "$console" = \(asked) ]; }
                setsid() { echo shell; }
                ended() { echo "ended $*"; }
                \(offer)
                offer

                """, to: script)
            for console in [asked, silent] { try files.write("", to: console) }
            try await SubprocessRunner().run(Command(Tool("sh", package: "dash"), [script.string], effect: .reads))
            #expect(try files.readText(asked).hasSuffix("\nshell\nended -9 -1\n"))
            let said = try files.readText(silent)
            #expect(said.contains("once more in 30 seconds") && !said.contains("ended") && !said.contains("shell\n"))
        }
    }
}
