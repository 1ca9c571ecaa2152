import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBoot

@Suite("Signed boot images")
struct SignedImageTests {
    @Test("a signature is found, and taken off again")
    func round() throws {
        let program = EFIProgram.bytes([(".text", [1, 2, 3]), (".cmdline", Array("root=ZFS=a".utf8))], slack: 8)
        #expect(try PortableExecutable(program).signatures.isEmpty)
        #expect(try PortableExecutable(program).unsigned(program) == program)
        let whole = EFIProgram.signed(program, [7, 7, 7, 7])
        let headers = try PortableExecutable(whole)
        #expect(headers.signatures == UInt64(program.count)..<UInt64(program.count + 4))
        #expect(headers.unsigned(whole) == program)
        let line = KernelCommandLine(running: "root=ZFS=b")
        #expect(try UnifiedKernelImage.rewritten(whole, commandLine: line).suffix(4) != [7, 7, 7, 7])
    }

    @Test("an image of the right content and another signer is built again from what is there")
    func match() async throws {
        try await Scratch.with { folder in
            let files = LocalFiles()
            let key = MachineOwnerKey(root: folder)
            try await PlanRunner(runner: SubprocessRunner(), files: files).apply(
                Plan("t", [Phase("t", "T", [Step("t", "T", [.makeDirectory(key.home)] + key.creating(name: "x", scratch: folder))])]))
            let signer = try key.identity(files)
            let line = "root=ZFS=rpool/ROOT/a"
            let stub = EFIProgram.bytes([(".text", [1, 2, 3])])
            let program = EFIProgram.bytes(
                [(".text", [1, 2, 3]), (".cmdline", Array(line.utf8)), (".linux", [4, 5]), (".initrd", [6, 0, 0, 0])], slack: 8)
            for (name, bytes) in [
                ("stub", stub), ("linux", [4, 5]), ("initrd", [6]), ("none", program),
                ("mine", EFIProgram.signed(program, signer.issuer + signer.serial)),
                ("other", EFIProgram.signed(program, signer.issuer + [2, 1, 1])),
            ] { try files.write(bytes, to: folder.appending(name), mode: .file) }
            let image = UnifiedKernelImage(
                linux: folder.appending("linux"), initrds: [folder.appending("initrd")], commandLine: KernelCommandLine(running: line),
                release: "1", osRelease: "/o", stub: folder.appending("stub"), output: "/x")
            func compare(_ name: String, _ signer: CertificateIdentity?) -> UnifiedKernelImage.Match {
                image.compare(folder.appending(name), supplement: [], signers: signer.map { [$0] }, files)
            }
            #expect(compare("none", nil) == .exact)
            #expect(compare("mine", nil) == .exact)
            #expect(compare("mine", signer) == .exact)
            #expect(compare("none", signer) == .otherCommandLine)
            #expect(compare("other", signer) == .otherCommandLine)
            // Of several keys one is enough; where nobody is known, nobody's signature counts.
            func among(_ signers: [CertificateIdentity], _ name: String) -> UnifiedKernelImage.Match {
                image.compare(folder.appending(name), supplement: [], signers: signers, files)
            }
            var older = signer
            older.serial = [2, 1, 1]
            #expect(among([signer, older], "other") == .exact && among([], "mine") == .otherCommandLine)
        }
    }
}
