import KldCore
import KldExec
import KldFiles
public import KldPlan
import KldSystemd
import SystemPackage

/// How the known default password is kept from the network.
public enum DefaultPassword {
    public static let sshDropIn = "/etc/ssh/sshd_config.d/05-kldload-default-password.conf"
    public static let pathUnit = "kldload-default-password.path"

    /// The drop-in, by which sshd refuses the user's password.
    static func refusal(of user: String) -> String {
        "# Removed by kldload once the password of \(user) was changed.\nMatch User \(user)\n    PasswordAuthentication no\n"
    }

    private static let keyLogins = "users.key-logins"
    private static let module = "pam_unix.so"
    private static let option = "no_pass_expiry"

    /// Lets a login by key pass, and sudo after it, while the password is expired: pam_unix would refuse whoever has no terminal to change
    /// it on, such as Ansible and scp. Who logs in by the password must change it all the same.
    ///
    /// Source: pam_unix(8), `no_pass_expiry`, Linux-PAM 1.5.2 to 1.7; pam-auth-update(8) keeps options that it finds.
    /// - Throws in the plan: ``Diagnosis`` `install.pam`.
    /// - Parameter rules: PAM's rules for accounts.
    static func sparingKeys(_ rules: FilePath) -> Action { .perform(keyLogins, ["file": rules.string], effect: .changes) }

    static let performers: [String: Performer] = [
        keyLogins: { parameters, _, files in
            let path = FilePath(parameters["file"] ?? "")
            let text = try files.exists(path) ? files.readText(path) : ""
            guard let sparing = sparingKeys(in: text) else {
                throw Diagnosis(
                    "install.pam", "\(path) has no rule of pam_unix for accounts: a key would open nothing before the password is changed",
                    remedies: ["give a password, which is not expired, and begin anew: KLDLOAD_PASSWORD or KLDLOAD_PASSWORD_HASH"],
                    exit: .failed)
            }
            try files.write(sparing, to: path, mode: .file)
        }
    ]

    /// - Returns: `nil` when no rule for accounts is pam_unix'. Source: pam.conf(5), Linux-PAM 1.5.2 to 1.7: `#` begins a comment.
    private static func sparingKeys(in text: String) -> String? {
        var isThere = false
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
            let rule = line.prefix { $0 != "#" }
            let words = rule.words
            guard words.first == "account", words.contains(module), let place = rule.firstRange(of: module) else { return String(line) }
            isThere = true
            return words.contains(option) ? String(line) : "\(line[..<place.upperBound]) \(option)\(line[place.upperBound...])"
        }
        return isThere ? lines.joined(separator: "\n") : nil
    }

    /// Lifts the refusal when the user's password is no longer expired: shadow(5), third field, is 0 until it was changed.
    public static func plan(shadow: String, dropIn: String?) -> Plan {
        let nothing = Plan("the default password is still in force, or was never set", [])
        guard let user = dropIn?.lines.map(\.words).first(where: { $0.count == 3 && $0[0] == "Match" && $0[1] == "User" })?[2] else {
            return nothing
        }
        let fields = shadow.lines.map { $0.split(separator: ":", omittingEmptySubsequences: false) }.first {
            $0.first.map(String.init) == user
        }
        guard let fields, fields.count > 2, fields[2] != "0", !fields[2].isEmpty else { return nothing }
        return Plan(
            "accept the password of \(user) over SSH",
            [
                Phase(
                    "password", "The default password was changed",
                    [
                        Step(
                            "password.ssh", "Accept the password of \(user) over SSH",
                            [
                                .remove(FilePath(sshDropIn)),
                                .run(Systemctl.change(["reload-or-restart", "ssh.service"])),
                                .run(Systemctl.change(["disable", "--now", pathUnit])),
                            ])
                    ])
            ])
    }
}
