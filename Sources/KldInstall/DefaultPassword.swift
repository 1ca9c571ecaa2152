import KldCore
import KldExec
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
