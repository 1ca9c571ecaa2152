/// One key of the answers: the single source for parser, checks, documents and schema.
public struct AnswerKey: Sendable, Hashable {
    /// `KLDLOAD_…`
    public let name: String
    /// The name without the prefix that all keys share; most are short enough to need no memory of their own.
    let stem: String
    public let group: AnswerGroup
    public let type: AnswerType
    /// What an absent or empty value means; empty where there is no default.
    public let defaultValue: String
    public let isRequired: Bool
    /// Shown as `<redacted>` everywhere, and never repeated in a message.
    public let isSecret: Bool
    /// The release of kldload that brought the key.
    public let since: String
    /// Other names that mean the same key.
    public let aliases: [String]
    /// Other spellings of values, with the one they stand for.
    public let valueAliases: [String: String]
    /// Whether this version acts on the key.
    public let effect: AnswerEffect
    /// One or two sentences.
    public let help: String

    init(
        _ name: String, _ group: AnswerGroup, _ type: AnswerType, default defaultValue: String = "", required: Bool = false,
        secret: Bool = false, since: String, aliases: [String] = [], valueAliases: [String: String] = [:], effect: AnswerEffect = .now,
        _ help: String
    ) {
        self.name = AnswerKey.prefix + name
        self.stem = name
        self.group = group
        self.type = type
        self.defaultValue = defaultValue
        self.isRequired = required
        self.isSecret = secret
        self.since = since
        self.aliases = aliases.map { AnswerKey.prefix + $0 }
        self.valueAliases = valueAliases
        self.effect = effect
        self.help = help
    }

    public static func == (a: AnswerKey, b: AnswerKey) -> Bool { a.stem == b.stem }
    public func hash(into hasher: inout Hasher) { hasher.combine(stem) }

    static let prefix = "KLDLOAD_"

    /// How names begin that older answers have for publishing in clouds. Which ones there are is their programs' affair, and most are secrets:
    /// they are accepted, noted, and never kept.
    static let foreignPrefixes = ["AWS_", "AZURE_", "GCP_"]
    static let foreignWaitsFor = "cloud publishing"
    static func isForeign(_ name: String) -> Bool { foreignPrefixes.contains { name.hasPrefix($0) } }

    /// Every key, in the order of the documents.
    public static let all: [AnswerKey] =
        (coreKeys + accountKeys + storageKeys + networkKeys + featureKeys + packageKeys + distributionKeys + bootKeys + clusterKeys
        + laboratoryKeys + assistantKeys + exportKeys).flatMap { $0.isSecret ? [$0, $0.inFile] : [$0] }

    /// Of a secret key: the key that names the file in which its value lies.
    private var inFile: AnswerKey {
        AnswerKey(
            stem + AnswerKey.fileSuffix, group, .path, since: "2.0",
            aliases: aliases.map { String($0.dropFirst(AnswerKey.prefix.count)) + AnswerKey.fileSuffix }, effect: effect,
            "A file whose first line is the value of `\(name)`; read when the answers are.")
    }

    static let fileSuffix = "_FILE"

    /// The keys whose values are secrets, each of which may lie in a file.
    static let secrets = all.filter(\.isSecret)

    private static let byName: [String: AnswerKey] = {
        var table: [String: AnswerKey] = [:]
        for key in all {
            for name in [key.name] + key.aliases { table[name] = key }
        }
        return table
    }()

    /// Where each key stands in ``all``, by stem.
    static let ranks = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1.stem, $0) })

    /// The key of that name or alias.
    public static func named(_ name: String) -> AnswerKey? { byName[name] }

    /// What may stand for a full name in a JSON object: without the prefix, in small letters or in capitals.
    static func shortNames(of name: String) -> [String] {
        let stem = String(name.dropFirst(prefix.count))
        return [stem.lowercased(), stem]
    }

    /// Every name that the key has in a JSON object.
    var namesInJSON: [String] { ([name] + aliases).flatMap { [$0] + AnswerKey.shortNames(of: $0) } }

    /// The full name, or the alias, that each name in a JSON object stands for.
    static let fullNames: [String: String] = {
        var table: [String: String] = [:]
        for full in all.flatMap({ [$0.name] + $0.aliases }) {
            for name in [full] + shortNames(of: full) { table[name] = full }
        }
        return table
    }()
}

/// Whether this version of kldload acts on a key. The answers of every release are accepted, so some keys are known before they work.
public enum AnswerEffect: Sendable, Hashable {
    case now
    /// No value has an effect yet: what it waits for, as it stands behind "waits for".
    case later(String)
    /// The same where the default promises something too, so that a written default is told as well.
    case laterEvenByDefault(String)
    /// Only these values have no effect yet.
    case laterFor([String], String)
    /// No value has an effect, and the key waits for nothing: why, without a full stop.
    case never(String)

    /// Why there is none, as it stands behind a colon.
    public var reason: String? {
        switch self {
        case .now: nil
        case .later(let what), .laterEvenByDefault(let what), .laterFor(_, let what): AnswerEffect.waits(for: what)
        case .never(let why): why
        }
    }

    static func waits(for what: String) -> String { "it waits for \(what)" }

    /// The sentence of the documents; `nil` where there is nothing to say.
    public var sentence: String? {
        switch self {
        case .now: nil
        case .later(let what), .laterEvenByDefault(let what): "No effect yet: waits for \(what)."
        case .laterFor(let values, let what):
            values.map { "`\($0)`" }.joined(separator: ", ") + " \(values.count == 1 ? "has" : "have") no effect yet: waits for \(what)."
        case .never(let why): "No effect: \(why)."
        }
    }
}

/// A chapter of the documents.
public enum AnswerGroup: String, Sendable, Hashable, CaseIterable {
    case core = "Core"
    case accounts = "Accounts and SSH"
    case storage = "Disks and ZFS"
    case network = "Network"
    case features = "Features"
    case packages = "Packages"
    case distribution = "Releases and mirrors"
    case boot = "Boot"
    case cluster = "Cluster"
    case laboratory = "Laboratory"
    case assistant = "Assistant"
    case export = "Images and export"
}

/// What a value must look like.
public enum AnswerType: Sendable, Hashable {
    /// `0` or `1`.
    case bool
    case integer(ClosedRange<Int>)
    case choice([String])
    /// One or more of these, separated by commas or spaces, or one of `alone` by itself.
    case choices([String], alone: [String])
    case hostName
    case domainName
    /// A domain name or an address.
    case host
    case userName
    /// The name of an account on another machine.
    case remoteUser
    /// A path below /dev, or `auto`.
    case disk
    case disks
    case interface
    case ipAddress
    /// An address after which `/` and a prefix may stand.
    case ipAddressOrNetwork
    case ipAddresses
    case cidr
    case timezone
    case locale
    case keyboardLayout
    case keyboardVariant
    /// One or more lines of `authorized_keys`, separated by semicolons.
    case sshKeys
    case url
    case packages
    case password
    case passwordHash
    /// A secret of another system: printable, at most so many bytes.
    case secretText(Int)
    /// A password that a person types into the firmware: printable ASCII.
    case mokPassword
    case passphrase
    case wifiPassword
    case wireguardKey
    /// An absolute path.
    case path
    case poolName
    case size
    case consoles
    /// Letters, digits and `._-`, at most so many.
    case label(Int)
    /// Numbers joined by dots, at most so many.
    case version(Int)
    /// Anything printable, at most so many bytes.
    case text(Int)
}
