extension SealCatalogue {
    static let services: [SealClass] = [
        SealClass(
            "cloud-init", "State of cloud-init", "with it a clone takes itself for an instance that was set up already",
            [
                .clear("var/lib/cloud/", except: ["var/lib/cloud/scripts"]),
                .remove(
                    "etc/cloud/cloud-init.disabled", "etc/cloud/cloud.cfg.d/99-installer.cfg",
                    "etc/cloud/cloud.cfg.d/90-installer-network.cfg", "etc/cloud/cloud.cfg.d/curtin-*.cfg",
                    "etc/cloud/cloud.cfg.d/subiquity-*.cfg", "etc/cloud/cloud.cfg.d/99_hostname.cfg",
                    "etc/ssh/sshd_config.d/50-cloud-init.conf", "var/log/cloud-init*.log"),
            ]),
        SealClass(
            "installer-leftovers", "Leftovers of installers", "kickstart and autoinstall files with the passwords of the install",
            [
                .remove(
                    "root/anaconda-ks.cfg", "root/original-ks.cfg", "root/initial-setup-ks.cfg", "root/anaconda-post.log",
                    "root/install.log*", "root/preseed.cfg", "preseed.cfg", "autoinst.xml", "root/autoinst.xml", "etc/kickstart/*")
            ], sysprep: ["logfiles"]),
        SealClass(
            "debconf-passwords", "Passwords given to debconf", "clear-text answers to questions of packages",
            [.truncate("var/cache/debconf/passwords.dat"), .remove("var/cache/debconf/*-old")]),
        SealClass(
            "samba-state", "State of Samba", "machine account, secrets and local SID",
            [.clearFiles("var/lib/samba/", "var/cache/samba/"), .remove("etc/samba/secrets.tdb", "etc/samba/smbpasswd")],
            sysprep: ["samba-db-log"]),
        SealClass(
            "sssd-state", "State of SSSD", "cached credentials of people",
            [.clearFiles("var/lib/sss/db/", "var/lib/sss/mc/", "var/lib/sss/secrets/", "var/lib/sss/keytabs/")],
            sysprep: ["sssd-db-log"]),
        SealClass(
            "ipa-client", "Membership of an IPA domain", "the enrolment belongs to one host",
            [
                .remove(
                    "etc/ipa/ca.crt", "etc/ipa/default.conf", "var/lib/ipa-client/pki/*", "var/lib/ipa-client/sysrestore/*",
                    "etc/pki/ca-trust/source/ipa.p11-kit", "etc/pki/ca-trust/source/anchors/ipa-ca.crt",
                    "usr/local/share/ca-certificates/ipa-ca.crt")
            ], sysprep: ["ipa-client"]),
        SealClass(
            "kerberos-data", "Kerberos database", "every principal's keys",
            [
                .clear("var/kerberos/krb5kdc/", except: ["var/kerberos/krb5kdc/kadm5.acl", "var/kerberos/krb5kdc/kdc.conf"]),
                .remove("var/lib/krb5kdc/*", "etc/krb5kdc/stash", "var/kerberos/krb5/user/*"),
            ], sysprep: ["kerberos-data"]),
        SealClass(
            "ldap-secrets", "LDAP bind passwords", "clear-text passwords of directory accounts",
            [
                .remove("etc/ldap.secret", "etc/libnss-ldap.secret", "etc/pam_ldap.secret"),
                .edit(.dropPrefixes(["bindpw", "rootpwmodpw"]), "etc/nslcd.conf", "etc/ldap.conf"),
            ]),
        SealClass(
            "mail-spool", "Mail", "other people's letters",
            [
                .remove("var/mail/*", "var/spool/mail/*"),
                .clearFiles(
                    "var/spool/postfix/incoming/", "var/spool/postfix/active/", "var/spool/postfix/deferred/", "var/spool/postfix/defer/",
                    "var/spool/postfix/bounce/", "var/spool/postfix/hold/", "var/spool/postfix/corrupt/", "var/spool/postfix/maildrop/",
                    "var/spool/postfix/saved/", "var/spool/exim4/input/", "var/spool/exim4/msglog/", "var/spool/exim4/db/",
                    "var/spool/mqueue/", "var/spool/clientmqueue/", "var/spool/nullmailer/queue/"),
                .remove("~/Maildir/", "~/mbox", "~/dead.letter"),
            ], sysprep: ["mail-spool"]),
        SealClass(
            "mail-server-secrets", "Passwords and keys of mail servers", "relay passwords, DKIM keys, random state",
            [
                .remove(
                    "etc/postfix/sasl_passwd*", "etc/postfix/sasl/*.db", "var/lib/postfix/prng_exch", "etc/exim4/passwd.client",
                    "etc/dkimkeys/*", "etc/opendkim/keys/**/*.private", "etc/mail/authinfo*", "etc/nullmailer/remotes")
            ]),
        SealClass(
            "dovecot-data", "State of Dovecot", "parameters and keys of another server",
            [.clearFiles("var/lib/dovecot/"), .remove("etc/dovecot/private/*", "etc/dovecot/users", "etc/dovecot/*passwd*")],
            sysprep: ["dovecot-data"]),
        SealClass(
            "puppet-data", "Puppet identity", "certificate and key by which the server knows the node",
            [
                .clearFiles("var/lib/puppet/ssl/", "etc/puppetlabs/puppet/ssl/", "opt/puppetlabs/puppet/cache/", "var/lib/puppet/state/"),
                .remove("var/lib/puppet/*/*", "etc/puppetlabs/puppet/csr_attributes.yaml"),
            ], sysprep: ["puppet-data-log"]),
        SealClass(
            "salt-data", "Salt identity", "minion id and keys",
            [.remove("etc/salt/minion_id", "etc/salt/pki/**/*.pem", "etc/salt/pki/**/*.pub", "var/cache/salt/*")]),
        SealClass(
            "chef-data", "Chef identity", "client and validation keys",
            [.remove("etc/chef/*.pem", "etc/chef/*secret*", "var/chef/*", "etc/cinc/*.pem")]),
        SealClass(
            "agent-ids", "Identities of agents", "ids and keys by which monitoring, inventory and cluster agents register",
            [
                .remove(
                    "var/lib/consul/node-id", "opt/consul/node-id", "var/lib/nomad/client/client-id", "var/lib/nomad/client/secret-id",
                    "var/lib/netdata/registry/*", "var/lib/netdata/cloud.d/*", "etc/zabbix/*.psk", "var/lib/teleport/host_uuid",
                    "var/lib/teleport/proc/*", "var/lib/osquery/*", "etc/crowdsec/*_credentials.yaml", "etc/insights-client/machine-id",
                    "etc/insights-client/.registered", "var/lib/landscape/*", "etc/datadog-agent/auth_token", "var/ossec/etc/client.keys",
                    "var/lib/elastic-agent/*", "etc/fleet/*secret*", "var/lib/amazon/ssm/*", "var/lib/waagent/*", "var/lib/google/*")
            ]),
        SealClass(
            "observability-data", "Metrics, dashboards' accounts and shipped logs", "the history and the administrator of another machine",
            [
                .clearFiles("var/lib/prometheus/", "var/lib/loki/", "var/lib/promtail/", "var/lib/alloy/", "var/lib/node_exporter/"),
                .remove("var/lib/grafana/grafana.db*", "var/lib/grafana/sessions/", "var/lib/grafana/png/*"),
            ]),
        SealClass(
            "cron-spool", "Jobs of users", "jobs of at keep the environment of the person who made them",
            [
                .clearFiles(
                    "var/spool/at/", "var/spool/atjobs/", "var/spool/atspool/", "var/spool/cron/",
                    except: [
                        "var/spool/**/.SEQ"
                    ])
            ], sysprep: ["cron-spool"]),
        SealClass(
            "print-spool", "Print jobs", "documents that were printed",
            [.clearFiles("var/spool/cups/", "var/spool/lpd/", "var/cache/cups/")]),
        SealClass(
            "fail2ban-data", "Addresses that were banned", "who attacked another machine",
            [.remove("var/lib/fail2ban/*", "var/lib/crowdsec/data/*.db*")]),
        SealClass(
            "database-logins", "Cookies of message brokers", "one cookie makes all clones one Erlang cluster",
            [
                .remove(
                    "var/lib/rabbitmq/.erlang.cookie", "~/.erlang.cookie", "var/lib/couchdb/.erlang.cookie",
                    "var/lib/ejabberd/.erlang.cookie")
            ]),
        SealClass(
            "web-console-sessions", "Machines and sessions of the web console", "other machines with their log-ins",
            [.remove("etc/cockpit/machines.d/*", "var/lib/cockpit/*", "var/lib/php/sessions/*")]),
        SealClass(
            "snap-credentials", "Store log-ins and device keys of snapd", "the serial and the tokens of one device",
            [.remove("~/.snap/auth.json", "var/lib/snapd/device/private-keys-v1/*", "var/lib/snapd/cookie/*")]),
    ]

