import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("The known default password")
struct DefaultPasswordTests {
    /// The drop-in as an installation writes it.
    static func dropIn(_ user: String = "admin") throws -> String {
        let plan = try InstallPlanner(request(answers(disk: "/dev/vda", "KLDLOAD_USERNAME=\(user)"), Machines.virtual)).plan
        for case .write(let path, .text(let text), _) in plan.steps.flatMap(\.actions)
        where path.string == "/target\(DefaultPassword.sshDropIn)" {
            return text
        }
        return ""
    }

    /// shadow(5) after `chage --lastday 0`, and after the change of the password.
    static let expired = "root:*:20400:0:99999:7:::\nadmin:$y$j9T$a$b:0:0:99999:7:::\n"
    static let changed = "root:*:20400:0:99999:7:::\nadmin:$y$j9T$c$d:20451:0:99999:7:::\n"

    @Test("the drop-in refuses the user's password, and only that user's")
    func dropIn() throws {
        #expect(
            try Self.dropIn("jo") == """
                # Removed by kldload once the password of jo was changed.
                Match User jo
                    PasswordAuthentication no

                """)
    }

    @Test("while the password is the default one, nothing is done")
    func still() throws { #expect(try DefaultPassword.plan(shadow: Self.expired, dropIn: Self.dropIn()).steps.isEmpty) }

    @Test("once it was changed, SSH accepts it and nobody watches any more")
    func changed() throws {
        #expect(
            try DefaultPassword.plan(shadow: Self.changed, dropIn: Self.dropIn()).text() == """
                plan: accept the password of admin over SSH
                password: The default password was changed
                  + password.ssh: Accept the password of admin over SSH
                      remove /etc/ssh/sshd_config.d/05-kldload-default-password.conf
                      systemctl reload-or-restart ssh.service
                      systemctl disable --now kldload-default-password.path

                """)
    }

    @Test("without the drop-in there is nothing to lift")
    func noDropIn() { #expect(DefaultPassword.plan(shadow: Self.changed, dropIn: nil).steps.isEmpty) }

    @Test(
        "a shadow file that does not say so is no proof of a change",
        arguments: [
            "", "root:*:20400:0:99999:7:::\n", "admin:$y$:::0:99999:7:::\n", "admin\n", "admin:\n",
            "administrator:$y$:20451:0:99999:7:::\n",
        ])
    func noProof(_ shadow: String) throws { #expect(try DefaultPassword.plan(shadow: shadow, dropIn: Self.dropIn()).steps.isEmpty) }

    @Test("another user's change is not the admin's")
    func otherUser() throws {
        let shadow = "jo:$y$x:20451:0:99999:7:::\nadmin:$y$a:0:0:99999:7:::\n"
        #expect(try DefaultPassword.plan(shadow: shadow, dropIn: Self.dropIn()).steps.isEmpty)
        #expect(try DefaultPassword.plan(shadow: shadow, dropIn: Self.dropIn("jo")).steps.count == 1)
    }

    @Test(
        "a drop-in that a person wrote otherwise is left alone",
        arguments: ["", "PasswordAuthentication no\n", "Match Group sudo\n", "# Match User admin\n"])
    func otherDropIn(_ text: String) { #expect(DefaultPassword.plan(shadow: Self.changed, dropIn: text).steps.isEmpty) }

    // MARK: keys

    /// As pam-auth-update writes it, with a blank at the end of the rule: Debian's Linux-PAM 1.5.2 and 1.7.
    static let accounts = """
        # here are the per-package modules (the "Primary" block)
        account\t[success=1 new_authtok_reqd=done default=ignore]\tpam_unix.so\u{20}
        # here's the fallback if no module succeeds
        account\trequisite\t\t\tpam_deny.so

        """
    static let rules = "/target/etc/pam.d/common-account"

    func spare(_ files: MemoryFiles) async throws {
        let table = Performers.table(logs: []) { _, _, _ in }
        let performer = try #require(table["users.key-logins"])
        try await performer(["file": Self.rules], ScriptedRunner([:]), files)
    }

    @Test("who logs in by a key is not asked to change the password, and nothing else changes in PAM's rules; twice is once")
    func keys() async throws {
        let files = MemoryFiles([Self.rules: Self.accounts])
        for _ in 0..<2 {
            try await spare(files)
            #expect(files.texts[Self.rules] == Self.accounts.replacing("pam_unix.so", with: "pam_unix.so no_pass_expiry"))
        }
        #expect(files.mode(of: Self.rules) == ModeBits.file)
    }

    @Test(
        "without a rule of pam_unix for accounts the installation fails, and says what helps",
        arguments: [
            nil, "", "auth required pam_unix.so\n", "# account required pam_unix.so\n",
            "account required pam_permit.so # not pam_unix.so\n",
        ])
    func noRule(_ text: String?) async throws {
        let files = MemoryFiles(text.map { [Self.rules: $0] } ?? [:])
        let problem = await problem { try await spare(files) }
        #expect(problem?.code == "install.pam" && problem?.exit == .failed)
        #expect(problem?.remedies.first?.contains("KLDLOAD_PASSWORD") == true)
        #expect(files.texts[Self.rules] == text)
    }

    @Test("PAM's rules are edited for a key beside the default password, and for nothing else")
    func planned() throws {
        func edits(_ lines: String, sealed: Bool = false) throws -> Bool {
            let wanted = try request(answers(lines), Machines.virtual, sealed: sealed)
            return try PlanView.plan(InstallPlanner(wanted), sealed ? .image : .whole).steps.flatMap(\.actions).contains {
                $0 == .perform("users.key-logins", ["file": Self.rules], effect: .changes)
            }
        }
        let key = "KLDLOAD_SSH_PUBKEY='\(RandomRequests.key)'"
        #expect(try edits(key))
        #expect(try !edits(""))
        #expect(try !edits("KLDLOAD_ADMIN_SSH_PUBKEY='\(RandomRequests.key)'"))
        #expect(try !edits("\(key)\nKLDLOAD_PASSWORD='\(RandomRequests.secrets[1])'"))
        // Sealing takes the expiry away.
        #expect(try !edits(key, sealed: true))
    }
}
