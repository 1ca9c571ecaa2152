import FoundationEssentials
import Glibc
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldTrust

/// With the real openssl: what a verifier says of a certificate is all that counts.
@Suite("A machine's certificate authority")
struct AuthorityTests {
    let files = LocalFiles()
    let runner = SubprocessRunner()
    static let now = Timestamp(seconds: Int64(time(nil)))

    private func apply(
        _ plan: Plan, approvals: [WipeApproval] = [], _ fuse: Fuse = Fuse(at: nil), runner: any CommandRunner = SubprocessRunner()
    ) async throws {
        try await PlanRunner(runner: FaultyRunner(runner, fuse), files: FaultyFiles(files, fuse), performers: AuthorityPerformers.table)
            .apply(plan, approvals: approvals)
    }

    private func with(_ body: (CertificateAuthority) async throws -> Void) async throws {
        try await Scratch.with { try await body(CertificateAuthority(home: $0.appending("ca"), lockFile: $0.appending("ca.lock"))) }
    }

    private func initialise(
        _ authority: CertificateAuthority, name: String = "kldload-ca test", days: Int = CertificateAuthority.rootDays,
        _ fuse: Fuse = Fuse(at: nil), runner: any CommandRunner = SubprocessRunner()
    ) async throws {
        let old = try await authority.rootIfAny(runner: runner, files: files)
        let plan = authority.initialising(
            name, replacing: old, try authority.rootVersions(files), serial: .random(), now: Self.now, days: days)
        try await apply(plan, approvals: plan.destroys.compactMap { WipeApproval(typed: $0, disk: $0) }, fuse, runner: runner)
    }

    private static func request(_ leaf: String = "web", days: Int = 90, _ usages: [ExtendedKeyUsage] = ExtendedKeyUsage.allCases) throws
        -> LeafRequest
    {
        try LeafRequest(
            leaf: leaf, dns: ["web.example.org", "*.apps.example.org"], addresses: ["10.0.1.5", "fd00::5"], usages: usages, days: days)
    }

    private func issue(
        _ authority: CertificateAuthority, _ request: LeafRequest, now: Timestamp = now, _ fuse: Fuse = Fuse(at: nil),
        runner: any CommandRunner = SubprocessRunner()
    ) async throws {
        let root = try await authority.root(runner: runner, files: files)
        try await apply(
            authority.issuing(request, by: root, authority.leafVersions(request.leaf, files), serial: .random(), now: now), fuse,
            runner: runner)
    }

    private func openssl(_ words: String..., accepting: Set<Int32> = [0]) async throws -> CommandOutput {
        try await runner.run(Command("openssl", words, effect: .reads, accepting: accepting))
    }

    /// Of the pair that a service would load.
    private func publicKeys(_ authority: CertificateAuthority, _ leaf: String = "web") async throws -> Set<String> {
        [
            try await openssl("x509", "-in", authority.certificate(leaf).string, "-noout", "-pubkey").output,
            try await openssl("pkey", "-in", authority.key(leaf).string, "-pubout").output,
        ]
    }

    private func everything(_ folder: FilePath) throws -> [FilePath] {
        try files.list(folder).flatMap { name -> [FilePath] in
            let path = folder.appending(name)
            return try [path] + (files.status(path)?.kind == .directory ? everything(path) : [])
        }
    }

    @Test("the root is an authority of its own, signs no code, and lives ten years")
    func root() async throws {
        try await with { authority in
            try await initialise(authority)
            let root = try await authority.root(runner: runner, files: files)
            #expect(root.name == "kldload-ca test" && root.usages == ["serverAuth", "clientAuth"])
            #expect(root.notAfter.seconds - root.notBefore.seconds == 3650 * 86_400)
            let text = try await openssl("x509", "-in", authority.rootCertificate.string, "-noout", "-text").output
            for part in ["CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "NIST CURVE: P-384", "ecdsa-with-SHA384"] {
                #expect(text.contains(part), "\(part)\n\(text)")
            }
            #expect(!text.contains("Code Signing"))
            let folder = authority.home.appending("root")
            #expect(try Set(files.list(folder)) == ["ca.key", "ca.crt", "ca.der", "fingerprint", "private"])
            #expect(try files.readText(folder.appending("fingerprint")).trimmed.hasSuffix(root.fingerprint))
            let der = try await openssl(
                "x509", "-inform", "DER", "-in", folder.appending("ca.der").string, "-noout", "-fingerprint", "-sha256")
            #expect(der.output.trimmed.hasSuffix(root.fingerprint))
        }
    }

