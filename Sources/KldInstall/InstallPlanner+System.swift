import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldPlan
import SystemPackage

extension InstallPlanner {
    var system: [Step] {
        (request.payload.additions == nil ? [mounts] : []) + [names, region, network, firstBoot] + signing
    }

    var accounts: [Step] { [pages, users, ssh] }

    /// Where packages are added, it comes before them.
    var mounts: Step {
        let binds: [Action] = ["dev", "proc", "sys", "run"].map { .run(MountCommand.bind("/\($0)", at: inTarget("/\($0)"))) }
        return Step(
            "target.mounts", "Give the new system its kernel file systems", binds,
            release: ["run", "sys", "proc", "dev"].map { .run(MountCommand.unmount(inTarget("/\($0)"))) }, resume: binds)
    }

    /// Of the tools that have names there by now.
    private var pages: Step {
        Step("system.pages", "Manual pages and completions of the tools", [inside("kldload", ["applets", "--documents", "/usr"])])
    }

    private var names: Step {
        let name = answers.hostname.description
        let short = name.split(separator: ".").first.map(String.init) ?? name
        let aliases = short == name ? name : "\(name) \(short)"
        return Step(
            "system.names", "Host name \(name), host id \(request.identity.hostID)",
            [
                .write(inTarget("/etc/hostname"), content: .text(name + "\n")),
                .write(
                    inTarget("/etc/hosts"),
                    content: .text(
                        """
                        127.0.0.1 localhost
                        127.0.1.1 \(aliases)
                        ::1 localhost ip6-localhost ip6-loopback
                        ff02::1 ip6-allnodes
                        ff02::2 ip6-allrouters

                        """)),
                .write(inTarget("/etc/hostid"), content: .bytes(request.identity.hostID.fileContent)),
            ])
    }

    private var region: Step {
        let keyboard = answers.keyboard
        var generating: [Action] = []
        if let has = request.payload.locale, has != answers.locale {
            generating = [
                .write(inTarget(LocaleGeneration.path), content: .text(LocaleGeneration.configuration(answers.locale))),
                inside(Tool("locale-gen", package: "locales"), []),
            ]
        }
        return Step(
            "system.region", "Time zone \(answers.timezone), locale \(answers.locale), keyboard \(keyboard.layout)",
            [
                .symlink(inTarget("/etc/localtime"), to: "/usr/share/zoneinfo/\(answers.timezone)"),
                .write(inTarget("/etc/timezone"), content: .text(answers.timezone + "\n")),
                // systemd-tmpfiles makes /etc/default/locale a link to this at every boot (Debian 13).
                .write(inTarget("/etc/locale.conf"), content: .text("LANG=\(answers.locale)\n")),
                .symlink(inTarget("/etc/default/locale"), to: "../locale.conf"),
                .write(
                    inTarget("/etc/default/keyboard"),
                    content: .text(
                        "XKBMODEL=pc105\nXKBLAYOUT=\(keyboard.layout)\nXKBVARIANT=\(keyboard.variant ?? "")\nXKBOPTIONS=\nBACKSPACE=guess\n"
                    )),
            ] + generating)
    }

    private var users: Step {
        let user = answers.username
        let home = "/home/\(user)"
        var actions: [Action] = [
            inside(
                Tool("useradd", package: "passwd"),
                [
                    "--no-create-home", "--home-dir", home, "--shell", "/bin/bash", "--user-group", "--groups", request.spec.adminGroup,
                    user,
                ],
                // 9: the name is taken, by an earlier run that this one goes on from; or by the system.
                accepting: [0, 9]),
            .perform(Performers.verifyAccount, ["target": target.string, "user": user], effect: .reads),
            inside(Tool("cp", package: "coreutils"), ["--recursive", "--no-target-directory", "/etc/skel", home]),
            .write(inTarget("/etc/sudoers.d/kldload-admin"), content: .text("\(user) ALL=(ALL:ALL) NOPASSWD: ALL\n"), mode: 0o440),
        ]
        let chpasswd = Tool("chpasswd", package: "passwd")
        switch answers.credentials {
        case .password(let secret): actions.append(inside(chpasswd, [], input: .secret(Secret("\(user):\(secret.reveal())\n"))))
        case .hash(let secret): actions.append(inside(chpasswd, ["--encrypted"], input: .secret(Secret("\(user):\(secret.reveal())\n"))))
        case .defaultExpired:
            // Known to everybody: it must be changed at the console, and SSH refuses it until it is.
            actions += [
                inside(chpasswd, [], input: .secret(Secret("\(user):admin\n"))),
                inside(Tool("chage", package: "passwd"), ["--lastday", "0", user]),
                .write(
                    inTarget(DefaultPassword.sshDropIn),
                    content: .text(DefaultPassword.refusal(of: user))),
                inside("systemctl", ["enable", DefaultPassword.pathUnit]),
            ]
            // An image loses the expiry with the password, when it is sealed.
            if !answers.sshKeys.user.isEmpty, !request.sealed, let rules = request.spec.accountRules {
                actions.append(DefaultPassword.sparingKeys(inTarget(rules)))
            }
        case .file: break
        }
        if let root = answers.rootPassword { actions.append(inside(chpasswd, [], input: .secret(Secret("root:\(root.reveal())\n")))) }
        if let hash = answers.rootPasswordHash {
            actions.append(inside(chpasswd, ["--encrypted"], input: .secret(Secret("root:\(hash.reveal())\n"))))
        }
        actions += keys(answers.sshKeys.user.map(\.line), home: home)
        actions += keys(answers.sshKeys.root.map(\.line), home: "/root")
        actions += [
            inside(Tool("chown", package: "coreutils"), ["--recursive", "\(user):\(user)", home]),
            inside(Tool("chmod", package: "coreutils"), ["0700", home]),
        ]
        return Step("system.users", "User \(user), sudo and keys", actions, weight: 3)
    }

