extension SealCatalogue {
    static let packages: [SealClass] = [
        SealClass(
            "package-cache", "Downloaded packages", "no identity, but size, and a record of where they came from",
            [
                .clearFiles(
                    "var/cache/apt/archives/", "var/cache/dnf/", "var/cache/libdnf5/", "var/cache/yum/", "var/cache/zypp/",
                    "var/cache/pacman/pkg/", "var/cache/apk/", "var/cache/xbps/", "var/cache/PackageKit/", "var/cache/kldload/"),
                .remove("var/cache/apt/*.bin", "etc/apk/cache/*"),
            ], sysprep: ["package-manager-cache"]),
        SealClass(
            "package-lists", "Package lists", "mirrors of the building network, and versions that are old when a clone starts",
            [.clearFiles("var/lib/apt/lists/"), .remove("var/lib/apt/periodic/*", "var/lib/pacman/sync/*", "var/lib/zypp/cache/*")],
            sysprep: ["package-manager-cache"]),
        SealClass(
            "apt-credentials", "Passwords of APT repositories", "subscriptions and private repositories",
            [.truncate("etc/apt/auth.conf"), .remove("etc/apt/auth.conf.d/*")]),
        SealClass(
            "rpm-repository-credentials", "Passwords of RPM repositories", "the same for dnf and zypper",
            [
                .edit(
                    .dropKeys(["username", "password", "proxy_username", "proxy_password"]), "etc/yum.repos.d/*.repo", "etc/dnf/dnf.conf",
                    "etc/yum.conf", "etc/zypp/repos.d/*.repo"),
                .remove("etc/zypp/credentials.d/*", "~/.zypp/"),
            ]),
        SealClass(
            "package-proxies", "Proxies of the building network", "unreachable for a clone, at times with a password in the address",
            [
                .edit(.dropPrefixes(["Acquire::http::Proxy", "Acquire::https::Proxy"]), "etc/apt/apt.conf", "etc/apt/apt.conf.d/*"),
                .edit(.dropKeys(["proxy"]), "etc/dnf/dnf.conf", "etc/yum.conf"),
            ]),
        SealClass(
            "subscription-manager", "Red Hat subscription", "the consumer certificate is one machine's entitlement",
            [
                .clear("etc/pki/consumer/", "etc/pki/entitlement/", "var/lib/rhsm/"),
                .remove("etc/yum.repos.d/redhat.repo", "etc/rhsm/facts/*"),
            ], sysprep: ["rh-subscription-manager"]),
        SealClass(
            "rhn-systemid", "Registration with Satellite and Uyuni", "the id of one registered system",
            [.remove("etc/sysconfig/rhn/systemid", "etc/sysconfig/rhn/osad-auth.conf", "etc/sysconfig/rhn/*.db")], sysprep: ["rhn-systemid"]
        ),
        SealClass(
            "ubuntu-pro", "Ubuntu Pro and Landscape", "machine tokens of a subscription",
            [
                .clear("var/lib/ubuntu-advantage/private/", "var/lib/ubuntu-pro/private/"),
                .remove(
                    "var/lib/ubuntu-advantage/machine-token.json", "etc/landscape/client.conf", "etc/apt/auth.conf.d/90ubuntu-advantage"),
            ]),
        SealClass(
            "suse-registration", "SUSE registration", "system credentials and the anonymous id",
            [.remove("etc/zypp/credentials.d/SCCcredentials", "var/lib/zypp/AnonymousUniqueId", "etc/SUSEConnect")]),
        SealClass(
            "yum-uuid", "Ids that package managers count by", "one id for many machines spoils the count and links them",
            [.remove("var/lib/yum/uuid", "var/lib/dnf/repos/*/countme", "var/lib/dnf/**/countme")], sysprep: ["yum-uuid"]),
        SealClass(
            "rpm-db-regions", "Stale regions of the RPM database", "memory maps of an environment on another host",
            [.remove("var/lib/rpm/__db.*")], sysprep: ["rpm-db"]),
        SealClass(
            "configuration-backups", "Old versions of configuration",
            "copies from before a secret was removed, left by editors and packages",
            [
                .remove(
                    "etc/**/*.bak", "etc/**/*~", "etc/**/*.dpkg-old", "etc/**/*.ucf-old", "etc/**/*.rpmsave", "etc/**/*.rpmorig",
                    "etc/**/*.pacsave", "etc/**/.*.swp", "etc/**/*.kldload-*", "~/*.bak", "~/*~", "srv/*.bak", "srv/*~")
            ], sysprep: ["backup-files"]),
    ]