    @Test("a leaf verifies for its names, its addresses and its uses, and for no others")
    func leaf() async throws {
        try await with { authority in
            try await initialise(authority)
            try await issue(authority, Self.request())
            try await issue(authority, Self.request("agent", [.clientAuth]))
            let (root, leaf) = (authority.rootCertificate.string, authority.certificate("web").string)
            func verify(_ words: String..., of leaf: String = leaf) async throws -> Bool { try await verify(words, of: leaf) }
            func verify(_ words: [String], of leaf: String = leaf) async throws -> Bool {
                let command = Command("openssl", ["verify", "-CAfile", root] + words + [leaf], effect: .reads, accepting: [0, 2])
                return try await runner.run(command).status == 0
            }
            #expect(try await verify("-x509_strict", "-purpose", "sslserver", "-verify_hostname", "web.example.org"))
            #expect(try await verify("-purpose", "sslclient", "-verify_hostname", "a.apps.example.org"))
            for address in ["10.0.1.5", "fd00::5"] { #expect(try await verify("-verify_ip", address)) }
            for words in [["-verify_hostname", "a.b.apps.example.org"], ["-verify_ip", "10.0.1.6"], ["-purpose", "smimesign"]] {
                #expect(try await !verify(words), "\(words)")
            }
            let agent = authority.certificate("agent").string
            #expect(try await verify("-purpose", "sslclient", of: agent))
            #expect(try await !verify("-purpose", "sslserver", of: agent))
            let text = try await openssl("x509", "-in", leaf, "-noout", "-text").output
            for part in ["CA:FALSE", "NIST CURVE: P-256", "Digital Signature\n", "IP Address:FD00:0:0:0:0:0:0:5"] {
                #expect(text.contains(part), "\(part)\n\(text)")
            }
            // An address is its octets: 4 and 16 of them.
            let dump = try await runner.run(
                pipeline: [
                    Command("openssl", ["x509", "-in", leaf, "-outform", "DER"], effect: .reads),
                    Command("od", ["-An", "-v", "-tx1", "-w4096"], effect: .reads),
                ]
            ).output.replacing(" ", with: "")
            #expect(dump.contains("87040a000105") && dump.contains("8710fd" + String(repeating: "0", count: 28) + "05"))
            #expect(try await publicKeys(authority).count == 1)
            let found = try await Certificate.read(authority.certificate("web"), runner: runner)
            #expect(try found.names == Self.request().names.map(\.description) && found.serial.count == 32)
            #expect(found.notAfter.seconds - found.notBefore.seconds == 90 * 86_400)
        }
    }

    @Test("keys are their owner's alone, certificates everybody's, with any umask")
    func modes() async throws {
        try await with { authority in
            try await initialise(authority, runner: Masked(umask: "000"))
            try await issue(authority, Self.request(), runner: Masked(umask: "077"))
            for path in try everything(authority.home) {
                guard let status = try files.status(path), status.kind != .symlink else { continue }
                let expected: ModeBits =
                    switch (status.kind, path.lastComponent?.string ?? "") {
                    case (.directory, "private"): 0o700
                    case (.directory, _): 0o755
                    case (_, let name) where name.hasSuffix(".key"): 0o600
                    default: 0o644
                    }
                #expect(status.mode == expected, "\(path)")
                if path.string.hasSuffix(".key") { #expect(path.removingLastComponent().lastComponent == "private") }
            }
        }
    }

    @Test("no command line, no plan and no environment holds a key")
    func secrets() async throws {
        try await with { authority in
            try await initialise(authority)
            let root = try await authority.root(runner: runner, files: files)
            let plan = try authority.issuing(
                Self.request(), by: root, authority.leafVersions("web", files), serial: .random(), now: Self.now)
            try await apply(plan)
            let text = plan.text(contents: true) + plan.commands.map { "\($0.input) \($0.environment)" }.joined()
            let secret = try files.readText(authority.key("web")).lines[1]
            #expect(!text.contains(secret) && !text.contains("PRIVATE KEY"))
            #expect(plan.commandLines.allSatisfy { !$0.contains("CN = ") })
        }
    }

    @Test("issued again it has another key and the same names; the pair before stays for who reads it now, the one before that goes")
    func renewal() async throws {
        try await with { authority in
            try await initialise(authority)
            try await issue(authority, Self.request())
            let first = try await publicKeys(authority)
            let before = try files.resolve(authority.certificate("web"))
            let request = try authority.request("web", files)
            #expect(try request == Self.request())
            try await issue(authority, request)
            let second = try await publicKeys(authority)
            #expect(second.count == 1 && second != first)
            #expect(try files.exists(before) && files.folders(in: authority.versions("web")).count == 2)
            try await issue(authority, request)
            #expect(try !files.exists(before) && files.folders(in: authority.versions("web")).count == 2)
            #expect(try authority.leaves(files) == ["web"])
        }
    }

    @Test("killed at any instant, a leaf is the old pair until it is the new one, and the next one is issued")
    func killed() async throws {
        try await with { authority in
            try await initialise(authority)
            try await issue(authority, Self.request())
            let fuse = Fuse(at: nil)
            try await issue(authority, Self.request(), fuse)
            let pair = { try [files.read(authority.key("web")), files.read(authority.certificate("web"))] }
            let old = try pair()
            for position in 0..<fuse.count {
                await #expect(throws: Diagnosis.self) { try await issue(authority, Self.request(), Fuse(at: position, forever: true)) }
                // The last thing that happens is what puts it in force.
                #expect(try pair() == old, "\(position)")
            }
            let before = try await publicKeys(authority)
            try await issue(authority, Self.request())
            #expect(try await publicKeys(authority) != before)
            #expect(try files.folders(in: authority.versions("web")).count == 2)
        }
    }

    @Test("killed at any instant of the first issue, a leaf is not there or whole")
    func killedFirst() async throws {
        try await with { authority in
            try await initialise(authority)
            let fuse = Fuse(at: nil)
            try await issue(authority, Self.request("probe"), fuse)
            for position in 0..<fuse.count {
                try? await issue(authority, Self.request(), Fuse(at: position, forever: true))
                #expect(try authority.leaves(files) == ["probe"])
                #expect(throws: FileError.missing(authority.certificate("web"))) { try files.read(authority.certificate("web")) }
                #expect(throws: FileError.missing(authority.key("web"))) { try files.read(authority.key("web")) }
            }
            try await issue(authority, Self.request())
            #expect(try files.folders(in: authority.versions("web")).count == 1)
        }
    }

    @Test("another root needs an approval that names the old one, keeps it aside, and makes every leaf due")
    func force() async throws {
        try await with { authority in
            try await initialise(authority)
            try await issue(authority, Self.request())
            let old = try await authority.root(runner: runner, files: files)
            let plan = authority.initialising(
                "kldload-ca other", replacing: old, try authority.rootVersions(files), serial: .random(), now: Self.now)
            #expect(plan.destroys == ["kldload-ca test"])
            for approvals in [[], [WipeApproval(typed: "other", disk: "other")].compactMap { $0 }] {
                await #expect(throws: Diagnosis.self) { try await apply(plan, approvals: approvals) }
            }
            #expect(try await authority.root(runner: runner, files: files) == old)
            try await apply(plan, approvals: [WipeApproval(typed: "kldload-ca test", disk: "kldload-ca test")].compactMap { $0 })
            let aside = authority.home.appending("root.archived.\(Self.now.digits)")
            #expect(try await Certificate.read(aside.appending("ca.crt"), runner: runner) == old)
            #expect(try files.status(files.resolve(aside.appending("ca.key")))?.mode == 0o600)
            var report = try await AuthorityReport.gather(authority, now: Self.now, runner: runner, files: files)
            #expect(report.root.certificate?.name == "kldload-ca other" && !report.isSound && !report.trusted)
            #expect(report.leaves.map(\.isDue) == [true] && report.leaves[0].problem != nil)
            try await issue(authority, authority.request("web", files))
            report = try await AuthorityReport.gather(authority, now: Self.now, runner: runner, files: files)
            #expect(report.isSound && report.leaves.map(\.isDue) == [false])
            // What is archived is no rubbish of an unfinished one, even when two are replaced at once.
            try await initialise(authority, name: "kldload-ca third")
            let versions = try authority.rootVersions(files)
            #expect(versions.archived.count == 2 && versions.unused == [])
            #expect(try files.folders(in: authority.roots).count == 3)
        }
    }

    @Test("killed at any instant of another root, the root is the old or the new one")
    func killedForce() async throws {
        try await with { authority in
            try await initialise(authority)
            let fuse = Fuse(at: nil)
            try await initialise(authority, fuse)
            let old = try files.read(authority.rootCertificate)
            for position in 0..<fuse.count {
                await #expect(throws: Diagnosis.self) { try await initialise(authority, Fuse(at: position, forever: true)) }
                #expect(try files.read(authority.rootCertificate) == old, "\(position)")
            }
            try await issue(authority, Self.request())
            let versions = try authority.rootVersions(files)
            try await initialise(authority)
            #expect(try versions.unused.allSatisfy { try !files.exists(authority.roots.appending($0)) })
        }
    }

    @Test("a leaf ends with its root at the latest; a root that ends within a day signs nothing")
    func rootEnds() async throws {
        try await with { authority in
            try await initialise(authority, days: 20)
            try await issue(authority, Self.request())
            let root = try await authority.root(runner: runner, files: files)
            let leaf = try await Certificate.read(authority.certificate("web"), runner: runner)
            #expect(leaf.notAfter <= root.notAfter && leaf.daysLeft(Self.now) >= 18)
            // What was asked for is kept, for a root that has more.
            #expect(try authority.request("web", files).days == 90)
            for late in [root.notAfter.seconds - 86_000, root.notAfter.seconds + 1] {
                let problem = await #expect(throws: Diagnosis.self) {
                    try await issue(authority, Self.request(), now: Timestamp(seconds: late))
                }
                #expect(problem?.code == "ca.root-ends" && problem?.exit == .badConfiguration)
            }
        }
    }

    @Test("what is not as it was asked for is not put in force")
    func check() async throws {
        try await with { authority in
            try await initialise(authority)
            try await issue(authority, Self.request())
            let root = try await authority.root(runner: runner, files: files)
            let before = try await publicKeys(authority)
            // An openssl that leaves an address out.
            var plan = try authority.issuing(
                Self.request(), by: root, authority.leafVersions("web", files), serial: .random(), now: Self.now)
            plan.phases[0].steps[0].actions = plan.phases[0].steps[0].actions.map { action in
                guard case .run(var command) = action, case .text(let text) = command.input else { return action }
                command.input = .text(text.replacing("IP.3 = fd00::5\n", with: ""))
                return .run(command)
            }
            let problem = await #expect(throws: Diagnosis.self) { try await apply(plan) }
            #expect(problem?.code == "ca.check-failed" && problem?.causes.contains { $0.hasPrefix("names") } == true)
            #expect(try await publicKeys(authority) == before)
            #expect(try files.folders(in: authority.versions("web")).count == 1, "what failed is taken back")
        }
    }

    @Test("two at once: the second waits and says so, and both are issued")
    func two() async throws {
        try await with { authority in
            try await initialise(authority)
            let waited = EventLog()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for leaf in ["a", "b", "c"] {
                    group.addTask {
                        let lock = try await authority.lock { waited.report(PlanEvent(.line)) }
                        defer { withExtendedLifetime(lock) {} }
                        try await issue(authority, Self.request(leaf))
                        try await issue(authority, Self.request("same"))
                    }
                }
                try await group.waitForAll()
            }
            #expect(waited.events.count == 2)
            #expect(try authority.leaves(files) == ["a", "b", "c", "same"])
            #expect(try await publicKeys(authority, "same").count == 1)
        }
    }

