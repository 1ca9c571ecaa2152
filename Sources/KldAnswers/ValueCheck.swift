import KldCore

/// What is wrong with one value.
struct ValueFault: Error {
    var code: AnswersProblem.Code
    var message: String
    var remedy: String?
    var suggestion: String?

    init(_ code: AnswersProblem.Code, _ message: String, remedy: String? = nil, suggestion: String? = nil) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.suggestion = suggestion
    }
}

/// Checks single values against their type, and brings them into their canonical spelling.
struct ValueCheck {
    let reference: AnswersReference

    /// - Parameter value: not empty.
    /// - Throws: ``ValueFault``, whose message holds nothing of a secret.
    func canonical(_ given: String, of key: AnswerKey) throws(ValueFault) -> String {
        if given.utf8.contains(where: { isControl($0) && $0 != 0x09 }) {
            throw ValueFault(.controlCharacter, "the value holds a control character")
        }
        let value = key.valueAliases[given] ?? given
        switch key.type {
        case .bool: return try ValueCheck.bool(value)
        case .integer(let range): return try ValueCheck.integer(value, range)
        case .choice(let allowed): return try ValueCheck.choice(value, allowed)
        case .choices(let allowed, let alone): return try ValueCheck.choices(value, allowed, alone)
        case .hostName, .domainName, .host, .interface, .ipAddress, .ipAddressOrNetwork, .ipAddresses, .cidr, .url:
            return try ValueCheck.network(value, key.type)
        case .userName, .remoteUser, .sshKeys: return try ValueCheck.account(value, key.type)
        case .password, .passwordHash, .mokPassword, .passphrase, .wifiPassword, .wireguardKey, .secretText:
            try ValueCheck.secret(value, key.type)
            return value
        case .disk, .disks, .poolName, .size, .path: return try ValueCheck.storage(value, key.type)
        case .timezone, .locale, .keyboardLayout: return try region(value, key.type)
        // Which variants there are depends on the layout: a rule across keys.
        case .keyboardVariant: return value
        case .packages: return try ValueCheck.packages(value)
        case .consoles: return try ValueCheck.consoles(value)
        case .label(let limit): return try ValueCheck.label(value, limit)
        case .version(let parts): return try ValueCheck.version(value, parts)
        case .text(let limit):
            guard value.utf8.count <= limit else { throw ValueFault(.text, "the text has \(value.utf8.count) bytes, \(limit) are allowed") }
            return value
        }
    }

    private func region(_ value: String, _ type: AnswerType) throws(ValueFault) -> String {
        if reference.acceptsAll { return type == .locale ? AnswersReference.canonicalLocale(value) : value }
        switch type {
        case .timezone:
            if reference.timezones.contains(value) { return value }
            throw ValueFault(
                .timezone, "\(shown(value)) is not in the TZ database", suggestion: nearest(to: value, Array(reference.timezones)))
        case .locale:
            let name = AnswersReference.canonicalLocale(value)
            if reference.locales.contains(name) { return name }
            // The codeset left out, or another one: a single edit would lead to another language.
            let language = value.prefix { $0 != "." && $0 != "@" }.map { $0 == "-" ? "_" : String($0) }.joined()
            let meant = [language + ".UTF-8", language].first { reference.locales.contains($0) }
            throw ValueFault(
                .locale, "there is no locale \(shown(value)) in UTF-8\(reference.place)",
                suggestion: meant ?? nearest(to: value, Array(reference.locales)))
        default:
            if reference.keyboards[value] != nil { return value }
            throw ValueFault(
                .keyboardLayout, "XKB has no layout \(shown(value))\(reference.place)",
                suggestion: nearest(to: value, Array(reference.keyboards.keys)))
        }
    }
}

/// A value as messages show it: quoted, without control characters, cut where it gets long.
func shown(_ value: String) -> String {
    let printable = value.unicodeScalars.prefix(81).map { scalar in
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? "\u{FFFD}" : String(scalar)
    }
    return "\"" + printable.prefix(80).joined() + (printable.count > 80 ? "…" : "") + "\""
}
