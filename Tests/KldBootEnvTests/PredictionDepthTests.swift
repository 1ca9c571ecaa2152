import KldBoot
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("What the next boot will do: what was told to the loader, and what lies in its image")
struct PredictionDepthTests {
    private static let next = BootPredictionTests.next
    private static let test = Fixture.entry("test", order: 50)

    @Test("what somebody chose for the next boot alone is what is predicted, and the one after is named")
    func once() throws {
        let chosen = try BootPredictionTests.predict([Self.next, Self.test]) { system, facts in
            system.told = LoaderChoice(once: Self.test.fileName.lowercased())
            facts.target = try Fixture.target("test", matching: ["/dev/vda1": [Self.test.id], "/dev/vdb1": [Self.test.id]])
        }
        #expect(chosen.environment == "test" && chosen.entry == Self.test.id && chosen.starts)
        #expect(chosen.findings.contains { $0.name == "once" && $0.text.contains("the one after is debian") })
        #expect(chosen.findings.allSatisfy { $0.status == .ok }, "\(chosen)")
        // Its root is gone.
        let gone = try BootPredictionTests.predict([Self.next, Self.test]) { system, facts in
            system.told = LoaderChoice(once: Self.test.fileName.lowercased())
            facts.target = nil
        }
        #expect(!gone.starts && gone.environment == "test")
        let unknown = try BootPredictionTests.predict { system, _ in system.told = LoaderChoice(once: "windows.conf") }
        #expect(unknown.environment == "debian" && unknown.findings.contains { $0.status == .warn && $0.text.contains("windows.conf") })
    }

    @Test("what is activated takes the place of what was chosen for one boot; the recovery image comes before it all the same")
    func activated() throws {
        var system = try Fixture.system([Fixture.esp([Self.next, Self.test])])
        func last(_ told: LoaderChoice) throws -> String? {
            system.told = told
            let target = try Fixture.target("debian", matching: ["/dev/vda1": [Self.next.id]])
            return try BootEnvironments(system).activate(target).commandLines.last
        }
        let path = "/sys/firmware/efi/efivars/LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        #expect(try last(LoaderChoice(once: Self.test.fileName.lowercased())) == "chattr -i \(path)")
        #expect(try last(LoaderChoice(once: "windows.conf")) == "chattr -i \(path)")
        #expect(try last(LoaderChoice(once: "\(RecoveryImage.entryID).conf"))?.contains("OneShot") != true)
    }

    @Test("an image that is cut off or changed does not start, whether or not the firmware looks; another disk's still does")
    func damaged() throws {
        let one = try BootPredictionTests.predict { $1.damaged = ["/dev/vda1"] }
        #expect(one.starts && one.findings.contains { $0.status == .warn && $0.text.contains("/dev/vda1") })
        #expect(try !BootPredictionTests.predict { $1.damaged = ["/dev/vda1", "/dev/vdb1"] }.starts)
    }

    @Test("an environment without its first program would panic, and one with another program is doubted")
    func initialization() throws {
        func found(_ files: MemoryFiles) -> BootPrediction.Initialization { .init(in: "/run/root", files) }
        let files = MemoryFiles(["/run/root/usr/lib/systemd/systemd": "", "/run/root/bin/false": ""])
        #expect(found(files) == .missing)
        for (target, expected) in [
            ("/usr/lib/systemd/systemd", BootPrediction.Initialization.known), ("../usr/lib/systemd/systemd", .known),
            ("/bin/false", .other("/bin/false")), ("/usr/lib/nothing", .missing),
        ] {
            if try files.exists("/run/root/sbin/init") || (try? files.readLink("/run/root/sbin/init")) != nil {
                try files.remove("/run/root/sbin/init")
            }
            try files.symlink("/run/root/sbin/init", to: target)
            #expect(found(files) == expected, "\(target)")
        }
        #expect(try !BootPredictionTests.predict { $1.initialization = .missing }.starts)
        let doubted = try BootPredictionTests.predict { $1.initialization = .other("/bin/false") }
        #expect(doubted.starts && doubted.findings.contains { $0.status == .warn && $0.text.contains("/bin/false") })
    }

    @Test("an ESP without room for the next kernel is told before there is one")
    func room() throws {
        let full = try BootPredictionTests.predict { system, _ in system.esps[1].free = .mebibytes(70) }
        #expect(full.starts && full.findings.filter { $0.status == .warn }.map(\.name) == ["room"])
        #expect(full.findings.contains { $0.text.contains("/dev/vdb1 has 70") })
    }