    @Test("nothing there, and what cannot be read, are errors that say what to do")
    func missing() async throws {
        try await with { authority in
            #expect(await problem { _ = try await authority.root(runner: runner, files: files) }?.code == "ca.no-root")
            try await initialise(authority)
            #expect(problem { _ = try authority.request("web", files) }?.code == "ca.no-leaf")
            #expect(problem { _ = try authority.request("../root", files) }?.code == "ca.leaf-name")
            try await issue(authority, Self.request())
            try files.write("{}", to: files.resolve(authority.current("web")).appending("request.json"))
            #expect(problem { _ = try authority.request("web", files) }?.code == "ca.request-unreadable")
            try files.write("no certificate", to: files.resolve(authority.certificate("web")))
            let report = try await AuthorityReport.gather(authority, now: Self.now, runner: runner, files: files)
            #expect(!report.isSound && report.leaves[0].isDue && report.leaves[0].certificate == nil)
            try files.write("no certificate", to: files.resolve(authority.rootCertificate))
            #expect(await problem { _ = try await authority.root(runner: runner, files: files) }?.code == "ca.certificate-unreadable")
        }
    }

    @Test("what is in force is not taken back, whatever fails after it")
    func discard() async throws {
        try await with { authority in
            try await initialise(authority)
            let version = try files.resolve(authority.root)
            let discard = try #require(AuthorityPerformers.table[AuthorityPerformers.discard])
            try await discard(["version": version.string, "link": authority.root.string], runner, files)
            #expect(try files.exists(version))
        }
    }
}

/// Runs programs with another umask; that of the tests belongs to all of them.
private struct Masked: CommandRunner {
    var umask: String

    func run(_ command: Command) async throws -> CommandOutput {
        var copy = command
        copy.tool = "sh"
        copy.arguments = ["-c", "umask \(umask) && exec \"$@\"", "sh", command.tool.name] + command.arguments
        return try await SubprocessRunner().run(copy)
    }

    func run(pipeline: [Command]) async throws -> CommandOutput { try await SubprocessRunner().run(pipeline: pipeline) }
}
