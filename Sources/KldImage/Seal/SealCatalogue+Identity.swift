extension SealCatalogue {
    /// What makes one machine distinguishable from another.
    static let identity: [SealClass] = [
        SealClass(
            "machine-id", "Machine id", "DHCP, the journal and D-Bus take it for the machine; systemd would copy the D-Bus one back",
            [.truncate("etc/machine-id"), .remove("var/lib/dbus/machine-id")], sysprep: ["machine-id"]),
        SealClass(
            "machine-info", "Machine info", "pretty host name, location and deployment of the machine that was built",
            [.remove("etc/machine-info")]),
        SealClass(
            "kernel-entry-token", "Machine id in boot entry names", "kernel-install(8) names entries by the machine id that was",
            [.edit(.dropMachineIDs, "etc/kernel/entry-token")]),
        SealClass(
            "host-id", "Host id of ZFS", "two machines with one host id may both import a shared pool and destroy it",
            [.remove("etc/hostid")], renewal: "host-id"),
        SealClass(
            "spl-host-id", "Host id as a parameter of the spl module", "outranks /etc/hostid, so a new one would have no effect",
            [.edit(.dropPrefixes(["options spl spl_hostid="]), "etc/modprobe.d/*.conf")]),
        SealClass(
            "hostname", "Host name", "clones would all claim one name; `localhost` counts as unset, so DHCP or cloud-init set theirs",
            [
                .content("localhost\n", "etc/hostname"),
                .edit(.dropKeys(["HOSTNAME", "hostname"]), "etc/sysconfig/network", "etc/conf.d/hostname"),
            ],
            sysprep: ["net-hostname"]),
        SealClass(
            "hosts-own-name", "Own name in the hosts file", "the old name would keep resolving to the clone itself",
            [.edit(.dropFirstWords(["127.0.1.1"]), "etc/hosts")]),
        SealClass(
            "mail-name", "Mail name", "clones would send mail under the name of the machine that was built",
            [.content("localhost\n", "etc/mailname"), .edit(.dropKeys(["myhostname"]), "etc/postfix/main.cf")]),
        SealClass(
            "random-seed", "Random seeds", "two machines that start from one seed may draw the same keys",
            [
                .remove(
                    "var/lib/systemd/random-seed", "var/lib/urandom/random-seed", "var/lib/random-seed", "var/lib/seedrng/*",
                    "efi*/loader/random-seed", "boot/loader/random-seed", "boot/efi*/loader/random-seed", "boot/entropy", "entropy")
            ]),
        SealClass(
            "credential-secret", "Host secret of systemd credentials", "whoever has a clone could open every other clone's credentials",
            [.remove("var/lib/systemd/credential.secret")]),
        SealClass(
            "credential-store", "Stored systemd credentials",
            "secrets handed to services; the sealed ones need the host secret that is gone",
            [.clear("etc/credstore/", "etc/credstore.encrypted/")]),
        SealClass(
            "tpm-state", "State bound to a TPM", "keys and policies of a chip that no clone has",
            [
                .remove(
                    "var/lib/systemd/tpm2-srk-public-key.*", "var/lib/systemd/pcrlock.json", "var/lib/tpm2-pkcs11/*",
                    "var/lib/tpm2-tss/system/keystore/*", "var/lib/tpm/*", "etc/systemd/tpm2-pcr-signature.json")
            ]),
        SealClass(
            "dbus-cookies", "D-Bus and ICE cookies", "authentication cookies of old sessions",
            [.remove("~/.dbus-keyrings/", "~/.ICEauthority", "~/.Xauthority", "~/.config/pulse/cookie", "~/.dbus/session-bus/*")]),
        SealClass(
            "hardware-uuids", "Hardware profile ids", "ids by which a machine once reported its hardware",
            [.remove("etc/smolt/hw-uuid", "etc/smolt/uuid", "etc/sysconfig/hw-uuid")], sysprep: ["smolt-uuid"]),
        SealClass(
            "popcon-id", "Popularity contest id", "one id for many machines spoils the count and links them",
            [.edit(.dropKeys(["MY_HOSTID"]), "etc/popularity-contest.conf"), .remove("var/lib/popularity-contest/*")]),
        SealClass(
            "nvme-host", "NVMe host NQN and id", "storage targets tell initiators apart by it",
            [.remove("etc/nvme/hostnqn", "etc/nvme/hostid")], renewal: "nvme-host"),
        SealClass(
            "iscsi-initiator", "iSCSI initiator name", "two initiators with one name throw each other off the target",
            [.remove("etc/iscsi/initiatorname.iscsi")], renewal: "iscsi-initiator"),
        SealClass(
            "udev-persistent", "Persistent device names", "bind interface names to hardware addresses that clones do not have",
            [
                .remove(
                    "etc/udev/rules.d/70-persistent-net.rules", "etc/udev/rules.d/75-persistent-net-generator.rules",
                    "etc/udev/rules.d/70-persistent-cd.rules", "etc/udev/rules.d/75-cd-aliases-generator.rules",
                    "etc/systemd/network/*persistent*.link")
            ], sysprep: ["udev-persistent-net"]),
        SealClass(
            "timer-stamps", "Stamps of timers", "tell when jobs ran on the other machine, and hold up the first run on the clone",
            [.remove("var/lib/systemd/timers/stamp-*", "var/spool/anacron/*")]),
        SealClass(
            "device-state", "Remembered devices", "pairings, finger prints, batteries and radio switches of other hardware",
            [
                .clear(
                    "var/lib/bluetooth/", "var/lib/fprint/", "var/lib/upower/", "var/lib/systemd/rfkill/", "var/lib/systemd/backlight/",
                    "var/lib/boltd/")
            ]),
        SealClass(
            "smartd-state", "Disk histories of smartd", "serial numbers and histories of the disks of the machine that was built",
            [.remove("var/lib/smartmontools/*.state", "var/lib/smartmontools/*.state~", "var/lib/smartmontools/*.csv")]),
    ]

    /// Keys by which a host proves who it is.
    static let hostKeys: [SealClass] = [
        SealClass(
            "ssh-host-keys", "SSH host keys", "one key for all clones lets each of them pose as any other",
            [.remove("etc/ssh/ssh_host_*", "etc/ssh/*_host_*key*")], sysprep: ["ssh-hostkeys"], renewal: "ssh-host-keys"),
        SealClass(
            "dropbear-host-keys", "SSH host keys of the early boot", "the same, for unlocking disks from afar",
            [
                .remove(
                    "etc/dropbear/dropbear_*_host_key", "etc/dropbear/initramfs/dropbear_*_host_key",
                    "etc/dropbear-initramfs/dropbear_*_host_key", "etc/tinyssh/sshkeydir/*")
            ]),
        SealClass(
            "kerberos-keytab", "Kerberos host key table", "the host's long-term keys: with them a clone is that host",
            [.remove("etc/krb5.keytab", "etc/*.keytab", "etc/httpd/conf/*.keytab", "etc/apache2/*.keytab")],
            sysprep: ["kerberos-hostkeytab"]),
        SealClass(
            "wireguard-keys", "WireGuard keys and tunnels", "peers with one key take each other's traffic away without a word",
            [
                .clear("etc/wireguard/"), .edit(.dropKeys(["PrivateKey", "PresharedKey"]), "etc/systemd/network/*.netdev"),
                .remove("etc/systemd/network/*wireguard*.key", "etc/systemd/network/*wg*.key"),
            ]),
        SealClass(
            "vpn-keys", "Keys of other tunnels", "private keys and shared secrets of IPsec, OpenVPN, tinc and mesh networks",
            [
                .truncate("etc/ipsec.secrets"),
                .remove(
                    "etc/ipsec.d/*.secrets", "etc/ipsec.d/private/*", "etc/swanctl/private/*", "etc/swanctl/rsa/*",
                    "etc/swanctl/ecdsa/*", "etc/swanctl/pkcs8/*", "etc/swanctl/pkcs12/*", "var/lib/ipsec/nss/*",
                    "etc/openvpn/**/*.key", "etc/openvpn/**/*.p12", "etc/openvpn/**/*.ovpn", "etc/tinc/**/*.priv", "etc/nebula/*.key",
                    "var/lib/tailscale/*", "var/lib/zerotier-one/identity.*", "var/lib/netbird/*"),
            ]),
        SealClass(
            "dns-control-keys", "Control keys of name servers", "with them anyone who has the image may reload and stop the server",
            [
                .remove(
                    "etc/rndc.key", "etc/bind/rndc.key", "etc/unbound/unbound_control.key", "etc/unbound/unbound_server.key",
                    "etc/nsd/nsd_control.key", "etc/nsd/nsd_server.key", "var/lib/unbound/*.key")
            ]),
        SealClass(
            "time-keys", "Keys and state of time services", "shared keys of NTP, and the drift of another clock",
            [
                .truncate("etc/chrony.keys", "etc/chrony/chrony.keys", "etc/ntp/keys", "etc/ntp.keys", "etc/ntpsec/ntp.keys"),
                .remove("var/lib/chrony/*", "var/lib/ntp/*.drift", "var/lib/ntp/ntp.drift", "var/lib/ntpsec/*.drift"),
            ]),
        SealClass(
            "tang-keys", "Tang keys", "keys by which other machines unlock their disks", [.remove("var/db/tang/*", "var/lib/tang/*")]),
    ]

    /// Private keys of certificates, and of what code is trusted.
    static let trust: [SealClass] = [
        SealClass(
            "snakeoil-key", "Self-signed default certificate", "the key behind every service that was left at its defaults",
            [
                .remove(
                    "etc/ssl/private/ssl-cert-snakeoil.key", "etc/ssl/certs/ssl-cert-snakeoil.pem", "etc/pki/tls/private/localhost.key",
                    "etc/pki/tls/certs/localhost.crt", "etc/exim4/exim.key", "etc/exim4/exim.crt")
            ], renewal: "snakeoil-certificate"),
        SealClass(
            "tls-private-keys", "Private keys of TLS services", "a key in an image is a key that everybody with the image has",
            [
                .clear("etc/ssl/private/", "etc/pki/tls/private/", "etc/pki/nginx/private/"),
                .remove(
                    "etc/nginx/**/*.key", "etc/apache2/**/*.key", "etc/httpd/**/*.key", "etc/haproxy/**/*.pem", "etc/stunnel/*.key",
                    "etc/stunnel/*.pem", "etc/cockpit/ws-certs.d/0-self-signed*", "etc/cups/ssl/*", "etc/prometheus/**/*.key",
                    "etc/grafana/*.key", "etc/cockpit/ws-certs.d/*.key"),
            ], sysprep: ["ca-certificates"]),
        SealClass(
            "local-ca", "Certificate authorities kept on the machine", "with a CA's key anyone can be anyone",
            [
                .remove(
                    "etc/pki/CA/private/*", "etc/pki/CA/newcerts/*", "etc/pki/CA/certs/*", "etc/pki/CA/crl/*", "etc/ssl/CA/**/*.key",
                    "etc/easy-rsa/pki/private/*", "var/lib/swtpm-localca/*", "etc/step-ca/secrets/*", "etc/step/secrets/*")
            ], sysprep: ["ca-certificates"]),
        SealClass(
            "acme-accounts", "ACME accounts and certificates",
            "account keys that may revoke and renew, and the certificates of another name",
            [
                .clear("etc/letsencrypt/accounts/", "etc/letsencrypt/archive/", "etc/letsencrypt/live/", "etc/letsencrypt/keys/"),
                .remove("etc/letsencrypt/renewal/*", "etc/letsencrypt/csr/*", "~/.acme.sh/", "var/lib/acme/*", "var/lib/caddy/.local/"),
            ]),
        SealClass(
            "module-signing-key", "Module signing key (MOK)",
            "whoever has it loads any code into the kernel of every machine that trusts it",
            [
                .remove(
                    "var/lib/dkms/mok.key", "var/lib/dkms/mok.pub", "var/lib/dkms/mok.pem", "var/lib/kldload/secure-boot/wanted",
                    "var/lib/dkms/mok.priv", "var/lib/shim-signed/mok/MOK.priv", "etc/pki/akmods/private/*",
                    "root/.mok/*.priv", "root/.mok/*.key", "usr/src/**/certs/signing_key.*")
            ], renewal: "module-signing-key"),
        SealClass(
            "secure-boot-keys", "Secure Boot and PCR signing keys", "they sign what the firmware starts and what the TPM unlocks for",
            [
                .clear("var/lib/sbctl/keys/", "usr/share/secureboot/keys/", "etc/secureboot/keys/"),
                .remove(
                    "etc/kernel/secure-boot-private-key.pem", "etc/kernel/*.key", "etc/kernel/pcr-*-private*",
                    "etc/systemd/tpm2-pcr-private-key*.pem", "etc/uefi-keys/*.key", "etc/efi-keys/*.key"),
            ]),
        SealClass(
            "firmware-update-key", "Firmware update identity", "the key by which fwupd signs this machine's reports",
            [.remove("var/lib/fwupd/pki/secret.key", "var/lib/fwupd/pki/client.pem", "var/lib/fwupd/pending.db", "var/lib/fwupd/gnupg/")]),
        SealClass(
            "pacman-master-key", "Master key of pacman's keyring",
            "signs which packages are trusted; made per machine by pacman-key --init",
            [
                .clear("etc/pacman.d/gnupg/private-keys-v1.d/", "etc/pacman.d/gnupg/openpgp-revocs.d/"),
                .remove("etc/pacman.d/gnupg/secring.gpg", "etc/pacman.d/gnupg/random_seed", "etc/pacman.d/gnupg/S.*"),
            ]),
        SealClass(
            "package-signing-keys", "Package signing keys", "the keys that builders sign packages with",
            [.remove("~/.abuild/", "etc/apk/keys/*.rsa", "~/.rpmmacros", "~/.config/pacman/makepkg.conf")]),
        SealClass(
            "boot-loader-password", "Boot loader password", "a hash of the builder's that would lock its owner out of the boot menu",
            // The last is one of those before it: for a canary where a mounted ESP would hide it.
            [.remove("boot/grub/user.cfg", "boot/grub2/user.cfg", "boot/efi*/EFI/*/user.cfg", "boot/efi/EFI/*/user.cfg")]),
    ]
}
