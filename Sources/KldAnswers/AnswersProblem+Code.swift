extension AnswersProblem {
    /// The stable name of a kind of problem.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        // The file
        case missingFile = "answers.missing-file"
        case unreadableFile = "answers.unreadable-file"
        case tooLarge = "answers.too-large"
        case notUTF8 = "answers.not-utf8"
        case nulByte = "answers.nul-byte"
        case lineTooLong = "answers.line-too-long"
        case tooManyProblems = "answers.too-many-problems"
        // Its form
        case syntax = "answers.syntax"
        case json = "answers.json"
        case unterminatedQuote = "answers.unterminated-quote"
        case textAfterQuote = "answers.text-after-quote"
        case quoteInside = "answers.quote-inside"
        case evaluation = "answers.evaluation"
        case controlCharacter = "answers.control-character"
        case badOverride = "answers.bad-override"
        // Its keys
        case unknownKey = "answers.unknown-key"
        case repeatedKey = "answers.repeated-key"
        case missingKey = "answers.missing-key"
        // Single values
        case wrongType = "answers.type"
        case bool = "answers.bool"
        case number = "answers.number"
        case choice = "answers.choice"
        case hostname = "answers.hostname"
        case domain = "answers.domain"
        case username = "answers.username"
        case reservedUsername = "answers.reserved-username"
        case disk = "answers.disk"
        case diskIsPartition = "answers.disk-is-partition"
        case interface = "answers.interface"
        case ipAddress = "answers.ip-address"
        case cidr = "answers.cidr"
        case timezone = "answers.timezone"
        case locale = "answers.locale"
        case keyboardLayout = "answers.keyboard-layout"
        case keyboardVariant = "answers.keyboard-variant"
        case sshKey = "answers.ssh-key"
        case sshPrivateKey = "answers.ssh-private-key"
        case url = "answers.url"
        case package = "answers.package"
        case password = "answers.password"
        case passwordHash = "answers.password-hash"
        case mokPassword = "answers.mok-password"
        case passphrase = "answers.passphrase"
        case wifiPassword = "answers.wifi-password"
        case wireguardKey = "answers.wireguard-key"
        case path = "answers.path"
        case poolName = "answers.pool-name"
        case size = "answers.size"
        case console = "answers.console"
        case label = "answers.label"
        case version = "answers.version"
        case text = "answers.text"
        // Values that do not go together
        case profile = "answers.profile-unavailable"
        case release = "answers.release-mismatch"
        case diskCount = "answers.disk-count"
        case duplicateDisk = "answers.duplicate-disk"
        case specialRedundancy = "answers.special-redundancy"
        case specialCount = "answers.special-count"
        case wipeWithoutDisk = "answers.wipe-without-disk"
        case passphraseMissing = "answers.passphrase-missing"
        case passphraseUnused = "answers.passphrase-unused"
        case passwordConflict = "answers.password-conflict"
        case secretFile = "answers.secret-file"
        case networkIncomplete = "answers.network-incomplete"
        case networkConflict = "answers.network-conflict"
        case addressUnusable = "answers.address-unusable"
        case gatewayOutside = "answers.gateway-outside"
        case wifi = "answers.wifi"
        case exportTarget = "answers.export-target"
        case exportLogin = "answers.export-login"
        case afterInstall = "answers.after-install"
        case cluster = "answers.cluster"
        case subscription = "answers.subscription"
        case moduleKey = "answers.module-key"
        /// What the file asks for is known and cannot be installed by this version. Found by who knows the distributions.
        case unsupported = "distro.unsupported"
        // Notes: the file is accepted
        case noEffect = "answers.no-effect"
        case hardToType = "answers.hard-to-type"
        case noNameServer = "answers.no-name-server"
    }
}

extension AnswersProblem.Code {
    /// What the code means, for the documents: one sentence.
    public var help: String { explanation.help }
    /// What to do about it, where a problem has no better advice of its own.
    public var remedy: String { explanation.remedy }

