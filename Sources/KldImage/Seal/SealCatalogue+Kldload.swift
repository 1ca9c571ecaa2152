extension SealCatalogue {
    /// What kldload itself leaves on the machine it installs.
    static let kldload: [SealClass] = [
        SealClass(
            "kldload-ca", "kldload's certificate authority", "root of the front door's TLS; each machine makes its own",
            [
                .clear("etc/kldload/ca/"),
                .remove(
                    "usr/local/share/ca-certificates/kldload*.crt", "etc/pki/ca-trust/source/anchors/kldload*",
                    "etc/ca-certificates/trust-source/anchors/kldload*"),
            ]),
        SealClass(
            "kldload-tls", "kldload's web certificate", "key and names of the front door of the machine that was built",
            [.clear("var/lib/kldload/tls/"), .remove("etc/kldload/tls-extra-sans.txt")]),
        SealClass(
            "kldload-secrets", "kldload's secrets", "generated administrator keys, the key of the console's credential store, join tokens",
            [
                .clear("etc/kldload/secrets/"),
                .remove(
                    "var/lib/kldload/master.key", "var/lib/kldload/zfs-secrets.key", "var/lib/kldload/kubelet-token",
                    "etc/kldload/zfs-passphrase", "etc/kldload/**/*.key", "etc/kldload/**/*.priv", "var/lib/kldload/**/*.key",
                    "var/lib/kldload/**/*.priv"),
            ]),
        SealClass(
            "kldload-answers", "Answers of the install", "passwords, Wi-Fi keys and registration keys as they were typed",
            [
                .remove(
                    "etc/kldload/answers.env", "etc/kldload/answers/", "etc/kldload/autoinstall.env", "etc/kldload/hub.env",
                    "root/answers.env", "answers.env", "var/lib/kldload/answers/")
            ]),
        SealClass(
            "kldload-manifest", "Install manifest", "names the disk, the network and the host of the machine that was built",
            [
                .remove(
                    "etc/kldload/install-manifest.env", "etc/kldload/install-manifest.json", "etc/kldload/install.attest",
                    "var/lib/kldload/install.attest")
            ]),
        SealClass(
            "kldload-default-keys", "Default authorised keys", "a key that opens every machine made from the image",
            [.remove("etc/kldload/default-authorized-keys")]),
        SealClass(
            "kldload-fleet", "List of the fleet", "names and addresses of other machines",
            [.clear("var/lib/kldload/replication/"), .remove("etc/kldload/fleet-hosts.txt")]),
        SealClass(
            "kldload-firstboot", "Markers of the first boot", "with them a clone believes that it has been personalised already",
            [
                .clear("var/lib/kldload/firstboot/", except: ["var/lib/kldload/firstboot/sealed"]),
                .remove(
                    "var/lib/kldload/*-ready", "var/lib/kldload/firstboot-done", "var/lib/kldload/current-phase",
                    "var/lib/kldload/autodeploy-skipped"),
            ]),
        SealClass(
            "kldload-sessions", "State of console and assistant", "log-ins, conversations and decisions of other people",
            [
                .clear("var/lib/kldload/sessions/", "var/lib/kldload-rag/"),
                .remove("var/lib/kldload/state.db*", "var/lib/kldload/bob-*.json", "var/lib/kldload/jobs/"),
            ]),
        SealClass(
            "kldload-seeds", "Seeds of virtual machines", "user data with the passwords and keys of other machines",
            [.clear("var/lib/kldload/cloud-init/")]),
        SealClass(
            "kldload-esp-backup", "Copies of the ESP", "hold the random seed and the boot entries of the machine that was built",
            [.clear("var/lib/kldload/esp-backup/")]),
        SealClass(
            "kldload-leftovers", "Reports and bundles in root's home", "logs of the install, support bundles, exported images",
            [
                .remove(
                    "root/kldload-install-logs/", "root/kldload-debug-*", "root/kldload-*.log", "root/kldload-*.txt", "root/exports/",
                    "var/lib/kldload/*.journal")
            ]),
        SealClass(
            "model-server-keys", "Keys of the model server", "by them a model registry knows the machine",
            [
                .remove(
                    "~/.ollama/id_*", "~/.ollama/history", "usr/share/ollama/.ollama/id_*", "var/lib/ollama/id_*",
                    "var/lib/ollama/.ollama/id_*")
            ]),
    ]
}