    static let cluster: [SealClass] = [
        SealClass(
            "libvirt-secrets", "Secrets of libvirt", "passwords of storage and disks, and the keys that protect them",
            [
                .clear("etc/libvirt/secrets/", "var/lib/libvirt/secrets/"),
                .remove("etc/pki/libvirt/private/*", "etc/pki/qemu/*-key.pem", "etc/libvirt/passwd.db"),
            ]),
        SealClass(
            "libvirt-guests", "Firmware, TPMs and memory of guests", "firmware variables and TPM state of guests that clones do not have",
            [
                .clear(
                    "var/lib/libvirt/qemu/nvram/", "var/lib/libvirt/swtpm/", "var/lib/libvirt/qemu/save/", "var/lib/libvirt/qemu/snapshot/",
                    "var/lib/libvirt/qemu/dump/", "var/lib/libvirt/qemu/channel/")
            ]),
        SealClass(
            "libvirt-networks", "Leases and ids of libvirt's networks", "hardware addresses of bridges, and leases of guests",
            [.clear("var/lib/libvirt/dnsmasq/"), .edit(.dropPrefixes(["<mac address="]), "etc/libvirt/qemu/networks/*.xml")]),
        SealClass(
            "container-engine", "Identity of container engines", "engine ids, keys and swarm membership",
            [.remove("var/lib/docker/engine-id", "etc/docker/key.json", "var/lib/docker/swarm/*", "var/lib/docker/network/files/*")]),
        SealClass(
            "kubernetes-keys", "Kubernetes certificates and configuration", "a clone would be the same node, or the same control plane",
            [
                .clearFiles("etc/kubernetes/"), .clear("var/lib/kubelet/pki/"),
                .remove("var/lib/kubelet/kubeadm-flags.env", "var/lib/kubelet/config.yaml", "var/lib/kubelet/bootstrap-kubeconfig"),
            ]),
        SealClass(
            "etcd-data", "Data and keys of etcd", "every secret of a cluster",
            [.clear("var/lib/etcd/"), .remove("etc/etcd/**/*.key", "etc/etcd/**/*-key.pem")]),
        SealClass(
            "k3s-data", "Tokens and certificates of k3s and RKE2", "the same for the small Kubernetes",
            [
                .remove(
                    "var/lib/rancher/*/server/token", "var/lib/rancher/*/server/node-token", "var/lib/rancher/*/server/agent-token",
                    "var/lib/rancher/*/server/cred/", "var/lib/rancher/*/server/tls/", "var/lib/rancher/*/server/db/",
                    "var/lib/rancher/*/agent/*.key", "var/lib/rancher/*/agent/*.kubeconfig", "etc/rancher/node/password",
                    "etc/rancher/*/*.yaml")
            ]),
        SealClass(
            "cni-state", "Addresses of pods", "addresses given out on another node",
            [.remove("var/lib/cni/networks/*", "var/lib/cni/results/*", "var/lib/cni/cache/*")]),
    ]
}
