/// The documents that follow from the table of keys.
public enum AnswersReferenceDocument {
    /// The text of `docs/answers.md`.
    public static var markdown: String {
        var lines = introduction
        for group in AnswerGroup.allCases {
            lines += ["## \(group.rawValue)", "", "| Key | Values | Default | Since | Meaning |", "|---|---|---|---|---|"]
            lines += AnswerKey.all.filter { $0.group == group }.map(row)
            lines.append("")
        }
        lines += ["## Problems", ""]
        lines += [
            "Everything that is wrong is reported at once, with these codes; the exit status is 65, or 66 when there is no such file.",
            "`kldload answers check --format json` prints the same as `problems` and the notes as `warnings`, each with `code`, `line`, `key`,",
            "`message`, `remedy` and `suggestion` as far as there is one; exit statuses are the same.", "",
        ]
        lines += problemTable
        return lines.joined(separator: "\n") + "\n"
    }

    /// Code, meaning and remedy of every problem, as the rows of a table with its head.
    public static var problemTable: [String] {
        ["| Code | Meaning | Remedy |", "|---|---|---|"]
            + AnswersProblem.Code.allCases.map { "| `\($0.rawValue)` | \(cell($0.help)) | \(cell($0.remedy)) |" }
    }

    private static let foreignNames: String = {
        let names = AnswerKey.foreignPrefixes.map { "`\($0)…`" }.joined(separator: ", ")
        return "Names such as \(names) are accepted too: older answers hold credentials of clouds. "
            + "**No effect yet: waits for \(AnswerKey.foreignWaitsFor).** Their values are not kept."
    }()

    private static let introduction = [
        "# answers.env",
        "",
        "<!-- Generated from Sources/KldAnswers; KLDLOAD_RECORD=1 swift test --filter KldAnswersTests writes it anew. -->",
        "",
        "The answers say what to install. Three lines are enough:",
        "",
        "```sh",
        "KLDLOAD_DISTRO=debian",
        "KLDLOAD_DISK=/dev/disk/by-id/virtio-disk0",
        "KLDLOAD_HOSTNAME=web-prod-01",
        "```",
        "",
        "The file holds one `KEY=VALUE` per line, in UTF-8. Blank lines and lines that begin with `#` are skipped, `export` before a key "
            + "is tolerated.",
        "",
        "- A value without quotes ends at the line's end, or at a `#` after a space.",
        "- In `'single quotes'` every character stands for itself: the right form for hashes and passwords.",
        "- In `\"double quotes\"` a backslash before `\"`, `\\`, `$` or a backtick takes its meaning away.",
        "- Nothing is evaluated. `$(…)` and backticks outside single quotes are errors: whoever writes them expects a command to run.",
        "- An empty value means the default. An unknown or repeated key is an error.",
        "",
        "A file that begins with `{` is read as a JSON object of the same keys. Every value may be a string; `true` and `false` may stand "
            + "for 1 and 0, a number for one that is counted or chosen, a list of strings where there may be several; `null` means the "
            + "default. There `disk` or `DISK` may stand for `KLDLOAD_DISK`. "
            + "`\"action\": \"install\"`, which messages of older releases have, is taken and has no effect.",
        "`kldload answers keys --format schema` prints a JSON Schema of such objects.",
        "`--set KLDLOAD_KEY=value` on a command line replaces what the file says.",
        "",
        "Every secret may lie in a file of its own: `KLDLOAD_ZFS_PASSPHRASE_FILE` names the file whose first line is "
            + "`KLDLOAD_ZFS_PASSPHRASE`, and so on.",
        "",
        "The answers of every release are accepted. A key that this version does not act on says so below; where a file sets one, "
            + "every command that reads it prints a note on standard error and goes on.",
        "",
        foreignNames,
        "",
        "Locale and keyboard must exist in the release that is installed, whatever the machine knows that checks them.",
        "",
        "A disk that holds anything is wiped only when it is named and `KLDLOAD_FORCE_WIPE=1` is written, or when its name is typed. "
            + "Ready-made files lie in `Examples/`.",
        "",
        "`kldload install` unpacks a root file system that was built before: the mirrors and the locale's data take part when it is built, not "
            + "when it is unpacked. Packages that it lacks come from the medium's offline mirror, or nothing is installed.",
        "",
    ]

    private static func row(_ key: AnswerKey) -> String {
        var meaning = key.help
        if !key.aliases.isEmpty { meaning += " Also: " + key.aliases.map { "`\($0)`" }.joined(separator: ", ") + "." }
        if key.isSecret { meaning += " *Secret.*" }
        if let effect = key.effect.sentence { meaning += " **\(effect)**" }
        let value = key.isRequired ? "required" : key.defaultValue.isEmpty ? "" : "`\(key.defaultValue)`"
        return "| `\(key.name)` | \(cell(key.type.description)) | \(value) | \(key.since) | \(cell(meaning)) |"
    }

    private static func cell(_ text: String) -> String {
        text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
    }
}

extension AnswerType: CustomStringConvertible {
    /// What may stand there, in a few words of Markdown.
    public var description: String {
        switch self {
        case .bool: "`0`, `1`"
        case .integer(let range): "\(range.lowerBound) to \(range.upperBound)"
        case .choice(let allowed): allowed.map { "`\($0)`" }.joined(separator: ", ")
        case .choices(let allowed, let alone):
            alone.map { "`\($0)`" }.joined(separator: ", ") + ", or some of " + allowed.map { "`\($0)`" }.joined(separator: ", ")
        case .hostName: "host name"
        case .domainName: "domain name"
        case .host: "name or address"
        case .userName, .remoteUser: "account"
        case .disk: "path below `/dev`, `auto`"
        case .disks: "paths below `/dev`"
        case .interface: "network interface"
        case .ipAddress: "IP address"
        case .ipAddressOrNetwork: "IP address, with or without `/prefix`"
        case .ipAddresses: "IP addresses"
        case .cidr: "network as `address/prefix`"
        case .timezone: "time zone"
        case .locale: "locale"
        case .keyboardLayout: "XKB layout"
        case .keyboardVariant: "XKB variant"
        case .sshKeys: "SSH public keys"
        case .url: "http or https address"
        case .packages: "package names"
        case .password: "1 to 512 bytes, no colon"
        case .passwordHash: "hash of crypt(5)"
        case .secretText(let limit), .text(let limit): "text, \(limit) bytes at most"
        case .mokPassword: "1 to 256 printable characters of ASCII"
        case .passphrase: "8 to 512 bytes"
        case .wifiPassword: "8 to 63 characters, or 64 hexadecimal digits"
        case .wireguardKey: "44 characters of base64"
        case .path: "absolute path"
        case .poolName: "pool name"
        case .size: "`4G` to `64T`"
        case .consoles: "console devices"
        case .label(let limit): "name, \(limit) characters at most"
        case .version: "version"
        }
    }
}
