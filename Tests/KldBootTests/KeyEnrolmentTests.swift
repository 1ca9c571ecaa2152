import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBoot

@Suite("A certificate is enrolled")
struct KeyEnrolmentTests {
    private func request(_ files: MemoryFiles, password: Secret? = nil, _ import: CommandOutput = CommandOutput()) async throws -> [Command]
    {
        let runner = ScriptedRunner([
            { command in
                switch command.tool.name {
                case "openssl": CommandOutput(output: "$6$salt$hash\n")
                case "mokutil": `import`
                default: nil
                }
            }
        ])
        try await PlanRunner(runner: runner, files: files, performers: KeyEnrolment.performers)
            .apply(
                Plan("t", [Phase("t", "T", [Step("t", "T", KeyEnrolment.requesting("/var/lib/dkms/mok.pub", password: password))])]))
        return runner.commands
    }

    @Test("a password is made, no command line shows it, and only consoles and root see it")
    func made() async throws {
        let files = MemoryFiles()
        let commands = try await request(files)
        #expect(
            commands.map(\.description) == [
                "openssl passwd -6 -stdin < <redacted>",
                "mokutil --import /var/lib/dkms/mok.pub --hash-file /run/kldload/mok-password.hash",
            ])
        let password = (files.texts["/run/kldload/mok-password"] ?? "").trimmed
        #expect(password.count == 10 && password.allSatisfy { "bcdefghijklnoprstuvx".contains($0) })
        #expect(commands[0].input == .secret(Secret(password + "\n")))
        #expect(files.texts["/run/issue.d/50-kldload-mok.issue"]?.contains("type the password: \(password)") == true)
        for path in ["/run/kldload/mok-password", "/run/issue.d/50-kldload-mok.issue"] {
            #expect(files.mode(of: path) == .secret, "\(path)")
        }
        #expect(files.texts["/run/kldload/mok-password.hash"] == nil)
        // The next request has another one.
        _ = try await request(files)
        #expect((files.texts["/run/kldload/mok-password"] ?? "").trimmed != password)
    }

    @Test("whether a request waits for the next start is what the firmware holds")
    func waiting() {
        let variable = "/sys/firmware/efi/efivars/MokNew-605dab50-e046-4300-abb6-3dd810dd8b23"
        #expect(!KeyEnrolment.isWaiting(MemoryFiles()))
        #expect(!KeyEnrolment.isWaiting(MemoryFiles([variable: "\u{7}\0\0\0"])))
        #expect(KeyEnrolment.isWaiting(MemoryFiles([variable: "\u{7}\0\0\0key"])))
    }

    @Test("one that was given is used, and not shown")
    func given() async throws {
        let files = MemoryFiles()
        let commands = try await request(files, password: Secret("sesame"))
        #expect(commands[0].input == .secret(Secret("sesame\n")))
        #expect(files.texts["/run/issue.d/50-kldload-mok.issue"] == nil)
        // As it was given: a person types its spaces too.
        #expect(try await request(MemoryFiles(), password: Secret(" open sesame "))[0].input == .secret(Secret(" open sesame \n")))
    }

    @Test("firmware that takes no request is told with the way that needs none")
    func refused() async throws {
        let files = MemoryFiles()
        let problem = await #expect(throws: Diagnosis.self) {
            _ = try await request(files, CommandOutput(status: 255, errors: "EFI variables are not supported on this system\n"))
        }
        #expect(problem?.code == "trust.request")
        #expect(problem?.remedies.first?.contains("EFI/kldload/mok.der") == true)
        #expect(files.texts["/run/kldload/mok-password.hash"] == nil)
    }

    @Test("shim's lists say where a certificate stands")
    func state() throws {
        let certificate: [UInt8] = [1, 2, 3, 4]
        func ask(_ lists: [String: [UInt8]]) throws -> KeyEnrolment.State {
            let files = MemoryFiles()
            for (name, list) in lists {
                let path = FilePath("/sys/firmware/efi/efivars/\(name)-605dab50-e046-4300-abb6-3dd810dd8b23")
                try files.write([7, 0, 0, 0] + list, to: path, mode: .file)
            }
            return KeyEnrolment.state(of: certificate, files)
        }
        #expect(try ask([:]) == .absent)
        #expect(try ask(["MokListRT": [9, 1, 2, 3, 4, 9]]) == .enrolled)
        #expect(try ask(["MokListRT": [9], "MokListRT1": [1, 2, 3, 4]]) == .enrolled)
        #expect(try ask(["MokListRT": [1, 2, 3], "MokNew": [1, 2, 3, 4]]) == .requested)
    }
}