    /// What sbverify says, sbsigntool 0.9.4: of a program that was changed; of one whose signature does not bring its signer.
    private static let changed = CommandOutput(
        status: 1,
        errors: "Hash doesn't match image\n got:       80a6\n expecting: 779d\nImage fails hash check\nSignature verification failed\n")
    private static let unknown = CommandOutput(status: 1, errors: "Signature verification failed\n")

    @Test("a program is broken where it is cut off or not what was signed; who signed it does not matter")
    func condition() async throws {
        let plain = EFIProgram.bytes([(".text", [1, 2, 3])])
        let signed = EFIProgram.signed(plain, [UInt8](repeating: 7, count: 16))
        let files = MemoryFiles()
        for (name, bytes) in [("plain", plain), ("signed", signed), ("cut", Array(signed.dropLast())), ("text", Array("none".utf8))] {
            try files.write(bytes, to: FilePath("/esp/\(name)"), mode: .file)
        }
        func condition(_ name: String, _ said: CommandOutput?) async throws -> SecureBoot.Signature {
            let runner = ScriptedRunner([{ command in command.description == "sbverify /esp/\(name)" ? said : nil }])
            return try await BootSystem.condition(of: FilePath("/esp/\(name)"), runner, files)
        }
        #expect(try await condition("plain", nil) == .missing)
        #expect(try await condition("signed", CommandOutput(output: "Signature verification OK\n")) == .good)
        #expect(try await condition("signed", Self.unknown) == .good)
        #expect(try await condition("signed", Self.changed) == .broken)
        // sbverify is not asked: it crashes over what is cut off.
        #expect(try await condition("cut", nil) == .broken)
        #expect(try await condition("text", nil) == .broken)
        #expect(try await condition("none", nil) == .broken)
        let without = ScriptedRunner([{ command in throw CommandError.toolMissing(command.tool) }])
        #expect(try await BootSystem.condition(of: "/esp/signed", without, files) == .good)
    }

    @Test("behind GRUB a kernel that is not what its vendor signed is called broken; where nobody looks, none is asked")
    func kernels() async throws {
        let image = "\(BootEntry.imageFolder)/vmlinuz-\(Fixture.release)"
        let files = MemoryFiles()
        try files.write(
            EFIProgram.signed(EFIProgram.bytes([(".text", [1])]), [UInt8](repeating: 7, count: 16)), to: FilePath("/boot/efi/\(image)"),
            mode: .file)
        var esp = Fixture.esp([])
        esp.images = [image: .mebibytes(10)]
        var system = try Fixture.system([esp])
        let runner = ScriptedRunner([{ command in command.description == "sbverify /boot/efi/\(image)" ? Self.changed : nil }])
        system.secureBoot = true
        #expect(try await system.signatures(by: [], runner: runner, files: files).map(\.signature) == [.broken])
        system.secureBoot = false
        #expect(try await system.signatures(by: [], runner: runner, files: files).map(\.signature) == [.good])
    }

    @Test("with Secure Boot on a machine starts where one way of one ESP has nothing that is refused")
    func programs() {
        func machine(_ bad: [String: SecureBoot.Signature]) -> SecureBoot {
            var machine = SecureBootTests.machine(.enforcing)
            machine.programs = ESPLayout.programs.map { path in
                SecureBoot.Program(name: "/dev/vda1: \(path)", issuers: ["Debian Secure Boot CA"], signature: bad[path] ?? .good)
            }
            return machine
        }
        #expect(machine([:]).verdict.text.contains("everything is signed") && machine([:]).warnings.isEmpty)
        let half = machine(["EFI/kldload/grubx64.efi": .broken])
        #expect(half.verdict.starts && !half.verdict.text.contains("everything") && half.warnings.count == 1)
        #expect(half.warnings.first?.contains("EFI/kldload/grubx64.efi") == true)
        let none = machine(["EFI/kldload/grubx64.efi": .broken, "EFI/BOOT/BOOTX64.EFI": .missing])
        #expect(!none.verdict.starts && none.verdict.text.contains("EFI/BOOT/BOOTX64.EFI"))
    }

    @Test("an environment that has lost its list of services does not prove itself")
    func noList() async throws {
        let runner = ScriptedRunner([{ command in CommandOutput(output: "rpool\t1\t100\t10\t90\tONLINE\toff\t-\t-\n") }])
        for (files, told) in [(MemoryFiles([:]), "install-manifest.json"), (MemoryFiles([InstallManifest.path: "{"]), "which services")] {
            let problems = try await BootCheck.run(runner: runner, files: files, limit: .zero)
            #expect(problems.count == 1 && problems.first?.contains(told) == true, "\(problems)")
        }
    }
}
