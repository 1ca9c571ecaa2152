extension SealCatalogue {
    /// The class that stays when the network of the answers is meant for the clones: ``SealOptions/keepNetwork``.
    static let networkOfAnswers = "kldload-network"
    /// What stays for the same reason, of another class.
    static let wirelessOfAnswers: PathPattern = "etc/wpa_supplicant/kldload.conf"

    static let network: [SealClass] = [
        SealClass(
            networkOfAnswers, "Network of the install",
            "a fixed address is one machine's; without it DHCP of `99-kldload-dhcp.network` counts. Answers of an image build keep theirs",
            [
                .remove(
                    "etc/systemd/network/10-kldload*.network", "etc/systemd/network/50-kldload-others.network",
                    "etc/systemd/network/20-kldload-wireless.network",
                    "etc/systemd/system/wpa_supplicant@.service.d/kldload.conf", "etc/udev/rules.d/80-kldload-wireless.rules")
            ]),
        SealClass(
            "dhcp-client-state", "DHCP leases", "clones would ask for the address that another machine holds",
            [
                .clear("var/lib/dhclient/", "var/lib/dhcp/", "var/lib/dhcpcd/"),
                .remove("var/lib/dhcpcd5/*", "etc/dhcpcd.duid", "etc/dhcpcd.secret", "var/lib/udhcpc/*", "var/db/dhcpcd/*"),
            ], sysprep: ["dhcp-client-state"]),
        SealClass(
            "dhcp-server-state", "Leases given out", "addresses that were promised to machines of another network",
            [.clear("var/lib/dhcpd/", "var/lib/kea/"), .remove("var/lib/misc/dnsmasq*.leases", "var/lib/dnsmasq/*")],
            sysprep: ["dhcp-server-state"]),
        SealClass(
            "networkmanager-connections", "Connections of NetworkManager", "Wi-Fi keys, VPN passwords, ids and fixed addresses",
            [.clear("etc/NetworkManager/system-connections/"), .remove("etc/netplan/90-NM-*.yaml")], sysprep: ["net-nmconn"]),
        SealClass(
            "networkmanager-state", "State of NetworkManager",
            "the secret that stable addresses are made of, leases, and the networks that were seen", [.clear("var/lib/NetworkManager/")]),
        SealClass(
            "net-hwaddr", "Hardware addresses in network configuration", "a clone's card has another address: its network would stay down",
            [
                .edit(
                    .dropKeys(["HWADDR", "UUID", "MACADDR", "DHCP_HOSTNAME", "HOSTNAME"]), "etc/sysconfig/network-scripts/ifcfg-*"),
                .edit(.dropPrefixes(["hwaddress "]), "etc/network/interfaces", "etc/network/interfaces.d/*"),
                .edit(.replaceKey("MACAddress", with: "Type=ether"), "etc/systemd/network/*.network"),
                .edit(.replaceKey("PermanentMACAddress", with: "Type=ether"), "etc/systemd/network/*.network"),
            ], sysprep: ["net-hwaddr", "net-hostname"]),
        SealClass(
            "wifi-keys", "Wi-Fi keys", "the keys of the network where the image was made",
            [
                .remove("etc/wpa_supplicant/*.conf", "etc/wpa_supplicant.conf", "var/lib/iwd/*", "etc/NetworkManager/certs/*"),
                .edit(.dropPrefixes(["wpa-psk", "wpa-ssid", "wireless-key"]), "etc/network/interfaces", "etc/network/interfaces.d/*"),
                .edit(.dropKeys(["WPA_PSK"]), "etc/sysconfig/network-scripts/ifcfg-*"),
                .remove("etc/sysconfig/network-scripts/keys-*"),
            ]),
        SealClass(
            "cloud-init-network", "Network configuration written by cloud-init", "belongs to the instance that was, with its addresses",
            [
                .remove(
                    "etc/netplan/50-cloud-init.yaml", "etc/network/interfaces.d/50-cloud-init*", "etc/systemd/network/10-cloud-init-*",
                    "etc/udev/rules.d/85-persistent-net-cloud-init.rules")
            ]),
        SealClass(
            "networkd-state", "State of systemd-networkd and resolved", "leases, and the DNS servers of another network",
            [.clear("var/lib/systemd/network/", "var/lib/systemd/resolve/", "var/lib/systemd/netif/")]),
        SealClass(
            "resolver", "Name servers of the building network", "unreachable for a clone, and a map of somebody's network",
            [.edit(.dropFirstWords(["nameserver", "search", "domain"]), "etc/resolv.conf")]),
        SealClass(
            "connman-state", "State of ConnMan", "Wi-Fi keys and networks that were seen", [.clear("var/lib/connman/")]),
        SealClass(
            "ppp-secrets", "PPP secrets", "log-ins of a provider",
            [.truncate("etc/ppp/chap-secrets", "etc/ppp/pap-secrets", "etc/ppp/srp-secrets")]),
        SealClass(
            "snmp-engine", "SNMP engine id and users", "engine id, and keys derived from it, of another machine",
            [.remove("var/lib/snmp/*.conf", "var/lib/net-snmp/*.conf")]),
    ]

    static let storage: [SealClass] = [
        SealClass(
            "zpool-cache", "Pool cache",
            "lists the disks of the machine that was built and imports pools that are gone; import scans instead",
            [.remove("etc/zfs/zpool.cache", "etc/zfs/zpool.cache.*", "boot/zfs/zpool.cache")]),
        SealClass(
            "zfs-list-cache", "Dataset cache",
            "pool and dataset names as they were; empty and not missing, because zed fills only files that are there",
            [.truncate("etc/zfs/zfs-list.cache/*")]),
        SealClass(
            "zfs-key-files", "ZFS key files", "raw keys and passphrases of encrypted datasets",
            [.remove("etc/zfs/keys/*", "etc/zfs/*.key", "etc/zfs/zpool.key", "root/*.zfskey", "boot/*.key")]),
        SealClass(
            "luks-keys", "LUKS key files", "whoever has one opens the disk",
            [.clear("etc/cryptsetup-keys.d/", "etc/luks-keys/", "etc/luks/"), .remove("etc/keys/*", "root/*.luks", "crypto_keyfile.bin")]),
        SealClass(
            "mdadm-arrays", "Known arrays", "arrays of another machine would be looked for, and other disks given their names",
            [.edit(.dropRecords("ARRAY"), "etc/mdadm/mdadm.conf", "etc/mdadm.conf")]),
        SealClass(
            "lvm-devices", "Known LVM devices", "only these disks would be looked at; clones have others",
            [.remove("etc/lvm/devices/*"), .clear("etc/lvm/archive/", "etc/lvm/backup/", "etc/lvm/cache/")],
            sysprep: ["lvm-system-devices"]),
        SealClass(
            "multipath-bindings", "Multipath names and reservation keys", "bind names to disks that clones do not have",
            [.remove("etc/multipath/bindings", "etc/multipath/wwids", "etc/multipath/prkeys")]),
        SealClass(
            "blkid-cache", "Cache of file system ids", "ids of the disks of another machine",
            [.remove("etc/blkid.tab", "etc/blkid.tab.old", "etc/blkid/*")], sysprep: ["blkid-tab"]),
        SealClass(
            "iscsi-nodes", "iSCSI targets and passwords", "targets that were found, and CHAP passwords",
            [
                .remove("var/lib/iscsi/*/*", "etc/iscsi/nodes/*", "etc/iscsi/send_targets/*"),
                .edit(
                    .dropKeys([
                        "node.session.auth.username", "node.session.auth.password", "node.session.auth.username_in",
                        "node.session.auth.password_in", "discovery.sendtargets.auth.username", "discovery.sendtargets.auth.password",
                    ]), "etc/iscsi/iscsid.conf"),
            ]),
        SealClass(
            "iscsi-target", "Exported iSCSI targets", "names, serial numbers and passwords of what was exported",
            [
                .remove(
                    "etc/target/saveconfig.json", "etc/target/backup/*", "etc/rtslib-fb-target/saveconfig.json",
                    "etc/rtslib-fb-target/backup/*")
            ]),
        SealClass(
            "nfs-state", "State of NFS", "clients and locks of another machine",
            [
                .remove("var/lib/nfs/rmtab", "var/lib/nfs/etab", "var/lib/nfs/xtab", "var/lib/nfs/state", "var/lib/nfs/nfsdcltrack/*"),
                .clear("var/lib/nfs/sm/", "var/lib/nfs/sm.bak/", "var/lib/nfs/v4recovery/"),
            ]),
        SealClass(
            "ceph-keys", "Ceph keys", "secrets of a storage cluster",
            [.remove("etc/ceph/*.keyring", "etc/ceph/*.secret", "var/lib/ceph/**/keyring")]),
        SealClass(
            "replication-keys", "Keys of replication", "let a clone write to the machines that receive backups",
            [
                .remove(
                    "etc/syncoid/*.key", "etc/sanoid/*.key", "etc/zrepl/*.key", "etc/restic/*", "etc/borgmatic/*passphrase*",
                    "~/.config/borg/", "~/.config/restic/")
            ]),
    ]
}