    static let logs: [SealClass] = [
        SealClass(
            "journal", "Journal", "everything that happened, in folders named by the machine id", [.clear("var/log/journal/")],
            sysprep: ["logfiles"]),
        SealClass(
            "login-records", "Records of log-ins", "who came from where; empty and not missing, because programs only append",
            [
                .truncate("var/log/wtmp", "var/log/btmp", "var/log/lastlog", "var/log/faillog", "var/log/tallylog"),
                .remove(
                    "var/log/wtmp.*", "var/log/wtmp-*", "var/log/btmp.*", "var/log/btmp-*", "var/log/lastlog.*",
                    "var/lib/wtmpdb/*", "var/lib/lastlog/*"),
            ], sysprep: ["utmp", "logfiles"]),
        SealClass(
            "audit-logs", "Audit logs", "log-ins, commands and key strokes", [.clearFiles("var/log/audit/")], sysprep: ["logfiles"]),
        SealClass(
            "process-accounting", "Process accounting", "every command of everybody",
            [.truncate("var/account/pacct", "var/log/account/pacct"), .remove("var/account/pacct?*", "var/log/account/pacct?*")],
            sysprep: ["pacct-log"]),
        SealClass(
            "kldload-logs", "kldload's own logs", "the install in all detail, shipped logs and sessions",
            [.clearFiles("var/log/kldload/", "var/log/kldload-ship/"), .remove("var/log/kldload-session.log*")]),
        SealClass(
            "logs", "Logs", "addresses, names and at times passwords; the folders stay, with the owners that services need",
            [
                .clearFiles(
                    "var/log/",
                    except: [
                        "var/log/journal", "var/log/wtmp", "var/log/btmp", "var/log/lastlog", "var/log/faillog", "var/log/tallylog",
                        "var/log/account/pacct",
                    ]),
                .remove(
                    "var/lib/logrotate/status*", "var/lib/logrotate/logrotate.status", "var/lib/logrotate.status",
                    "var/named/data/named.run"),
            ], sysprep: ["logfiles", "samba-db-log", "sssd-db-log", "puppet-data-log"]),
        SealClass(
            "crash-dumps", "Crash dumps", "memory of the kernel and of programs, with every key that was in it",
            [.clear("var/crash/", "var/lib/kdump/", "var/lib/systemd/pstore/")], sysprep: ["crash-data"]),
        SealClass(
            "core-dumps", "Core dumps", "memory of programs",
            [.clear("var/lib/systemd/coredump/"), .remove("core", "core.*", "var/core/*", "~/core.*")],
            sysprep: ["crash-data"]),
        SealClass(
            "crash-reports", "Crash reports", "parts of memory, command lines and environments",
            [.clear("var/spool/abrt/", "var/spool/abrt-upload/", "var/lib/apport/", "var/lib/whoopsie/")], sysprep: ["abrt-data"]),
    ]

    static let scratch: [SealClass] = [
        SealClass(
            "tmp", "Temporary files", "sockets, keys and half-written files", [.clear("tmp/")], sysprep: ["tmp-files"]),
        SealClass(
            "var-tmp", "Temporary files that outlive a boot", "the same, and private folders of services", [.clear("var/tmp/")],
            sysprep: ["tmp-files"]),
        SealClass(
            "lost-and-found", "Recovered fragments", "pieces of removed files",
            [.clear("lost+found/", "boot/lost+found/", "home/lost+found/")]),
        SealClass(
            "swap-files", "Swap files", "pages of memory, keys among them", [.remove("swapfile", "swap.img", "var/swap*", "swap/*")]),
        SealClass(
            "package-build-leftovers", "Leftovers of module builds", "logs with paths, host and user of the builder",
            [.remove("var/lib/dkms/*/*/*/*/log/*", "var/lib/dkms/*/*/build/")]),
    ]
}