    private func keys(_ lines: [String], home: String) -> [Action] {
        guard !lines.isEmpty else { return [] }
        return [
            .makeDirectory(inTarget("\(home)/.ssh"), mode: 0o700),
            .write(inTarget("\(home)/.ssh/authorized_keys"), content: .text(lines.map { $0 + "\n" }.joined()), mode: .secret),
        ]
    }

    private var ssh: Step {
        let make = answers.generateSSHHostKeys && !request.sealed
        // RSA takes seconds to find and no supported client needs it; first boot adds what is still missing.
        return Step(
            "system.ssh", make ? "SSH host keys" : "SSH host keys are made at the first boot",
            make
                ? ["ed25519", "ecdsa"].map {
                    inside(
                        Tool("ssh-keygen", package: "openssh-client"),
                        ["-q", "-t", $0, "-N", "", "-C", "root@\(answers.hostname.description)", "-f", "/etc/ssh/ssh_host_\($0)_key"],
                        // To its question, when an earlier run made one: replace it.
                        input: .text("y\n"))
                } : [])
    }

    private var network: Step {
        var actions: [Action] = []
        let title: String
        switch answers.network {
        case .dhcp:
            title = "Network by DHCP"
            if let interface = request.interface {
                actions.append(
                    .write(
                        inTarget("/etc/systemd/network/10-kldload.network"),
                        content: .text("[Match]\nName=\(interface)\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nClientIdentifier=mac\n")))
            }
        case .fixed(let fixed):
            title = "Network \(fixed.address) by \(fixed.gateway)"
            let match = request.interface.map { "Name=\($0)" } ?? "Type=ether\nKind=!*"
            let dns = fixed.dns.map { "DNS=\($0)\n" }.joined()
            actions.append(
                .write(
                    inTarget("/etc/systemd/network/10-kldload.network"),
                    content: .text("[Match]\n\(match)\n\n[Network]\nAddress=\(fixed.address)\nGateway=\(fixed.gateway)\n\(dns)")))
        }
        // Not in an image: a clone's card may have another name, and needs its address all the same.
        if request.interface != nil, !request.sealed { actions.append(otherCards) }
        if let wifi = answers.wifi { actions += wireless(wifi) }
        // An installed machine has its settings; cloud-init would only search for others. A sealed image keeps it.
        if !request.sealed {
            actions.append(.write(inTarget("/etc/cloud/cloud-init.disabled"), content: .text("kldload installed this machine\n")))
        }
        return Step("system.network", title, actions)
    }

    /// The answers name their card: no other wired one takes an address from whoever answers on it.
    ///
    /// Of the files that match a card the first by name counts: this one stands before the payload's `99-kldload-dhcp.network`, and behind
    /// `10-kldload.network`, cloud-init's and netplan's. Source: systemd.network(5), systemd 252 to 257.
    private var otherCards: Action {
        .write(
            inTarget("/etc/systemd/network/50-kldload-others.network"),
            content: .text(
                """
                # Written by kldload: the answers name one interface. Without this file the other wired ones take DHCP.
                [Match]
                Type=ether
                Kind=!*

                [Link]
                Unmanaged=yes

                """))
    }

    /// wpa_supplicant on every wireless card that appears, whatever it is called. Source: wpa_supplicant.conf(5), version 2.10.
    private func wireless(_ wifi: Answers.WiFi) -> [Action] {
        // Digits need no quoting rules: a network's name is any 32 bytes.
        let name = wifi.ssid.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let key =
            wifi.passphrase.map { secret in
                let text = secret.reveal()
                return "\tpsk=\(text.utf8.count == 64 ? text : "\"\(text)\"")\n\tkey_mgmt=WPA-PSK SAE\n\tieee80211w=1\n"
            } ?? "\tkey_mgmt=NONE\n"
        let configuration = "ctrl_interface=/run/wpa_supplicant\nupdate_config=0\nnetwork={\n\tssid=\(name)\n\tscan_ssid=1\n\(key)}\n"
        return [
            .write(inTarget("/etc/wpa_supplicant/kldload.conf"), content: .secret(Secret(configuration)), mode: .secret),
            .write(
                inTarget("/etc/systemd/system/wpa_supplicant@.service.d/kldload.conf"),
                content: .text(
                    "[Service]\nExecStart=\nExecStart=/usr/sbin/wpa_supplicant -c/etc/wpa_supplicant/kldload.conf -Dnl80211,wext -i%I\n")),
            .write(
                inTarget("/etc/udev/rules.d/80-kldload-wireless.rules"),
                content: .text(
                    "SUBSYSTEM==\"net\", ACTION==\"add\", ENV{DEVTYPE}==\"wlan\", TAG+=\"systemd\", ENV{SYSTEMD_WANTS}+=\"wpa_supplicant@$name.service\"\n"
                )),
            .write(
                inTarget("/etc/systemd/network/20-kldload-wireless.network"),
                content: .text("[Match]\nType=wlan\n\n[Network]\nDHCP=yes\nIgnoreCarrierLoss=5s\n\n[DHCPv4]\nRouteMetric=600\n")),
        ]
    }

    private var firstBoot: Step {
        Step(
            "system.machine-id", "The machine id is made at the first boot",
            [.write(inTarget("/etc/machine-id"), content: .text(""), mode: 0o444)])
    }
}
