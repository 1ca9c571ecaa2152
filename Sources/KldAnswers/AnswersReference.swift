import KldCore
public import KldFiles
import SystemPackage

/// The names of the world that answers may use: time zones, locales, keyboards.
public struct AnswersReference: Sendable, Hashable {
    /// Names of the TZ database, links included.
    public var timezones: Set<String>
    /// Locales in UTF-8, with that word in their names where they have it: `en_US.UTF-8`.
    public var locales: Set<String>
    /// XKB layouts, with the variants of each.
    public var keyboards: [String: Set<String>]

    /// What one release has of what differs between releases.
    struct ReleaseNames: Sendable, Hashable {
        var locales: Set<String>
        var keyboards: [String: Set<String>]
    }

    /// By distribution and release. Where the one that is asked for is among them, its own names count, not those of this machine.
    var releases: [String: ReleaseNames] = [:]

    /// ` in debian trixie`, for messages, where these are a release's own names.
    private(set) var place = ""

    /// Takes every name: for answers that were checked before, on a machine whose lists may have been newer.
    var acceptsAll = false

    /// For answers that come from checked ones.
    public static let checkedBefore: AnswersReference = {
        var reference = builtIn
        reference.acceptsAll = true
        return reference
    }()

    public init(timezones: Set<String>, locales: Set<String>, keyboards: [String: Set<String>]) {
        self.timezones = timezones
        self.locales = locales
        self.keyboards = keyboards
    }

    /// The lists that come with kldload, so that answers can be checked on any machine.
    ///
    /// TZ database 2025b, glibc 2.36, xkeyboard-config 2.35; for Debian 13 glibc 2.41, xkeyboard-config 2.42.
    public static let builtIn: AnswersReference = {
        let debian12 = ReleaseNames(
            locales: Set(builtInLocales.words).union(alwaysThere), keyboards: parseKeyboardTable(builtInKeyboards))
        var debian13 = debian12
        debian13.locales.formUnion(debian13Locales.words)
        debian13.locales.subtract(debian13LostLocales.words)
        for (layout, variants) in parseKeyboardTable(debian13Keyboards) { debian13.keyboards[layout, default: []].formUnion(variants) }
        for (layout, variants) in parseKeyboardTable(debian13LostKeyboards) { debian13.keyboards[layout]?.subtract(variants) }
        for layout in debian13LostLayouts.words { debian13.keyboards[layout] = nil }
        var reference = AnswersReference(
            timezones: Set(builtInTimezones.words), locales: debian12.locales, keyboards: debian12.keyboards)
        reference.releases = ["debian bookworm": debian12, "debian trixie": debian13]
        return reference
    }()

    /// The same with the names of a release, as `debian trixie`, where they are known.
    func of(_ release: String) -> AnswersReference {
        guard let names = releases[release] else { return self }
        var reference = self
        reference.locales = names.locales
        reference.keyboards = names.keyboards
        reference.place = " in \(release)"
        return reference
    }

    /// What this machine knows; where it has no list, or one that cannot be read, the built-in one.
    public static func system(_ files: any FileSystem) -> AnswersReference {
        func text(_ path: FilePath) -> String { (try? files.readText(path)) ?? "" }
        var reference = builtIn
        let zones = timezones(zi: text("/usr/share/zoneinfo/tzdata.zi"))
        if !zones.isEmpty { reference.timezones = zones }
        let locales = locales(supported: text("/usr/share/i18n/SUPPORTED"))
        if !locales.isEmpty { reference.locales = locales }
        let keyboards = keyboards(baseList: text("/usr/share/X11/xkb/rules/base.lst"))
        if !keyboards.isEmpty { reference.keyboards = keyboards }
        return reference
    }

    /// Zones and links of a compiled-down TZ source. One line of each, tzdata 2025b:
    ///
    ///     Z Africa/Abidjan -0:16:8 - LMT 1912
    ///     L Africa/Abidjan Africa/Accra
    static func timezones(zi text: String) -> Set<String> {
        var zones: Set<String> = []
        for line in text.utf8.split(separator: 0x0A) {
            let words = line.split(separator: 0x20)
            if words.count >= 3, words[0].elementsEqual("Z".utf8) { zones.insert(string(words[1])) }
            if words.count == 3, words[0].elementsEqual("L".utf8) { zones.insert(string(words[2])) }
        }
        zones.remove("Factory")
        return zones
    }

    /// Names from glibc's list of locales. Two lines, glibc 2.36:
    ///
    ///     en_US.UTF-8 UTF-8
    ///     aa_ER UTF-8
    static func locales(supported text: String) -> Set<String> {
        var names: Set<String> = []
        for line in text.utf8.split(separator: 0x0A) {
            let words = line.split(whereSeparator: isBlank)
            if words.count == 2, words[1].elementsEqual("UTF-8".utf8) { names.insert(string(words[0])) }
        }
        return names.isEmpty ? [] : names.union(alwaysThere)
    }

    /// Built into glibc 2.35 and later, and into musl.
    private static let alwaysThere: Set<String> = ["C.UTF-8"]

    /// The name with its codeset as `UTF-8` where it is written `utf8` or the like.
    static func canonicalLocale(_ name: String) -> String {
        guard let dot = name.firstIndex(of: ".") else { return name }
        let codeset = name[name.index(after: dot)...].prefix { $0 != "@" }
        guard ["utf8", "utf-8"].contains(codeset.lowercased()) else { return name }
        return name[..<dot] + ".UTF-8" + name[codeset.endIndex...]
    }

    /// Layouts and variants of XKB's list. One line of each section, xkeyboard-config 2.35:
    ///
    ///     ! layout
    ///       us              English (US)
    ///     ! variant
    ///       intl            us: English (US, intl., with dead keys)
    static func keyboards(baseList text: String) -> [String: Set<String>] {
        var table: [String: Set<String>] = [:]
        var section = ""
        for line in text.utf8.split(separator: 0x0A) {
            let words = line.split(maxSplits: 2, whereSeparator: isBlank)
            guard words.count >= 2 else { continue }
            if words[0].elementsEqual("!".utf8) {
                section = string(words[1])
            } else if section == "layout" {
                table[string(words[0]), default: []] = []
            } else if section == "variant", words[1].last == UInt8(ascii: ":") {
                table[string(words[1].dropLast()), default: []].insert(string(words[0]))
            }
        }
        table["custom"] = nil
        return table
    }

    /// Words, of which one that ends in a colon begins a layout and the others are its variants.
    private static func parseKeyboardTable(_ text: String) -> [String: Set<String>] {
        var table: [String: Set<String>] = [:]
        var layout = ""
        for word in text.words {
            if word.hasSuffix(":") {
                layout = String(word.dropLast())
                table[layout] = []
            } else {
                table[layout, default: []].insert(word)
            }
        }
        return table
    }
}
