extension AnswerKey {
    static let coreKeys: [AnswerKey] = [
        AnswerKey(
            "DISTRO", .core, .choice(Answers.Distro.allCases.map(\.rawValue)), required: true, since: "1.0.3",
            "The distribution to install."),
        AnswerKey(
            "PROFILE", .core, .choice(Answers.Profile.allCases.map(\.rawValue)), default: "server", since: "1.0.3",
            effect: .laterFor(["ai"], "the assistant, and means server until then"),
            "How much comes with the base system: `core` is the distribution on ZFS and nothing else, `server` adds operators' tools, "
                + "`desktop` a graphical session, `kvm` virtual machines, `ai` the local assistant."),
        AnswerKey(
            "DISK", .core, .disk, required: true, since: "1.0.3",
            "The disk to install to: a path below `/dev`, best one from `/dev/disk/by-id`. "
                + "`auto` is the machine's only empty disk that is large enough for the profile, and an error when there is none or more "
                + "than one. It needs no approval because it is empty; a disk that holds anything is never chosen, nor a volume of a pool or "
                + "of the network (`zd`, `nbd`, `rbd`, `drbd`). "
                + "An image has a disk of its own."),
        AnswerKey(
            "HOSTNAME", .core, .hostName, default: "kldload-node", since: "1.0.3",
            "The name of the machine after RFC 1123, 63 bytes at most; upper case becomes lower case."),
        AnswerKey("TIMEZONE", .core, .timezone, default: "UTC", since: "1.0.3", "A zone of the TZ database, such as `America/Vancouver`."),
        AnswerKey("LOCALE", .core, .locale, default: "en_US.UTF-8", since: "1.0.3", "The language and formats of the system, in UTF-8."),
        AnswerKey("KEYBOARD_LAYOUT", .core, .keyboardLayout, default: "us", since: "1.0.3", "An XKB keyboard layout."),
        AnswerKey(
            "KEYBOARD_VARIANT", .core, .keyboardVariant, since: "1.0.3", "A variant of that layout, such as `nodeadkeys`."),
        AnswerKey(
            "AFTER_INSTALL", .core, .choice(["poweroff", "reboot"]), default: "poweroff", since: "2.0",
            "What the machine does when an installation has succeeded. When absent, one that started by itself powers off, and "
                + "`kldload install` leaves the machine as it is."),
        AnswerKey(
            "NO_AUTO_REBOOT", .core, .bool, default: "0", since: "1.1.0",
            "`1` stays in the live environment after the installation, to look around."),
    ]

    static let accountKeys: [AnswerKey] = [
        AnswerKey(
            "USERNAME", .accounts, .userName, default: "admin", since: "1.0.3",
            "The administrator's account, which may use sudo without a password."),
        AnswerKey(
            "PASSWORD", .accounts, .password, secret: true, since: "1.0.3",
            "The administrator's password. When no password is given in any form it is `admin`, expired: "
                + "it must be changed at the first login on the console and opens nothing over SSH before. "
                + "A sealed image keeps no password."),
        AnswerKey(
            "PASSWORD_HASH", .accounts, .passwordHash, secret: true, since: "2.0",
            "The administrator's password as `mkpasswd` prints it (yescrypt, SHA-512, SHA-256 or bcrypt). Preferred: the file then "
                + "holds nothing that can be typed. Write it in single quotes."),
        AnswerKey(
            "ROOT_PASSWORD", .accounts, .password, secret: true, since: "1.1.0",
            "A password for root at the console; over SSH root needs a key all the same. Without it root has none. "
                + "A sealed image keeps no password."),
        AnswerKey(
            "ROOT_PASSWORD_HASH", .accounts, .passwordHash, secret: true, since: "2.0",
            "The same as `mkpasswd` prints it, instead. Write it in single quotes."),
        AnswerKey(
            "SSH_PUBKEY", .accounts, .sshKeys, since: "1.0.3",
            "SSH public keys that may log in as the administrator, with or without a terminal, and while the password is the expired "
                + "default one too. Separate several with a semicolon."),
        AnswerKey(
            "ADMIN_SSH_PUBKEY", .accounts, .sshKeys, since: "1.0.3",
            "SSH public keys that may log in as root. A sealed image keeps none of them."),
        AnswerKey("ADMIN_SSH_KEYS", .accounts, .sshKeys, since: "1.1.0", "Further SSH public keys for root."),
        AnswerKey(
            "GENERATE_SSH_KEY", .accounts, .bool, default: "1", since: "1.0.3",
            "`1` makes the machine's SSH host keys during the installation, `0` leaves it to the first boot. An image never has any."),
    ]