    private var explanation: (help: String, remedy: String) {
        switch self {
        case .missingFile: ("There is no file of that name.", "name an existing answers file")
        case .unreadableFile: ("The file exists and cannot be read.", "make it readable for the user who runs this")
        case .tooLarge: ("The file is larger than 1 MiB.", "give only answers; no keys or images belong into this file")
        case .notUTF8: ("A line is not UTF-8.", "save the file as UTF-8")
        case .nulByte: ("A line holds a NUL byte, as in UTF-16 or binary files.", "save the file as UTF-8 text")
        case .lineTooLong: ("A line is longer than 64 KiB.", "shorten it")
        case .tooManyProblems: ("More problems were found than are shown.", "correct these first, then check again")
        case .syntax: ("A line is neither KEY=VALUE nor a comment.", "write KEY=VALUE, without spaces before the equals sign")
        case .json:
            (
                "The file begins with a brace and is not a JSON object of plain values.",
                "write an object of strings, numbers, booleans and lists of strings"
            )
        case .unterminatedQuote: ("A quoted value has no closing quote on its line.", "close the quote on the same line")
        case .textAfterQuote: ("Something follows the closing quote of a value.", "put the whole value into one pair of quotes")
        case .quoteInside: ("A value without quotes around it holds a quote.", "put the whole value into quotes")
        case .evaluation:
            (
                "A value holds $( or a backtick where a shell would run a command; answers are never evaluated.",
                "write the result itself, or put the value into single quotes to mean these characters"
            )
        case .controlCharacter: ("A value holds a control character, such as a line break.", "remove it")
        case .badOverride: ("An override on the command line is not KEY=VALUE.", "write it as KLDLOAD_KEY=value")
        case .unknownKey: ("kldload knows no such key.", "see docs/answers.md for the keys there are")
        case .repeatedKey: ("The key was given before, under this name or an alias.", "keep one of the two lines")
        case .missingKey: ("A key without a default is absent.", "add it")
        case .wrongType:
            (
                "A value of a JSON object is of another type than its key takes.",
                "write it as a string, in double quotes, or as a list of strings"
            )
        case .bool: ("A switch is neither 0 nor 1.", "write 0 or 1")
        case .number: ("The value is not a whole number, or out of range.", "write a whole number in the range that is named")
        case .choice: ("The value is not one of those allowed.", "choose one of them")
        case .hostname: ("The host name breaks a rule of RFC 1123.", "use letters, digits and inner hyphens, 63 at most, not digits alone")
        case .domain: ("The domain name or address is malformed.", "use letters, digits and inner hyphens, joined by dots")
        case .username:
            (
                "The account's name is not portable.",
                "begin with a lower-case letter or underscore; then lower-case letters, digits, _ and -, 32 at most"
            )
        case .reservedUsername: ("The account's name belongs to the system.", "choose another name")
        case .disk:
            ("A disk is not a path below /dev.", "write a path such as /dev/disk/by-id/…, as `lsblk` or `ls -l /dev/disk/by-id` shows it")
        case .diskIsPartition: ("A partition was named where a whole disk is needed.", "name the disk")
        case .interface:
            ("The name of a network interface is malformed.", "write 1 to 15 characters without spaces and slashes, as `ip link` shows it")
        case .ipAddress: ("An address is not IPv4 or IPv6.", "write it as 10.0.1.50 or 2001:db8::50")
        case .cidr: ("A network is not written as address/prefix, or has bits set beyond its prefix.", "write it as 10.100.0.0/24")
        case .timezone: ("The TZ database has no such zone.", "write a name such as Europe/Berlin; `timedatectl list-timezones` shows them")
        case .locale: ("There is no such locale in UTF-8.", "write a name such as en_US.UTF-8")
        case .keyboardLayout: ("XKB has no such layout.", "write a layout such as us or de; `localectl list-x11-keymap-layouts` shows them")
        case .keyboardVariant: ("The layout has no such variant.", "choose one of the layout's variants, or none")
        case .sshKey: ("The text is not an SSH public key that OpenSSH accepts.", "copy the whole line of the .pub file")
        case .sshPrivateKey:
            (
                "A private SSH key was given where a public one belongs.",
                "give the .pub file's line, and make a new key: this one has left its place"
            )
        case .url: ("The text is not an http or https address without user and password.", "write it as https://host/path")
        case .package: ("A package's name holds a character that no distribution allows.", "separate names by spaces or commas")
        case .password: ("The password is longer than 512 bytes, or holds a colon or a tab.", "choose another, or give it hashed")
        case .passwordHash:
            (
                "The text is no hash of crypt(5) that is safe to use and that a password can match.",
                "make one with `mkpasswd` and write it in single quotes"
            )
        case .mokPassword:
            (
                "The password for the firmware's key manager has more than 256 characters, or one that its keyboard does not have.",
                "choose 1 to 256 printable characters of ASCII: the key manager knows only the American keyboard"
            )
        case .passphrase: ("The passphrase has fewer than 8 or more than 512 bytes.", "choose one of 8 to 512 bytes")
        case .wifiPassword: ("The wireless passphrase is malformed.", "write 8 to 63 characters, or 64 hexadecimal digits")
        case .wireguardKey: ("The text is not a WireGuard key.", "write the 44 characters that `wg genkey` prints")
        case .path:
            (
                "The path is not absolute, climbs upwards, or holds a character that has no place there.",
                "write a path from the root without `..`"
            )
        case .poolName:
            (
                "ZFS does not allow this name for a pool.",
                "begin with a letter; then letters, digits and _ - . up to 64; not mirror, raidz, draid, spare, log"
            )
        case .size:
            ("The value is not a size, out of range, or less than the profile needs.", "write a number with K, M, G or T, from 4G to 64T")
        case .console: ("A console is not a device's name with options.", "write names such as tty0 or ttyS0,115200")
        case .label: ("The name holds a character that is not allowed there.", "use letters, digits, dot, underscore and hyphen")
        case .version: ("The text is not a version.", "write numbers joined by dots")
        case .text: ("The text is too long.", "shorten it")
        case .profile: ("The distribution does not have this profile.", "choose another profile")
        case .release: ("A release was chosen that belongs to another distribution.", "remove the key, or change the distribution")
        case .diskCount:
            ("The topology needs another number of disks.", "name as many as it needs in KLDLOAD_DISK and KLDLOAD_ZFS_DATA_DISKS together")
        case .duplicateDisk: ("A disk is named twice.", "name each disk once")
        case .specialRedundancy:
            ("The special vdev would be lost earlier than the root vdevs, and the pool with it.", "add special disks, or use none")
        case .specialCount:
            (
                "The special disks cannot be split into mirrors as wide as the root vdevs ask for.",
                "give a multiple of the number that is named"
            )
        case .wipeWithoutDisk:
            (
                "Wiping was approved together with `auto`, which never takes a disk that holds anything.",
                "remove KLDLOAD_FORCE_WIPE: the empty disk needs no approval; or name the disk to wipe by its path"
            )
        case .passphraseMissing:
            ("Encryption was asked for without a passphrase.", "add KLDLOAD_ZFS_PASSPHRASE or KLDLOAD_ZFS_PASSPHRASE_FILE")
        case .passphraseUnused: ("A passphrase was given without encryption.", "set KLDLOAD_ZFS_ENCRYPT=1, or remove the passphrase")
        case .passwordConflict:
            ("The same secret was given in more than one way.", "keep one of them; the hash is preferred for a password")
        case .secretFile: ("A file that holds a secret cannot be read, or is empty.", "write the secret into its first line")
        case .networkIncomplete: ("A static address lacks a part.", "give KLDLOAD_NET_IP and KLDLOAD_NET_GW")
        case .networkConflict:
            (
                "Settings of a static address were given with DHCP, or two that contradict each other.",
                "set KLDLOAD_NET_METHOD=static, or remove them"
            )
        case .addressUnusable: ("A host cannot have this address.", "choose an address of a host in its network")
        case .gatewayOutside: ("The gateway does not lie in the network of the address.", "correct address, prefix or gateway")
        case .wifi: ("The wireless settings do not go together.", "give KLDLOAD_WIFI_SSID with its passphrase; wireless uses DHCP")
        case .exportTarget:
            (
                "Images are to be copied without saying where to, or without having any.",
                "give KLDLOAD_EXPORT_FORMAT and KLDLOAD_EXPORT_SCP_HOST"
            )
        case .exportLogin: ("A key and a password were both given for copying.", "keep one; the key is safer")
        case .afterInstall: ("Two answers say differently what to do after the installation.", "keep one of them")
        case .cluster: ("The cluster's settings do not go together.", "give KLDLOAD_CLUSTER_CIDR, large enough for KLDLOAD_CLUSTER_SIZE")
        case .subscription:
            ("The Red Hat subscription lacks a part, or has two forms.", "give user and password, or organisation and activation key")
        case .moduleKey: ("A signing key was given without its certificate, or the reverse.", "give both files, or none")
        case .unsupported: ("This version cannot install that release of that distribution.", "choose a distribution that it installs")
        case .noEffect:
            (
                "A note, with exit status 0: a key is given that this version knows and does not act on, that the profile leaves out, or "
                    + "that only matters to images.",
                "remove it, or keep it for a later version"
            )
        case .hardToType:
            (
                "A note, with exit status 0: the passphrase of the pool has letters that the prompt at boot may not take.",
                "make sure that the keyboard has them, or choose a passphrase of ASCII"
            )
        case .noNameServer:
            ("A note, with exit status 0: a static address is given without any name server.", "add KLDLOAD_NET_DNS=…")
        }
    }
}
