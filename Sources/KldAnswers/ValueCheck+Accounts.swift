import FoundationEssentials

extension ValueCheck {
    static func account(_ value: String, _ type: AnswerType) throws(ValueFault) -> String {
        switch type {
        case .userName:
            let bytes = value.utf8
            guard let first = bytes.first, isLower(first) || first == UInt8(ascii: "_"), bytes.count <= 32,
                bytes.allSatisfy({ isLower($0) || isDigit($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") })
            else { throw ValueFault(.username, "\(shown(value)) is not a portable name for an account") }
            guard !reservedNames.contains(value), !value.hasPrefix("systemd-") else {
                throw ValueFault(.reservedUsername, "\(shown(value)) is an account or a group of the system")
            }
            return value
        case .remoteUser:
            let bytes = value.utf8
            guard let first = bytes.first, isAlphanumeric(first) || first == UInt8(ascii: "_"), bytes.count <= 64,
                bytes.allSatisfy({ isAlphanumeric($0) || "._@+-".utf8.contains($0) })
            else { throw ValueFault(.username, "\(shown(value)) is not the name of an account") }
            return value
        default: return try sshKeys(value)
        }
    }

    /// Accounts and groups that distributions make by themselves; a new account brings a group of its own name. What further packages make is
    /// not known here: an installation looks whether the account became the person's own.
    static let reservedNames: Set<String> = [
        "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy", "www-data", "backup", "list", "irc",
        "gnats", "nobody", "nogroup", "_apt", "messagebus", "sshd", "polkitd", "dbus", "adm", "tty", "disk", "kmem", "dialout", "fax",
        "voice", "cdrom", "floppy", "tape", "sudo", "audio", "dip", "operator", "src", "shadow", "utmp", "video", "sasl", "plugdev",
        "staff", "users", "input", "sgx", "kvm", "render", "crontab", "netdev", "wheel", "halt", "shutdown", "ftp", "tss", "chrony",
        "unbound", "systemd", "libvirt", "libvirt-qemu", "qemu", "docker", "podman", "ssl-cert", "uuidd", "tcpdump", "avahi", "dnsmasq",
        "rtkit", "geoclue", "gdm", "lightdm", "prometheus", "grafana", "postgres", "mysql", "nginx", "apache", "http", "kldload",
        "_ssh", "clock", "dhcpcd", "libvirt-dnsmasq", "swtpm", "pipewire", "bluetooth", "lpadmin", "scanner", "saned", "colord",
        "cups-browsed", "cups-pk-helper", "fwupd-refresh", "gnome-remote-desktop", "speech-dispatcher", "usbmux", "pulse",
    ]

    private static func sshKeys(_ value: String) throws(ValueFault) -> String {
        let texts = value.utf8.split(separator: UInt8(ascii: ";")).map { string($0) }
        guard texts.count <= 256 else { throw ValueFault(.sshKey, "\(texts.count) keys were given, 256 are allowed") }
        var keys: [String] = []
        for text in texts where !text.utf8.allSatisfy(isBlank) {
            do {
                let line = try SSHPublicKey(text).line
                if !keys.contains(line) { keys.append(line) }
            } catch {
                throw fault(of: error)
            }
        }
        guard !keys.isEmpty else { throw fault(of: .incomplete) }
        return keys.joined(separator: ";")
    }

    private static func fault(of fault: SSHPublicKey.Fault) -> ValueFault {
        switch fault {
        case .privateKey: ValueFault(.sshPrivateKey, "this is a private key")
        case .incomplete: ValueFault(.sshKey, "the key has no type or no content")
        case .type(let type) where SSHPublicKey.types.contains(where: { type.hasSuffix("=\"\($0)\"") }) || type.contains("="):
            ValueFault(.sshKey, "options before a key are not accepted", remedy: "give the key alone, beginning with its type")
        case .type(let type):
            ValueFault(
                .sshKey, "\(shown(type)) is not a type of key that OpenSSH accepts",
                remedy: "use one of: \(SSHPublicKey.types.joined(separator: ", "))")
        case .base64: ValueFault(.sshKey, "the key's content is not base64")
        case .content: ValueFault(.sshKey, "the key's content does not match its type, or is cut short")
        case .weak(let bits):
            ValueFault(.sshKey, "an RSA key of \(bits) bits is too weak", remedy: "make a new key: ssh-keygen -t ed25519")
        }
    }

    static func secret(_ value: String, _ type: AnswerType) throws(ValueFault) {
        let bytes = value.utf8
        switch type {
        case .password:
            // passwd(5) and chpasswd(8) split at colons and lines.
            guard bytes.count <= 512 else { throw ValueFault(.password, "the password has more than 512 bytes") }
            guard !bytes.contains(UInt8(ascii: ":")) else { throw ValueFault(.password, "the password holds a colon") }
            guard !bytes.contains(0x09) else { throw ValueFault(.password, "the password holds a tab") }
        case .passwordHash:
            guard isPasswordHash(Array(bytes)) else { throw ValueFault(.passwordHash, "this is not a password hash that is safe to use") }
        case .mokPassword:
            // Source: shim `MokManager.c`, 16.1: at most `PASSWORD_MAX` characters, each of one byte.
            guard bytes.count <= 256, bytes.allSatisfy({ (0x20...0x7E).contains($0) }) else {
                throw ValueFault(.mokPassword, "the password does not have 1 to 256 printable characters of ASCII")
            }
        case .passphrase:
            guard (8...512).contains(bytes.count) else { throw ValueFault(.passphrase, "the passphrase does not have 8 to 512 bytes") }
        case .wifiPassword:
            let isKey = bytes.count == 64 && bytes.allSatisfy(isHex)
            guard isKey || ((8...63).contains(bytes.count) && bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7F }) else {
                throw ValueFault(.wifiPassword, "this is no passphrase and no key of a wireless network")
            }
        case .wireguardKey:
            guard bytes.count == 44, Data(base64Encoded: value)?.count == 32 else {
                throw ValueFault(.wireguardKey, "this is not a WireGuard key")
            }
        case .secretText(let limit):
            guard bytes.count <= limit else { throw ValueFault(.text, "the text has more than \(limit) bytes") }
        default: break
        }
    }

    /// Source: crypt(5) of libxcrypt 4.4. DES, MD5 and NT hashes are refused, and what no password can match: numbers of rounds, costs and salts
    /// that crypt(3) does not take.
    private static func isPasswordHash(_ bytes: [UInt8]) -> Bool {
        func isPlain(_ bytes: [UInt8]) -> Bool {
            bytes.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/") }
        }
        let fields = bytes.split(separator: UInt8(ascii: "$"), omittingEmptySubsequences: false).map { Array($0) }
        guard bytes.count <= 512, fields.count >= 4, fields[0].isEmpty, let hash = fields.last, isPlain(hash) else { return false }
        let method = string(fields[1])
        // What lies between the method and the hash.
        var settings = Array(fields[2..<(fields.count - 1)])
        if method == "5" || method == "6", settings.count == 2, settings[0].starts(with: "rounds=".utf8) {
            let rounds = settings.removeFirst().dropFirst("rounds=".utf8.count)
            guard rounds.first != UInt8(ascii: "0"), let number = decimal(rounds), (1000...999_999_999).contains(number) else {
                return false
            }
        }
        guard settings.allSatisfy(isPlain), let first = settings.first else { return false }
        switch method {
        case "5", "6": return settings.count == 1 && (1...16).contains(first.count) && hash.count == (method == "6" ? 86 : 43)
        case "y", "gy": return settings.count == 2 && !first.isEmpty && settings[1].count <= 86 && hash.count == 43
        case "7": return settings.count == 1 && (11...97).contains(first.count) && hash.count == 43
        case "2a", "2b", "2y":
            guard settings.count == 1, first.count == 2, let cost = decimal(first) else { return false }
            return (4...31).contains(cost) && hash.count == 53
        default: return false
        }
    }
}
