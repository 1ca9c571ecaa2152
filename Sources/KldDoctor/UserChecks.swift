import KldCore
import KldExec
import KldFiles
import SystemPackage

extension Check {
    static let users: [Check] = [
        Check("users.admin", "the admin user exists and may use sudo", .high, adminUser),
        Check("users.sudoers", "the sudo rules are valid", .critical, sudoers),
        Check("users.password", "the admin's password is as intended", .high, adminPassword),
        Check("users.empty-passwords", "nobody has an empty password", .critical, emptyPasswords),
    ]

    private static func shadow(_ context: CheckContext) throws -> [ShadowEntry] {
        ShadowEntry.parse(try context.text("/etc/shadow") ?? "")
    }

    @Sendable private static func adminUser(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        let name = manifest.username
        guard let user = PasswdEntry.parse(try context.text("/etc/passwd") ?? "").first(where: { $0.name == name }) else {
            return .fail(expected: "the user \(name)", actual: "there is none", remedy: "useradd --create-home --groups sudo \(name)")
        }
        let groups = try context.text("/etc/group") ?? ""
        // Debian's family names it sudo, the others wheel.
        let group = ["sudo", "wheel"].first { GroupFile.members(of: $0, in: groups)?.contains(name) == true }
        guard let group else {
            return .fail(
                expected: "\(name) in the group sudo or wheel", actual: "\(name) is in neither",
                remedy: "usermod --append --groups sudo \(name)")
        }
        if user.shell.hasSuffix("/nologin") || user.shell.hasSuffix("/false") {
            return .fail(expected: "a login shell", actual: user.shell, remedy: "chsh --shell /bin/bash \(name)")
        }
        guard try context.exists("/bin/login") else {
            return .fail(
                expected: "/bin/login", actual: "it is missing: nobody can log in at a console",
                remedy: "apt install login; elsewhere it is part of util-linux")
        }
        guard try context.exists(user.home) else {
            return .fail(expected: user.home, actual: "the home directory is missing", remedy: "zfs mount -a; or mkhomedir_helper \(name)")
        }
        return .ok("\(name), group \(group), \(user.home)")
    }

    /// Runs: `visudo --check`, reads. Source: visudo(8), sudo 1.9.16; ends with 1 and the place of the mistake.
    @Sendable private static func sudoers(_ context: CheckContext) async throws -> CheckOutcome {
        let output = try await context.read(Tool("visudo", package: "sudo"), ["--check"], accepting: [0, 1])
        guard output.status == 0 else {
            return .fail(
                expected: "rules that sudo can read", actual: (output.errors + output.output).lines.joined(separator: "; "),
                remedy: "correct them with visudo; from the console as root, sudo refuses everybody until then")
        }
        guard let manifest = context.manifest else { return .ok("sudo reads its rules") }
        let folder = FilePath("/etc/sudoers.d")
        for name in try context.names(in: folder.string) where !name.contains(".") && !name.hasSuffix("~") {
            guard let text = try context.text(folder.appending(name).string) else { continue }
            if text.lines.contains(where: { $0.words.first == manifest.username }) {
                return .ok("sudo reads its rules; \(name) names \(manifest.username)")
            }
        }
        return .warn(
            expected: "a rule that names \(manifest.username)", actual: "there is none; the group's rule asks for a password",
            remedy: "write one with visudo -f /etc/sudoers.d/kldload-admin")
    }

    @Sendable private static func adminPassword(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        let name = manifest.username
        guard let entry = try shadow(context).first(where: { $0.name == name }) else {
            return .fail(expected: "a line for \(name) in /etc/shadow", actual: "there is none", remedy: "pwconv, then passwd \(name)")
        }
        let wanted = manifest.credentials
        switch (wanted, entry.state) {
        case (_, .empty):
            return .fail(expected: "\(wanted.rawValue)", actual: "the password is empty", remedy: "passwd \(name)")
        case (.locked, .locked): return .ok("no password, keys only")
        // A clone's cloud-init data may set one.
        case (.locked, .hash) where manifest.sealed: return .ok("set since the image was sealed")
        case (.locked, .hash):
            return .fail(expected: "no password", actual: "a password is set", remedy: "passwd --lock \(name), unless you set it yourself")
        case (.defaultExpired, .hash):
            // Whoever changed it did what was asked; before that, it must be expired.
            return .ok(entry.lastChange == 0 ? "the default one, expired" : "changed since the installation")
        case (_, .hash):
            if entry.lastChange == 0 {
                return .warn(
                    expected: "a password that lasts", actual: "it is expired and must be changed at the next login",
                    remedy: "passwd \(name)")
            }
            return .ok("a password is set")
        case (_, .locked):
            return .fail(expected: "a password", actual: "the account is locked", remedy: "passwd \(name)")
        }
    }

    @Sendable private static func emptyPasswords(_ context: CheckContext) async throws -> CheckOutcome {
        let entries = try shadow(context)
        guard !entries.isEmpty else {
            return .fail(expected: "/etc/shadow", actual: "it is missing or empty", remedy: "pwconv, then set passwords")
        }
        let open = entries.filter { $0.state == .empty }.map(\.name)
        guard open.isEmpty else {
            return .fail(
                expected: "no empty password", actual: "empty: \(open.joined(separator: ", "))",
                remedy: open.map { "passwd --lock \($0)" }.joined(separator: "; "))
        }
        return .ok("none of \(entries.count) accounts")
    }
}
