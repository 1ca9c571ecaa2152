extension SealCatalogue {
    /// How people get in, and what they did there.
    static let accounts: [SealClass] = [
        SealClass(
            "passwords", "Passwords", "a password in an image is a default password; even its hash can be guessed at leisure",
            [.edit(.lockPasswords, "etc/shadow", "etc/gshadow"), .edit(.shadowPasswords, "etc/passwd")]),
        SealClass(
            "password-backups", "Copies of the password files", "hold the hashes as they were before they were locked",
            [
                .remove(
                    "etc/passwd-", "etc/shadow-", "etc/group-", "etc/gshadow-", "etc/subuid-", "etc/subgid-", "etc/passwd.lock",
                    "etc/shadow.org", "etc/passwd.org", "etc/group.org"),
                .clear("var/backups/"),
            ], sysprep: ["passwd-backups"]),
        SealClass(
            "old-passwords", "Remembered passwords and failures", "hashes of passwords that people may still use elsewhere",
            [
                .truncate("etc/security/opasswd"), .remove("etc/security/opasswd.old", "var/lib/faillock/*", "var/lib/pam/*"),
            ], sysprep: ["pam-data"]),
        SealClass(
            "authorized-keys", "Authorised keys", "who may log in to a clone is for the clone's owner to say",
            [
                SealTarget(.filterAuthorizedKeys, ["~/.ssh/authorized_keys", "~/.ssh/authorized_keys2"]),
                .remove("etc/ssh/authorized_keys.d/*", "etc/ssh/authorized_keys/*", "etc/dropbear/**/authorized_keys"),
            ], sysprep: ["ssh-userdir"]),
        SealClass(
            "known-hosts", "Known hosts", "says which other machines exist and who talks to whom",
            [.remove("~/.ssh/known_hosts*", "etc/ssh/ssh_known_hosts*")], sysprep: ["ssh-userdir"]),
        SealClass(
            "ssh-user-keys", "SSH keys of users", "private keys under any name, agents' sockets, per-user configuration",
            [.clear("~/.ssh/", except: ["~/.ssh/authorized_keys", "~/.ssh/authorized_keys2"])], sysprep: ["ssh-userdir"]),
        SealClass(
            "sudo-state", "State of sudo", "who was lectured and who may go on without a password",
            [.clearFiles("var/lib/sudo/", "var/db/sudo/"), .remove("etc/sudoers.d/90-cloud-init-users")]),
        SealClass(
            "two-factor", "Second factors", "seeds of one-time passwords and registrations of tokens",
            [.remove("~/.google_authenticator", "~/.config/Yubico/", "etc/u2f_mappings", "etc/users.oath", "etc/liboath/*")]),
        SealClass(
            "samba-credentials", "Files with share passwords", "clear-text passwords for mounting network shares",
            [
                .remove(
                    "~/.smbcredentials", "~/.smb/", "etc/samba/*cred*", "etc/cifs-credentials*", "etc/*.smbcredentials", "etc/cifs*.cred*")
            ]),
    ]

    static let histories: [SealClass] = [
        SealClass(
            "shell-history", "Histories of shells", "commands hold passwords, host names and what people did",
            [
                .remove(
                    "~/.bash_history*", "~/.sh_history", "~/.ash_history", "~/.history", "~/.local/share/fish/fish_history",
                    "~/.config/fish/fish_history", "~/.local/share/powershell/PSReadLine/*")
            ], sysprep: ["bash-history"]),
        SealClass(
            "zsh-history", "Histories of zsh", "the same", [.remove("~/.zsh_history", "~/.zhistory", "~/.histfile", "~/.zsh_sessions/")],
            sysprep: ["zsh-history"]),
        SealClass(
            "database-history", "Histories of database clients", "statements hold passwords and data",
            [
                .remove(
                    "~/.mysql_history", "~/.mariadb_history", "~/.psql_history*", "~/.sqlite_history", "~/.rediscli_history",
                    "~/.dbshell", "~/.mongodb/", "~/.influx_history", "~/.duckdb_history")
            ]),
        SealClass(
            "interpreter-history", "Histories of interpreters", "lines typed into Python, node, lua, gdb and others",
            [
                .remove(
                    "~/.python_history*", "~/.ipython/", "~/.node_repl_history", "~/.irb_history", "~/.lua_history", "~/.gdb_history",
                    "~/.php_history", "~/.Rhistory", "~/.octave_hist", "~/.swift_history", "~/.lldb/")
            ]),
        SealClass(
            "pager-editor-history", "Histories of pagers and editors",
            "files that were read, searched for and changed; undo and swap files",
            [
                .remove(
                    "~/.lesshst", "~/.viminfo*", "~/.vim/undo/", "~/.vim/swap/", "~/.local/state/nvim/", "~/.local/state/vim/",
                    "~/.nano_history", "~/.local/share/nano/", "~/.emacs.d/auto-save-list/", "~/.local/share/mc/",
                    "~/.wget-hsts", "~/.tmux_history", "~/.local/state/lesshst", "~/.*.swp")
            ]),
        SealClass(
            "desktop-traces", "Traces of desktops", "recent files, trash, thumbnails, caches of programs and their access tokens",
            [
                .clear("~/.cache/", "~/.local/share/Trash/", "~/.thumbnails/"),
                .remove(
                    "~/.local/share/recently-used.xbel*", "~/.recently-used*", "~/.local/share/gvfs-metadata/", "~/.xsession-errors*",
                    "~/.local/share/RecentDocuments/"),
            ]),
    ]

    /// Credentials in homes, by who issued them.
    static let userCredentials: [SealClass] = [
        SealClass(
            "gnupg", "GnuPG keys", "secret keys, trust and agents of people", [.remove("~/.gnupg/", "~/.pki/", "~/.password-store/")]),
        SealClass(
            "age-keys", "age and sops keys", "identities that decrypt configuration",
            [.remove("~/.config/sops/", "~/.config/age/", "etc/sops/", "~/.age/")]),
        SealClass(
            "keyrings", "Desktop keyrings", "stored passwords of programs",
            [.remove("~/.local/share/keyrings/", "~/.gnome2/keyrings/", "~/.local/share/kwalletd/", "~/.kde/share/apps/kwallet/")]),
        SealClass(
            "browser-profiles", "Browser profiles", "cookies, saved passwords and history",
            [
                .remove(
                    "~/.mozilla/", "~/.config/mozilla/", "~/.config/chromium/", "~/.config/google-chrome/", "~/.thunderbird/",
                    "~/.config/BraveSoftware/", "~/.local/share/epiphany/", "~/.config/microsoft-edge/")
            ]),
        SealClass(
            "git-credentials", "Git and forge credentials", "tokens that read and write source code",
            [
                .remove(
                    "~/.git-credentials", "~/.config/git/credentials", "~/.config/gh/hosts.yml", "~/.config/glab-cli/", "~/.config/hub",
                    "~/.config/tea/")
            ]),
        SealClass(
            "netrc", "netrc", "clear-text passwords for FTP, HTTP and mail", [.remove("~/.netrc", "~/.authinfo*", "etc/netrc", "~/.curlrc")]
        ),
        SealClass(
            "database-credentials", "Database passwords", "clear-text passwords of database clients and maintenance accounts",
            [
                .remove(
                    "~/.pgpass", "~/.my.cnf", "~/.mylogin.cnf", "~/.config/pgcli/", "~/.pg_service.conf", "etc/mysql/debian.cnf",
                    "~/.rediscli_auth", "~/.mongorc.js", "~/.mongoshrc.js")
            ]),
        SealClass(
            "aws-credentials", "AWS credentials", "keys to cloud accounts",
            [.remove("~/.aws/", "~/.boto", "etc/boto.cfg", "~/.s3cfg", "~/.passwd-s3fs", "etc/passwd-s3fs")]),
        SealClass("azure-credentials", "Azure credentials", "tokens to cloud accounts", [.remove("~/.azure/", "~/.IdentityService/")]),
        SealClass(
            "google-credentials", "Google Cloud credentials", "tokens to cloud accounts",
            [.remove("~/.config/gcloud/", "~/.gsutil/", "etc/default/instance_configs.cfg")]),
        SealClass(
            "other-cloud-credentials", "Credentials of other clouds", "tokens to cloud accounts and storage",
            [
                .remove(
                    "~/.config/openstack/", "etc/openstack/clouds.yaml", "~/.oci/", "~/.config/hcloud/", "~/.config/doctl/",
                    "~/.config/linode-cli", "~/.config/rclone/", "~/.rclone.conf", "~/.mc/config.json", "~/.cloudflared/",
                    "etc/cloudflared/*.json", "~/.config/scw/", "~/.aliyun/", "~/.huaweicloud/")
            ]),
        SealClass(
            "infrastructure-tokens", "Terraform, Vault and Packer tokens", "tokens that change infrastructure",
            [
                .remove(
                    "~/.terraform.d/credentials.tfrc.json", "~/.terraformrc", "~/.vault-token", "etc/vault.d/*.json", "~/.packer.d/",
                    "~/.consul-token", "~/.nomad-token", "~/.pulumi/credentials.json")
            ]),
        SealClass(
            "ansible-secrets", "Ansible secrets", "vault passwords, tokens, sockets and temporary modules",
            [
                .remove(
                    "~/.ansible/", "~/.vault_pass*", "~/.ansible_vault*", "etc/ansible/*vault*", "etc/ansible/.vault*", "~/.ansible.log")
            ]),
        SealClass(
            "kubeconfigs", "Kubernetes client configuration", "client certificates and tokens of clusters",
            [.remove("~/.kube/", "~/.config/helm/registry.json", "~/.helm/", "~/.config/argocd/", "~/.talos/")]),
        SealClass(
            "registry-credentials", "Container registry credentials", "log-ins to registries",
            [
                .remove(
                    "~/.docker/config.json", "~/.config/containers/auth.json", "~/.dockercfg", "etc/containers/auth.json",
                    "var/lib/kubelet/config.json", "etc/containerd/certs.d/**/*.key", "etc/docker/certs.d/**/*.key")
            ]),
        SealClass(
            "language-registry-tokens", "Tokens of package registries", "tokens that publish packages",
            [
                .remove(
                    "~/.npmrc", "~/.yarnrc*", "~/.pypirc", "~/.config/pip/pip.conf", "~/.cargo/credentials*", "~/.m2/settings*.xml",
                    "~/.gradle/gradle.properties", "~/.gem/credentials", "~/.bundle/config", "~/.composer/auth.json",
                    "~/.config/composer/auth.json", "~/.nuget/NuGet/NuGet.Config", "~/.config/huggingface/")
            ]),
        SealClass(
            "mail-client-credentials", "Mail clients' passwords", "clear-text passwords of mail accounts",
            [.remove("~/.msmtprc", "etc/msmtprc", "~/.fetchmailrc", "etc/fetchmailrc", "~/.mutt/", "~/.muttrc", "~/.mbsyncrc", "~/.mailrc")]
        ),
    ]
}
