package import KldCore
import SystemPackage

/// Why a connection over ssh failed, told from its words. Phrases of OpenSSH 8.4 to 10.0.
package enum SSHProblem: Sendable, Hashable {
    case hostChanged, hostUnknown, denied, unreachable

    /// - Parameter errors: standard error of ssh, scp or sftp.
    /// - Returns: `nil` where it says nothing of the connection.
    package init?(_ errors: String) {
        func has(_ phrase: String) -> Bool { errors.contains(phrase) }
        if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
            self = .hostChanged
        } else if has("Host key verification failed") || has("host key is known for") {
            self = .hostUnknown
        } else if has("Permission denied (") {
            self = .denied
        } else if has("ssh: connect to host") || has("ssh: Could not resolve hostname") || has("Connection closed by")
            || has("Connection reset by") || has("Connection timed out") || has("kex_exchange_identification")
            || has("client_loop: send disconnect") || has("Timeout, server")
        {
            self = .unreachable
        } else {
            return nil
        }
    }

    package func diagnosis(of host: SSHDestination, errors: String) -> Diagnosis {
        let name = host.knownName
        let port = host.port ?? 22
        switch self {
        case .hostChanged:
            return Diagnosis(
                "ssh.host-changed", "\(name) shows another host key than the one that is known",
                remedies: [
                    "find out why before anything else: somebody may be in between",
                    "if it was installed anew: ssh-keygen -R '\(name)', then learn the new key as for an unknown host",
                ])
        case .hostUnknown:
            return Diagnosis(
                "ssh.host-unknown", "the host key of \(name) is not known, and unknown keys are not accepted",
                remedies: [
                    "ssh-keyscan -p \(port) \(host.host) > new-host-key",
                    "compare ssh-keygen -lf new-host-key with ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on that machine itself",
                    "if they are equal: cat new-host-key >> \(host.knownHosts?.string ?? "/etc/ssh/ssh_known_hosts")",
                ])
        case .denied:
            return Diagnosis(
                "ssh.denied", "\(host) does not let us in",
                remedies: ["put root's public key into the account's authorized_keys there; no password is ever asked for"],
                causes: Array(errors.lines.suffix(2)))
        case .unreachable:
            return Diagnosis(
                "ssh.unreachable", "\(host) cannot be reached, or the connection broke",
                remedies: ["try by hand: ssh -p \(port) \(host)"], exit: .tryAgain, causes: Array(errors.lines.suffix(3)))
        }
    }
}