    static let storageKeys: [AnswerKey] = [
        AnswerKey("STORAGE_MODE", .storage, .choice(["zfs"]), default: "zfs", since: "1.0.3", "ZFS is the only mode there is."),
        AnswerKey("ENABLE_ZFS", .storage, .choice(["1"]), default: "1", since: "1.0.3", "Always `1`."),
        AnswerKey(
            "STORAGE_MANUAL", .storage, .bool, default: "0", since: "1.1.0",
            effect: .never("the installer makes the pool itself, by a plan that names every disk, in a guided installation too"),
            "In older releases `1` opened a shell in which a person prepared the pool."),
        AnswerKey(
            "ZFS_POOL", .storage, .poolName, default: "rpool", since: "2.0", "The name of the pool that is made."),
        AnswerKey(
            "ZFS_TOPOLOGY", .storage, .choice(Answers.Topology.allCases.map(\.rawValue)), default: "single", since: "1.0.3",
            "How the root disks (`KLDLOAD_DISK` and `KLDLOAD_ZFS_DATA_DISKS` together) form the pool: `single` takes 1, "
                + "`mirror` 2 or more, `raidz1` 3 or more, `raidz2` 4 or more, `raidz3` 5 or more, `mirror-stripe` an even number from 4."),
        AnswerKey(
            "ZFS_DATA_DISKS", .storage, .disks, since: "1.0.3",
            "The root disks beyond `KLDLOAD_DISK`, separated by spaces or commas. Each of them gets an EFI system partition too."),
        AnswerKey(
            "ZFS_SPECIAL_DISKS", .storage, .disks, since: "1.0.3",
            "Disks of a special vdev, which holds metadata; several form a mirror. "
                + "It must survive as many lost disks as the root vdevs do, since the pool is lost with it."),
        AnswerKey(
            "ZFS_ENCRYPT", .storage, .bool, default: "0", since: "1.0.3",
            "`1` encrypts the pool with aes-256-gcm; the passphrase is asked at every boot. Not for images."),
        AnswerKey(
            "ZFS_PASSPHRASE", .storage, .passphrase, secret: true, since: "1.1.0", "The passphrase of the encrypted pool, 8 to 512 bytes."),
        AnswerKey(
            "FORCE_WIPE", .storage, .bool, default: "0", since: "1.0.3",
            "`1` approves the loss of everything on the disks that these answers name. Without it the name of each of them, even of an "
                + "empty one, must be typed when the plan asks for it. Not with `KLDLOAD_DISK=auto`, whose disk is empty and needs no "
                + "approval. Images are made on disks of their own, without any. Changed in 2.0: the default was `1`."),
    ]

    static let networkKeys: [AnswerKey] = [
        AnswerKey(
            "NET_METHOD", .network, .choice(["dhcp", "static"]), default: "dhcp", since: "1.0.3", "How the machine gets its address."),
        AnswerKey(
            "NET_IFACE", .network, .interface, since: "1.0.3",
            "The interface to configure. When absent: every wired one; with a static address a machine that has several needs this key. "
                + "Changed in 2.0: the default was `eth0`, a name that few machines have."),
        AnswerKey(
            "NET_IP", .network, .ipAddressOrNetwork, since: "1.0.3",
            "The static address, IPv4 or IPv6; a prefix may follow after a slash. Required with `static`."),
        AnswerKey(
            "NET_PREFIX", .network, .integer(1...128), default: "24", since: "1.0.3",
            "The length of the network's prefix in bits; when absent, 64 with an IPv6 address."),
        AnswerKey(
            "NET_GW", .network, .ipAddress, since: "1.0.3", aliases: ["NET_GATEWAY"],
            "The default gateway, which must lie in the same network or be a link-local IPv6 address. Required with `static`."),
        AnswerKey(
            "NET_DNS", .network, .ipAddresses, since: "1.0.3",
            "Addresses of name servers, separated by commas, with `static`. Without any the machine resolves no names."),
        AnswerKey("WIFI_SSID", .network, .text(32), since: "1.1.0", "The name of a wireless network to join as well, with DHCP."),
        AnswerKey(
            "WIFI_PSK", .network, .wifiPassword, secret: true, since: "1.1.0",
            "Its passphrase of 8 to 63 characters, or its key of 64 hexadecimal digits. Absent for an open network. Not for images."),
    ]
}
