import KldCore
import KldExec
import KldFiles
import KldSSH
import SystemPackage

/// The settings that sshd would use. Source: sshd(8) `-T`, OpenSSH 10.0; one `keyword value` a line, keywords in lower case:
/// ```
/// permitrootlogin without-password
/// kexalgorithms mlkem768x25519-sha256,sntrup761x25519-sha512,curve25519-sha256
/// ```
struct SSHDConfig {
    private var values: [String: [String]] = [:]

    init(_ output: String) {
        for line in output.lines {
            guard let space = line.firstIndex(of: " ") else { continue }
            values[line[..<space].lowercased(), default: []].append(line[line.index(after: space)...].trimmed)
        }
    }

    subscript(keyword: String) -> String? { values[keyword]?.first }
    func list(_ keyword: String) -> [String] { self[keyword]?.split(separator: ",").map(String.init) ?? [] }
}

extension Check {
    static let ssh: [Check] = [
        Check("ssh.policy", "sshd lets in whom it should, and nobody else", .critical, policy),
        Check("ssh.kex", "sshd offers post-quantum key exchange", .medium, keyExchange),
        Check("ssh.host-keys", "sshd has host keys, and they are secret", .critical, hostKeys),
    ]

    static let sshd = Tool("sshd", package: "openssh-server")

    private static func wanted(_ context: CheckContext) throws -> CheckOutcome? {
        if context.manifest?.sshPolicy == InstallManifest.SSHPolicy.none { return .skip("no SSH server was asked for") }
        return nil
    }

    /// Runs: `sshd -T [-C user=NAME,host=localhost,addr=127.0.0.1]`, reads.
    private static func config(_ context: CheckContext, user: String?) async throws -> SSHDConfig {
        let match = user.map { ["-C", "user=\($0),host=localhost,addr=127.0.0.1"] } ?? []
        return SSHDConfig(try await context.read(sshd, ["-T"] + match).output)
    }

    @Sendable private static func policy(_ context: CheckContext) async throws -> CheckOutcome {
        if let skip = try wanted(context) { return skip }
        let config = try await config(context, user: nil)
        var problems: [String] = []
        let root = config["permitrootlogin"] ?? "missing"
        if !["prohibit-password", "without-password", "forced-commands-only", "no"].contains(root) {
            problems.append("permitrootlogin \(root)")
        }
        if config["permitemptypasswords"] == "yes" { problems.append("permitemptypasswords yes") }
        let passwords = config["passwordauthentication"] ?? "missing"
        switch context.manifest?.sshPolicy {
        case .keys? where passwords != "no": problems.append("passwordauthentication \(passwords)")
        case .afterPasswordChange?:
            let name = context.manifest?.username ?? ""
            let shadow = ShadowEntry.parse(try context.text("/etc/shadow") ?? "").first { $0.name == name }
            if shadow?.lastChange == 0 {
                let own = try await Self.config(context, user: name)["passwordauthentication"] ?? "missing"
                if own != "no" { problems.append("passwordauthentication \(own) for \(name), whose password is the default one") }
            }
        default: break
        }
        guard problems.isEmpty else {
            return .fail(
                expected: "permitrootlogin prohibit-password, passwords \(context.manifest?.sshPolicy.rawValue ?? "as set")",
                actual: problems.joined(separator: "; "), remedy: "correct /etc/ssh/sshd_config.d, then systemctl reload ssh")
        }
        return .ok("permitrootlogin \(root), passwordauthentication \(passwords)")
    }

    @Sendable private static func keyExchange(_ context: CheckContext) async throws -> CheckOutcome {
        if let skip = try wanted(context) { return skip }
        let names = ["mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"]
        let known = try await context.read(SSH.keyExchanges).output.lines.map(\.trimmed)
        let possible = names.filter(known.contains)
        guard !possible.isEmpty else {
            return .warn(
                expected: "an OpenSSH with post-quantum key exchange", actual: "this one has none",
                remedy: "upgrade openssh-server to 9.0 or later")
        }
        let offered = try await config(context, user: nil).list("kexalgorithms")
        let missing = possible.filter { !offered.contains($0) }
        guard missing.isEmpty else {
            return .fail(
                expected: possible.joined(separator: ", "), actual: "not offered: \(missing.joined(separator: ", "))",
                remedy: "add them with KexAlgorithms + in /etc/ssh/sshd_config.d/90-kldload-pq.conf")
        }
        return .ok(possible.joined(separator: ", "))
    }

    static func hostKeyNames(_ context: CheckContext) throws -> [String] {
        try context.names(in: "/etc/ssh").filter { $0.hasPrefix("ssh_host_") && $0.hasSuffix("_key") }
    }

    /// Fedora's family gives the group ssh_keys read access; nobody else may have any.
    static func openHostKeys(_ context: CheckContext, _ names: [String]) throws -> [(path: FilePath, mode: ModeBits)] {
        try names.compactMap { name in
            let path = FilePath("/etc/ssh/\(name)")
            guard let status = try context.files.status(path), status.mode.bits & 0o137 != 0 else { return nil }
            return (path, status.mode)
        }
    }

    @Sendable private static func hostKeys(_ context: CheckContext) async throws -> CheckOutcome {
        if let skip = try wanted(context) { return skip }
        let keys = try hostKeyNames(context)
        guard !keys.isEmpty else {
            return .fail(expected: "host keys in /etc/ssh", actual: "there are none", remedy: "ssh-keygen -A, then systemctl restart ssh")
        }
        if let (key, mode) = try openHostKeys(context, keys).first {
            return .fail(
                expected: "\(key) readable for root only", actual: "mode \(String(mode.bits, radix: 8))",
                remedy: "chmod 600 \(key); others may have copied it: make new keys with ssh-keygen -A after removing it")
        }
        return .ok(keys.joined(separator: ", "))
    }
}
