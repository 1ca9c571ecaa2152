import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
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
}
