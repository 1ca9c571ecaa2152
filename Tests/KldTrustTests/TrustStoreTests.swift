import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldTrust

@Suite("What a machine trusts")
struct TrustStoreTests {
    static let authority = CertificateAuthority(home: "/ca")
    static let printed = """
        subject=CN=kldload-ca test
        serial=0123456789ABCDEF0123456789ABCDEF
        sha256 Fingerprint=AA:BB
        notBefore=2026-11-29 07:03:14Z
        notAfter=2036-11-26 07:03:14Z

        """

    /// Answers for openssl, and accepts updates.
    ///
    /// - Parameters:
    ///   - trusted: once an update ran.
    ///   - updates: may fail.
    private static func machine(_ files: MemoryFiles, trusted: Bool = true, updates: Fuse = Fuse(at: nil)) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                switch (command.tool.name, command.arguments.first) {
                case ("openssl", "x509"): return CommandOutput(output: printed)
                case ("openssl", "verify"):
                    let isThere = files.texts.keys.contains { $0.contains("kldload-ca-0123456789abcdef") }
                    return trusted && isThere
                        ? CommandOutput()
                        : CommandOutput(status: 2, errors: "error 18 at 0 depth lookup: self-signed certificate\n")
                case ("update-ca-certificates", nil), ("update-ca-trust", nil):
                    try updates.tick()
                    return CommandOutput()
                default: return nil
                }
            }
        ])
    }

    private static func files(_ mark: FilePath, folder: Bool) throws -> MemoryFiles {
        let files = MemoryFiles()
        try files.symlink("/ca/root", to: "roots/1")
        try files.write("PEM\n", to: "/ca/root/ca.crt")
        if folder { try files.makeDirectory(mark, mode: .directory) } else { try files.write("", to: mark, mode: .script) }
        return files
    }

    @Test(
        "the root goes where this distribution looks, its program is run, and what came of it is looked at",
        arguments: [
            ("/usr/sbin/update-ca-certificates", false, "/usr/local/share/ca-certificates", "update-ca-certificates"),
            ("/etc/pki/ca-trust/source/anchors", true, "/etc/pki/ca-trust/source/anchors", "update-ca-trust"),
            ("/etc/ca-certificates/trust-source/anchors", true, "/etc/ca-certificates/trust-source/anchors", "update-ca-trust"),
        ])
    func stores(mark: String, isFolder: Bool, folder: String, program: String) async throws {
        let files = try Self.files(FilePath(mark), folder: isFolder)
        // Of an earlier root; and somebody else's.
        try files.write("old", to: FilePath("\(folder)/kldload-ca-ffff.crt"))
        try files.write("other", to: FilePath("\(folder)/company.crt"))
        let runner = Self.machine(files)
        func trust() async throws -> Plan {
            let plan = try await Self.authority.trusting(runner: runner, files: files)
            try await PlanRunner(runner: runner, files: files, performers: AuthorityPerformers.table).apply(plan)
            return plan
        }
        // Once for the new one, and once it is trusted without the old one.
        #expect(try await trust().commandLines == [program, program])
        #expect(try files.list(FilePath(folder)) == ["company.crt", "kldload-ca-0123456789abcdef.crt"])
        #expect(files.texts["\(folder)/kldload-ca-0123456789abcdef.crt"] == "PEM\n")
        #expect(try await trust().steps.isEmpty, "the second time there is nothing to do")
    }

    @Test("a machine that does not trust it afterwards is an error, and the file goes again")
    func refused() async throws {
        let files = try Self.files("/usr/sbin/update-ca-certificates", folder: false)
        let runner = Self.machine(files, trusted: false)
        let plan = try await Self.authority.trusting(runner: runner, files: files)
        let problem = await #expect(throws: Diagnosis.self) {
            try await PlanRunner(runner: runner, files: files, performers: AuthorityPerformers.table).apply(plan)
        }
        #expect(problem?.code == "ca.not-trusted" && problem?.causes.contains("self-signed certificate") == true)
        #expect(files.texts.keys.filter { $0.contains("ca-certificates/kldload") } == [])
        #expect(runner.commands.filter { $0.tool.name == "update-ca-certificates" }.count == 2)
    }

    static let folder = "/usr/local/share/ca-certificates"

    /// Applies it to a machine that trusts an earlier root. - Returns: what it trusts then, and how often that was made known.
    private func replacing(trusted: Bool, updates: Fuse) async throws -> (anchors: [String: String], updates: Int) {
        let files = try Self.files("/usr/sbin/update-ca-certificates", folder: false)
        try files.write("old", to: FilePath("\(Self.folder)/kldload-ca-ffff.crt"))
        let runner = Self.machine(files, trusted: trusted, updates: updates)
        let plan = try await Self.authority.trusting(runner: runner, files: files)
        await #expect(throws: Diagnosis.self) {
            try await PlanRunner(runner: runner, files: files, performers: AuthorityPerformers.table).apply(plan)
        }
        return (
            files.texts.filter { $0.key.hasPrefix(Self.folder) }, runner.commands.count { $0.tool.name == "update-ca-certificates" }
        )
    }

    @Test("where the new root is not trusted, or making it known fails, the machine trusts the old one as before")
    func kept() async throws {
        let old = ["\(Self.folder)/kldload-ca-ffff.crt": "old"]
        let refused = try await replacing(trusted: false, updates: Fuse(at: nil))
        #expect(refused.anchors == old && refused.updates == 2)
        let failed = try await replacing(trusted: true, updates: Fuse(at: 0))
        #expect(failed.anchors == old && failed.updates == 2)
        // The last of the work: both roots change places again.
        let late = try await replacing(trusted: true, updates: Fuse(at: 1))
        #expect(late.anchors == old && late.updates == 4)
    }

    @Test("a system without such a place is an error that says what to install")
    func none() async throws {
        let files = try Self.files("/etc/other", folder: true)
        let problem = await #expect(throws: Diagnosis.self) {
            _ = try await Self.authority.trusting(runner: Self.machine(files), files: files)
        }
        #expect(problem?.code == "ca.no-trust-store" && problem?.exit == .unavailable)
    }
}
